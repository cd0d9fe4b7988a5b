"""Our measures held against pytrec_eval. Run: pytest tests/metrics/test_oracle.py -q."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cmedteb.errors import ScoreError
from cmedteb.metrics import QueryScores, rank_run, read_qrels, read_run, score_run
from cmedteb.metrics.oracle import TOLERANCE, verify_run, verify_table
from cmedteb.types import Qrels, Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PREFIXES = ["d", "D", "doc-", chr(0x4E2D), chr(0x20000), chr(0xFFFD), "10", "9"]


@dataclass(frozen=True)
class Case:
    """A run with its judgements, as columns."""

    run: Run
    qrels: Qrels
    query_ids: list[str]
    doc_ids: list[str]

    def score(self, depth: int | None = None) -> QueryScores:
        return score_run(
            self.run, self.qrels, query_ids=self.query_ids, doc_ids=self.doc_ids, depth=depth
        )

    def verify(self, scores: QueryScores) -> float:
        return verify_run(
            scores, self.run, self.qrels, query_ids=self.query_ids, doc_ids=self.doc_ids
        )


def ragged(rng: np.random.Generator, pool: int, lengths: list[int]) -> tuple[np.ndarray, ...]:
    """Offsets, and for each row so many different numbers below `pool`."""
    rows = [rng.choice(pool, length, replace=False) for length in lengths]
    docs = np.concatenate([np.empty(0, dtype=np.int64), *rows]).astype(np.int32)
    return np.cumsum([0, *lengths]), docs


def case(seed: int, *, levels: int, ordered: bool, queries: int = 30) -> Case:
    """Rows from empty to deep, graded and negative judgements, absent documents, unjudged rows.

    Args:
        seed: of all that is drawn.
        levels: how many different scores there are; few make ties everywhere.
        ordered: rows stand by score, but not by id within a tie.
        queries: rows.
    """
    rng = np.random.default_rng(seed)
    doc_ids = [f"{PREFIXES[i % len(PREFIXES)]}{i // 3}x{i}" for i in range(150)]
    absent = ("gone1", "gone2", "gone3")
    offsets, docs = ragged(rng, 150, rng.choice([0, 1, 7, 40, 140], queries).tolist())
    scores = (rng.integers(0, levels, len(docs)) / levels - 0.5).astype(np.float32)
    if ordered:
        query = np.repeat(np.arange(queries), np.diff(offsets))
        order = np.lexsort((-scores, query))
        docs, scores = docs[order], scores[order]
    judged, rows = ragged(rng, 153, [0, *rng.choice([1, 2, 30, 120], queries - 1).tolist()])
    grades = rng.choice([-2, 0, 0, 1, 1, 2, 7], len(rows)).astype(np.int32)
    return Case(
        Run(offsets, docs, scores),
        Qrels(judged, rows, grades, absent),
        [f"q{i}" for i in range(queries)],
        doc_ids,
    )


@pytest.mark.parametrize("levels", [1, 2, 9, 1 << 20])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_random_runs(seed: int, *, ordered: bool, levels: int) -> None:
    one = case(seed, levels=levels, ordered=ordered)
    scores = one.score()
    assert len(scores.query_ids) == 29
    assert 0.0 < scores.mean()["ndcg_at_20"] < 1.0
    assert one.verify(scores) <= TOLERANCE


@pytest.mark.parametrize("levels", [2, 1 << 20])
def test_blocks_change_nothing(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query's values do not depend on which queries are scored with it, to the last bit."""
    one = case(11, levels=levels, ordered=False)
    whole = one.score()
    for entries in (1, 50, 333):
        monkeypatch.setattr("cmedteb.metrics.ranks._BLOCK_ENTRIES", entries)
        for key, column in one.score().values.items():
            np.testing.assert_array_equal(column, whole.values[key])


def test_cutoffs_of_a_shallow_run() -> None:
    one = case(3, levels=5, ordered=True)
    scores = one.score(depth=10)
    assert sorted({int(key.rpartition("_")[2]) for key in scores.values}) == [1, 3, 5, 10]
    assert one.verify(scores) <= TOLERANCE


@pytest.mark.parametrize("grade", [0, -1, -5])
def test_nothing_relevant_anywhere(grade: int) -> None:
    one = case(4, levels=5, ordered=True)
    one = replace(one, qrels=replace(one.qrels, grades=np.full_like(one.qrels.grades, grade)))
    scores = one.score()
    assert set(scores.mean().values()) == {0.0}
    assert one.verify(scores) == 0.0


