"""Gathers the vectors of a column of texts: every distinct text once, from wherever it comes.

What the store holds is read, the rest is encoded, and what comes is checked (one finite row a text,
one width) and stored as it comes. So a broken model fails here, with the text's number, and not
later as a quietly wrong score; and a killed run repeats only what was in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding.cache import VectorStore, digests
from cmedteb.encoding.plan import batches
from cmedteb.errors import ScoreError
from cmedteb.types import Float32Array, Int64Array, TextColumn

if TYPE_CHECKING:
    import pyarrow as pa


class Encoded(NamedTuple):
    """Vectors of some rows: rows of shape (n,), vectors of shape (n, dimension)."""

    rows: Int64Array
    vectors: Float32Array


class Gathered(NamedTuple):
    """The vectors of all distinct texts, shape (distinct, dimension), and how they were got."""

    vectors: Float32Array
    encoded: int
    reused: int


Encode = Callable[[Sequence[str]], NDArray[Any]]
Source = Callable[["pa.ChunkedArray"], Iterator[Encoded]]


def planned(encode: Encode, *, budget: int, cap: int | None = None) -> Source:
    """One side of an encoder as a source: batch after batch, by the plan.

    Args:
        encode: from texts to vectors.
        budget: characters a batch, see `plan.batches`.
        cap: the length at which the model cuts a text, if known.
    """

    def source(texts: pa.ChunkedArray) -> Iterator[Encoded]:
        import pyarrow.compute as pc

        lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
        for rows in batches(lengths, budget=budget, cap=cap):
            batch = np.asarray(encode(texts.take(rows).to_pylist()), dtype=np.float32)
            yield Encoded(rows, batch)

    return source


def encode_distinct(
    source: Source,
    texts: TextColumn,
    *,
    on_batch: Callable[[int], None] | None = None,
    store: VectorStore | None = None,
) -> Gathered:
    """Vectors of the distinct texts of a column.

    Args:
        source: gives vectors of texts, in any order.
        texts: the column; only `texts.values` are encoded.
        on_batch: told how many texts came, from the store or from the source.
        store: of this side of the model; None keeps nothing. With one, a matrix that is too large
            for memory lies on the disk (`store.matrix`).

    Raises:
        ScoreError: wrong number of rows, a changed width, or a value that is not finite.
    """
    matrix = _in_memory if store is None else store.matrix
    gathering = _Gathering(texts.distinct, matrix, on_batch or (lambda _: None))
    keys = digests(texts.iter_distinct()) if store is not None else None
    try:
        if store is not None and keys is not None:
            gathering.start(*store.fill(keys))
        missing = gathering.missing
        for rows, batch in source(texts.values.take(missing)) if len(missing) else ():
            place = missing[rows]
            gathering.take(place, batch)
            if store is not None and keys is not None:
                store.add(keys[place], batch)
    finally:
        if store is not None:
            store.close()
    if left := len(gathering.missing):
        raise ScoreError(
            f"the encoder gave no vector for {left} of {texts.distinct} texts, of which text "
            f"{gathering.missing[0]} is the first. Run again: what it gave may be kept."
        )
    encoded = len(missing)
    return Gathered(gathering.vectors, encoded=encoded, reused=texts.distinct - encoded)


class _Gathering:
    """A matrix that is filled row by row."""

    def __init__(
        self, texts: int, matrix: Callable[[int, int], Float32Array], told: Callable[[int], None]
    ) -> None:
        self.vectors: Float32Array = np.empty((0, 0), dtype=np.float32)
        self._filled = np.zeros(texts, dtype=bool)
        self._matrix = matrix
        self._told = told

    @property
    def missing(self) -> Int64Array:
        """Rows that have no vector yet."""
        return np.flatnonzero(~self._filled)

    def start(self, rows: Int64Array, matrix: Float32Array) -> None:
        """Take over a matrix in which these rows were filled in and checked before."""
        if len(rows):
            self.vectors = matrix
            self._filled[rows] = True
            self._told(len(rows))

    def take(self, rows: Int64Array, batch: Float32Array) -> None:
        """Put the vectors of a batch in their rows."""
        if not len(rows):
            return
        if not self._filled.any():
            width = batch.shape[1] if batch.ndim == 2 else 0
            self.vectors = self._matrix(len(self._filled), width)
        _check(batch, rows=len(rows), width=self.vectors.shape[1], first=int(rows[0]))
        self.vectors[rows] = batch
        self._filled[rows] = True
        self._told(len(rows))


def _in_memory(rows: int, width: int) -> Float32Array:
    return np.empty((rows, width), dtype=np.float32)


def _check(batch: Float32Array, *, rows: int, width: int, first: int) -> None:
    if batch.ndim != 2 or batch.shape != (rows, width) or width == 0:
        raise ScoreError(
            f"the encoder returned an array of shape {batch.shape} for {rows} texts, not "
            f"({rows}, {width or 'dimension'}). Each text needs one vector of one width."
        )
    if not np.isfinite(batch).all():
        raise ScoreError(
            f"the encoder returned NaN or infinity in a batch of {rows} texts that starts with "
            f"text {first}. Try --dtype float32, and check the model with that text."
        )
