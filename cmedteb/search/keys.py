"""A place in a ranking as one number, and the best of many of them.

A score and the place of its document's id go into one int64, so that the order of the integers is
trec_eval's: score descending, then id descending. Picking the best k is then a partition of
integers, a tie at the cut needs no second look, and merging what was kept with what is new is the
same operation. Nothing is computed here that a score depends on.
"""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cmedteb.types import Float32Array, Int32Array, Int64Array

LAST = np.int64(2**31 - 1)
NOTHING = np.iinfo(np.int64).min
# Rows are looked at in parts that stay in a core's cache.
PART_FLOATS = 2**18
# Places beside the k of a query, at least, before its best are picked out.
ROOM = 64


class Ranked(NamedTuple):
    """Keys taken apart: tie ranks and scores, each of the keys' shape."""

    ties: Int32Array
    scores: Float32Array


def rank_keys(scores: Float32Array, ties: Int32Array) -> Int64Array:
    """One integer for each score; the greater one ranks first.

    Args:
        scores: finite float32, any shape; 0 and -0 are equal, and both come back as 0.
        ties: from 0, below 2**31, of a shape that broadcasts to that of the scores; among equal
            scores the smaller ranks first.
    """
    bits = (scores + np.float32(0)).view(np.int32)
    # The bits of negative floats count upwards as the number falls; turned, they count with it.
    keys = (bits ^ ((bits >> 31) & np.int32(LAST))).astype(np.int64)
    keys <<= 32
    keys |= LAST - ties
    return keys


def taken_apart(keys: Int64Array) -> Ranked:
    """What `rank_keys` put together."""
    turned = (keys >> 32).astype(np.int32)
    bits = turned ^ ((turned >> 31) & np.int32(LAST))
    return Ranked((LAST - (keys & LAST)).astype(np.int32), bits.view(np.float32))


def working_memory(rows: int, columns: int, dtype: DTypeLike) -> NDArray[Any]:
    """Zeros, straight from the system: they go back as soon as they are let go.

    The heap of a thread would keep tens of MiB for later.
    """
    size = rows * columns
    raw = mmap.mmap(-1, max(1, size) * np.dtype(dtype).itemsize)
    return np.frombuffer(raw, dtype=dtype)[:size].reshape(rows, columns)


class _Passing(NamedTuple):
    """Scores that pass: their places in the flat block, ascending, and how many in each row."""

    places: Int64Array
    counts: Int64Array


class Best:
    """The k best of every query among all that was offered so far.

    What may be among them is put down beside them; when a query has no room left, its best are
    kept and the rest is forgotten. Scores that cannot enter any more are passed over by one
    comparison, so after the first block an offer costs little more than reading it.

    Args:
        queries: how many.
        k: how many of each.
        bar: for each query a score below which nothing is looked at. Where it is set too high, a
            query ends with fewer than k although more were offered.
    """

    def __init__(self, queries: int, k: int, *, bar: Float32Array | None = None) -> None:
        self._k, self._width = k, k + max(k, ROOM)
        self._keys = working_memory(queries, self._width, np.int64)
        self._keys.fill(NOTHING)
        self._used = np.zeros(queries, dtype=np.int64)
        self._cut = np.full(queries, -np.inf, dtype=np.float32) if bar is None else bar.copy()

    def offer(self, rows: slice, scores: Float32Array, ties: Int32Array) -> None:
        """Scores of some queries with some documents.

        Args:
            rows: which queries, from start to stop.
            scores: finite, shape (these queries, documents).
            ties: shape (documents,), see `rank_keys`; no two documents of all offers share one.
        """
        height = max(1, PART_FLOATS // max(1, scores.shape[1]))
        for start in range(0, len(scores), height):
            part = scores[start : start + height]
            first = rows.start + start
            self._offer(slice(first, first + len(part)), part, ties)

    def offer_keys(self, rows: slice, keys: Int64Array) -> None:
        """The same with keys, shape (these queries, any number)."""
        self._keep(rows, np.concatenate([self._keys[rows], keys], axis=1))

    def sorted(self) -> Int64Array:
        """All keys, best first; `NOTHING` stands last where fewer than k were offered."""
        self._keys.sort(axis=1)
        return self._keys[:, ::-1][:, : self._k]

    def _offer(self, rows: slice, scores: Float32Array, ties: Int32Array) -> None:
        if self._k == 0 or scores.shape[1] == 0:
            return
        passing = self._passing(rows, scores)
        if int((self._used[rows] + passing.counts).max()) > self._width:
            self._keep(rows, self._keys[rows])
            passing = self._passing(rows, scores)
        if int((self._used[rows] + passing.counts).max()) > self._width:
            self.offer_keys(rows, rank_keys(scores, ties))
        elif len(passing.places):
            self._put(rows, scores, ties, passing)

    def _passing(self, rows: slice, scores: Float32Array) -> _Passing:
        """The scores that may be among the best."""
        cut, documents = self._cut[rows], scores.shape[1]
        good = scores >= cut[:, None]
        if documents > self._k and np.count_nonzero(good) > len(scores) * self._k:
            own = np.partition(scores, documents - self._k, axis=1)[:, documents - self._k]
            self._cut[rows] = cut = np.maximum(cut, own)
            good = scores >= cut[:, None]
        places = np.flatnonzero(good)
        edges = np.searchsorted(places, np.arange(len(scores) + 1) * documents)
        return _Passing(places, np.diff(edges))

    def _put(self, rows: slice, scores: Float32Array, ties: Int32Array, passing: _Passing) -> None:
        """Write the keys of passing scores behind those that each row has."""
        places, counts = passing
        used, before = self._used[rows], np.cumsum(counts) - counts
        first = np.arange(rows.start, rows.stop) * self._width + used - before
        at = np.repeat(first, counts) + np.arange(len(places))
        columns = places - np.repeat(np.arange(len(scores)) * scores.shape[1], counts)
        self._keys.reshape(-1)[at] = rank_keys(scores.reshape(-1)[places], ties[columns])
        self._used[rows] = used + counts

    def _keep(self, rows: slice, keys: Int64Array) -> None:
        """Keep the k largest of these keys for each row, which stay in any order."""
        k, width = self._k, keys.shape[1]
        best = np.partition(keys, width - k, axis=1)[:, width - k :] if 0 < k < width else keys
        self._keys[rows, :k] = best[:, :k]
        self._keys[rows, k:] = NOTHING
        self._used[rows] = k
        lowest = self._keys[rows, :k].min(axis=1, initial=np.iinfo(np.int64).max)
        full = lowest != NOTHING
        kept = taken_apart(np.where(full, lowest, 0)).scores
        self._cut[rows] = np.where(full, np.maximum(self._cut[rows], kept), self._cut[rows])
