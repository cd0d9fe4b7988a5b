"""The vectors of one side, read a block at a time: in memory, or mapped from a file larger than it.

One pass looks at every vector once. It learns the lengths, by which `cosine` divides and which
tell whether any product could be no finite number, and which vectors are equal bit by bit. Then
blocks are made ready to be multiplied. The matrix is never copied whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.data.columns import DIGEST_BYTES, digest
from cmedteb.types import Float32Array, Int32Array, Int64Array, Similarity

# Parts that stay in a core's cache while they are looked at.
PART_FLOATS = 2**18
MOST = float(np.finfo(np.float32).max)
MIXER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Side:
    """Vectors that are compared in one way.

    Attributes:
        values: shape (vectors, dimension), as the model made them; any layout in memory, any
            floating type, which becomes float32 block by block.
        similarity: `cosine` divides them by their lengths.
        lengths: of the vectors, shape (vectors,).
        keys: of the vectors as they are compared, shape (vectors,): equal vectors have equal keys.
    """

    values: NDArray[Any]
    similarity: Similarity
    lengths: Float32Array
    keys: NDArray[np.uint64]

    @classmethod
    def of(cls, values: NDArray[Any], similarity: Similarity) -> Side:
        """Look at every vector once."""
        count, dimension = values.shape
        lengths = np.empty(count, dtype=np.float32)
        keys = np.empty(count, dtype=np.uint64)
        side = cls(values, similarity, lengths, keys)
        columns = np.linspace(0, max(0, dimension - 1), 4).astype(np.int64)
        for part in parts(count, dimension):
            block = _float32(values[part])
            with np.errstate(over="ignore", invalid="ignore"):
                lengths[part] = np.linalg.norm(block, axis=1)
            keys[part] = _mixed(side._as_compared(block[:, columns], lengths[part]))
        return side

    def rows(self, positions: slice | Int64Array | Int32Array) -> Float32Array:
        """These vectors as they are compared: their inner products are the similarity."""
        return self._as_compared(_float32(self.values[positions]), self.lengths[positions])

    @property
    def reach(self) -> float:
        """No product with a vector of length 1 exceeds this; NaN or infinity if one may."""
        longest = float(self.lengths.max(initial=0))
        if self.similarity is Similarity.COSINE and np.isfinite(longest):
            return 1.0
        return longest

    def first_equal(self) -> Int32Array:
        """For each vector the first one that is the same, bit by bit; shape (vectors,)."""
        first = np.arange(len(self.keys), dtype=np.int32)
        order = np.argsort(self.keys, kind="stable")
        fresh = np.ones(len(order), dtype=bool)
        ordered = self.keys[order]
        fresh[1:] = ordered[1:] != ordered[:-1]
        if fresh.all():
            return first
        heads = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
        others: list[Int64Array] = []
        suspects, heads = order[~fresh], heads[~fresh]
        for part in parts(len(suspects), self.values.shape[1]):
            rows, theirs = suspects[part], heads[part]
            same = _same(self.rows(rows), self.rows(theirs))
            first[rows[same]] = theirs[same]
            others.append(rows[~same])
        self._settle(np.sort(np.concatenate(others)), first)
        return first

    def _settle(self, rows: Int64Array, first: Int32Array) -> None:
        """Group vectors whose keys met by chance, by their digests; edits `first`."""
        digests = np.empty(len(rows), dtype=f"S{DIGEST_BYTES}")
        for part in parts(len(rows), self.values.shape[1]):
            digests[part] = [digest(row.data) for row in self.rows(rows[part])]
        _, earliest, group = np.unique(digests, return_index=True, return_inverse=True)
        first[rows] = rows[earliest[group]]

    def _as_compared(self, block: Float32Array, lengths: Float32Array) -> Float32Array:
        """Divided by the lengths where that is how they are compared.

        A zero vector stays zero (cosine 0 with everything).
        """
        if self.similarity is not Similarity.COSINE:
            return block
        floor = np.finfo(np.float32).tiny
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = block / np.maximum(lengths, floor)[:, None]
        return np.asarray(scaled, dtype=np.float32)


def always_finite(left: Side, right: Side) -> bool:
    """Whether every inner product of the two sides is surely a finite float32."""
    most = left.reach * right.reach
    return bool(np.isfinite(most)) and most < MOST / 2


def parts(rows: int, dimension: int, floats: int = PART_FLOATS) -> Iterator[slice]:
    """Slices of rows of which each holds about `floats` numbers."""
    height = max(1, floats // max(1, dimension))
    for start in range(0, rows, height):
        yield slice(start, min(start + height, rows))


def _float32(block: NDArray[Any]) -> Float32Array:
    return np.ascontiguousarray(block, dtype=np.float32)


def _same(left: Float32Array, right: Float32Array) -> NDArray[np.bool_]:
    """Which rows are equal bit by bit."""
    equal: NDArray[np.bool_] = (left.view(np.int32) == right.view(np.int32)).all(axis=1)
    return equal


def _mixed(columns: Float32Array) -> NDArray[np.uint64]:
    """One number for each row of four floats."""
    words = np.ascontiguousarray(columns).view(np.uint32).astype(np.uint64)
    mixed = np.zeros(len(words), dtype=np.uint64)
    for place in range(words.shape[1]):
        mixed = (mixed ^ words[:, place]) * MIXER
        mixed ^= mixed >> np.uint64(29)
    return mixed
