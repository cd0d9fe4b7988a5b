"""How sure a score is: bootstrap intervals over queries or sentence pairs.

Queries (or pairs) are what is resampled; the documents and the judgements stay. Every sampler
takes a seed, and the same seed gives the same numbers. Work is done in blocks of about a million
values, so memory does not grow with the number of resamples.

The room refuses to invent certainty: one query has no interval (its bounds are NaN), and values
that are not finite raise ScoreError.

Sources: Efron (1979), Bootstrap methods: another look at the jackknife; Efron and Tibshirani
(1993), An introduction to the bootstrap, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.metrics._arrays import (
    blocks,
    checked_column,
    checked_varied,
    row_midranks,
    row_pearson,
)
from cmedteb.types import Float64Array, Int64Array

RESAMPLES = 10_000


class Interval(NamedTuple):
    """A confidence interval: its bounds and its nominal coverage, such as 0.95."""

    low: float
    high: float
    level: float


def bootstrap_statistic(
    sample_size: int,
    statistic: Callable[[Int64Array], float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of any statistic (Efron 1979).

    `resamples` times, `sample_size` rows are drawn with replacement; the bounds are the
    (1 - level) / 2 and (1 + level) / 2 quantiles (linear interpolation) of the statistic over
    these samples. For means and correlations the functions below are much faster.

    Degenerate cases: one row gives NaN bounds; samples for which the statistic is NaN are left
    out, and if it always is, the bounds are NaN.

    Args:
        sample_size: how many rows there are.
        statistic: takes the drawn rows, shape (sample_size,), and gives a number.
        seed: of the sampler.
        resamples: how many samples are drawn.
        level: nominal coverage, between 0 and 1.

    Raises:
        ScoreError: there is no row.
    """

    def each(rows: Int64Array) -> Float64Array:
        return np.array([statistic(drawn) for drawn in rows], dtype=np.float64)

    return bootstrap_blocks(sample_size, each, seed=seed, resamples=resamples, level=level)


def bootstrap_mean(
    values: Float64Array, *, seed: int, resamples: int = RESAMPLES, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of a mean over queries; see `bootstrap_statistic`.

    Degenerate cases: one query gives NaN bounds; when all values are equal the width is 0.

    Args:
        values: one value for each query, shape (queries,).
        seed: of the sampler.
        resamples: how many samples are drawn.
        level: nominal coverage, between 0 and 1.

    Raises:
        ScoreError: there is no value, or one is not finite.
    """
    values = checked_column("values", values)
    if len(values) > 1 and np.ptp(values) == 0.0:
        # The mean of equal numbers may be off by a rounding error, which would look like a width.
        return Interval(float(values[0]), float(values[0]), level)

    def means(rows: Int64Array) -> Float64Array:
        return np.asarray(values[rows].mean(axis=1))

    return bootstrap_blocks(len(values), means, seed=seed, resamples=resamples, level=level)


def bootstrap_pearson(
    x: Float64Array,
    y: Float64Array,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of Pearson's r over pairs; see `bootstrap_statistic`.

    Samples in which x or y does not vary have no r and are left out (this matters for a handful of
    pairs only).

    Args:
        x: one value for each pair, shape (pairs,), for instance the similarity.
        y: one value for each pair, for instance the gold score.
        seed: of the sampler.
        resamples: how many samples are drawn.
        level: nominal coverage, between 0 and 1.

    Raises:
        ScoreError: lengths differ, a value is not finite, or a column does not vary.
    """
    x, y = checked_varied(("x", x), ("y", y))

    def correlations(rows: Int64Array) -> Float64Array:
        return row_pearson(x[rows], y[rows])

    return bootstrap_blocks(len(x), correlations, seed=seed, resamples=resamples, level=level)


def bootstrap_spearman(
    x: Float64Array,
    y: Float64Array,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of Spearman's rho: `bootstrap_pearson` of the midranks.

    Every sample is ranked anew, its repeated pairs being ties.

    Raises:
        ScoreError: lengths differ, a value is not finite, or a column does not vary.
    """
    x, y = checked_varied(("x", x), ("y", y))
    x_levels = np.unique(x, return_inverse=True)[1]
    y_levels = np.unique(y, return_inverse=True)[1]

    def correlations(rows: Int64Array) -> Float64Array:
        return row_pearson(row_midranks(x_levels[rows]), row_midranks(y_levels[rows]))

    return bootstrap_blocks(len(x), correlations, seed=seed, resamples=resamples, level=level)


def bootstrap_blocks(
    sample_size: int,
    statistics: Callable[[Int64Array], Float64Array],
    *,
    seed: int,
    resamples: int,
    level: float,
) -> Interval:
    """`statistics` takes a block of samples, shape (samples, sample_size)."""
    if sample_size < 1:
        raise ScoreError("There is nothing to resample: no query or pair was scored.")
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples must be positive and level in (0, 1): {resamples}, {level}")
    if sample_size == 1:
        return Interval(math.nan, math.nan, level)
    rng = np.random.default_rng(seed)
    found = np.concatenate(
        [
            statistics(rng.integers(0, sample_size, size=(count, sample_size)))
            for count in blocks(resamples, sample_size)
        ]
    )
    found = found[~np.isnan(found)]
    if not len(found):
        return Interval(math.nan, math.nan, level)
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high), level)
