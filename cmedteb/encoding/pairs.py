"""Runs a scorer of pairs over many pairs of texts: every distinct pair once, by the plan.

Pairs are sorted by their length over the whole task and batched to about equal work, whatever query
they belong to. What comes back is checked (one finite number a pair), so that a broken model fails
here, with the pair, and not later as a quietly wrong order. Nothing here knows what a score means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding.plan import batches
from cmedteb.errors import ScoreError
from cmedteb.types import Float32Array, Int32Array, Int64Array, TextColumn

ScorePairs = Callable[[Sequence[str], Sequence[str]], NDArray[Any]]
SHOWN = 40


def score_distinct(  # noqa: PLR0913  the pairs are four arguments
    score: ScorePairs,
    left: TextColumn,
    left_rows: Int32Array,
    right: TextColumn,
    right_rows: Int32Array,
    *,
    budget: int,
    cap: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Float32Array:
    """Scores of pairs of texts.

    Args:
        score: from n left and n right texts to n scores, each of which depends on its pair alone.
        left: the column of the left texts.
        left_rows: for each pair, the position of its left text in `left.values`.
        right: the column of the right texts.
        right_rows: for each pair, the position of its right text in `right.values`.
        budget: characters a batch, both texts counted, see `plan.batches`.
        cap: the length at which the model cuts a pair, if known.
        on_batch: told after each batch how many of the given pairs it settled.

    Returns:
        float32, one score a pair; equal pairs have the same one.

    Raises:
        ScoreError: not one score a pair, or one that is no finite number.
    """
    asked = left_rows.astype(np.int64) * max(1, right.distinct) + right_rows
    keys, place = np.unique(asked, return_inverse=True)
    first, second = np.divmod(keys, max(1, right.distinct))
    settles = np.bincount(place, minlength=len(keys))
    lengths = _lengths(left)[first] + _lengths(right)[second]
    scores = np.empty(len(keys), dtype=np.float32)
    for rows in batches(lengths, budget=budget, cap=cap):
        texts = _texts(left, first[rows]), _texts(right, second[rows])
        found = np.asarray(score(*texts), dtype=np.float32)
        _check(found, *texts)
        scores[rows] = found
        if on_batch is not None:
            on_batch(int(settles[rows].sum()))
    return scores[place]


def _lengths(texts: TextColumn) -> Int64Array:
    import pyarrow.compute as pc

    lengths: Int64Array = pc.utf8_length(texts.values).to_numpy().astype(np.int64)
    return lengths


def _texts(column: TextColumn, rows: Int64Array) -> list[str]:
    return list(column.values.take(rows).to_pylist())


def _check(scores: Float32Array, left: Sequence[str], right: Sequence[str]) -> None:
    if scores.shape != (len(left),):
        raise ScoreError(
            f"the model returned an array of shape {scores.shape} for {len(left)} pairs of texts, "
            f"not ({len(left)},). Each pair needs one score."
        )
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        row = int(bad[0])
        raise ScoreError(
            f"the score of {left[row][:SHOWN]!r} with {right[row][:SHOWN]!r} is {scores[row]}, no "
            f"finite number ({len(bad)} of {len(left)} pairs of its batch). Try --dtype float32, "
            "and check the model with that pair."
        )
