"""What a task makes of a run or of similarities. Run: pytest tests/tasks/test_scoring.py -q."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import corpus, qrels, queries, ranking, reranking_folder, retrieval_folder, sts_folder

from cmedteb.data import Access
from cmedteb.errors import DataError, ScoreError
from cmedteb.tasks import RerankingTask, RetrievalTask, StsTask, from_folder
from cmedteb.types import Run


def run(docs: list[list[int]], scores: list[list[float]]) -> Run:
    return Run(
        np.cumsum([0, *map(len, docs)]),
        np.asarray([row for one in docs for row in one], dtype=np.int32),
        np.asarray([score for one in scores for score in one], dtype=np.float32),
    )


@pytest.fixture
def retrieval(tmp_path: Path) -> RetrievalTask:
    folder = retrieval_folder(
        tmp_path / "mine",
        {"d1": "a", "d2": "b", "d3": "c"},
        {"q1": "x", "q2": "y"},
        {"q1": {"d2": 1}, "q2": {"d1": 2, "d3": 1}},
    )
    task = from_folder(folder)
    assert isinstance(task, RetrievalTask)
    return task


def test_retrieval_scores_a_run(retrieval: RetrievalTask) -> None:
    data = retrieval.load(Access())
    scored = retrieval.score(run([[0, 1, 2], [0, 2, 1]], [[3, 2, 1], [3, 2, 1]]), data, depth=None)
    expected = (1 / np.log2(3) + 1) / 2
    assert scored.main_score == scored.scores["ndcg_at_10"] == pytest.approx(expected)
    assert scored.units == 2
    assert scored.interval.low is not None
    assert scored.interval.high is not None
    assert scored.interval.low <= scored.main_score <= scored.interval.high


def test_scores_beyond_the_depth_of_a_run_are_not_claimed(retrieval: RetrievalTask) -> None:
    data = retrieval.load(Access())
    some = run([[0], [0]], [[1], [1]])
    assert "recall_at_100" not in retrieval.score(some, data, depth=20).scores
    assert "recall_at_100" in retrieval.score(some, data, depth=None).scores


def test_the_interval_does_not_depend_on_the_order_of_queries() -> None:
    task = shipped_task()
    draw = np.random.default_rng(0)
    documents, texts = corpus(list("abcdefgh")), [f"query {row}" for row in range(30)]
    judged = [{int(row): 1} for row in draw.integers(0, 8, 30)]
    found, scores = [list(range(8))] * 30, [[float(-row) for row in range(8)]] * 30
    given = ranking(documents, queries(texts), qrels(judged))
    one = task.score(run(found, scores), given, depth=None)
    turned = ranking(documents, queries(texts[::-1]), qrels(judged[::-1]))
    two = task.score(run(found, scores), turned, depth=None)
    assert one.interval == two.interval
    assert one.main_score == pytest.approx(two.main_score)


def shipped_task() -> RetrievalTask:
    from cmedteb.tasks import catalogue, resolve

    task = resolve(["SmokeRetrieval"], catalogue())[0]
    assert isinstance(task, RetrievalTask)
    return task


def test_reranking_counts_the_complete_ranking(tmp_path: Path) -> None:
    rows = [("q", ["good"], [f"bad {row}" for row in range(12)])]
    task = from_folder(reranking_folder(tmp_path / "mine", rows))
    assert isinstance(task, RerankingTask)
    data = task.load(Access())
    assert data.candidates is not None
    texts = data.corpus.texts.take(data.candidates.docs)
    last = [0.0 if text == "good" else 1.0 for text in texts]
    scored = task.score(run([data.candidates.docs.tolist()], [last]), data, depth=10)
    assert scored.main_score == scored.scores["map_at_10"] == 0
    assert scored.scores["map_at_1000"] == pytest.approx(1 / 13)


def test_sts_correlates(tmp_path: Path) -> None:
    pairs = [("a", "b", 0.0), ("c", "d", 1.0), ("e", "f", 2.0), ("g", "h", 3.0)]
    task = from_folder(sts_folder(tmp_path / "mine", pairs))
    assert isinstance(task, StsTask)
    gold = task.load(Access()).pairs.scores
    scored = task.score({"similarity": np.asarray([0.1, 0.3, 0.2, 0.9])}, gold)
    assert scored.main_score == pytest.approx(np.corrcoef([0.1, 0.3, 0.2, 0.9], gold)[0, 1])
    assert scored.scores["spearman"] == pytest.approx(0.8)
    assert scored.units == 4


@pytest.mark.parametrize("similarity", [[0.5] * 4, [0.1, np.nan, 0.2, 0.3]])
def test_sts_refuses_similarities_that_say_nothing(tmp_path: Path, similarity: list[float]) -> None:
    pairs = [("a", "b", 0.0), ("c", "d", 1.0), ("e", "f", 2.0), ("g", "h", 3.0)]
    task = from_folder(sts_folder(tmp_path / "mine", pairs))
    assert isinstance(task, StsTask)
    with pytest.raises(ScoreError):
        task.score({"similarity": np.asarray(similarity)}, np.arange(4.0))


def test_a_main_score_that_no_run_gives_is_refused(retrieval: RetrievalTask) -> None:
    card = retrieval.card.model_copy(update={"main_score": "ndcg_at_7"})
    data = retrieval.load(Access())
    with pytest.raises(DataError, match="'ndcg_at_7' is not among those of this run"):
        RetrievalTask(card).score(run([[0], [0]], [[1], [1]]), data, depth=None)


def test_a_limit_keeps_the_first_queries_and_the_whole_corpus(retrieval: RetrievalTask) -> None:
    data = retrieval.load(Access(), limit=1)
    assert data.queries.ids.to_pylist() == ["q1"]
    assert len(data.corpus) == 3
