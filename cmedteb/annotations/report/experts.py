"""What blind experts say of the labels, weighted back from the strata of the sample to the pool.

Hidden second sights measure the experts themselves. Adjudications were made with the judges'
grades in view and are no measurement: they do not enter here, and labels are those of the panel
alone.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from cmedteb.annotations.consensus import Consensus, Label, LabelState
from cmedteb.annotations.records import GRADES, Review, Snapshot
from cmedteb.annotations.report.agreement import pair_view, view
from cmedteb.annotations.report.numbers import LEVEL, est, mean_over, nothing, rounded, wilson
from cmedteb.annotations.report.reviewed import Reviewed, effective_judges, error_correlation
from cmedteb.annotations.report.schema import Bias, ExpertPart, Reviewer, Stratum
from cmedteb.annotations.report.values import Est, View, Why
from cmedteb.errors import ScoreError
from cmedteb.metrics.agreement_intervals import REPLICATES, Estimate, summarise_agreement
from cmedteb.metrics.ratings import MISSING, Ratings
from cmedteb.metrics.stratified import (
    StratifiedSample,
    estimate_from_strata,
    stratum_rates,
    wilson_proportion,
)

PIPELINE = (
    "expert_agreement",
    "cohen_kappa",
    "sensitivity",
    "specificity",
    "false_omission_rate",
    "prevalence",
)


def expert_part(snapshot: Snapshot, panel: Consensus, per_query: Est) -> ExpertPart | None:
    """All that reviews can say; None without a blind one.

    Args:
        snapshot: the journal.
        panel: labels without any adjudication.
        per_query: false negatives per query, to multiply with their confirmation rate.
    """
    reviewed = Reviewed(snapshot, panel)
    if not reviewed.blind:
        return None
    confirmation = _part(reviewed, lambda one: one.is_false_negative, "confirmation_rate")
    correlation = error_correlation(reviewed)
    return ExpertPart(
        pairs=len(reviewed.reference),
        tied=sum(side is None for side in reviewed.sides.values()),
        reviewers=_reviewers(reviewed),
        agreement=_among_experts(reviewed),
        pipeline=_pipeline(reviewed),
        strata=_strata(reviewed),
        confirmation=confirmation,
        confirmed_per_query=_product(per_query.value, confirmation.value),
        rejection=_part(reviewed, lambda one: one.is_rejected_original, "specificity", whole=True),
        undecided_positive=_part(
            reviewed, lambda one: one.state is LabelState.UNDECIDED, "prevalence"
        ),
        bias=_bias(reviewed),
        error_correlation=correlation,
        effective_judges=effective_judges(correlation, len(panel.votes.judges)),
    )


def _product(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else rounded(first * second)


def _sample(reviewed: Reviewed, belongs: Callable[[Label], bool]) -> StratifiedSample | Why:
    if not any(belongs(label) for label in reviewed.labels.values()):
        return Why.NO_CASES
    try:
        return reviewed.sample(belongs)
    except ScoreError:
        return Why.STRATUM_UNSAMPLED


def _estimates(reviewed: Reviewed, sample: StratifiedSample) -> dict[str, Estimate]:
    return estimate_from_strata(sample, seed=reviewed.seed, resamples=REPLICATES, level=LEVEL)


def _part(
    reviewed: Reviewed, belongs: Callable[[Label], bool], name: str, *, whole: bool = False
) -> Est:
    """One rate over a part of the pool; `whole`: agreement, where the panel says one thing only."""
    sample = _sample(reviewed, belongs)
    if isinstance(sample, Why):
        return nothing(sample)
    found = _estimates(reviewed, sample)["expert_agreement" if whole else name]
    graded, pool = int(sample.sampled.sum()), int(sample.population.sum())
    if graded < pool and found.interval.low == found.interval.high:
        # Where all that were drawn say the same, resampling shows no doubt; Wilson's interval does.
        return wilson(wilson_proportion(round(found.value * graded), graded, level=LEVEL))
    return _est(found)


def _est(found: Estimate) -> Est:
    """A sampled value without bounds comes from a stratum with one pair graded."""
    return est(found, why=Why.NO_CASES if math.isnan(found.value) else Why.ONE_SAMPLED)


def _pipeline(reviewed: Reviewed) -> dict[str, Est]:
    sample = _sample(reviewed, lambda one: one.state is not LabelState.UNDECIDED)
    if isinstance(sample, Why):
        return {name: nothing(sample) for name in PIPELINE}
    found = _estimates(reviewed, sample)
    return {name: _est(found[name]) for name in PIPELINE}


def _strata(reviewed: Reviewed) -> tuple[Stratum, ...]:
    """Every stratum with a reviewed pair, decided or not; undecided is not positive."""
    strata = reviewed.snapshot.strata
    there = {strata[pair] for pair in reviewed.reference}
    if not there:
        return ()
    sample = reviewed.sample(lambda one: strata.get(one.pair.pair_id) in there)
    return tuple(
        Stratum(
            name=rates.name,
            population=rates.population,
            sampled=rates.agreement.trials,
            agreement=wilson(rates.agreement),
            positive=wilson(rates.positive),
        )
        for rates in stratum_rates(sample, level=LEVEL)
    )


def _among_experts(reviewed: Reviewed) -> View | None:
    """Agreement of experts at first sight; None where no two graded one pair."""
    first = [review for review in reviewed.blind if review.repeat == 0]
    names = sorted({review.reviewer for review in first})
    several = Counter(review.pair_id for review in first)
    pairs = sorted(pair for pair, count in several.items() if count > 1)
    if not pairs:
        return None
    rows = {pair: row for row, pair in enumerate(pairs)}
    grades = np.full((len(pairs), len(names)), MISSING)
    for review in first:
        if review.pair_id in rows:
            grades[rows[review.pair_id], names.index(review.reviewer)] = review.grade
    queries = [reviewed.labels[pair].pair.query_id for pair in pairs]
    ratings = Ratings.of(grades, categories=GRADES, raters=names, groups=queries)
    return view(ratings.at_least(reviewed.threshold), seed=reviewed.seed)


def _reviewers(reviewed: Reviewed) -> tuple[Reviewer, ...]:
    names = sorted({review.reviewer for review in reviewed.blind})
    return tuple(
        _reviewer(reviewed, name, [one for one in reviewed.blind if one.reviewer == name])
        for name in names
    )


def _reviewer(reviewed: Reviewed, name: str, reviews: Iterable[Review]) -> Reviewer:
    sights: defaultdict[str, dict[int, int]] = defaultdict(dict)
    unsure = 0
    for review in reviews:
        if review.grade is not None:
            sights[review.pair_id][min(review.repeat, 1)] = review.grade
            unsure += review.unsure and review.repeat == 0
    twice = sorted(pair for pair, seen in sights.items() if len(seen) == 2)
    first = sum(0 in seen for seen in sights.values())
    if not twice:
        none = nothing(Why.NO_CASES)
        rates = {"identical": none, "same_side": none, "kappa": none}
        return Reviewer(name=name, pairs=first, unsure=unsure, repeated=0, **rates)
    ratings = Ratings.of(
        [[sights[pair][0], sights[pair][1]] for pair in twice],
        categories=GRADES,
        raters=("first", "second"),
        groups=[reviewed.labels[pair].pair.query_id for pair in twice],
    )
    exact, side = (
        pair_view(found.pairs[0], single=found.groups == 1)
        for found in (
            summarise_agreement(one, seed=reviewed.seed, resamples=REPLICATES, level=LEVEL)
            for one in (ratings, ratings.at_least(reviewed.threshold))
        )
    )
    return Reviewer(
        name=name,
        pairs=first,
        unsure=unsure,
        repeated=len(twice),
        identical=exact.agreement,
        same_side=side.agreement,
        kappa=side.kappa,
    )


def _bias(reviewed: Reviewed) -> tuple[Bias, ...]:
    """Each judge against the experts' mean grade and side."""
    given: defaultdict[str, list[int]] = defaultdict(list)
    for review in reviewed.blind:
        if review.repeat == 0 and review.grade is not None:
            given[review.pair_id].append(review.grade)
    found = []
    for column, judge in enumerate(reviewed.panel.votes.judges):
        rows = [
            (pair, grade, float(np.mean(given[pair])))
            for pair in reviewed.reference
            if (grade := reviewed.labels[pair].grades[column]) is not None
        ]
        weights = [reviewed.weights[pair] for pair, _, _ in rows]
        queries = [reviewed.labels[pair].pair.query_id for pair, _, _ in rows]
        apart = [grade - mean for _, grade, mean in rows]
        same = [
            float((grade >= reviewed.threshold) == reviewed.reference[pair])
            for pair, grade, _ in rows
        ]
        seed = reviewed.seed
        found.append(
            Bias(
                judge=judge,
                pairs=len(rows),
                difference=mean_over(apart, queries, seed=seed, weights=weights),
                agreement=mean_over(same, queries, seed=seed, weights=weights),
            )
        )
    return tuple(found)
