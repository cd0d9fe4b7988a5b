"""Runs an encoder over a column of texts: every distinct text once, by the plan.

It checks what comes back (one finite row a text, one width) so that a broken model fails here,
with the text's number, and not later as a quietly wrong score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding.plan import batches
from cmedteb.errors import ScoreError
from cmedteb.types import Float32Array, TextColumn

Encode = Callable[[Sequence[str]], NDArray[Any]]


def encode_distinct(
    encode: Encode,
    texts: TextColumn,
    *,
    budget: int,
    cap: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Float32Array:
    """Vectors of the distinct texts of a column.

    Args:
        encode: one side of an encoder.
        texts: the column; only `texts.values` are encoded.
        budget: characters a batch, see `plan.batches`.
        cap: the length at which the model cuts a text, if known.
        on_batch: told after each batch how many texts it held.

    Returns:
        float32, shape (texts.distinct, dimension).

    Raises:
        ScoreError: wrong number of rows, a changed width, or a value that is not finite.
    """
    import pyarrow.compute as pc

    lengths = pc.utf8_length(texts.values).to_numpy().astype(np.int64)
    vectors: Float32Array | None = None
    for rows in batches(lengths, budget=budget, cap=cap):
        batch = np.asarray(encode(texts.values.take(rows).to_pylist()), dtype=np.float32)
        if vectors is None:
            width = batch.shape[1] if batch.ndim == 2 else 0
            vectors = np.empty((texts.distinct, width), dtype=np.float32)
        _check(batch, rows=len(rows), width=vectors.shape[1], first=int(rows[0]))
        vectors[rows] = batch
        if on_batch is not None:
            on_batch(len(rows))
    return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors


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
