"""How sure a board is: all models of a task resampled together, over the same queries.

Every sample draws queries with replacement, once for all models, so that differences are paired;
one matrix product gives the scores of all models in all samples. From these come an interval for
each score, a standard error for each difference, and rank intervals.

A p value is that of Student's t of the difference over its bootstrap standard error (Efron and
Tibshirani 1993, chapters 6 and 12). The share of samples beyond 0 would do for two models; among
100 there are 4,950 differences, and after Holm's correction none of them could pass with 10,000
samples. No p is below 2 ** (1 - queries), which is what a randomisation test could give at best.

The intervals differ from those of `cmedteb run` in the last digit shown: there each model is
resampled alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.metrics import holm
from cmedteb.metrics.resample import RESAMPLES
from cmedteb.tasks.base import SEED
from cmedteb.types import Float64Array, Int64Array

LEVEL = 0.95
ALPHA = 1.0 - LEVEL
# So many draws, their counts and the same as floats stay in a core's own memory.
_BLOCK_VALUES = 1 << 18


@dataclass(frozen=True)
class Samples:
    """Scores of models, as they are and resampled.

    Attributes:
        score: shape (models,).
        samples: shape (samples, models).
        units: queries or pairs behind a score; the fewest of any task for a mean of tasks.
    """

    score: Float64Array
    samples: Float64Array
    units: int

    def of(self, models: Int64Array) -> Samples:
        """Only these models."""
        return Samples(self.score[models], self.samples[:, models], self.units)


class Pairs(NamedTuple):
    """Every model against every other; each of shape (models, models).

    Attributes:
        difference: row minus column.
        error: its standard error.
        p: two-sided.
        adjusted: by Holm's method over all pairs.
    """

    difference: Float64Array
    error: Float64Array
    p: Float64Array
    adjusted: Float64Array


def resampled_means(task: str, values: Float64Array, *, resamples: int = RESAMPLES) -> Samples:
    """Resample means over queries.

    Args:
        task: its name, which seeds the draws together with SEED.
        values: of every query, shape (models, queries).
        resamples: how many samples.
    """
    queries = values.shape[1]
    samples = [
        weights @ values.T / queries for weights in _weights(task, queries, resamples=resamples)
    ]
    return Samples(values.mean(axis=1), np.concatenate(samples), queries)


def resampled_correlations(
    task: str, similarity: Float64Array, gold: Float64Array, *, resamples: int = RESAMPLES
) -> Samples:
    """Resample Pearson's r over pairs; for Spearman's rho give midranks.

    Args:
        task: its name, which seeds the draws together with SEED.
        similarity: of every pair, shape (models, pairs).
        gold: shape (pairs,).
        resamples: how many samples.

    Raises:
        ScoreError: a model, or gold, does not vary.
    """
    x, y = _standardised(similarity), _standardised(gold[None])[0]
    terms = np.concatenate([x, x * x, x * y, y[None], (y * y)[None]]).T
    models, pairs = x.shape
    samples = []
    for weights in _weights(task, pairs, resamples=resamples):
        sums = weights @ terms / pairs
        mean, square, cross = np.split(sums[:, : 3 * models], 3, axis=1)
        gold_mean, gold_square = sums[:, -2:-1], sums[:, -1:]
        spread = (square - mean**2) * (gold_square - gold_mean**2)
        samples.append((cross - mean * gold_mean) / np.sqrt(np.maximum(spread, 1e-24)))
    return Samples((x @ y) / pairs, np.concatenate(samples), pairs)


def mean_of(parts: list[Samples]) -> Samples:
    """The plain mean over tasks; their queries are drawn independently."""
    return Samples(
        score=np.mean([part.score for part in parts], axis=0),
        samples=np.mean([part.samples for part in parts], axis=0),
        units=min(part.units for part in parts),
    )


def interval(of: Samples) -> tuple[Float64Array, Float64Array]:
    """The bounds of each score; NaN for a single query."""
    if of.units < 2:
        nothing = np.full(len(of.score), np.nan)
        return nothing, nothing
    low, high = np.quantile(of.samples, [ALPHA / 2.0, 1.0 - ALPHA / 2.0], axis=0)
    return low, high


def compare_all(of: Samples) -> Pairs:
    """Compare every model with every other."""
    from scipy.special import stdtr

    models = len(of.score)
    difference = of.score[:, None] - of.score[None, :]
    centred = of.samples - of.samples.mean(axis=0)
    shared = centred.T @ centred / max(1, len(centred) - 1)
    own = np.diag(shared)
    error = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2.0 * shared, 0.0))
    # Below this a spread is what rounding leaves of two equal columns.
    error[error < 1e-9] = 0.0
    p = np.where(np.abs(difference) < 1e-12, 1.0, 0.0)
    moves = error > 0.0
    if of.units > 1:
        t = np.abs(difference[moves]) / error[moves]
        p[moves] = 2.0 * stdtr(of.units - 1, -t)
        p = np.maximum(p, 2.0 ** (1 - min(of.units, 1000)))
    else:
        p = np.ones_like(p)
    adjusted = np.ones((models, models))
    upper = np.triu_indices(models, 1)
    adjusted[upper] = holm(p[upper].tolist())
    adjusted = np.minimum(adjusted, adjusted.T)
    return Pairs(difference, error, p, adjusted)


def critical(units: int) -> float:
    """How many standard errors an interval of a difference reaches to each side."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1, units - 1), 1.0 - ALPHA / 2.0))


def _weights(task: str, units: int, *, resamples: int) -> Iterator[Float64Array]:
    """How often each sample drew each unit, in blocks of shape (samples, units)."""
    if units < 1:
        raise ScoreError(f"{task}: there is nothing to resample: no query or pair was scored")
    rng = np.random.default_rng([SEED, zlib.crc32(task.encode())])
    step = max(1, _BLOCK_VALUES // units)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, units, size=(rows, units), dtype=np.int32)
        drawn += (units * np.arange(rows, dtype=np.int32))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units)
        yield counts.reshape(rows, units).astype(np.float64)


def _standardised(values: Float64Array) -> Float64Array:
    centred = values - values.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(centred * centred, axis=1, keepdims=True))
    if not (spread > 0.0).all():
        raise ScoreError("a column of similarities or gold scores does not vary: there is no r")
    return np.asarray(centred / spread)
