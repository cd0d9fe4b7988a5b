"""What experts say about a panel, weighted back from a stratified sample to the whole pool.

Experts grade a few hundred pairs out of many thousands, and on purpose not the easy ones alone:
the sample is drawn by strata (unanimous positive, two of three, ..., unanimous negative). Raw
shares of such a sample describe the sample. Here each stratum counts by its share of the pool.

The room refuses (ScoreError) to weight back when a stratum of the pool has no sampled pair: nothing
is known about it. It takes pairs of a stratum as drawn independently, not query by query.

Sources: Cochran (1977), Sampling techniques, chapters 5 and 6; Wilson (1927), Probable inference,
the law of succession, and statistical inference; Rao and Wu (1988), Resampling inference with
complex survey data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmedteb.errors import ScoreError
from cmedteb.metrics.agreement import confusion_kappa, disagreement_matrix
from cmedteb.metrics.agreement_intervals import REPLICATES, Estimate, interval_of_samples
from cmedteb.metrics.resample import Interval
from cmedteb.types import Float64Array, Int64Array


class Proportion(NamedTuple):
    """A share of a simple random sample with its Wilson interval."""

    value: float
    interval: Interval
    successes: int
    trials: int


def wilson_proportion(successes: int, trials: int, *, level: float = 0.95) -> Proportion:
    """Wilson's score interval (1927), without continuity correction; fit for shares near 0 or 1.

    Degenerate case: no trial gives a NaN value and NaN bounds.

    Args:
        successes: how many of the trials.
        trials: how many there were.
        level: nominal coverage, between 0 and 1.

    Raises:
        ValueError: not 0 <= successes <= trials, or `level` is out of range.
    """
    if not 0 <= successes <= trials or not 0.0 < level < 1.0:
        raise ValueError(
            f"0 <= successes <= trials and 0 < level < 1 must hold: {successes}, {trials}, {level}"
        )
    if trials == 0:
        return Proportion(math.nan, Interval(math.nan, math.nan, level), 0, 0)
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share, shrink = successes / trials, 1.0 + z * z / trials
    centre = (share + z * z / (2.0 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1.0 - share) / trials + (z / (2.0 * trials)) ** 2)
    # The bounds of 0 and of all are exact in theory and off by a rounding error in practice.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Proportion(share, Interval(low, high, level), successes, trials)


@dataclass(frozen=True, slots=True)
class StratifiedSample:
    """Pairs that experts graded, by stratum; make it with `StratifiedSample.of`.

    Attributes:
        names: the strata, sorted; those without a pair in the pool are left out.
        population: how many pairs of the pool are in each; shape (strata,).
        counts: how many sampled pairs the panel calls negative (0) or positive (1), and the expert
            then so; shape (strata, 2, 2), panel before expert.
    """

    names: tuple[str, ...]
    population: Int64Array
    counts: Int64Array

    @classmethod
    def of(
        cls,
        strata: Sequence[str],
        *,
        panel: ArrayLike,
        expert: ArrayLike,
        population: Mapping[str, int],
    ) -> StratifiedSample:
        """Count a sample.

        Args:
            strata: the stratum of each sampled pair.
            panel: whether the panel's rule makes the pair positive; shape (pairs,).
            expert: whether the expert does.
            population: how many pairs of the pool each stratum has, sampled ones included.

        Raises:
            ScoreError: lengths differ, nothing was sampled, a label is neither false nor true, a
                stratum is unknown, was sampled beyond its population, or has none sampled.
        """
        said, seen = _labels("panel", panel), _labels("expert", expert)
        if not len(strata) == len(said) == len(seen):
            raise ScoreError(
                f"strata, panel and expert must cover the same pairs; lengths: "
                f"{len(strata)}, {len(said)}, {len(seen)}."
            )
        unknown = sorted(set(strata) - set(population))
        if unknown or not len(strata):
            raise ScoreError(
                f"Sampled strata must be among {sorted(population)}; "
                + (f"unknown: {unknown}." if unknown else "nothing was sampled.")
            )
        names = tuple(sorted(n for n, size in population.items() if size or n in set(strata)))
        row = {name: i for i, name in enumerate(names)}
        rows = np.array([row[name] for name in strata])
        cells = np.bincount((rows * 2 + said) * 2 + seen, minlength=4 * len(names))
        sizes = np.array([population[name] for name in names], dtype=np.int64)
        sample = cls(names, sizes, cells.reshape(len(names), 2, 2).astype(np.int64))
        sample._check_coverage()
        return sample

    @property
    def sampled(self) -> Int64Array:
        """How many pairs of each stratum were sampled; shape (strata,)."""
        return np.asarray(self.counts.sum(axis=(1, 2)))

    def only(self, names: Sequence[str]) -> StratifiedSample:
        """A part of the pool: these strata alone, such as those that the panel decided.

        Raises:
            ScoreError: a stratum is unknown, or none is named.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown or not names:
            raise ScoreError(f"Strata must be among {list(self.names)}; got {list(names)}.")
        kept = sorted(set(names))
        rows = [self.names.index(name) for name in kept]
        return StratifiedSample(tuple(kept), self.population[rows], self.counts[rows])

    def _check_coverage(self) -> None:
        for name, size, sampled in zip(self.names, self.population, self.sampled, strict=True):
            if not sampled:
                raise ScoreError(
                    f"Stratum {name!r} has {size} pairs and none was sampled: nothing is known "
                    "about it. Have some of it graded, or leave it out of the pool and say so."
                )
            if sampled > size:
                raise ScoreError(f"Stratum {name!r} has {size} pairs but {sampled} were sampled.")


