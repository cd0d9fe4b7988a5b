"""Ranking measures by trec_eval's rules. Run: pytest tests/metrics/test_ranking.py -q."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from cmedteb.errors import ScoreError
from cmedteb.metrics import CUTOFFS, QueryScores, rank_run, score_run
from cmedteb.types import Qrels, Run

Results = Mapping[str, Mapping[str, float]]
Grades = Mapping[str, Mapping[str, int]]


def value(scores: QueryScores, key: str, query: str) -> float:
    return float(scores.values[key][scores.query_ids.index(query)])


def columns(run: Results, qrels: Grades) -> tuple[Run, Qrels, list[str], list[str]]:
    """The same run and judgements as columns; judged documents nobody returned are absent."""
    query_ids = list(qrels)
    doc_ids = sorted({doc for query in query_ids for doc in run.get(query, {})})
    row = {doc: i for i, doc in enumerate(doc_ids)}
    absent = tuple(sorted({doc for query in query_ids for doc in qrels[query]} - set(row)))
    row |= {doc: len(doc_ids) + i for i, doc in enumerate(absent)}
    found = [(row[d], s) for q in query_ids for d, s in run.get(q, {}).items()]
    judged = [(row[d], g) for q in query_ids for d, g in qrels[q].items()]
    return (
        Run(
            np.cumsum([0] + [len(run.get(q, {})) for q in query_ids]),
            np.array([d for d, _ in found], dtype=np.int32),
            np.array([s for _, s in found], dtype=np.float32),
        ),
        Qrels(
            np.cumsum([0] + [len(qrels[q]) for q in query_ids]),
            np.array([d for d, _ in judged], dtype=np.int32),
            np.array([g for _, g in judged], dtype=np.int32),
            absent,
        ),
        query_ids,
        doc_ids,
    )


def oracle(results: Mapping[str, float], grades: Mapping[str, int], k: int) -> dict[str, float]:
    """trec_eval's definitions, written out."""
    order = sorted(results, key=lambda doc: (np.float32(results[doc]), doc), reverse=True)
    gains = [max(grades.get(doc, 0), 0) for doc in order]
    ideal = sorted((max(grade, 0) for grade in grades.values()), reverse=True)
    relevant = sum(grade > 0 for grade in grades.values())
    hits = [i for i, gain in enumerate(gains[:k], start=1) if gain > 0]
    found = len(hits)

    def dcg(values: list[int]) -> float:
        return sum(gain / math.log2(i + 1) for i, gain in enumerate(values[:k], start=1))

    return {
        f"ndcg_at_{k}": dcg(gains) / dcg(ideal) if relevant else 0.0,
        f"map_at_{k}": sum((n + 1) / hit for n, hit in enumerate(hits)) / max(relevant, 1),
        f"recall_at_{k}": found / max(relevant, 1),
        f"precision_at_{k}": found / k,
        f"mrr_at_{k}": 1 / hits[0] if hits else 0.0,
        f"hit_rate_at_{k}": float(found > 0),
    }


