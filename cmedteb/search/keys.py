"""A place in a ranking as one number, and the best of many of them.

A score and the place of its document's id go into one int64, so that the order of the integers is
trec_eval's: score descending, then id descending. Picking the best k is then a partition of
integers, a tie at the cut needs no second look, and merging what was kept with what is new is the
same operation. Nothing is computed here that a score depends on.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from cmedteb.types import Float32Array, Int32Array, Int64Array

LAST = np.int64(2**31 - 1)
NOTHING = np.iinfo(np.int64).min
# Rows are looked at in parts that stay in a core's cache.
PART_FLOATS = 2**20
# More hits a row than this many times k are first cut down to k.
MANY = 4
THREADS = 8


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


class Best:
    """The k best of every query among all that was offered so far.

    It holds 12 bytes for each of the k places of a query. Scores that cannot enter any more are
    passed over by one comparison, so after the first block an offer costs little more than reading
    it.
    """

    def __init__(self, queries: int, k: int) -> None:
        self._keys = np.full((queries, k), NOTHING, dtype=np.int64)
        self._cut = np.full(queries, -np.inf, dtype=np.float32)

    def offer(self, rows: slice, scores: Float32Array, ties: Int32Array) -> None:
        """Scores of some queries with some documents.

        Args:
            rows: which queries, from start to stop.
            scores: finite, shape (these queries, documents).
            ties: shape (documents,), see `rank_keys`; no two documents of all offers share one.
        """
        height = max(1, PART_FLOATS // max(1, scores.shape[1]))

        def offer_part(start: int) -> None:
            part = scores[start : start + height]
            first = rows.start + start
            self._offer(slice(first, first + len(part)), part, ties)

        starts = range(0, len(scores), height)
        if (threads := min(THREADS, os.cpu_count() or 1, len(starts))) < 2:
            for start in starts:
                offer_part(start)
            return
        # Rows are apart from each other, and NumPy lets other threads work.
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(offer_part, starts):
                pass

    def offer_keys(self, rows: slice, keys: Int64Array) -> None:
        """The same with keys, shape (these queries, any number)."""
        k = self._keys.shape[1]
        if keys.shape[1] > MANY * k:
            keys = _largest(keys, k)
        kept = _largest(np.concatenate([self._keys[rows], keys], axis=1), k)
        self._keys[rows] = kept
        lowest = kept.min(axis=1)
        self._cut[rows] = np.where(lowest == NOTHING, -np.inf, taken_apart(lowest).scores)

    def sorted(self) -> Int64Array:
        """All keys, best first; `NOTHING` stands last where fewer than k were offered."""
        self._keys.sort(axis=1)
        return self._keys[:, ::-1]

    def _offer(self, rows: slice, scores: Float32Array, ties: Int32Array) -> None:
        k, documents = self._keys.shape[1], scores.shape[1]
        if k == 0 or documents == 0:
            return
        cut = self._cut[rows]
        good = scores >= cut[:, None]
        counts = np.count_nonzero(good, axis=1)
        if documents > k and counts.max() > k:
            own = np.partition(scores, documents - k, axis=1)[:, documents - k]
            good = scores >= np.maximum(cut, own)[:, None]
            counts = np.count_nonzero(good, axis=1)
        if (most := int(counts.max())) > MANY * k:
            self.offer_keys(rows, rank_keys(scores, ties))
        elif most:
            self.offer_keys(rows, _gathered(scores, ties, good, counts))


def _gathered(
    scores: Float32Array, ties: Int32Array, good: np.ndarray, counts: Int64Array
) -> Int64Array:
    """Keys of the marked scores, each row filled up with `NOTHING`."""
    places = np.flatnonzero(good)
    rows = np.repeat(np.arange(len(scores)), counts)
    steps = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.full((len(scores), int(counts.max())), NOTHING, dtype=np.int64)
    columns = places - rows * scores.shape[1]
    keys[rows, steps] = rank_keys(scores[rows, columns], ties[columns])
    return keys


def _largest(keys: Int64Array, k: int) -> Int64Array:
    """The k largest of every row, in any order."""
    width = keys.shape[1]
    return np.partition(keys, width - k, axis=1)[:, width - k :] if 0 < k < width else keys
