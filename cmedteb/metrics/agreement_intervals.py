"""How sure an agreement is: every statistic with an interval from a bootstrap over queries.

The units of one query depend on each other (one hard question makes many hard pairs), so whole
queries are drawn, with all their units (cluster bootstrap; Davison and Hinkley 1997, Bootstrap
methods and their application, section 3.8). A sample is a weighted sum of the queries' tables, so
2,000 samples of 200,000 units cost about a second. All statistics are computed on the same samples.

The room refuses to hide what a sample could not tell: a sample in which a statistic has no value
is left out of its interval and counted in `Estimate.undefined`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cmedteb.metrics import agreement as ag
from cmedteb.metrics._arrays import blocks
from cmedteb.metrics.agreement import Disagreement, Level
from cmedteb.metrics.ratings import MISSING, Ratings, Tables, count_tables, rater_pairs
from cmedteb.metrics.resample import Interval
from cmedteb.types import Float64Array

REPLICATES = 2_000

# Takes tables with leading axes "..." and gives an array whose first axes are the same.
Statistic = Callable[[Tables], Float64Array]


class Estimate(NamedTuple):
    """A value with its interval.

    Attributes:
        value: NaN where the statistic has none.
        interval: percentile bootstrap interval; NaN bounds with one group, or no defined sample.
        undefined: in how many samples the statistic had no value; these are left out.
    """

    value: float
    interval: Interval
    undefined: int


def chance_coefficients() -> Mapping[str, Statistic]:
    """The statistics over all raters, by the name they have in reports."""
    kinds = (Disagreement.LINEAR, Disagreement.QUADRATIC, Disagreement.ORDINAL)
    named: dict[str, Statistic] = {
        "observed_agreement": ag.observed_agreement,
        "expected_agreement": ag.expected_agreement,
        "fleiss_kappa": ag.fleiss_kappa,
        "randolph_kappa": ag.randolph_kappa,
        "gwet_ac1": ag.gwet_ac,
    }
    named |= {f"gwet_ac2_{kind}": partial(ag.gwet_ac, kind=kind) for kind in kinds}
    named |= {
        f"krippendorff_alpha_{level}": partial(ag.krippendorff_alpha, level=level)
        for level in Level
    }
    return MappingProxyType(named)


def estimate_over_groups(
    ratings: Ratings,
    statistics: Mapping[str, Statistic],
    *,
    seed: int,
    resamples: int = REPLICATES,
    level: float = 0.95,
) -> dict[str, tuple[Estimate, ...]]:
    """Values with percentile intervals from a bootstrap over groups.

    `resamples` times, as many groups as there are are drawn with replacement.

    Degenerate cases: with one group there is nothing to draw from, so the bounds are NaN and
    `undefined` is 0; a statistic that is NaN on all samples has NaN bounds.

    Args:
        ratings: what was graded; its `groups` are drawn.
        statistics: functions of `Tables` from agreement.py, or of that kind.
        seed: of the sampler.
        resamples: how many samples are drawn.
        level: nominal coverage, between 0 and 1.

    Returns:
        For each name the estimates of the statistic's entries in C order: one for a coefficient,
        one a category, rater or pair of raters for the others.

    Raises:
        ValueError: `resamples` or `level` is out of range.
    """
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples must be positive and level in (0, 1): {resamples}, {level}")
    tables = count_tables(ratings)
    total = tables.total()
    values = {name: np.ravel(statistic(total)) for name, statistic in statistics.items()}
    if ratings.group_count == 1:
        nothing = Interval(math.nan, math.nan, level)
        return {
            name: tuple(Estimate(float(value), nothing, 0) for value in entries)
            for name, entries in values.items()
        }
    samples = _samples(tables, statistics, seed=seed, resamples=resamples)
    return {
        name: tuple(
            Estimate(float(value), *interval_of_samples(column, level))
            for value, column in zip(entries, samples[name].T, strict=True)
        )
        for name, entries in values.items()
    }


def interval_of_samples(samples: Float64Array, level: float) -> tuple[Interval, int]:
    """The percentile interval of a statistic's samples, and how many are NaN and left out."""
    defined = samples[~np.isnan(samples)]
    undefined = len(samples) - len(defined)
    if not len(defined):
        return Interval(math.nan, math.nan, level), undefined
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high), level), undefined


@dataclass(frozen=True, slots=True)
class RaterSummary:
    """One rater: how many units were rated, how many not, and the share of each category."""

    name: str
    rated: int
    missing: int
    shares: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class PairSummary:
    """Two raters over the `units` that both rated: raw agreement and Cohen's kappas."""

    first: str
    second: str
    units: int
    agreement: Estimate
    kappa: Estimate
    kappa_linear: Estimate
    kappa_quadratic: Estimate


