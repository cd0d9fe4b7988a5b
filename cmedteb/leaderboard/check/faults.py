"""A fault or a warning: where, and what, on one line that no stranger's text can break out of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 300


def plain(text: object, *, longest: int = LONGEST) -> str:
    """A text on one line of printable characters; all others are escaped, and the rest is cut."""
    shown = "".join(
        one if one.isprintable() else repr(one)[1:-1] for one in str(text)[: 2 * longest]
    )
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong (or, as a warning, worth a look)."""

    path: Path
    text: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        return f"{plain(self.path)}: {kind}{plain(self.text)}"


@dataclass
class Faults:
    """Collects them in the order they are found."""

    found: list[Fault] = field(default_factory=list)

    def add(self, path: Path, *texts: str) -> None:
        """Something must change."""
        self.found += [Fault(path, text) for text in texts]

    def warn(self, path: Path, *texts: str) -> None:
        """A person should look."""
        self.found += [Fault(path, text, warning=True) for text in texts]

    def all_of(self, path: Path, rules: Iterable[tuple[bool, str]]) -> bool:
        """Add the text of every rule that does not hold; whether all did."""
        broken = [text for holds, text in rules if not holds]
        self.add(path, *broken)
        return not broken
