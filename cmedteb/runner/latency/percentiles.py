"""Percentiles of durations with their intervals; whether durations have settled.

A percentile is numpy's (linear interpolation); its interval is a seeded percentile bootstrap over
calls. Calls in a row are not independent (a stall hits several), so an interval is a lower bound
of what another day would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from statistics import median

import numpy as np

from cmedteb.metrics.resample import RESAMPLES, bootstrap_blocks
from cmedteb.results.latency import Bounded
from cmedteb.types import Float64Array, Int64Array

LEVEL = 0.95
MILLI = 1_000.0


def percentile_ms(seconds: Sequence[float], percent: float, *, seed: int) -> Bounded:
    """One percentile in milliseconds, with its interval; a single call has none.

    Args:
        seconds: durations, at least one.
        percent: such as 95.
        seed: of the bootstrap.
    """
    samples = MILLI * np.asarray(seconds, dtype=np.float64)

    def each(rows: Int64Array) -> Float64Array:
        return np.asarray(np.percentile(samples[rows], percent, axis=1))

    interval = bootstrap_blocks(len(samples), each, seed=seed, resamples=RESAMPLES, level=LEVEL)
    return Bounded(
        value=float(np.percentile(samples, percent)),
        low=None if isnan(interval.low) else interval.low,
        high=None if isnan(interval.high) else interval.high,
    )


def point_ms(seconds: Sequence[float] | Float64Array, percent: float) -> float:
    """One percentile in milliseconds, without an interval."""
    return float(MILLI * np.percentile(np.asarray(seconds, dtype=np.float64), percent))


def have_settled(seconds: Sequence[float], *, window: int, within: float) -> bool:
    """Whether the medians of the last two windows differ by less than this part of the larger.

    Fewer calls than two windows have not settled.
    """
    if len(seconds) < 2 * window:
        return False
    last, before = median(seconds[-window:]), median(seconds[-2 * window : -window])
    return abs(last - before) < within * max(last, before) or last == before


def difference(first: Sequence[float], second: Sequence[float]) -> float:
    """By which part the second's median is above the first's; 0 where both are 0."""
    one, two = median(first), median(second)
    return two / one - 1.0 if one > 0 else float(two > 0)
