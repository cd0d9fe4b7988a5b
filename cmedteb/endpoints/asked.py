"""One request, and how large it can be before its answer tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from cmedteb.endpoints.watch import Watch

OVERHEAD = 16  # tokens that a server may add to a text or a message


class Size(NamedTuple):
    """Tokens of a request before its answer tells them.

    Attributes:
        most_in: the most that its texts can have: a token of the tokenizers in use stands for at
            least one byte of UTF-8.
        most_out: the most that the answer can have.
        expected: about as many as there will be, for a limit by the minute.
    """

    most_in: int
    most_out: int
    expected: int

    @classmethod
    def of(cls, texts: Iterable[str], written: int = 0) -> Self:
        """The size of a request with these texts and an answer of at most so many tokens."""
        most = expected = 0
        for text in texts:
            most += len(text.encode("utf-8", "surrogatepass")) + OVERHEAD
            expected += len(text)
        return cls(most, written, expected + written)


class Asked(NamedTuple):
    """A request: to which path, with which body, of which size, what for, and who watches."""

    path: str
    body: dict[str, Any]
    size: Size
    what: str
    watch: Watch