@dataclass(frozen=True, slots=True)
class AgreementSummary:
    """All that is reported about the agreement of a panel, in one view (binary or graded).

    Attributes:
        units: how many units there are.
        rated: how many of them have a rating.
        paired: how many have two ratings or more; the others say nothing about agreement.
        groups: how many groups (queries) there are.
        categories: the grades of this view.
        shares: the share of each category.
        specific: specific agreement of each category; (negative, positive) for two.
        coefficients: by the names of `chance_coefficients`.
        raters: one for each rater.
        pairs: one for each two raters.
    """

    units: int
    rated: int
    paired: int
    groups: int
    categories: tuple[int, ...]
    shares: tuple[Estimate, ...]
    specific: tuple[Estimate, ...]
    coefficients: Mapping[str, Estimate]
    raters: tuple[RaterSummary, ...]
    pairs: tuple[PairSummary, ...]


def summarise_agreement(
    ratings: Ratings, *, seed: int, resamples: int = REPLICATES, level: float = 0.95
) -> AgreementSummary:
    """Every statistic of agreement.py with its interval, on the same samples of groups.

    Call it on all pairs that were judged, before any rule selects some: on kept positives alone
    kappa says nothing. For the binary view pass `ratings.at_least(threshold)`.

    Degenerate cases: with one rater, or no unit that two raters rated, all statistics of agreement
    are NaN and `paired` is 0; shares are still given.

    Args:
        ratings: what was graded.
        seed: of the sampler.
        resamples: how many samples of groups are drawn.
        level: nominal coverage of the intervals, between 0 and 1.

    Raises:
        ValueError: `resamples` or `level` is out of range.
    """
    coefficients = chance_coefficients()
    others: dict[str, Statistic] = {
        "shares": ag.category_shares,
        "specific": ag.specific_agreement,
        "raters": ag.rater_shares,
        "pairs": _pair_statistics,
    }
    found = estimate_over_groups(
        ratings, {**coefficients, **others}, seed=seed, resamples=resamples, level=level
    )
    given = ratings.codes != MISSING
    by_unit = given.sum(axis=1)
    return AgreementSummary(
        units=len(given),
        rated=int((by_unit >= 1).sum()),
        paired=int((by_unit >= 2).sum()),
        groups=ratings.group_count,
        categories=ratings.categories,
        shares=found["shares"],
        specific=found["specific"],
        coefficients={name: found[name][0] for name in coefficients},
        raters=_rater_summaries(ratings, found["raters"]),
        pairs=_pair_summaries(ratings, found["pairs"]),
    )


def _pair_statistics(tables: Tables) -> Float64Array:
    """Agreement and Cohen's kappas; shape (..., rater pairs, 4)."""
    kinds = (Disagreement.NOMINAL, Disagreement.LINEAR, Disagreement.QUADRATIC)
    kappas = [ag.cohen_kappa(tables, kind) for kind in kinds]
    return np.stack([ag.pair_agreement(tables), *kappas], axis=-1)


def _rater_summaries(ratings: Ratings, shares: tuple[Estimate, ...]) -> tuple[RaterSummary, ...]:
    rated = (ratings.codes != MISSING).sum(axis=0)
    k, units = len(ratings.categories), len(ratings.codes)
    return tuple(
        RaterSummary(name, int(count), units - int(count), shares[i * k : (i + 1) * k])
        for i, (name, count) in enumerate(zip(ratings.raters, rated, strict=True))
    )


def _pair_summaries(ratings: Ratings, found: tuple[Estimate, ...]) -> tuple[PairSummary, ...]:
    given, names = ratings.codes != MISSING, ratings.raters
    return tuple(
        PairSummary(
            names[a], names[b], int((given[:, a] & given[:, b]).sum()), *found[4 * i : 4 * i + 4]
        )
        for i, (a, b) in enumerate(rater_pairs(len(names)))
    )


def _samples(
    tables: Tables, statistics: Mapping[str, Statistic], *, seed: int, resamples: int
) -> dict[str, Float64Array]:
    """Each statistic on each sample; shape (samples, entries)."""
    groups = len(tables.shares)
    width = max(groups, sum(table[0].size for table in tables[1:]))
    rng = np.random.default_rng(seed)
    found: dict[str, list[Float64Array]] = {name: [] for name in statistics}
    for count in blocks(resamples, width):
        drawn = rng.integers(0, groups, size=(count, groups))
        drawn += np.arange(count)[:, None] * groups
        times = np.bincount(drawn.ravel(), minlength=count * groups).reshape(count, groups)
        sample = tables.weighted(times.astype(np.float64))
        for name, statistic in statistics.items():
            found[name].append(statistic(sample).reshape(count, -1))
    return {name: np.concatenate(parts) for name, parts in found.items()}
