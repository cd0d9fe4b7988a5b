"""What the three kinds of task share: a card, loading by it, and scores with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmedteb.data import Access, Located, locate
from cmedteb.errors import DataError
from cmedteb.types import Float64Array

if TYPE_CHECKING:
    from cmedteb.metrics import Interval
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
        per_query: per-query values of each score; empty for STS, whose score is no mean.
    """

    scores: dict[str, float]
    main_score: float
    interval: Interval
    units: int
    per_query: Mapping[str, Float64Array]


def find_data(card: TaskCard, access: Access, folder: Path | None) -> Located:
    """Where this task's data lies: the given folder itself, or by the card's source."""
    if folder is not None:
        access = Access(data_dir=folder, hub=access.hub, offline=access.offline)
    return locate(card.name, card.source, access)


def main_of(card: TaskCard, scores: Mapping[str, float]) -> float:
    """The card's main score.

    Raises:
        DataError: the card names a score that this kind of task does not have.
    """
    if card.main_score not in scores:
        raise DataError(
            f"the card of {card.name} names the main score {card.main_score!r}, which a "
            f"{card.type} task of this depth does not give. It gives: {', '.join(sorted(scores))}"
        )
    return scores[card.main_score]