def test_nothing_returned_anywhere() -> None:
    one = case(4, levels=5, ordered=True)
    empty = Run(np.zeros(31, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    one = replace(one, run=empty)
    assert set(one.score().mean().values()) == {0.0}
    assert one.verify(one.score()) == 0.0


def test_zero_and_negative_zero_are_a_tie() -> None:
    run = {"q": {"a": 0.0, "b": -0.0}, "r": {"a": -0.0, "b": 0.0}}
    qrels = {"q": {"a": 1}, "r": {"a": 1}}
    scores = rank_run(run, qrels)
    assert scores.values["mrr_at_10"].tolist() == [0.5, 0.5]
    assert verify_table(scores, run, qrels) == 0.0


def test_a_score_beyond_float32_in_a_column_is_refused() -> None:
    one = case(0, levels=9, ordered=True)
    wide = one.run.scores.astype(np.float64)
    wide[-1] = 1e300
    with pytest.raises(ScoreError, match="not a finite float32"):
        replace(one, run=replace(one.run, scores=wide)).score()


def test_a_grade_that_trec_eval_cannot_hold_is_refused() -> None:
    one = case(0, levels=9, ordered=True)
    grades = one.qrels.grades.copy()
    grades[0] = 10_001
    with pytest.raises(ScoreError, match=r"'q1'.*grade 10001"):
        replace(one, qrels=replace(one.qrels, grades=grades)).score()


class TestVerify:
    """What the second opinion says when the first is wrong."""

    run: ClassVar = {"q1": {"a": 0.9, "b": 0.8}, "q2": {"a": 0.1}}
    qrels: ClassVar = {"q1": {"b": 1}, "q2": {"a": 1}, "q3": {"a": 0}}

    def wrong(self, key: str, row: int, value: float) -> QueryScores:
        scores = rank_run(self.run, self.qrels)
        scores.values[key][row] = value
        return scores

    def test_equal_scores_pass(self) -> None:
        assert verify_table(rank_run(self.run, self.qrels), self.run, self.qrels) == 0.0

    def test_the_error_names_measure_query_and_both_values(self) -> None:
        with pytest.raises(ScoreError, match=r"map_at_10 of query 'q1' is 0\.5001 here and 0\.5 "):
            verify_table(self.wrong("map_at_10", 0, 0.5001), self.run, self.qrels)

    @pytest.mark.parametrize("key", ["ndcg_at_1", "recall_at_5", "mrr_at_20", "hit_rate_at_1000"])
    @pytest.mark.parametrize("value", [1.0 + 2 * TOLERANCE, math.nan])
    def test_every_measure_is_compared(self, key: str, value: float) -> None:
        with pytest.raises(ScoreError, match=f"{key} of query 'q2'"):
            verify_table(self.wrong(key, 1, value), self.run, self.qrels)

    def test_a_rounding_error_passes_and_is_told(self) -> None:
        scores = self.wrong("map_at_10", 0, 0.5 + 1e-12)
        assert verify_table(scores, self.run, self.qrels) == pytest.approx(1e-12, rel=1e-3)

    def test_scores_of_other_queries(self) -> None:
        scores = rank_run(self.run, self.qrels)
        for qrels, odd in (
            ({"q1": {"b": 1}, "q2": {"a": 1}}, "q3"),
            ({**self.qrels, "q4": {"a": 1}}, "q4"),
            ({"q2": {"a": 1}, "q1": {"b": 1}, "q3": {"a": 0}}, "the order"),
        ):
            with pytest.raises(ScoreError, match=f"not about the same queries: '{odd}'"):
                verify_table(scores, self.run, qrels)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the reference data in ../shared/data")
@pytest.mark.parametrize(
    ("run", "qrels", "queries"),
    [
        ("robust03/uic0301.run.gz", "robust03/qrels.txt.gz", 100),
        ("trec_eval_ref/results.test", "trec_eval_ref/qrels.rel_level", 3),
        ("zh_med_mini/baseline_run/bm25.run.gz", "zh_med_mini/baseline_run/qrels.trec.gz", 500),
    ],
)
def test_real_runs(run: str, qrels: str, queries: int) -> None:
    table, judged = read_run(DATA / run), read_qrels(DATA / qrels)
    scores = rank_run(table, judged)
    assert len(scores.query_ids) == queries
    assert verify_table(scores, table, judged) <= TOLERANCE
