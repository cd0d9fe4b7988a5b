"""What a returned file says, read from any of the three formats, before it is believed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cmedteb.errors import DataError

SHOWN = 8  # problems told of at a time
# Besides English: shi, fou, dui, bu; ticks.
YES = {"x", "1", "y", "yes", "true", "\u662f", "\u5bf9", "\u221a", "\u2713", "\u2714"}
NO = {"", "0", "n", "no", "false", "\u5426", "\u4e0d"}


class Said(NamedTuple):
    """One row of a returned file.

    Attributes:
        where: file and row, for messages.
        item_id: which sight it speaks of.
        reviewer: who says it.
        grade: 1 to 5; None where none was given.
        unsure: marked as unsure.
        comment: free words.
        shown: hash of the texts that stood before the reviewer.
    """

    where: str
    item_id: str
    reviewer: str
    grade: int | None
    unsure: bool
    comment: str
    shown: str

    @property
    def is_empty(self) -> bool:
        """Whether the reviewer passed it by."""
        return self.grade is None and not self.unsure and not self.comment


class Problems:
    """Everything that is wrong with a file, so that a person can mend it in one go."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, text: str) -> None:
        """Note one."""
        self.found.append(text)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is raised inside, and go on."""
        try:
            yield
        except DataError as error:
            self.add(str(error))

    def settle(self) -> None:
        """End here if there was any.

        Raises:
            DataError: names the first ones.
        """
        if self.found:
            more = len(self.found) - SHOWN
            told = "\n  ".join(self.found[:SHOWN] + ([f"and {more} more"] if more > 0 else []))
            raise DataError(f"nothing was imported:\n  {told}")


def grade_of(value: object, where: str) -> int | None:
    """A grade as people and sheets write it: 4, "4", 4.0, or with a full-width digit.

    Raises:
        DataError: it is neither a grade nor empty.
    """
    text = unicodedata.normalize("NFKC", "" if value is None else str(value)).strip()
    whole = text.removesuffix(".00").removesuffix(".0")
    if not whole:
        return None
    if whole not in {"1", "2", "3", "4", "5"} or isinstance(value, bool):
        raise DataError(f"{where}: {value!r} is no grade; a grade is 1, 2, 3, 4 or 5")
    return int(whole)


def mark_of(value: object, where: str) -> bool:
    """Whether a cell is ticked.

    Raises:
        DataError: it says neither yes nor no.
    """
    if isinstance(value, bool):
        return value
    text = unicodedata.normalize("NFKC", "" if value is None else str(value)).strip().lower()
    if text in YES:
        return True
    if text in NO:
        return False
    raise DataError(f"{where}: `unsure` is {value!r}; write x, or leave it empty")


def text_of(value: object, where: str) -> str:
    """A text, or nothing.

    Raises:
        DataError: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: expected a text, found {value!r}")
    return value
