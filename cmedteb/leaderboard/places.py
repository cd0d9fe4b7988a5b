"""Where each model stands: rank, the ranks that cannot be ruled out, and its groups.

Two models differ where the paired bootstrap says so after Holm's correction over all pairs. From
that alone follow both: a model's rank interval runs from one more than the models that are
significantly better to the last place above those that are significantly worse (a simultaneous
confidence set for ranks; Mogstad, Romano, Shaikh and Wilhelm 2024, Inference for ranks), and a
group is a longest run of neighbours in the order of scores of which no two differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cmedteb.leaderboard.resample import ALPHA, Pairs, Samples, compare_all, interval
from cmedteb.types import Float64Array

DIGITS = 6


class Span(NamedTuple):
    """First and last group of a model."""

    low: int
    high: int


@dataclass(frozen=True)
class Places:
    """Places of models; each list in the order in which the models were given."""

    samples: Samples
    pairs: Pairs
    low: Float64Array
    high: Float64Array
    rank: list[int]
    rank_low: list[int]
    rank_high: list[int]
    groups: list[Span]

    def entry(self, model: int) -> dict[str, Any]:
        """The fields of a `board.Place`."""
        return {
            "score": round(float(self.samples.score[model]), DIGITS),
            "low": finite(self.low[model]),
            "high": finite(self.high[model]),
            "rank": self.rank[model],
            "rank_low": self.rank_low[model],
            "rank_high": self.rank_high[model],
            "group_low": self.groups[model].low,
            "group_high": self.groups[model].high,
        }


def place_all(samples: Samples) -> Places:
    """Place every model among the others."""
    pairs = compare_all(samples)
    differs = pairs.adjusted < ALPHA
    better = (differs & (pairs.difference < 0.0)).sum(axis=1)
    worse = (differs & (pairs.difference > 0.0)).sum(axis=1)
    low, high = interval(samples)
    return Places(
        samples=samples,
        pairs=pairs,
        low=low,
        high=high,
        rank=ranks(samples.score),
        rank_low=(1 + better).tolist(),
        rank_high=(len(samples.score) - worse).tolist(),
        groups=groups(samples.score, differs),
    )


def ranks(scores: Float64Array) -> list[int]:
    """1 for the highest; scores that are equal to the digit shown share a rank."""
    shown = np.round(scores, DIGITS)
    return [1 + int((shown > one).sum()) for one in shown]


def groups(
    scores: Float64Array, differs: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> list[Span]:
    """For each model its first and last group; groups are counted from the best model on."""
    order = np.argsort(-scores, kind="stable")
    ends = _ends(differs[np.ix_(order, order)])
    starts = [0, *(row for row, (above, here) in enumerate(pairwise(ends), 1) if here > above)]
    lasts = [ends[start] for start in starts]
    spans: list[Span] = [Span(0, 0)] * len(order)
    for row, model in enumerate(order.tolist()):
        holding = [
            group
            for group, (start, last) in enumerate(zip(starts, lasts, strict=True))
            if start <= row <= last
        ]
        spans[model] = Span(holding[0], holding[-1])
    return spans


def _ends(differs: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[int]:
    """For each row the last one to which no two rows in between differ; it never falls."""
    ends: list[int] = []
    last = 0
    for row in range(len(differs)):
        last = max(last, row)
        while last + 1 < len(differs) and not differs[row : last + 1, last + 1].any():
            last += 1
        ends.append(last)
    return ends


def borda(scores: Float64Array) -> Float64Array:
    """Points by the method of Borda (1781): over all tasks, how many models each one beats.

    Args:
        scores: shape (tasks, models). A tie counts half.
    """
    shown = np.round(scores, DIGITS)
    beats = (shown[:, :, None] > shown[:, None, :]).sum(axis=(0, 2))
    ties = (shown[:, :, None] == shown[:, None, :]).sum(axis=(0, 2)) - len(scores)
    return np.asarray(beats + ties / 2.0)


def finite(value: float) -> float | None:
    """Rounded; None where there is no number."""
    return round(float(value), DIGITS) if np.isfinite(value) else None
