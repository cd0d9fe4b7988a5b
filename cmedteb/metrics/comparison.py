"""Is one system better than another? Paired comparison on the same queries or pairs.

A randomisation test gives the p value, a bootstrap the interval, and Holm's correction keeps a
family of tests honest. The room never says p = 0 from sampling, and refuses (ScoreError) to
compare columns that do not cover the same queries.

Sources: Smucker, Allan and Carterette (2007), A comparison of statistical significance tests for
information retrieval evaluation; Deutsch, Dror and Roth (2021), A statistical analysis of
summarization evaluation metrics using resampling methods; Holm (1979), A simple sequentially
rejective multiple test procedure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.metrics._arrays import blocks, checked_columns, checked_varied, row_pearson
from cmedteb.metrics.resample import RESAMPLES, Interval, bootstrap_blocks, bootstrap_mean
from cmedteb.types import Float64Array, Int64Array

# Up to 2 ** 12 = 4,096 assignments are enumerated: fewer than would be sampled.
_EXACT_UNITS = 12
_TOLERANCE = 1e-12


class PairedComparison(NamedTuple):
    """System a against system b on the same queries or pairs.

    Attributes:
        mean_a: the score of a: its mean over queries, or its correlation.
        mean_b: the score of b.
        difference: `mean_a - mean_b`.
        interval: percentile bootstrap interval of the difference.
        p_permutation: two-sided p value of the randomisation test.
        wins: for how many queries (or pairs) a is better.
        ties: for how many both are equal.
        losses: for how many b is better.
    """

    mean_a: float
    mean_b: float
    difference: float
    interval: Interval
    p_permutation: float
    wins: int
    ties: int
    losses: int


def paired_difference(
    a: Float64Array,
    b: Float64Array,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> PairedComparison:
    """Compare two systems over the same queries by the mean of a measure.

    The interval is the percentile bootstrap of the mean difference. The p value is that of the
    randomisation test (Smucker et al. 2007): under the null hypothesis the two values of a query
    could as well be swapped, so each difference has a random sign; p is the share of sign
    assignments whose mean is at least as far from 0 as the one observed. Queries without a
    difference cannot change it. With at most 12 others all assignments are enumerated, else p is
    (1 + count) / (1 + resamples).

    Degenerate cases: no difference anywhere gives p = 1 and a width of 0; one query gives p = 1
    and a NaN interval.

    Args:
        a: the measure of system a, one value for each query, shape (queries,).
        b: the same of system b, same queries in the same order.
        seed: of the samplers.
        resamples: how many samples and how many assignments are drawn.
        level: nominal coverage of the interval, between 0 and 1.

    Raises:
        ScoreError: lengths differ, there is no query, or a value is not finite.
    """
    a, b = checked_columns(("a", a), ("b", b))
    differences = a - b
    moving = differences[differences != 0.0]

    def flipped_sums(swapped: Float64Array) -> Float64Array:
        return np.asarray(moving.sum() - 2.0 * (swapped @ moving))

    return PairedComparison(
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float(a.mean() - b.mean()),
        interval=bootstrap_mean(differences, seed=seed, resamples=resamples, level=level),
        p_permutation=_p_two_sided(
            flipped_sums,
            len(moving),
            slack=_TOLERANCE * float(np.abs(moving).sum()),
            seed=seed,
            resamples=resamples,
        ),
        wins=int((differences > 0.0).sum()),
        ties=int((differences == 0.0).sum()),
        losses=int((differences < 0.0).sum()),
    )


def paired_pearson_difference(
    a: Float64Array,
    b: Float64Array,
    gold: Float64Array,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> PairedComparison:
    """Compare two systems over the same sentence pairs by Pearson's r with gold.

    The interval is the percentile bootstrap of r(a) - r(b), with the same pairs drawn for both.
    The p value is from swapping, pair by pair, the standardised similarities of the two systems
    (Deutsch et al. 2021; standardised because systems have different scales). A pair's share in r
    is the product of its standardised similarity and gold score; wins, ties and losses compare
    these shares.

    Args:
        a: similarities by system a (higher is more alike), shape (pairs,).
        b: the same by system b.
        gold: gold scores, shape (pairs,).
        seed: of the samplers.
        resamples: how many samples and how many swaps are drawn.
        level: nominal coverage of the interval, between 0 and 1.

    Raises:
        ScoreError: lengths differ, a value is not finite, or a column does not vary.
    """
    a, b, gold = map(_standardised, checked_varied(("a", a), ("b", b), ("gold", gold)))
    pairs = len(gold)
    share_a, share_b = a * gold, b * gold
    r_a, r_b = float(share_a.mean()), float(share_b.mean())
    # Sums of x, x * x and x * gold for both systems; swapping pairs moves their differences over.
    sums_a = np.array([a.sum(), (a * a).sum(), share_a.sum()])
    sums_b = np.array([b.sum(), (b * b).sum(), share_b.sum()])
    moved = np.stack([b - a, b * b - a * a, share_b - share_a], axis=1)

    def swapped_differences(swapped: Float64Array) -> Float64Array:
        moves = swapped @ moved
        return _r_from_sums(sums_a + moves, pairs) - _r_from_sums(sums_b - moves, pairs)

    def differences(rows: Int64Array) -> Float64Array:
        drawn = gold[rows]
        return row_pearson(a[rows], drawn) - row_pearson(b[rows], drawn)

    return PairedComparison(
        mean_a=r_a,
        mean_b=r_b,
        difference=r_a - r_b,
        interval=bootstrap_blocks(pairs, differences, seed=seed, resamples=resamples, level=level),
        p_permutation=_p_two_sided(
            swapped_differences, pairs, slack=_TOLERANCE, seed=seed, resamples=resamples
        ),
        wins=int((share_a > share_b).sum()),
        ties=int((share_a == share_b).sum()),
        losses=int((share_a < share_b).sum()),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of the p values of one family of tests (Holm 1979).

    With the p values in rising order p(1) <= ... <= p(m), the adjusted ones are
    max over j <= i of min(1, (m - j + 1) * p(j)). No p value gives an empty list.

    Args:
        p_values: raw p values in any order.

    Returns:
        The adjusted p values, in the order given.

    Raises:
        ScoreError: a p value is NaN or outside [0, 1].
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if not ((raw >= 0.0) & (raw <= 1.0)).all():
        raise ScoreError(f"p values lie between 0 and 1; these do not: {list(p_values)}.")
    order = np.argsort(raw, kind="stable")
    scaled = np.minimum(1.0, raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.maximum.accumulate(scaled)
    return [float(p) for p in adjusted]


def _p_two_sided(
    statistics: Callable[[Float64Array], Float64Array],
    units: int,
    *,
    slack: float,
    seed: int,
    resamples: int,
) -> float:
    """The share of swaps at least as extreme as none; `slack` lets equal sums differ in rounding.

    `statistics` takes a block of swaps, shape (swaps, units), 1.0 where a unit is swapped.
    """
    observed = abs(float(statistics(np.zeros((1, units)))[0])) - slack

    def extreme(swapped: Float64Array) -> int:
        # Written so that a swap without a value (NaN) speaks for the null hypothesis.
        return int((~(np.abs(statistics(swapped)) < observed)).sum())

    if units <= _EXACT_UNITS:
        patterns = np.arange(2**units)[:, None] >> np.arange(units)
        return extreme((patterns & 1).astype(np.float64)) / len(patterns)
    # A stream of its own: the swaps must not repeat the draws of the bootstrap.
    rng = np.random.default_rng([seed, 1])
    count: int = sum(
        extreme(rng.integers(0, 2, size=(rows, units), dtype=np.int8).astype(np.float64))
        for rows in blocks(resamples, units)
    )
    return (1 + count) / (1 + resamples)


def _r_from_sums(sums: Float64Array, pairs: int) -> Float64Array:
    """Pearson's r with standardised gold from the sums of x, x * x and x * gold."""
    variance = sums[:, 1] / pairs - (sums[:, 0] / pairs) ** 2
    r = np.full(len(sums), np.nan)
    scale = np.sqrt(np.maximum(variance, 0.0))
    np.divide(sums[:, 2] / pairs, scale, out=r, where=variance > _TOLERANCE)
    return r


def _standardised(values: Float64Array) -> Float64Array:
    centred = values - values.mean()
    return np.asarray(centred / np.sqrt(np.mean(centred * centred)))
