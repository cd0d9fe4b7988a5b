"""From grades to labels: positive, negative, or undecided.

The paper (CMedTEB, arXiv 2604.10937) keeps a positive only if all three judges agree, and does not
say what becomes of the rest. Here a pair is *positive* by one of four rules (`config.Rule`),
*negative* if more than half of the panel grades it below the threshold, and *undecided* otherwise:
two of three is no positive and no negative, but a question to a person.

A judge without a grade (refused, cut, invalid, not asked) is never read as a grade. A label is
given only if it would be the same whatever the missing judges had said, and never a positive one:
so a positive needs every judge, a negative a majority that nobody missing could turn. Pairs that a
cascade stopped are undecided too where only unanimity was ruled out.

Adjudications by people decide as `Adjudication` says. What reviewers graded blind never changes a
label: that is the measurement of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cmedteb.annotations.config import Rule
from cmedteb.annotations.records import Pair, Phase, Snapshot
from cmedteb.annotations.votes import Votes
from cmedteb.errors import UsageError
from cmedteb.metrics.dawid_skene import DawidSkene, fit_dawid_skene
from cmedteb.metrics.ratings import MISSING
from cmedteb.types import Float64Array

Mask = NDArray[np.bool_]


class LabelState(StrEnum):
    """What a pair is; undecided is neither relevant nor irrelevant."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNDECIDED = "undecided"


class Basis(StrEnum):
    """What a label rests on, or why there is none.

    `PANEL`: the judges' grades. `REVIEW`: an adjudication. Undecided are `SPLIT`: the judges (or
    the adjudicators) differ; `MISSING`: a judge was asked and gave no grade that could settle it;
    `STOPPED`: a judge was never asked, by a cascade or because the annotation is not done.
    """

    PANEL = "panel"
    REVIEW = "review"
    SPLIT = "split"
    MISSING = "missing"
    STOPPED = "stopped"


class Adjudication(StrEnum):
    """What an adjudication may do.

    `IGNORE`: nothing, the panel alone decides. `FILL`: decide what the panel left undecided.
    `OVERRIDE`: that, and overrule the panel.
    """

    IGNORE = "ignore"
    FILL = "fill"
    OVERRIDE = "override"


class Stratum(StrEnum):
    """Where a pair stands in the pool, for a stratified sample of it; every pair has one.

    By how many of the whole panel grade it at or above the threshold. Before that come
    `REJECTED_ORIGINAL`, labelled positive in the original judgements and negative here; `STOPPED`,
    where a judge was not asked; and `MISSING`, where one gave no grade.
    """

    REJECTED_ORIGINAL = "rejected-original"
    ALL_POSITIVE = "all-positive"
    MOST_POSITIVE = "most-positive"
    FEW_POSITIVE = "few-positive"
    NONE_POSITIVE = "none-positive"
    MISSING = "missing"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Label:
    """What one pair is, and why.

    Attributes:
        pair: the pair.
        grades: of each judge of the panel, in its order; None is missing.
        state: what it is.
        basis: what that rests on.
        posterior: probability of positive by Dawid and Skene's model, where that is the rule.
    """

    pair: Pair
    grades: tuple[int | None, ...]
    state: LabelState
    basis: Basis
    posterior: float | None = None

    @property
    def was_positive(self) -> bool:
        """Whether the original judgements call it relevant."""
        return self.pair.original is not None and self.pair.original > 0

    @property
    def is_false_negative(self) -> bool:
        """Relevant, and not labelled so before."""
        return self.state is LabelState.POSITIVE and not self.was_positive

    @property
    def is_rejected_original(self) -> bool:
        """Labelled relevant before, and it is not."""
        return self.state is LabelState.NEGATIVE and self.was_positive


@dataclass(frozen=True, slots=True)
class Consensus:
    """The labels of a pool.

    Attributes:
        votes: what they were made from.
        labels: one for each pair of the votes, in their order.
        rule: when a pair is positive.
        threshold: the lowest grade that is positive.
        adjudication: what adjudications could do.
        dawid_skene: the model, where it is the rule.
    """

    votes: Votes
    labels: tuple[Label, ...]
    rule: Rule
    threshold: int
    adjudication: Adjudication
    dawid_skene: DawidSkene | None = None

    def strata(self) -> dict[str, Stratum]:
        """Pair id -> stratum, by what the panel alone said."""
        return {
            label.pair.pair_id: _stratum(label, self.votes, self.threshold) for label in self.labels
        }


def label_pairs(
    snapshot: Snapshot,
    *,
    rule: Rule | None = None,
    threshold: int | None = None,
    adjudication: Adjudication = Adjudication.OVERRIDE,
) -> Consensus:
    """Label every pair of the pool.

    Args:
        snapshot: the journal.
        rule: the annotation's own by default.
        threshold: the annotation's own by default.
        adjudication: what adjudications may do.

    Raises:
        UsageError: the rule needs all grades, and the annotation was a cascade.
        ScoreError: Dawid and Skene's model without any grade.
    """
    rule, threshold = rule or snapshot.config.rule, threshold or snapshot.config.threshold
    _check(snapshot, rule)
    votes = Votes.of(snapshot)
    missing = votes.grades == MISSING
    yes, no = votes.grades >= threshold, (votes.grades < threshold) & ~missing
    fit = None
    if rule is Rule.DAWID_SKENE:
        fit = fit_dawid_skene(votes.ratings().at_least(threshold))
        positive, negative = _by_model(fit, yes, no)
    else:
        positive = _positive(rule, votes, yes)
        negative = 2 * no.sum(axis=1) > len(votes.judges)
    labels = [
        _label(votes, row, bool(positive[row]), bool(negative[row]))
        for row in range(len(votes.pairs))
    ]
    if fit is not None:
        posteriors = fit.posteriors[:, 1].tolist()
        labels = [
            replace(one, posterior=value) for one, value in zip(labels, posteriors, strict=True)
        ]
    if adjudication is not Adjudication.IGNORE:
        labels = _adjudicated(labels, snapshot, threshold, adjudication)
    return Consensus(votes, tuple(labels), rule, threshold, adjudication, fit)


