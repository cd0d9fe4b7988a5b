"""Semantic textual similarity: how well similarities of pairs follow the gold scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmedteb.data import Access, load_pairs
from cmedteb.tasks.base import Scored, correlate, find_data
from cmedteb.tasks.card import TaskCard
from cmedteb.types import Float64Array, PairData


@dataclass(frozen=True)
class StsTask:
    """A card of type `sts`, able to load its pairs and score similarities.

    Attributes:
        card: what the task is.
        folder: a local data set to use instead of the card's source.
    """

    card: TaskCard
    folder: Path | None = None

    def load(self, access: Access, *, limit: int | None = None) -> PairData:
        """The pairs with their gold scores; `limit` keeps the first ones."""
        return load_pairs(
            find_data(self.card, access, self.folder),
            name=self.card.name,
            split=self.card.split,
            lenient=self.card.official,
            limit=limit,
        )

    def score(self, similarity: Mapping[str, Float64Array], gold: Float64Array) -> Scored:
        """Correlate similarities with the gold scores.

        Args:
            similarity: by name; `similarity` is the model's own.
            gold: shape (pairs,).

        Raises:
            ScoreError: NaN, fewer than two pairs, or no variance on either side.
        """
        return correlate(similarity, gold, task=self.card.name, main_score=self.card.main_score)
