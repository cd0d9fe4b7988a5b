"""Vectors held in fewer bits: int8 codes, or one bit a dimension in packed bytes.

Vectors are read and coded a block at a time, and become numbers again a block at a time, so what
is in memory is the codes: a quarter of float32, or a thirty-second. The quantisation is
sentence-transformers' own (`quantize_embeddings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.errors import MissingExtraError, ScoreError, UsageError
from cmedteb.search.sides import Side, parts
from cmedteb.types import Float32Array, Int32Array, Int64Array, Storage

# Products of int8 codes are at most 128 * 128, so float32 sums 1,024 of them without rounding.
EXACT_WIDTH = 1024


@dataclass(frozen=True, slots=True)
class Codes:
    """Quantised vectors of one side.

    Attributes:
        held: int8, shape (vectors, dimension); binary, uint8, shape (vectors, dimension / 8).
        storage: which of the two.
    """

    held: NDArray[Any]
    storage: Storage

    @classmethod
    def of(cls, side: Side, storage: Storage, ranges: Float32Array | None) -> Codes:
        """Code every vector of a side.

        Args:
            side: the vectors, as they are compared; finite.
            storage: `int8` or `binary`.
            ranges: of int8, see `ranges_of`.
        """
        count, dimension = side.values.shape
        if storage is Storage.BINARY:
            held = np.empty((count, dimension // 8), dtype=np.uint8)
        else:
            held = np.empty((count, dimension), dtype=np.int8)
        for part in parts(count, dimension):
            held[part] = _coded(side.rows(part), storage, ranges)
        return cls(held, storage)

    def numbers(self, rows: slice | Int32Array | Int64Array) -> Float32Array:
        """Codes as float32 integers to multiply, one row a vector; binary: 1 and -1."""
        codes = self.held[rows]
        if self.storage is Storage.INT8:
            return codes.astype(np.float32)
        signs = np.unpackbits(codes, axis=1).astype(np.float32)
        signs *= 2
        signs -= 1
        return signs


def ranges_of(*sides: Side) -> Float32Array:
    """The least and the greatest value in each dimension over all vectors, shape (2, dimension)."""
    found = np.empty((2, sides[0].values.shape[1]), dtype=np.float32)
    found[0], found[1] = np.inf, -np.inf
    for block in _blocks(*sides):
        np.minimum(found[0], block.min(axis=0), out=found[0])
        np.maximum(found[1], block.max(axis=0), out=found[1])
    return found


def products(left: Float32Array, right: Float32Array, storage: Storage) -> Float32Array:
    """Scores of codes that are numbers, shape (left rows, right rows); exact below 2**24."""
    if storage is Storage.BINARY:
        return _negated_hamming(left @ right.T, left.shape[1])
    if left.shape[1] <= EXACT_WIDTH:
        found: Float32Array = left @ right.T
        return found
    total = np.zeros((len(left), len(right)), dtype=np.float64)
    for start in range(0, left.shape[1], EXACT_WIDTH):
        part = slice(start, start + EXACT_WIDTH)
        total += left[:, part] @ right[:, part].T
    return total.astype(np.float32)


def products_by_row(left: Float32Array, right: Float32Array, storage: Storage) -> Float32Array:
    """Scores of each row with its opposite, shape (rows,); those of `products`."""
    total = (left * right).sum(axis=1, dtype=np.float64).astype(np.float32)
    return _negated_hamming(total, left.shape[1]) if storage is Storage.BINARY else total


def refuse_non_finite_vectors(values: NDArray[Any], whose: str) -> None:
    """Raise a ScoreError where quantisation would silently make a number of what is none."""
    for part in parts(*values.shape):
        bad = ~np.isfinite(values[part]).all(axis=1)
        if bad.any():
            raise ScoreError(
                f"vector {part.start + int(np.argmax(bad))} of the {whose} side holds NaN or "
                "infinity, no finite number, and cannot be quantised. Check the model with that "
                "text."
            )


def refuse_broken_bytes(dimension: int) -> None:
    """Raise a UsageError where bits of this many dimensions do not fill whole bytes."""
    if dimension % 8:
        whole = f", such as --truncate-dim {dimension // 8 * 8}" if dimension > 8 else ""
        raise UsageError(
            f"binary storage packs 8 dimensions into a byte, and the vectors have {dimension}. "
            f"Choose a multiple of 8{whole}."
        )


def _negated_hamming(agreements: Float32Array, dimension: int) -> Float32Array:
    """From sums of products of signs, which it overwrites."""
    agreements -= dimension
    agreements /= 2
    return agreements


def _blocks(*sides: Side) -> Iterator[Float32Array]:
    for side in sides:
        for part in parts(*side.values.shape):
            yield side.rows(part)


def _coded(block: Float32Array, storage: Storage, ranges: Float32Array | None) -> NDArray[Any]:
    try:
        from sentence_transformers import quantize_embeddings
    except ImportError as error:
        raise MissingExtraError(error.name or "sentence-transformers", "models") from error
    if storage is Storage.BINARY:
        return np.asarray(quantize_embeddings(block, precision="ubinary"))
    return np.asarray(quantize_embeddings(block, precision="int8", ranges=ranges))
