"""Hidden gold: what simulated judges know, and how they find in a prompt which pair it is about.

A prompt is read as a model reads it: by its text alone, however the text is fenced, folded or cut.
Texts are compared by their letters and digits after NFKC, so that fences, blanks and invisible
characters do not matter.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

ANCHOR = 8
# A document that was cut is known by as much of its beginning.
SHORTEST_CUT = 32
NOT_A_LETTER = re.compile(r"[\W_]+")


class Found(NamedTuple):
    """What a prompt is about; None where none of the known texts is in it."""

    query: str | None
    document: str | None


@dataclass(frozen=True)
class Gold:
    """Texts and the grades that a perfect judge would give.

    Attributes:
        queries: query id -> text.
        documents: document id -> text.
        grades: query id -> document id -> 1.0 to 5.0; a grade between two points is a doubtful one.
        other: the grade of all other pairs.
    """

    queries: Mapping[str, str]
    documents: Mapping[str, str]
    grades: Mapping[str, Mapping[str, float]]
    other: float = 1.0

    def grade(self, query: str, document: str) -> float:
        """What a perfect judge would give."""
        return self.grades.get(query, {}).get(document, self.other)

    def write(self, path: Path) -> None:
        """Write it as JSON, for a server in a process of its own."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Gold:
        """Read what `write` wrote."""
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**document)


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """Letters and digits alone, in NFKC and lower case."""
    return NOT_A_LETTER.sub("", unicodedata.normalize("NFKC", text)).lower()


class _Match(NamedTuple):
    start: int
    length: int
    name: str


@dataclass
class _Texts:
    """Known texts by how they begin."""

    texts: Mapping[str, str]
    begins: dict[int, dict[str, list[tuple[str, str]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held: dict[str, str] = {}
        for name in sorted(self.texts):
            held.setdefault(folded.__wrapped__(self.texts[name]), name)
        for text, name in held.items():
            if text:
                size = min(len(text), ANCHOR)
                self.begins.setdefault(size, {}).setdefault(text[:size], []).append((text, name))

    def matches(self, prompt: str, *, cut: bool) -> Iterator[_Match]:
        """Known texts in a prompt, but for those inside another of them.

        Args:
            prompt: folded.
            cut: whether a text that only begins in it counts too.
        """
        for size, begins in self.begins.items():
            start = 0
            while start <= len(prompt) - size:
                held = begins.get(prompt[start : start + size])
                found = _longest(prompt, start, held, cut=cut) if held else None
                if found is not None:
                    yield found
                start += 1 if found is None else found.length


def _longest(
    prompt: str, start: int, held: Iterable[tuple[str, str]], *, cut: bool
) -> _Match | None:
    """The text that goes furthest from `start`; a whole one before one that was cut."""
    whole = [(len(text), name) for text, name in held if prompt.startswith(text, start)]
    if not whole and cut:
        whole = [
            (_shared(prompt, text, start), name)
            for text, name in held
            if prompt.startswith(text[:SHORTEST_CUT], start)
        ]
    if not whole:
        return None
    length, name = max(whole)
    return _Match(start, length, name)


def _shared(prompt: str, text: str, start: int) -> int:
    """How many letters of `text` stand in the prompt from `start` on."""
    low, high = 0, min(len(text), len(prompt) - start)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if prompt.startswith(text[:middle], start) else (low, middle - 1)
    return low


class PairFinder:
    """Finds the query and the document of a prompt; of equal texts, the smallest id."""

    def __init__(self, gold: Gold) -> None:
        self._queries = _Texts(gold.queries)
        self._documents = _Texts(gold.documents)

    def find(self, prompt: str) -> Found:
        """The document is the longest known text, the query the last one before it."""
        text = folded(prompt)
        document = max(
            self._documents.matches(text, cut=True),
            key=lambda match: (match.length, match.start),
            default=None,
        )
        end = len(text) if document is None else document.start
        query = _last(self._queries.matches(text[:end], cut=False))
        return Found(query, None if document is None else document.name)


def _last(matches: Iterable[_Match]) -> str | None:
    found = max(matches, key=lambda match: (match.start + match.length, match.length), default=None)
    return None if found is None else found.name
