"""Rubrics: what a judge is told, as data: `annotations/rubrics/NAME.md`, read section by section.

A released rubric never changes, and its hash is in the key of every call. Sections are parted by
HTML comments: `system` (with `{{grades}}` and `{{answer}}`), `grade 1` to `grade 5`, `answer
score-first` and `answer reason-first`, and `query`, `document`, `cut`, `ask`, which make the user
message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmedteb.annotations.config import Form, RubricUsed
from cmedteb.annotations.records import GRADES
from cmedteb.annotations.texts import text_hash
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder

MARK = re.compile(r"^<!-- ([a-z0-9 -]+) -->$", re.MULTILINE)
BLANK = re.compile(r"\{\{([a-z]+)\}\}")
RUBRIC = "relevance.v1"
SUFFIX = ".zh.md"
BLANKS: Mapping[str, tuple[str, ...]] = {
    "system": ("grades", "answer"),
    **{f"grade {grade}": () for grade in GRADES},
    **{f"answer {form}": () for form in Form},
    "query": ("nonce", "text", "nonce"),
    "document": ("nonce", "text", "nonce"),
    "cut": (),
    "ask": (),
}


@dataclass(frozen=True)
class Rubric:
    """A rubric and its sections.

    Attributes:
        used: as it is kept in the journal.
        sections: name -> text.
    """

    used: RubricUsed
    sections: Mapping[str, str]

    @classmethod
    def of(cls, used: RubricUsed) -> Rubric:
        """Read the text of a rubric.

        Raises:
            DataError: a section is missing, is unknown, stands twice, or has not its blanks.
        """
        parts = MARK.split(used.text)
        names, texts = parts[1::2], [text.strip() for text in parts[2::2]]
        sections = dict(zip(names, texts, strict=True))
        if len(sections) != len(names) or set(sections) != set(BLANKS):
            odd = sorted(set(sections) ^ set(BLANKS)) or "one stands twice"
            raise DataError(f"rubric {used.name}: its sections are not those of a rubric: {odd}")
        for name, blanks in BLANKS.items():
            if sorted(BLANK.findall(sections[name])) != sorted(blanks):
                raise DataError(
                    f"rubric {used.name}: section {name!r} needs the blanks {list(blanks)}"
                )
        return cls(used, sections)

    def system(self, form: Form, *, reversed_scale: bool = False) -> str:
        """What a judge is told of its work, the same for every pair.

        Args:
            form: what the answer begins with.
            reversed_scale: print the grades from 5 to 1, where else they begin with 1.
        """
        order = sorted(GRADES, reverse=reversed_scale)
        grades = "\n\n".join(self.sections[f"grade {grade}"] for grade in order)
        answer = self.sections[f"answer {form}"]
        return fill(self.sections["system"], {"grades": grades, "answer": answer})


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill the blanks of a text in one pass: what is filled in is not read again."""
    return BLANK.sub(lambda blank: values[blank[1]], text)


def find_rubric(name: str) -> Rubric:
    """A shipped rubric by its name, or one in a file by its path.

    Args:
        name: such as `relevance.v1`, or `my/rubric.md`.

    Raises:
        UsageError: there is none; lists those there are.
        DataError: the file is no rubric.
    """
    folder = data_folder("annotations") / "rubrics"
    path = Path(name) if name.endswith(".md") else folder / f"{name}{SUFFIX}"
    if not path.is_file():
        there = ", ".join(file.name.removesuffix(SUFFIX) for file in sorted(folder.glob("*.md")))
        raise UsageError(f"there is no rubric {name!r} ({path}). There are: {there}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error})") from error
    label = path.name.removesuffix(SUFFIX)
    return Rubric.of(RubricUsed(name=label, sha256=text_hash(text), text=text))
