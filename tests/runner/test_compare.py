"""Two models query by query, from receipts alone. Run: pytest tests/runner/test_compare.py.

Degenerate inputs: a model against itself, one query, no task in common, several revisions, other
judgements, other documents, a limited run, no data set on the disk.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmedteb
from cmedteb.errors import DataError, UsageError
from cmedteb.metrics import rank_run
from cmedteb.results import ResultStore
from cmedteb.results.receipts import write_table
from cmedteb.runner.compare import compare
from runner.support import Counting, reranking, retrieval, sts, write_overlay


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    """Three tasks for BM25 and hashing; then the data is deleted."""
    home = tmp_path_factory.mktemp("compare")
    tasks = [retrieval(home / "Set"), reranking(home / "Lists"), sts(home / "Pairs")]
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks, output=home / "out")
    for task in tasks:
        shutil.rmtree(task)
    return ResultStore(home / "out")


def scores(store: ResultStore, model: str, task: str, metric: str) -> Any:
    path = store.path(f"cmedteb/{model}", "1", task)
    result = store.read(path)
    judged = {
        query: {doc: int(grade) for doc, grade in row.items()}
        for query, row in store.judgement_table(result).items()
    }
    return rank_run(store.receipt_table(path, result), judged).values[metric]


def test_every_common_task_is_compared_without_data(store: ResultStore) -> None:
    found = compare(store, "bm25", "hashing")
    assert [(one.task, one.metric, one.units) for one in found] == [
        ("Lists", "map_at_10", 8),
        ("Pairs", "pearson", 16),
        ("Set", "ndcg_at_10", 12),
    ]


def test_means_are_the_stored_scores(store: ResultStore) -> None:
    for one in compare(store, "bm25", "hashing"):
        for model, mean in (("bm25", one.comparison.mean_a), ("hashing", one.comparison.mean_b)):
            stored = store.read(store.path(f"cmedteb/{model}", "1", one.task)).main_score
            assert mean == pytest.approx(stored, abs=1e-12)


@pytest.mark.parametrize("metric", ["ndcg_at_10", "recall_at_5", "mrr_at_10"])
def test_wins_ties_losses_and_signs(store: ResultStore, metric: str) -> None:
    ours, theirs = (scores(store, model, "Set", metric) for model in ("bm25", "hashing"))
    [one] = compare(store, "bm25", "hashing", tasks=("Set",), metric=metric)
    outcome = one.comparison
    assert outcome.difference == pytest.approx(np.mean(ours - theirs))
    counts = [(np.sign(np.round(ours - theirs, 12)) == sign).sum() for sign in (1, 0, -1)]
    assert [outcome.wins, outcome.ties, outcome.losses] == counts
    assert sum(counts) == 12
    assert outcome.interval.low <= outcome.difference <= outcome.interval.high
    assert 0 < outcome.p_permutation <= 1


def test_turned_round_only_the_signs_change(store: ResultStore) -> None:
    pairs = zip(compare(store, "bm25", "hashing"), compare(store, "hashing", "bm25"), strict=True)
    for there, back in pairs:
        a, b = there.comparison, back.comparison
        assert a.difference == pytest.approx(-b.difference)
        assert (a.wins, a.ties, a.losses) == (b.losses, b.ties, b.wins)
        assert a.interval.low == pytest.approx(-b.interval.high, abs=1e-9)
        assert a.p_permutation == pytest.approx(b.p_permutation)


def test_it_is_seeded(store: ResultStore) -> None:
    assert compare(store, "bm25", "hashing") == compare(store, "bm25", "hashing")


def test_a_model_against_itself_differs_in_nothing(store: ResultStore) -> None:
    for one in compare(store, "bm25", "bm25"):
        assert one.comparison.difference == 0
        assert one.comparison.p_permutation == 1
        assert (one.comparison.wins, one.comparison.losses) == (0, 0)


def test_a_clear_difference_is_found(tmp_path: Path) -> None:
    """The same encoder against one that reads no query: every query is won or tied."""

    class Blind(Counting):
        def encode_queries(self, texts: Any) -> Any:
            return super().encode_queries(["xyz"] * len(texts))

    data = retrieval(tmp_path / "Set", documents=40, queries=40)
    blind = Blind(replace(Counting().facts, name="test/blind"))
    for model in (Counting(), blind):
        cmedteb.evaluate(model, [data], output=tmp_path / "out")
    [one] = compare(ResultStore(tmp_path / "out"), "counting", "blind")
    assert one.comparison.p_permutation < 0.001
    assert one.comparison.interval.low > 0
    assert one.comparison.wins > 30


def test_one_query_has_no_interval(tmp_path: Path) -> None:
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, [retrieval(tmp_path / "Set", queries=1)], output=tmp_path / "out")
    [one] = compare(ResultStore(tmp_path / "out"), "bm25", "hashing")
    assert np.isnan(one.comparison.interval.low)
    assert one.comparison.p_permutation == 1


def test_pairs_have_no_ranking_score(store: ResultStore) -> None:
    with pytest.raises(UsageError, match="Pairs holds pairs, which are compared by pearson"):
        compare(store, "bm25", "hashing", tasks=("Pairs",), metric="ndcg_at_10")
    [one] = compare(store, "bm25", "hashing", tasks=("Pairs",), metric="pearson")
    assert one.metric == "pearson"


def test_a_missing_model_lists_what_is_there(store: ResultStore) -> None:
    with pytest.raises(UsageError, match=r"no results of 'bge'. It holds: cmedteb/bm25, cmed"):
        compare(store, "bm25", "bge")


def test_nothing_in_common_says_what_each_has(tmp_path: Path) -> None:
    cmedteb.evaluate("bm25", [retrieval(tmp_path / "Set")], output=tmp_path / "out")
    cmedteb.evaluate("hashing", [sts(tmp_path / "Pairs")], output=tmp_path / "out")
    with pytest.raises(UsageError, match=r"no results of the same .*bm25: Set; hashing: Pairs"):
        compare(ResultStore(tmp_path / "out"), "bm25", "hashing")


def test_several_revisions_must_be_told_apart(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    for revision in ("1", "2"):
        cmedteb.evaluate(Counting(replace(Counting().facts, revision=revision)), [data], output=out)
    with pytest.raises(UsageError, match=r"counting has several results of Set: .*@REVISION"):
        compare(ResultStore(out), "counting", "counting@2")
    [one] = compare(ResultStore(out), "counting@1", "counting@2")
    assert one.comparison.difference == 0


def test_a_metric_that_the_receipt_does_not_give_is_refused(store: ResultStore) -> None:
    with pytest.raises(UsageError, match=r"gives no 'recall_at_7'. It gives: .*recall_at_10"):
        compare(store, "bm25", "hashing", tasks=("Set",), metric="recall_at_7")


def edit_documents(data: Path) -> None:
    corpus = data / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + '{"_id": "new", "text": "abc abd"}\n')


def edit_judgements(data: Path) -> None:
    with (data / "qrels.tsv").open("a") as stream:
        stream.write("q:00\td:09\t1\n")


@pytest.mark.parametrize("edit", [edit_documents, edit_judgements, None])
def test_what_was_scored_on_other_data_is_not_compared(tmp_path: Path, edit: Any) -> None:
    """Other documents change a ranking as much as other judgements, or fewer queries, do."""
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    cmedteb.evaluate("bm25", [data], output=out)
    if edit is not None:
        edit(data)
    cmedteb.evaluate("hashing", [data], output=out, limit=None if edit else 5)
    with pytest.raises(UsageError, match="were scored on different data"):
        compare(ResultStore(out), "bm25", "hashing")


def test_other_judgements_are_compared_by_version(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1", "+\tq:01\td:07\t1"])
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, [data], output=out)
        cmedteb.evaluate(model, [data], output=out, judgements="v1", overlays=overlays)
    original, changed = (
        compare(ResultStore(out), "bm25", "hashing", judgements=version)[0].comparison
        for version in ("original", "v1")
    )
    assert original.mean_a != changed.mean_a
    with pytest.raises(UsageError, match="under 'v2' judgements"):
        compare(ResultStore(out), "bm25", "hashing", judgements="v2")


def test_a_changed_receipt_is_not_compared(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, [data], output=out)
    write_table(out / "cmedteb__bm25" / "1" / "receipts" / "Set.tsv.gz", ["q:00\td:00:1"])
    with pytest.raises(DataError, match="Run Set for cmedteb/bm25 again"):
        compare(ResultStore(out), "bm25", "hashing")
