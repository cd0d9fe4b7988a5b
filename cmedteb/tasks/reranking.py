"""Reranking: for each query, exactly its given candidates, ordered.

It loads and scores as retrieval does; what differs is that the data carries the candidates and
that the ranking is complete, so no cut-off limits the scores.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmedteb.tasks.base import Scored
from cmedteb.tasks.retrieval import RetrievalTask
from cmedteb.types import RankingData, Run


@dataclass(frozen=True)
class RerankingTask(RetrievalTask):
    """A card of type `reranking`, able to load its data and score the ordered candidates."""

    def score(
        self, run: Run, data: RankingData, *, depth: int | None = None, verify: bool = False
    ) -> Scored:
        """Score the ordered candidates; `depth` has no meaning here and is ignored."""
        del depth
        return super().score(run, data, depth=None, verify=verify)