class StratumRates(NamedTuple):
    """One stratum as it was sampled: where the expert agrees, and where the expert says yes."""

    name: str
    population: int
    agreement: Proportion
    positive: Proportion


def stratum_rates(sample: StratifiedSample, *, level: float = 0.95) -> tuple[StratumRates, ...]:
    """Each stratum by itself, with Wilson intervals; needs no weighting."""
    return tuple(
        StratumRates(
            name,
            int(size),
            wilson_proportion(int(np.trace(table)), int(table.sum()), level=level),
            wilson_proportion(int(table[:, 1].sum()), int(table.sum()), level=level),
        )
        for name, size, table in zip(sample.names, sample.population, sample.counts, strict=True)
    )


def estimate_from_strata(
    sample: StratifiedSample, *, seed: int, resamples: int = REPLICATES, level: float = 0.95
) -> dict[str, Estimate]:
    """Expert against panel over the whole pool, each stratum by its share of it (Cochran 1977).

    The keys: `expert_agreement`; `cohen_kappa` of panel and expert; `confirmation_rate`, how many
    of the panel's positives the expert confirms; `false_omission_rate`, how many of its negatives
    are positive; `sensitivity` and `specificity` of the panel; `prevalence` of positives. Ratios
    are ratios of weighted sums.

    The interval is the stratified bootstrap of Rao and Wu (1988): n - 1 of the n pairs of each
    stratum are drawn with replacement, and shrunk by the finite population correction, so that a
    stratum graded whole adds no uncertainty.

    Degenerate cases: a ratio over nothing (no positive was sampled) is NaN and so are its bounds;
    `undefined` is then `resamples`. A stratum of which one pair of several was sampled shows no
    variance: all bounds are NaN. Where no sampled pair disagreed the bootstrap's width is 0, which
    is not certainty: read the Wilson interval of `stratum_rates` beside it.

    Args:
        sample: what was graded.
        seed: of the sampler.
        resamples: how many samples are drawn.
        level: nominal coverage, between 0 and 1.

    Raises:
        ValueError: `resamples` or `level` is out of range.
    """
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples must be positive and level in (0, 1): {resamples}, {level}")
    shares = sample.population / sample.population.sum()
    rates = sample.counts / sample.sampled[:, None, None]
    values = _expert_statistics(np.tensordot(shares, rates, 1))
    if ((sample.sampled == 1) & (sample.population > 1)).any():
        nothing = Interval(math.nan, math.nan, level)
        return {name: Estimate(float(value), nothing, 0) for name, value in values.items()}
    drawn = np.zeros((resamples, 2, 2))
    for row in range(len(sample.names)):
        rng = np.random.default_rng([seed, row])
        drawn += shares[row] * _redrawn(rates[row], sample, row, rng=rng, resamples=resamples)
    samples = _expert_statistics(drawn)
    return {
        name: Estimate(float(value), *interval_of_samples(samples[name], level))
        for name, value in values.items()
    }


def _redrawn(
    rates: Float64Array,
    sample: StratifiedSample,
    row: int,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> Float64Array:
    """The table of one stratum on each bootstrap sample; shape (resamples, 2, 2)."""
    n, size = int(sample.sampled[row]), int(sample.population[row])
    if n == size:
        return np.broadcast_to(rates, (resamples, 2, 2))
    found = rng.multinomial(n - 1, rates.ravel(), size=resamples).reshape(resamples, 2, 2)
    return np.asarray(rates + math.sqrt(1.0 - n / size) * (found / (n - 1) - rates))


def _expert_statistics(table: Float64Array) -> dict[str, Float64Array]:
    """From tables of shares of the pool, panel before expert; shape (..., 2, 2)."""
    negative, positive = table[..., 0, 0], table[..., 1, 1]
    rejected, missed = table[..., 1, 0], table[..., 0, 1]
    return {
        "expert_agreement": negative + positive,
        "cohen_kappa": confusion_kappa(table, disagreement_matrix((0, 1))),
        "confirmation_rate": _share(positive, rejected),
        "false_omission_rate": _share(missed, negative),
        "sensitivity": _share(positive, missed),
        "specificity": _share(negative, rejected),
        "prevalence": positive + missed,
    }


def _share(part: Float64Array, rest: Float64Array) -> Float64Array:
    total = np.asarray(part + rest)
    share = np.full(total.shape, np.nan)
    np.divide(part, total, out=share, where=total > 0.0)
    return share


def _labels(name: str, labels: ArrayLike) -> NDArray[np.integer]:
    given = np.asarray(labels)
    if given.ndim != 1 or given.dtype.kind not in "biu" or not np.isin(given, (0, 1)).all():
        raise ScoreError(f"{name}: expected false or true for each sampled pair, none missing.")
    return given.astype(np.int64)
