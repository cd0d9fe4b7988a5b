"""Documents made ready to be searched by vectors: each different vector once, by its best document.

A matrix product rounds by position, so equal vectors could score apart. Here each different vector
is scored once and stands for its documents by the one that wins ties. The k best vectors hold the
k best documents: every document that ranks before one of them has a vector that ranks before its.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cmedteb.search.keys import NOTHING, rank_keys, taken_apart
from cmedteb.search.sides import Side, parts
from cmedteb.types import Float32Array, Int32Array, Int64Array, Run

# Keys that are taken apart at once.
EXPANDED = 2**16


class Block(NamedTuple):
    """Some of the different vectors, ready to be multiplied, and their tie ranks."""

    start: int
    vectors: Float32Array
    ties: Int32Array


class Collection:
    """The documents of a search.

    Args:
        side: their vectors.
        index: for each document the position of its vector.
        ties: for each document, see `tie_ranks`.
    """

    def __init__(self, side: Side, index: Int32Array, ties: Int32Array) -> None:
        self.side = side
        self._row_ties = ties
        self._row_of_tie = np.empty_like(ties)
        self._row_of_tie[ties] = np.arange(len(ties), dtype=np.int32)
        vector = side.first_equal()[index]
        self._kept, self._group = np.unique(vector, return_inverse=True)
        self._sizes = np.bincount(self._group, minlength=len(self._kept))
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._members = self._by_group(ties)
        self.ties: Int32Array = ties[self._members[self._starts]]
        self._whole = len(self._kept) == len(side.values)

    def _by_group(self, ties: Int32Array) -> Int64Array:
        """Documents, those of one vector together and by their ties."""
        if len(self) < self.documents:
            return np.lexsort((ties, self._group))
        members = np.empty(self.documents, dtype=np.int64)
        members[self._group] = np.arange(self.documents)
        return members

    def __len__(self) -> int:
        """How many different vectors there are."""
        return len(self._kept)

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self._group)

    def blocks(self, vectors: int) -> Iterator[Block]:
        """All different vectors, so many at a time; only one block is in memory."""
        for start in range(0, len(self), vectors):
            part = slice(start, start + vectors)
            positions = part if self._whole else self._kept[part]
            yield Block(start, self.side.rows(positions), self.ties[part])

    def vectors(self, places: Int64Array) -> Float32Array:
        """Some of the different vectors, as they are compared."""
        return self.side.rows(self._kept[places])

    def row(self, vector: int) -> int:
        """The first document row that has this one of the different vectors."""
        return int(np.flatnonzero(self._group == vector)[0])

    def run(self, keys: Int64Array, depth: int) -> Run:
        """The documents of the best vectors.

        Args:
            keys: of the `depth` best vectors of every query, best first, shape (queries, places);
                `NOTHING` where there are fewer.
            depth: how many documents to keep for each query.
        """
        width, end = min(depth, self.documents), 0
        docs = np.empty(len(keys) * width, dtype=np.int32)
        scores = np.empty(len(keys) * width, dtype=np.float32)
        lengths = np.zeros(len(keys) + 1, dtype=np.int64)
        for part in parts(len(keys), keys.shape[1], EXPANDED):
            found = keys[part]
            if len(self) < self.documents:
                found = self._with_repeats(found, depth)
            found = found[:, :width]
            there = found != NOTHING
            ranked = taken_apart(found[there])
            start, end = end, end + len(ranked.ties)
            docs[start:end], scores[start:end] = self._row_of_tie[ranked.ties], ranked.scores
            lengths[1:][part] = there.sum(axis=1)
        return Run(offsets=np.cumsum(lengths), docs=docs[:end], scores=scores[:end])

    def _with_repeats(self, keys: Int64Array, depth: int) -> Int64Array:
        """Keys of the best documents, best first: of each vector all, not its best alone."""
        there = keys != NOTHING
        ties, scores = taken_apart(keys)
        group = self._group[self._row_of_tie[np.where(there, ties, 0)]]
        taken = self._taken(np.where(there, self._sizes[group], 0), scores, depth)
        others = np.maximum(taken - 1, 0)
        totals = others.sum(axis=1)
        if not totals.any():
            return keys
        counts = others[others > 0]
        first = np.repeat(self._starts[group[others > 0]] + 1, counts)
        rows = self._members[first + _steps(counts)]
        both = np.full((len(keys), keys.shape[1] + int(totals.max())), NOTHING, dtype=np.int64)
        both[:, : keys.shape[1]] = keys
        beside = np.arange(both.shape[1] - keys.shape[1]) < totals[:, None]
        flat = rank_keys(np.repeat(scores[others > 0], counts), self._row_ties[rows])
        both[:, keys.shape[1] :][beside] = flat
        both.sort(axis=1)
        return both[:, ::-1]

    def _taken(self, sizes: Int64Array, scores: Float32Array, depth: int) -> Int64Array:
        """How many documents of each vector may be among the best.

        All that score above them come before; where those are `depth` already, none may.
        """
        before = np.cumsum(sizes, axis=1) - sizes
        fresh = np.ones(scores.shape, dtype=bool)
        fresh[:, 1:] = scores[:, 1:] != scores[:, :-1]
        better = np.maximum.accumulate(np.where(fresh, before, 0), axis=1)
        taken: Int64Array = np.clip(depth - better, 0, sizes)
        return taken


def _steps(counts: Int64Array) -> Int64Array:
    """0, 1, ... for each count, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
