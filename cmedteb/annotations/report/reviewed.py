"""The pool beside what experts said of it blind: the reference, its weights, and judges' errors.

The reference for a pair is the side (positive or not, at the threshold) that most of its experts
took at first sight; an even split is no reference. A pair weighs as many pairs of the pool as it
stands for in its stratum.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cmedteb.annotations.consensus import Consensus, Label, LabelState
from cmedteb.annotations.records import Phase, Review, Snapshot
from cmedteb.annotations.report.numbers import rounded
from cmedteb.metrics.stratified import StratifiedSample


@dataclass(frozen=True)
class Reviewed:
    """The pool, its labels by the panel alone, and what experts said blind."""

    snapshot: Snapshot
    panel: Consensus

    @property
    def seed(self) -> int:
        """Of every sampler."""
        return int(self.snapshot.config.seed)

    @property
    def threshold(self) -> int:
        """The lowest positive grade."""
        return self.panel.threshold

    @cached_property
    def labels(self) -> dict[str, Label]:
        """Pair id -> label."""
        return {label.pair.pair_id: label for label in self.panel.labels}

    @cached_property
    def blind(self) -> tuple[Review, ...]:
        """Blind reviews of the pool that have a grade."""
        return tuple(
            review
            for review in self.snapshot.reviews
            if review.phase is Phase.BLIND
            and review.grade is not None
            and review.pair_id in self.labels
        )

    @cached_property
    def sides(self) -> dict[str, bool | None]:
        """Pair id -> whether most experts call it positive; None for an even split."""
        said: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        for review in self.blind:
            if review.repeat == 0 and review.grade is not None:
                said[review.pair_id][review.grade >= self.threshold] += 1
        return {
            pair: None if votes[True] == votes[False] else votes[True] > votes[False]
            for pair, votes in sorted(said.items())
        }

    @cached_property
    def reference(self) -> dict[str, bool]:
        """The sides that are not split, of pairs that have a stratum."""
        return {
            pair: side
            for pair, side in self.sides.items()
            if side is not None and pair in self.snapshot.strata
        }

    @cached_property
    def weights(self) -> dict[str, float]:
        """How many pairs of the pool a reviewed pair stands for."""
        strata = self.snapshot.strata
        population = Counter(strata[pair] for pair in self.labels if pair in strata)
        sampled = Counter(strata[pair] for pair in self.reference)
        return {pair: population[strata[pair]] / sampled[strata[pair]] for pair in self.reference}

    def sample(self, belongs: Callable[[Label], bool]) -> StratifiedSample:
        """Reviewed pairs of a part of the pool.

        Raises:
            ScoreError: a stratum of that part has no reviewed pair.
        """
        strata = self.snapshot.strata
        part = {pair for pair, label in self.labels.items() if belongs(label) and pair in strata}
        pairs = [pair for pair in self.reference if pair in part]
        return StratifiedSample.of(
            [strata[pair] for pair in pairs],
            panel=[self.labels[pair].state is LabelState.POSITIVE for pair in pairs],
            expert=[self.reference[pair] for pair in pairs],
            population=Counter(strata[pair] for pair in part),
        )


def effective_judges(correlation: float | None, judges: int) -> float | None:
    """How many judges with independent errors would be as good: Kish's design effect (1965).

    n / (1 + (n - 1) r) with the mean correlation r, taken as 0 where it is negative: errors that
    happen to cancel are luck.
    """
    if correlation is None:
        return None
    return rounded(judges / (1.0 + (judges - 1) * max(correlation, 0.0)))


def error_correlation(reviewed: Reviewed) -> float | None:
    """The mean correlation of two judges' errors against experts; None where none can be had.

    An error is a grade on the other side of the threshold. Pairs count by their weight. A judge
    without an error, or with errors only, has no correlation with others.
    """
    rows = [
        (reviewed.weights[pair], reviewed.reference[pair], reviewed.labels[pair].grades)
        for pair in reviewed.reference
        if None not in reviewed.labels[pair].grades
    ]
    if len(reviewed.panel.votes.judges) < 2 or not rows:
        return None
    weights = np.array([weight for weight, _, _ in rows])
    grades = np.array([given for _, _, given in rows], dtype=np.int64)
    errors = (grades >= reviewed.threshold) != np.array([side for _, side, _ in rows])[:, None]
    centred = errors - np.average(errors, axis=0, weights=weights)
    covariance = (centred * weights[:, None]).T @ centred / weights.sum()
    spread = np.sqrt(np.diagonal(covariance))
    judges = range(len(spread))
    found = [
        covariance[a, b] / (spread[a] * spread[b])
        for a in judges
        for b in judges
        if a < b and spread[a] > 0.0 and spread[b] > 0.0
    ]
    return rounded(float(np.mean(found))) if found else None