def _stratum(label: Label, votes: Votes, threshold: int) -> Stratum:
    given = [grade for grade in label.grades if grade is not None]
    yes, panel = sum(grade >= threshold for grade in given), len(label.grades)
    if label.was_positive and 2 * (len(given) - yes) > panel:
        return Stratum.REJECTED_ORIGINAL
    if len(given) < panel:
        return Stratum.MISSING if _all_asked(label, votes) else Stratum.STOPPED
    if yes in {0, panel}:
        return Stratum.ALL_POSITIVE if yes else Stratum.NONE_POSITIVE
    return Stratum.MOST_POSITIVE if 2 * yes > panel else Stratum.FEW_POSITIVE


def _all_asked(label: Label, votes: Votes) -> bool:
    return all((label.pair.pair_id, judge) in votes.states for judge in votes.judges)


def _check(snapshot: Snapshot, rule: Rule) -> None:
    if snapshot.config.cascade is not None and rule in {Rule.MAJORITY, Rule.DAWID_SKENE}:
        raise UsageError(
            f"the rule {rule} needs every judge's grade, and this annotation was a cascade: judges "
            "were not asked once unanimity was impossible. Use the rule unanimous or identical, "
            "or annotate without --cascade."
        )


def _positive(rule: Rule, votes: Votes, yes: Mask) -> Mask:
    """Which pairs the rule makes positive; all judges have graded them."""
    full = (votes.grades != MISSING).all(axis=1)
    if rule is Rule.MAJORITY:
        return np.asarray(full & (2 * yes.sum(axis=1) > len(votes.judges)))
    everyone = yes.all(axis=1)
    if rule is Rule.IDENTICAL:
        everyone &= (votes.grades == votes.grades[:, :1]).all(axis=1)
    return np.asarray(full & everyone)


def _by_model(fit: DawidSkene, yes: Mask, no: Mask) -> tuple[Mask, Mask]:
    """Positive: likelier so, all judges heard. Negative: not likelier, whatever one had said."""
    towards = _log_ratios(fit)
    prior = float(np.diff(np.log(np.maximum(fit.prevalence, 1e-300)))[0])
    given = np.where(yes, towards[:, 1], np.where(no, towards[:, 0], 0.0)).sum(axis=1)
    missing = ~(yes | no)
    at_most = prior + given + np.where(missing, towards.max(axis=1), 0.0).sum(axis=1)
    full = ~missing.any(axis=1)
    positive = full & (fit.posteriors[:, 1] > 0.5)
    negative = np.where(full, ~positive, at_most <= 0.0)
    return np.asarray(positive), np.asarray(negative)


def _log_ratios(fit: DawidSkene) -> Float64Array:
    """How far each answer of a judge moves the log odds of positive; shape (judges, answers)."""
    rates = np.log(np.maximum(np.nan_to_num(fit.confusions), 1e-300))
    return np.asarray(rates[:, 1, :] - rates[:, 0, :])


def _label(votes: Votes, row: int, positive: bool, negative: bool) -> Label:
    pair = votes.pairs[row]
    grades = tuple(None if g == MISSING else g for g in votes.grades[row].tolist())
    if positive:
        return Label(pair, grades, LabelState.POSITIVE, Basis.PANEL)
    if negative:
        return Label(pair, grades, LabelState.NEGATIVE, Basis.PANEL)
    label = Label(pair, grades, LabelState.UNDECIDED, Basis.SPLIT)
    if None not in grades:
        return label
    return replace(label, basis=Basis.MISSING if _all_asked(label, votes) else Basis.STOPPED)


def _adjudicated(
    labels: list[Label], snapshot: Snapshot, threshold: int, adjudication: Adjudication
) -> list[Label]:
    """Labels as adjudicators see them; the majority of those who are sure, a tie is undecided."""
    said: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for review in snapshot.reviews:
        if review.phase is Phase.ADJUDICATION and review.grade is not None and not review.unsure:
            said[review.pair_id][review.grade >= threshold] += 1
    done = []
    for label in labels:
        count = said.get(label.pair.pair_id)
        open_ = label.state is LabelState.UNDECIDED or adjudication is Adjudication.OVERRIDE
        done.append(_ruled(label, count) if count and open_ else label)
    return done


def _ruled(label: Label, said: Counter[bool]) -> Label:
    if said[True] == said[False]:
        return replace(label, state=LabelState.UNDECIDED, basis=Basis.SPLIT)
    state = LabelState.POSITIVE if said[True] > said[False] else LabelState.NEGATIVE
    return replace(label, state=state, basis=Basis.REVIEW)
