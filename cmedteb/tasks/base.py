"""What the three kinds of task share: a card, loading by it, and scores with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.data import Access, Located, locate
from cmedteb.errors import DataError
from cmedteb.metrics import (
    Interval,
    QueryScores,
    bootstrap_mean,
    bootstrap_pearson,
    bootstrap_spearman,
    score_pairs,
)
from cmedteb.resources import data_folder
from cmedteb.types import Float64Array

if TYPE_CHECKING:
    from cmedteb.tasks.card import TaskCard

SEED = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """The outcome of one task.

    Attributes:
        scores: every score of the task, means in [0, 1] (correlations in [-1, 1]).
        main_score: the one that stands for the task.
        interval: of the main score, from a seeded bootstrap over queries (pairs for STS).
        units: how many queries or pairs were scored.
    """

    scores: dict[str, float]
    main_score: float
    interval: Interval
    units: int


def find_data(card: TaskCard, access: Access, folder: Path | None) -> Located:
    """Where this task's data lies: the given folder itself, or by the card's source."""
    if folder is not None:
        access = Access(data_dir=folder, hub=access.hub, offline=access.offline)
    return locate(card.name, card.source, access, packaged=data_folder("tasks"))


def summarise(by_query: QueryScores, *, task: str, main_score: str) -> Scored:
    """Means of per-query values, with an interval of the main score.

    The interval does not depend on the order of the queries, so a score that is recomputed from
    receipts has the same one.

    Raises:
        DataError: there is no such main score.
    """
    scores = by_query.mean()
    main = main_of(scores, task=task, main_score=main_score)
    return Scored(
        scores=scores,
        main_score=main,
        interval=bootstrap_mean(np.sort(by_query.values[main_score]), seed=SEED),
        units=len(by_query.query_ids),
    )


def correlate(
    similarity: Mapping[str, Float64Array], gold: Float64Array, *, task: str, main_score: str
) -> Scored:
    """Correlations of similarities with gold scores, with an interval of the main one.

    Args:
        similarity: by name; `similarity` is the model's own.
        gold: shape (pairs,).
        task: its name, for errors.
        main_score: `pearson`, `spearman`, or with a similarity's name before it.

    Raises:
        ScoreError: NaN, fewer than two pairs, or no variance on either side.
        DataError: there is no such main score.
    """
    scores = score_pairs(similarity, gold)
    main = main_of(scores, task=task, main_score=main_score)
    measure, _, kind = main_score.rpartition("_")
    bootstrap = bootstrap_spearman if kind == "spearman" else bootstrap_pearson
    predicted = similarity[measure or "similarity"]
    return Scored(
        scores=scores,
        main_score=main,
        interval=bootstrap(predicted, gold, seed=SEED),
        units=len(gold),
    )


def main_of(scores: Mapping[str, float], *, task: str, main_score: str) -> float:
    """The score that stands for the task.

    Raises:
        DataError: there is no such score.
    """
    if main_score not in scores:
        raise DataError(
            f"{task}: its main score {main_score!r} is not among those of this run. "
            f"It gives: {', '.join(sorted(scores))}"
        )
    return scores[main_score]
