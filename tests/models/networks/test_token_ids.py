"""What closes a text, and what is cut: with real tokenizers through the real loader.

Run: pytest tests/models/networks/test_token_ids.py -q.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models.qwen3 import END, TURN_END, qwen3_folder
from small_models.towers import (
    LONG,
    QWEN3,
    TASK,
    TEXTS,
    last_states,
    load_tower,
    parts_of,
    qwen3_recipe,
)

from cmedteb.errors import DataError, ModelError, UsageError
from cmedteb.models import TaskContext
from cmedteb.types import TaskType

RETRIEVAL = TaskContext("Some", TaskType.RETRIEVAL, instruction="Find what the task asks for")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instruct")


@pytest.fixture(scope="module")
def closing(home: Path) -> Path:
    """A Qwen3 whose tokenizer closes texts as Qwen3-Embedding's does. Do not edit."""
    return qwen3_folder(home / "closing")


@pytest.fixture(scope="module")
def open_ended(home: Path) -> Path:
    """A Qwen3 whose tokenizer closes no text, though its configuration asks for it. Do not edit."""
    folder = home / "open"
    return qwen3_folder(folder, closed_by=None, eos=END, tokenizer_config={"add_eos_token": True})


@pytest.mark.parametrize("truncation_side", ["right", "left"])
def test_a_cut_takes_neither_the_prompt_nor_the_end(home: Path, truncation_side: str) -> None:
    folder = home / f"cut-{truncation_side}"
    qwen3_folder(folder, tokenizer_config={"truncation_side": truncation_side})
    tower = load_tower(folder, **QWEN3, max_length=80)
    tokenizer, model = parts_of(folder)
    prompt = f"Instruct: {TASK}\nQuery:"
    whole = tokenizer(prompt + LONG, add_special_tokens=False)["input_ids"]
    assert len(tokenizer(prompt, add_special_tokens=False)["input_ids"]) < 79 < len(whole)
    expected = last_states(model, [[*whole[:79], tokenizer.convert_tokens_to_ids(END)]])
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(tower.encode_queries([LONG]), expected, atol=1e-5)
    assert tower.tokens == 80


def test_a_prompt_that_fills_the_length_is_refused(closing: Path) -> None:
    with pytest.raises(UsageError, match=r"20 tokens leaves no room for a text: its prompt has"):
        load_tower(closing, {"max_length": 20}, **QWEN3)
    tower = load_tower(closing, {"max_length": 90}, **QWEN3)
    lengthy = TaskContext("x", TaskType.RETRIEVAL, instruction="word " * 60)
    with pytest.raises(UsageError, match="Raise --max-length or shorten the prompt"):
        tower.for_task(lengthy)


def test_a_tokenizer_that_lost_the_end_is_refused(open_ended: Path) -> None:
    """Asked for in tokenizer_config.json, not added by tokenizer.json: silence."""
    with pytest.raises(ModelError, match=r"'<\|endoftext\|>' that closes.*append_eos = true"):
        load_tower(open_ended, pooling="last", similarity="dot")


def test_another_end_than_the_card_says_is_refused(closing: Path) -> None:
    with pytest.raises(ModelError, match=r"'<\|im_end\|>'.*with '<\|endoftext\|>'"):
        load_tower(closing, pooling="last", similarity="dot")
    with pytest.raises(DataError, match=r"no token '</s>'"):
        load_tower(closing, pooling="last", similarity="dot", settings={"last_token": "</s>"})


def test_an_end_that_is_lost_later_is_refused(closing: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tower = load_tower(closing, **QWEN3)
    backend = tower.network.ids.tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    with pytest.raises(ModelError, match="makes its vector of the token"):
        tower.encode_documents(TEXTS)


def test_an_end_is_added_once(closing: Path) -> None:
    """Asked to add what the tokenizer adds already: one end of sequence, at the full length."""
    tower = load_tower(closing, **QWEN3 | {"settings": QWEN3["settings"] | {"append_eos": True}})
    np.testing.assert_allclose(
        tower.encode_documents([LONG]), qwen3_recipe(closing, [LONG]), atol=1e-5
    )


def test_a_model_whose_texts_nothing_closes(open_ended: Path) -> None:
    """The empty text is read as one padding token, whatever else is in the batch."""
    tower = load_tower(open_ended, pooling="last", similarity="dot", settings={"last_token": ""})
    tokenizer, model = parts_of(open_ended)
    rows = [tokenizer(text)["input_ids"] or [tokenizer.pad_token_id] for text in TEXTS]
    assert rows[-1] == [tokenizer.pad_token_id]
    np.testing.assert_allclose(tower.encode_documents(TEXTS), last_states(model, rows), atol=1e-5)
    with pytest.raises(DataError, match="without append_eos"):
        load_tower(
            open_ended,
            pooling="last",
            similarity="dot",
            settings={"last_token": "", "append_eos": True},
        )


def test_the_end_of_the_tokenizer_is_the_default(home: Path) -> None:
    folder = qwen3_folder(home / "turns", closed_by=TURN_END)
    assert (
        load_tower(folder, pooling="last", similarity="dot").facts.settings["last_token"]
        == TURN_END
    )
