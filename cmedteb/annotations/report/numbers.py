"""From estimates to what a report holds: rounded, and with the reason where there is no value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from cmedteb.annotations.report.values import Est, Why
from cmedteb.metrics.agreement_intervals import REPLICATES, Estimate
from cmedteb.metrics.resample import Interval, bootstrap_blocks
from cmedteb.metrics.stratified import Proportion
from cmedteb.types import Float64Array, Int64Array

DIGITS = 9
LEVEL = 0.95


def rounded(value: float) -> float | None:
    """Nine significant digits; None for NaN."""
    return None if math.isnan(value) else float(f"{value:.{DIGITS}g}")


def est(found: Estimate, *, why: Why, one_query: bool = False) -> Est:
    """An estimate as a report holds it.

    Args:
        found: with NaN where there is nothing.
        why: the reason if the value is NaN.
        one_query: whether there was one query only, so that there is no interval.
    """
    value, low, high = (rounded(number) for number in (found.value, *found.interval[:2]))
    reason = None
    if value is None:
        reason = why
    elif low is None:
        reason = Why.ONE_QUERY if one_query else why
    return Est(value=value, low=low, high=high, undefined=found.undefined, why=reason)


def wilson(found: Proportion) -> Est:
    """A share of a simple sample."""
    low, high = found.interval[:2]
    why = None if found.trials else Why.NO_CASES
    return Est(value=rounded(found.value), low=rounded(low), high=rounded(high), why=why)


def nothing(why: Why) -> Est:
    """A statistic that has no value."""
    return Est(value=None, why=why)


def mean_over(
    values: Sequence[float],
    groups: Sequence[str],
    *,
    seed: int,
    weights: Sequence[float] | None = None,
) -> Est:
    """The (weighted) mean of cases with an interval from a bootstrap over their groups.

    Args:
        values: one for each case.
        groups: the query of each case.
        seed: of the sampler.
        weights: of each case; all count alike by default.
    """
    if not len(values):
        return nothing(Why.NO_CASES)
    held = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    row = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums = np.bincount(row, weights=held * np.asarray(values, dtype=np.float64))
    totals = np.bincount(row, weights=held)
    value = float(sums.sum() / totals.sum())

    def ratios(drawn: Int64Array) -> Float64Array:
        return np.asarray(sums[drawn].sum(axis=1) / totals[drawn].sum(axis=1))

    if np.ptp(np.asarray(values)) == 0.0 and len(sums) > 1:
        interval = Interval(value, value, LEVEL)  # a rounding error would look like a width
    else:
        interval = bootstrap_blocks(len(sums), ratios, seed=seed, resamples=REPLICATES, level=LEVEL)
    return est(Estimate(value, interval, 0), why=Why.NO_CASES, one_query=len(sums) == 1)


def utc(seconds: float) -> str:
    """A time as ISO 8601, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
