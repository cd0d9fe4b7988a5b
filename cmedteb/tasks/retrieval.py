"""Retrieval: for each query, the best documents of the whole corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmedteb.data import Access, load_ranking
from cmedteb.metrics import bootstrap_mean, score_run
from cmedteb.tasks.base import SEED, Scored, find_data, main_of
from cmedteb.tasks.card import TaskCard
from cmedteb.types import RankingData, Run


@dataclass(frozen=True)
class RetrievalTask:
    """A card of type `retrieval`, able to load its data and score a run.

    Attributes:
        card: what the task is.
        folder: a local data set to use instead of the card's source.
    """

    card: TaskCard
    folder: Path | None = None

    def load(self, access: Access, *, limit: int | None = None) -> RankingData:
        """Corpus, judged queries and judgements; `limit` keeps the first queries."""
        return load_ranking(
            find_data(self.card, access, self.folder),
            name=self.card.name,
            split=self.card.split,
            task_type=self.card.type,
            lenient=self.card.official,
            limit=limit,
        )

    def score(self, run: Run, data: RankingData, *, depth: int | None) -> Scored:
        """Score a run that was cut at `depth`; None for a complete ranking.

        Raises:
            ScoreError: a score is NaN, or nothing is judged.
        """
        by_query = score_run(
            run,
            data.qrels,
            query_ids=data.queries.ids.to_pylist(),
            doc_ids=data.corpus.ids.to_pylist(),
            depth=depth,
        )
        scores = by_query.mean()
        main = main_of(self.card, scores)
        values = by_query.values[self.card.main_score]
        return Scored(
            scores=scores,
            main_score=main,
            interval=bootstrap_mean(values, seed=SEED),
            units=len(by_query.query_ids),
            per_query=by_query.values,
        )
