"""Agreement of raters as a report holds it: one view at the threshold, one over all five grades."""

from __future__ import annotations

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.report.numbers import LEVEL, est
from cmedteb.annotations.report.schema import AgreementPart, Scope
from cmedteb.annotations.report.values import Est, PairView, RaterView, View, Why
from cmedteb.annotations.share import CASCADE, share_of
from cmedteb.annotations.votes import Votes
from cmedteb.metrics.agreement_intervals import (
    REPLICATES,
    Estimate,
    PairSummary,
    RaterSummary,
    summarise_agreement,
)
from cmedteb.metrics.ratings import Ratings


def agreement_part(votes: Votes, config: AnnotationConfig, threshold: int) -> AgreementPart:
    """Agreement on the whole pool, before any rule selects pairs.

    Of a cascade only the random share that every judge was to judge is used: on the rest, judges
    were asked because of what others had said.
    """
    scope, measured = Scope.POOL, votes
    if config.cascade is not None:
        ids = (pair.pair_id for pair in votes.pairs)
        kept = share_of(ids, config.cascade, seed=config.seed, purpose=CASCADE)
        scope, measured = Scope.SHARE, votes.only(kept)
    binary = graded = None
    if measured.pairs:
        ratings = measured.ratings()
        binary = view(ratings.at_least(threshold), seed=config.seed)
        graded = view(ratings, seed=config.seed)
    return AgreementPart(
        scope=scope,
        pairs=len(measured.pairs),
        of=len(votes.pairs),
        binary=binary,
        graded=graded,
    )


def view(ratings: Ratings, *, seed: int) -> View:
    """All statistics of agreement, with intervals over queries."""
    found = summarise_agreement(ratings, seed=seed, resamples=REPLICATES, level=LEVEL)
    single = found.groups == 1
    unrated = Why.NOTHING_RATED
    apart = Why.ONE_CATEGORY if found.paired else Why.NO_TWO_RATINGS

    def all_of(estimates: tuple[Estimate, ...], why: Why) -> tuple[Est, ...]:
        return tuple(est(one, why=why, one_query=single) for one in estimates)

    return View(
        units=found.units,
        rated=found.rated,
        paired=found.paired,
        queries=found.groups,
        categories=found.categories,
        shares=all_of(found.shares, unrated),
        specific=all_of(found.specific, apart),
        coefficients={
            name: est(found.coefficients[name], why=apart, one_query=single)
            for name in sorted(found.coefficients)
        },
        raters=tuple(_rater(one, all_of(one.shares, unrated)) for one in found.raters),
        pairs=tuple(pair_view(one, single=single) for one in found.pairs),
    )


def pair_view(found: PairSummary, *, single: bool) -> PairView:
    """Two raters; `single` if there is one query only."""
    why = Why.ONE_CATEGORY if found.units else Why.NO_TWO_RATINGS
    names = ("agreement", "kappa", "kappa_linear", "kappa_quadratic")
    values = {name: est(getattr(found, name), why=why, one_query=single) for name in names}
    return PairView(first=found.first, second=found.second, units=found.units, **values)


def _rater(found: RaterSummary, shares: tuple[Est, ...]) -> RaterView:
    return RaterView(name=found.name, rated=found.rated, missing=found.missing, shares=shares)
