"""Retrievers with their index built: asked again, they cost the query alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cmedteb.types import Corpus, Queries, Run

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Indexed(Generic[Asked]):
    """A retriever of one corpus.

    Attributes:
        ask: makes of queries what the index is searched with.
        find: searches the index to a depth.
    """

    ask: Callable[[Queries], Asked]
    find: Callable[[Asked, int], Run]

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the corpus that was indexed."""
        del corpus
        return self.find(self.ask(queries), depth)
