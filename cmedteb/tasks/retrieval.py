"""Retrieval: for each query, the best documents of the whole corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmedteb.data import Access, load_ranking
from cmedteb.metrics import score_run
from cmedteb.metrics.oracle import verify_run
from cmedteb.tasks.base import Scored, find_data, summarise
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

    def score(
        self, run: Run, data: RankingData, *, depth: int | None, verify: bool = False
    ) -> Scored:
        """Score a run that was cut at `depth`; None for a complete ranking.

        Raises:
            ScoreError: a score is NaN, or nothing is judged; with `verify`, a value differs from
                pytrec_eval's.
        """
        query_ids, doc_ids = data.queries.ids.to_pylist(), data.corpus.ids.to_pylist()
        by_query = score_run(run, data.qrels, query_ids=query_ids, doc_ids=doc_ids, depth=depth)
        if verify:
            verify_run(by_query, run, data.qrels, query_ids=query_ids, doc_ids=doc_ids)
        return summarise(by_query, task=self.card.name, main_score=self.card.main_score)