def random_case(seed: int) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Runs full of ties, with ids whose order matters, unjudged, absent and negative ones."""
    rng = random.Random(seed)
    pool = [f"{rng.choice(['d', 'D', 'doc-', chr(0x4E2D), chr(0x20000)])}{i}" for i in range(60)]
    run, qrels = {}, {}
    for i in range(25):
        levels = [rng.uniform(-1, 1) for _ in range(rng.choice([1, 3, 40]))]
        returned = rng.sample(pool, rng.randrange(0, 50))
        run[f"q{i}"] = {doc: rng.choice(levels) + rng.choice([0, 1e-10]) for doc in returned}
        judged = rng.sample([*pool, "gone1", "gone2"], rng.randrange(1, 30))
        qrels[f"q{i}"] = {doc: rng.choice([-1, 0, 0, 1, 2, 5]) for doc in judged}
    return run, qrels


class TestThreeQueriesByHand:
    """q1: relevant (grade 2) at rank 2, another (grade 1) missed; q2: rank 1; q3: nothing."""

    qrels: ClassVar[Grades] = {"q1": {"b": 2, "z": 1, "a": 0}, "q2": {"c": 1}, "q3": {"e": 1}}
    run: ClassVar[Results] = {
        "q1": {"a": 0.9, "b": 0.8, "x": 0.7},
        "q2": {"c": 5.0},
        "q4": {"c": 1.0},
    }

    def test_order_of_queries_is_that_of_the_judgements(self) -> None:
        scores = rank_run(self.run, self.qrels)
        assert scores.query_ids == ("q1", "q2", "q3")
        assert all(len(column) == 3 for column in scores.values.values())

    def test_keys(self) -> None:
        measures = ("ndcg", "map", "recall", "precision", "mrr", "hit_rate")
        expected = {f"{m}_at_{k}" for m in measures for k in CUTOFFS}
        assert set(rank_run(self.run, self.qrels).values) == expected

    def test_values_of_the_first_query(self) -> None:
        scores = rank_run(self.run, self.qrels)
        dcg, ideal = 2 / math.log2(3), 2 + 1 / math.log2(3)
        assert value(scores, "ndcg_at_10", "q1") == pytest.approx(dcg / ideal, abs=1e-12)
        assert value(scores, "map_at_10", "q1") == 0.25
        assert value(scores, "recall_at_10", "q1") == 0.5
        assert value(scores, "precision_at_10", "q1") == 0.1
        assert value(scores, "mrr_at_10", "q1") == 0.5
        assert value(scores, "mrr_at_1", "q1") == 0.0
        assert value(scores, "hit_rate_at_1", "q1") == 0.0
        assert value(scores, "hit_rate_at_3", "q1") == 1.0

    def test_the_mean_counts_the_missing_query_as_zero(self) -> None:
        mean = rank_run(self.run, self.qrels).mean()
        assert mean["mrr_at_10"] == pytest.approx((0.5 + 1 + 0) / 3, abs=1e-15)
        assert mean["recall_at_1"] == pytest.approx((0 + 1 + 0) / 3, abs=1e-15)

    def test_an_empty_result_counts_zero_like_a_missing_one(self) -> None:
        assert rank_run({**self.run, "q3": {}}, self.qrels).mean() == pytest.approx(
            rank_run(self.run, self.qrels).mean(), abs=0
        )

    def test_a_run_without_any_result_counts_zero(self) -> None:
        assert set(rank_run({}, self.qrels).mean().values()) == {0.0}


def test_equal_scores_stand_by_document_id_descending() -> None:
    scores = rank_run({"q": {"a": 1.0, "b": 1.0, "c": 1.0}}, {"q": {"a": 1}})
    assert value(scores, "mrr_at_10", "q") == pytest.approx(1 / 3)
    assert value(scores, "mrr_at_1", "q") == 0.0


def test_document_ids_are_ordered_as_strings_not_as_numbers() -> None:
    scores = rank_run({"q": {"10": 1.0, "9": 1.0}}, {"q": {"9": 1}})
    assert value(scores, "mrr_at_1", "q") == 1.0


def test_scores_are_compared_as_float32() -> None:
    """In float64 `a` leads; in float32 both are equal and `b` has the greater id."""
    scores = rank_run({"q": {"a": 0.9 + 1e-9, "b": 0.9}}, {"q": {"a": 1}})
    for key in ("mrr_at_10", "map_at_10"):
        assert value(scores, key, "q") == 0.5
    assert value(scores, "ndcg_at_1", "q") == 0.0


def test_average_precision_divides_by_all_relevant_documents() -> None:
    grades = {f"d{i:02}": 1 for i in range(19)}
    run = {"q": {f"d{i:02}": 100.0 - i for i in range(10)}}
    scores = rank_run(run, {"q": grades})
    assert value(scores, "map_at_10", "q") == pytest.approx(10 / 19, abs=1e-12)
    assert value(scores, "recall_at_10", "q") == pytest.approx(10 / 19, abs=1e-12)


def test_gain_is_linear() -> None:
    scores = rank_run({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": 1, "b": 3}})
    expected = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert value(scores, "ndcg_at_10", "q") == pytest.approx(expected, abs=1e-12)


def test_negative_grades_are_neither_relevant_nor_a_loss() -> None:
    with_negative = rank_run({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": -2, "b": 1}})
    without = rank_run({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": 0, "b": 1}})
    assert with_negative.mean() == without.mean()
    assert set(rank_run({"q": {"a": 1.0}}, {"q": {"a": -1}}).mean().values()) == {0.0}


def test_a_query_judged_all_zero_counts_zero() -> None:
    scores = rank_run({"q": {"a": 1.0}, "z": {"a": 1.0}}, {"q": {"a": 1}, "z": {"a": 0}})
    assert scores.mean()["ndcg_at_10"] == 0.5


def test_a_constant_scorer_is_at_chance_level() -> None:
    """With one of 100 documents relevant, drawn at random, ties must not favour it."""
    rng = random.Random(7)
    docs = [f"d{i:03}" for i in range(100)]
    qrels = {f"q{i}": {rng.choice(docs): 1} for i in range(4000)}
    mean = rank_run({q: dict.fromkeys(docs, 0.5) for q in qrels}, qrels).mean()
    assert mean["hit_rate_at_10"] == pytest.approx(0.10, abs=0.02)
    assert mean["mrr_at_100"] == pytest.approx(sum(1 / r for r in range(1, 101)) / 100, abs=0.01)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_a_score_that_is_no_float32_names_query_and_document(bad: float) -> None:
    with pytest.raises(ScoreError, match=r"'q7'.*'doc9'"):
        rank_run({"q7": {"a": 1.0, "doc9": bad}}, {"q7": {"a": 1}})


@pytest.mark.parametrize("qrels", [{}, {"q": {}}])
def test_nothing_judged(qrels: Grades) -> None:
    with pytest.raises(ScoreError, match="No query is judged"):
        rank_run({"q": {"a": 1.0}}, qrels)


def test_a_query_with_empty_judgements_is_left_out() -> None:
    assert rank_run({"q": {"a": 1.0}}, {"q": {"a": 1}, "r": {}}).query_ids == ("q",)


@pytest.mark.parametrize("grade", [0.5, math.nan, 2**31 - 1])
def test_grades_that_trec_eval_cannot_hold(grade: float) -> None:
    with pytest.raises(ScoreError, match=r"'q'.*'a'.*grade"):
        rank_run({"q": {"a": 1.0}}, {"q": {"a": grade, "b": 1}})  # type: ignore[dict-item]


@pytest.mark.parametrize("cutoffs", [(), (0,), (10, -1)])
def test_cutoffs_must_be_positive(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cutoffs"):
        rank_run({"q": {"a": 1.0}}, {"q": {"a": 1}}, cutoffs=cutoffs)


@pytest.mark.parametrize("seed", range(20))
def test_random_runs_equal_the_oracle(seed: int) -> None:
    run, qrels = random_case(seed)
    by_mapping = rank_run(run, qrels)
    run_columns, qrels_columns, query_ids, doc_ids = columns(run, qrels)
    by_column = score_run(
        run_columns, qrels_columns, query_ids=query_ids, doc_ids=doc_ids, depth=None
    )
    assert by_column.query_ids == by_mapping.query_ids == tuple(qrels)
    for k in CUTOFFS:
        for query in qrels:
            for key, expected in oracle(run[query], qrels[query], k).items():
                assert value(by_mapping, key, query) == pytest.approx(expected, abs=1e-9)
                assert value(by_column, key, query) == value(by_mapping, key, query)


def test_many_batches_keep_the_order() -> None:
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(1000)}
    run = {f"q{i}": {f"d{i}": 1.0} if i % 3 else {"x": 1.0} for i in range(1000)}
    scores = rank_run(run, qrels)
    assert scores.query_ids == tuple(qrels)
    assert scores.values["ndcg_at_10"].tolist() == [float(bool(i % 3)) for i in range(1000)]


class TestScoreRun:
    """Two documents, three query rows, the middle one not judged."""

    run = Run(
        np.array([0, 2, 3, 4]), np.array([0, 1, 0, 1], np.int32), np.array([2, 1, 1, 1], np.float32)
    )
    qrels = Qrels(
        np.array([0, 2, 2, 3]),
        np.array([1, 2, 2], np.int32),
        np.array([1, 1, 1], np.int32),
        ("gone",),
    )
    ids = ("q0", "q1", "q2")

    def score(
        self, run: Run | None = None, qrels: Qrels | None = None, depth: int | None = None
    ) -> QueryScores:
        return score_run(
            run or self.run,
            qrels or self.qrels,
            query_ids=self.ids,
            doc_ids=["a", "b"],
            depth=depth,
        )

    def test_rows_without_judgements_are_left_out(self) -> None:
        assert self.score().query_ids == ("q0", "q2")

    def test_absent_judged_documents_count_in_the_denominators(self) -> None:
        scores = self.score()
        assert scores.values["recall_at_10"].tolist() == [0.5, 0.0]
        assert scores.values["map_at_10"].tolist() == [0.25, 0.0]

    @pytest.mark.parametrize(
        ("depth", "kept"),
        [(1, [1]), (99, [1, 3, 5, 10, 20]), (100, [1, 3, 5, 10, 20, 100]), (None, list(CUTOFFS))],
    )
    def test_cutoffs_beyond_the_depth_are_left_out(
        self, depth: int | None, kept: list[int]
    ) -> None:
        keys = [key for key in self.score(depth=depth).values if key.startswith("ndcg_at_")]
        assert keys == [f"ndcg_at_{k}" for k in kept]

    def test_the_order_within_a_row_is_not_trusted(self) -> None:
        swapped = Run(self.run.offsets, self.run.docs[[1, 0, 2, 3]], self.run.scores[[1, 0, 2, 3]])
        assert self.score(swapped).mean() == self.score().mean()

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_score_that_is_not_finite_names_query_and_document(self, bad: float) -> None:
        run = Run(self.run.offsets, self.run.docs, np.array([2, bad, 1, 1], np.float32))
        with pytest.raises(ScoreError, match=r"'q0'.*'b'"):
            self.score(run)

    def test_a_document_returned_twice(self) -> None:
        run = Run(self.run.offsets, np.array([1, 1, 0, 1], np.int32), self.run.scores)
        with pytest.raises(ScoreError, match=r"'q0'.*'b' is returned twice"):
            self.score(run)

    def test_a_document_returned_twice_among_rows_of_equal_length(self) -> None:
        scores = np.array([4, 3, 2, 1, 4, 3], np.float32)
        run = Run(np.array([0, 2, 4, 6]), np.array([0, 1, 1, 0, 1, 1], np.int32), scores)
        with pytest.raises(ScoreError, match=r"'q2'.*'b' is returned twice"):
            self.score(run)

    def test_equal_scores_of_neighbouring_queries_are_no_tie(self) -> None:
        scores = np.array([2, 1, 1, 1], np.float32)
        run = Run(np.array([0, 2, 2, 4]), np.array([0, 1, 0, 1], np.int32), scores)
        assert self.score(run).values["mrr_at_10"].tolist() == [0.5, 0.0]

    def test_a_document_judged_twice(self) -> None:
        qrels = Qrels(self.qrels.offsets, np.array([1, 1, 2], np.int32), self.qrels.grades, ("g",))
        with pytest.raises(ScoreError, match=r"'q0'.*'b' is judged twice"):
            self.score(qrels=qrels)

    @pytest.mark.parametrize("row", [-1, 2])
    def test_a_result_that_is_not_in_the_corpus(self, row: int) -> None:
        run = Run(self.run.offsets, np.array([0, row, 0, 1], np.int32), self.run.scores)
        with pytest.raises(ScoreError, match="'q0': its results"):
            self.score(run)

    def test_a_judgement_that_is_neither_in_the_corpus_nor_absent(self) -> None:
        qrels = Qrels(self.qrels.offsets, np.array([1, 3, 2], np.int32), self.qrels.grades, ("g",))
        with pytest.raises(ScoreError, match="'q0': its judgements"):
            self.score(qrels=qrels)

    def test_tables_of_different_length(self) -> None:
        run = Run(self.run.offsets[:-1], self.run.docs, self.run.scores)
        with pytest.raises(ScoreError, match="same queries"):
            self.score(run)

    def test_repeated_query_ids(self) -> None:
        with pytest.raises(ScoreError, match="occurs twice"):
            score_run(
                self.run, self.qrels, query_ids=["q", "q", "r"], doc_ids=["a", "b"], depth=None
            )

    def test_nothing_judged(self) -> None:
        qrels = Qrels(np.zeros(4, np.int64), np.array([], np.int32), np.array([], np.int32))
        with pytest.raises(ScoreError, match="No query is judged"):
            self.score(qrels=qrels)
