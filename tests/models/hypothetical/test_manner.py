"""The prompts that documents are asked for with, shipped and broken.

Run: pytest tests/models/hypothetical/test_manner.py -q.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.models.card import family_file
from cmedteb.models.hypothetical.manner import PROMPTS, Recipe, read_manner
from cmedteb.types import QueryForm


def test_the_shipped_prompts_differ_by_form() -> None:
    prompts = read_manner().prompts
    assert len(set(prompts.values())) == 3
    assert all(prompt.endswith(">: ") and "\n<" in prompt for prompt in prompts.values())


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("text = ", "poem = ", "prompts"),
        ("<\u6807\u9898>: {}", "<\u6807\u9898>: ", "the prompt title must be there, with one {}"),
        ("seed = 42", "seed = 42\nbeams = 4", "beams"),
    ],
)
def test_prompts_that_are_not_as_they_should_be(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    text = family_file(PROMPTS).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "prompts.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=rf"prompts\.toml: not prompts for documents: .*{fault}"):
        read_manner(path)


def test_whatever_decides_a_document_tells_recipes_apart() -> None:
    manner = read_manner()
    first = Recipe("m", QueryForm.TITLE, manner.system, "Write on {}", manner.decoding)
    others = [
        Recipe("n", QueryForm.TITLE, manner.system, "Write on {}", manner.decoding),
        Recipe("m", QueryForm.TITLE, "Be brief.", "Write on {}", manner.decoding),
        Recipe("m", QueryForm.TITLE, manner.system, "Write of {}", manner.decoding),
        Recipe("m", QueryForm.TITLE, manner.system, "Write on {}", manner.decoding_of_several),
    ]
    assert len({first.short, *(other.short for other in others)}) == 5
    assert first.messages("x {} y")[-1]["content"] == "Write on x {} y"
