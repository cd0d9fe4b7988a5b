"""Texts for models as data: `annotations/FOLDER/NAME.zh.md`, parted into sections, with blanks.

Rubrics and prompts are such files. Sections are parted by HTML comments, `<!-- NAME -->`; a blank
is `{{name}}`. What lacks a section or a blank is refused. A released file never changes: its hash
is kept with whatever it made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cmedteb.annotations.config import RubricUsed
from cmedteb.annotations.texts import text_hash
from cmedteb.errors import DataError, UsageError

MARK = re.compile(r"^<!-- ([a-z0-9 -]+) -->$", re.MULTILINE)
BLANK = re.compile(r"\{\{([a-z]+)\}\}")
SUFFIX = ".zh.md"
Blanks = Mapping[str, tuple[str, ...]]


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill the blanks of a text in one pass: what is filled in is not read again."""
    return BLANK.sub(lambda blank: values[blank[1]], text)


def read_text(name: str, folder: Path, *, kind: str) -> RubricUsed:
    """A shipped file by its name, or any by its path.

    Args:
        name: such as `relevance.v1`, or `my/rubric.md`.
        folder: of the shipped ones.
        kind: what it should be, for messages: `rubric` or `prompt`.

    Raises:
        UsageError: there is none; lists those there are.
        DataError: not UTF-8.
    """
    path = Path(name) if name.endswith(".md") else folder / f"{name}{SUFFIX}"
    if not path.is_file():
        there = ", ".join(file.name.removesuffix(SUFFIX) for file in sorted(folder.glob("*.md")))
        raise UsageError(f"there is no {kind} {name!r} ({path}). There are: {there}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error})") from error
    return RubricUsed(name=path.name.removesuffix(SUFFIX), sha256=text_hash(text), text=text)


def sections_of(used: RubricUsed, blanks: Blanks, *, kind: str) -> dict[str, str]:
    """The sections of a text by name.

    Args:
        used: the text.
        blanks: of each section that there must be, its blanks.
        kind: as in `read_text`.

    Raises:
        DataError: a section is missing, is unknown, stands twice, or has not its blanks.
    """
    parts = MARK.split(used.text)
    names, texts = parts[1::2], [text.strip() for text in parts[2::2]]
    sections = dict(zip(names, texts, strict=True))
    if len(sections) != len(names) or set(sections) != set(blanks):
        odd = sorted(set(sections) ^ set(blanks)) or "one stands twice"
        raise DataError(f"{kind} {used.name}: its sections are not those of a {kind}: {odd}")
    for name, wanted in blanks.items():
        if sorted(BLANK.findall(sections[name])) != sorted(wanted):
            raise DataError(f"{kind} {used.name}: section {name!r} needs the blanks {list(wanted)}")
    return sections
