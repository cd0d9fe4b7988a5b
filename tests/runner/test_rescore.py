"""New scores from old receipts equal a fresh run. Run: pytest tests/runner/test_rescore.py.

The fresh run and the rescored result are made in different results folders and compared in every
number, the interval and the fingerprint. Degenerate inputs: an overlay that changes nothing, one
that leaves a query without a relevant document, a document that is not in the corpus, a receipt
that is missing, judgements of other data.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import cmedteb
from cmedteb.annotations import read_overlay
from cmedteb.errors import DataError
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.files import read_gzip
from cmedteb.results.receipts import write_table
from cmedteb.runner.rescore import Rescored, cutoffs, recompute, rescore
from runner.support import Counting, reranking, retrieval, sts, write_overlay

SAME = ("scores", "interval", "fingerprint", "fingerprint_of", "judgements", "units", "partial")
OVERLAYS = {
    "more and less": [
        "+\tq:00\td:05\t1",
        "+\tq:01\td:02\t3",
        "-\tq:02\td:02\t0",
        "-\tq:03\td:03\t1",
    ],
    "a header line": ["op\tqid\tdocid\tgrade\tjudges", "+\tq:00\td:05\t1\t1,1,0"],
    "nothing": ["op\tqid\tdocid\tgrade"],
    "grades changed": ["+\tq:04\td:04\t3", "+\tq:05\td:05\t0"],
    "a query left without": ["-\tq:06\td:06\t0", f"-\tq:06\td:{45 % 24:02d}\t0"],
    "not in the corpus": ["+\tq:00\tgone:1\t2"],
}


def rescored(out: Path, overlays: Path, task: str = "Set") -> Rescored:
    """Rescore the one original result of a folder under v1."""
    store = ResultStore(out)
    [(path, result)] = [
        (path, result)
        for path, result in store.results()
        if (result.task_name, result.judgements.version) == (task, "original")
    ]
    return rescore(store, path, result, read_overlay(task, "v1", overlays))


def fresh(model: Any, data: Path, out: Path, overlays: Path, **options: Any) -> TaskResult:
    [result] = cmedteb.evaluate(
        model, [data], output=out, judgements="v1", overlays=overlays, **options
    )
    return result


def facts(result: TaskResult) -> dict[str, Any]:
    document = result.model_dump(mode="json")
    return {key: document[key] for key in SAME} | {"sha": result.receipts.sha256}


@pytest.mark.parametrize("lines", OVERLAYS.values(), ids=OVERLAYS.keys())
@pytest.mark.parametrize("model", ["hashing", "bm25"])
def test_rescore_equals_a_fresh_run(tmp_path: Path, lines: Sequence[str], model: str) -> None:
    data = retrieval(tmp_path / "Set")
    overlays = write_overlay(tmp_path / "overlays", "Set", lines)
    cmedteb.evaluate(model, [data], output=tmp_path / "old")
    shutil.rmtree(data / ".." / "Set")
    done = rescored(tmp_path / "old", overlays)
    data = retrieval(tmp_path / "Set")
    assert facts(done.after) == facts(fresh(model, data, tmp_path / "new", overlays))
    moved = lines not in (OVERLAYS["nothing"],)
    assert (done.after.fingerprint != done.before.fingerprint) == moved


@pytest.mark.parametrize(
    ("documents", "options"),
    [(24, {}), (24, {"depth": 10}), (130, {}), (130, {"depth": 30}), (24, {"limit": 5})],
)
def test_rescore_equals_a_fresh_run_at_any_depth_and_limit(
    tmp_path: Path, documents: int, options: dict[str, Any]
) -> None:
    data = retrieval(tmp_path / "Set", documents=documents)
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["more and less"])
    cmedteb.evaluate("hashing", [data], output=tmp_path / "old", **options)
    done = rescored(tmp_path / "old", overlays)
    new = fresh("hashing", data, tmp_path / "new", overlays, **options)
    assert facts(done.after) == facts(new)
    assert done.after.main_score != done.before.main_score


def test_a_deeper_run_is_rescored_as_deep_as_its_receipt(tmp_path: Path) -> None:
    """Receipts end at 100: scores at 1000 and the depth in the fingerprint say so."""
    data = retrieval(tmp_path / "Set", documents=130)
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["more and less"])
    cmedteb.evaluate("hashing", [data], output=tmp_path / "old", depth=120)
    done = rescored(tmp_path / "old", overlays)
    assert facts(done.after) == facts(fresh("hashing", data, tmp_path / "new", overlays))
    assert done.after.depth == 100


def test_reranking_is_rescored(tmp_path: Path) -> None:
    """Ids of a rows file are made from the texts; they stand in the receipt."""
    data = reranking(tmp_path / "Lists")
    cmedteb.evaluate("hashing", [data], output=tmp_path / "old")
    store = ResultStore(tmp_path / "old")
    [(path, result)] = store.results()
    query, row = next(iter(store.receipt_table(path, result).items()))
    last = list(row)[-1]
    overlays = write_overlay(tmp_path / "overlays", "Lists", [f"+\t{query}\t{last}\t2"])
    done = rescored(tmp_path / "old", overlays, "Lists")
    assert facts(done.after) == facts(fresh("hashing", data, tmp_path / "new", overlays))
    assert done.after.main_score != done.before.main_score


def test_a_rescored_result_stands_for_a_fresh_run(tmp_path: Path) -> None:
    """No model works when the same judgements are asked of `run` afterwards."""
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["more and less"])
    cmedteb.evaluate(Counting(), [data], output=out)
    done = rescored(out, overlays)
    model = Counting()
    assert fresh(model, data, out, overlays) == done.after
    assert model.calls == 0
    assert done.path == out / "test__counting" / "1" / "v1" / "Set.json"


def test_rescoring_touches_neither_the_old_result_nor_the_receipt(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["more and less"])
    cmedteb.evaluate("hashing", [data], output=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = rescored(out, overlays)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert done.after.receipts.path == "../receipts/Set.tsv.gz"
    assert done.after.receipts.sha256 == done.before.receipts.sha256
    assert (done.after.texts_encoded, done.after.date >= done.before.date) == (0, True)
    assert [phase.name for phase in done.after.evaluation_phases] == ["score"]


def test_rescoring_twice_gives_the_same(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["more and less"])
    cmedteb.evaluate("hashing", [data], output=out)
    assert facts(rescored(out, overlays).after) == facts(rescored(out, overlays).after)


def test_the_parent_of_an_overlay_is_checked(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    [result] = cmedteb.evaluate("hashing", [data], output=out)
    lines = OVERLAYS["more and less"]
    right = {"parent": result.judgements.sha256}
    overlays = write_overlay(tmp_path / "overlays", "Set", lines, header=right)
    assert rescored(out, overlays).after.judgements.version == "v1"
    wrong = {"parent": "f" * 64}
    overlays = write_overlay(tmp_path / "overlays", "Set", lines, header=wrong)
    with pytest.raises(DataError, match=r"made for others than .*Set\.json .*ffffffffffff"):
        rescored(out, overlays)


def test_an_unknown_query_is_named(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    cmedteb.evaluate("hashing", [data], output=out)
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:99\td:01\t1"])
    with pytest.raises(DataError, match=r"name 1 queries that the task does not have .*'q:99'"):
        rescored(out, overlays)
    with pytest.raises(DataError, match="'q:99'"):
        fresh("hashing", data, tmp_path / "new", overlays)


def test_without_its_receipt_nothing_is_rescored(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    cmedteb.evaluate("hashing", [data], output=out)
    overlays = write_overlay(tmp_path / "overlays", "Set", OVERLAYS["nothing"])
    (out / "cmedteb__hashing" / "1" / "receipts" / "Set.tsv.gz").unlink()
    with pytest.raises(DataError, match=r"is missing or was changed since. Run Set"):
        rescored(out, overlays)
    assert not (out / "cmedteb__hashing" / "1" / "v1").exists()


@pytest.mark.parametrize("make", [retrieval, reranking, sts])
@pytest.mark.parametrize("model", ["hashing", "bm25"])
def test_recomputing_gives_the_stored_scores(tmp_path: Path, make: Any, model: str) -> None:
    """What `rescore --judgements original` does, for all three kinds of task."""
    [result] = cmedteb.evaluate(model, [make(tmp_path / "Set")], output=tmp_path / "out")
    shutil.rmtree(tmp_path / "Set")
    store = ResultStore(tmp_path / "out")
    [(path, stored)] = store.results()
    after = recompute(store, path, stored)
    assert {**after.scores, "main_score": after.main_score} == result.values
    assert after.interval[:2] == (result.interval.low, result.interval.high)
    assert after.units == result.units


def test_recomputing_a_deep_run_gives_what_the_receipt_holds(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set", documents=130)
    [result] = cmedteb.evaluate("hashing", [data], output=tmp_path / "out", depth=130)
    store = ResultStore(tmp_path / "out")
    [(path, stored)] = store.results()
    after = recompute(store, path, stored)
    assert max(cutoffs(stored)) == 100
    assert after.scores.items() <= result.values.items()
    assert "recall_at_1000" in result.values.keys() - after.scores.keys()


def test_pairs_that_are_not_those_judged_are_refused(tmp_path: Path) -> None:
    cmedteb.evaluate("hashing", [sts(tmp_path / "Pairs")], output=tmp_path / "out")
    store = ResultStore(tmp_path / "out")
    [(path, result)] = store.results()
    receipt = path.parent / result.receipts.path
    digest = write_table(receipt, read_gzip(receipt)[:-1])
    receipts = result.receipts.model_copy(update={"sha256": digest})
    with pytest.raises(DataError, match="does not hold the pairs that are judged"):
        recompute(store, path, result.model_copy(update={"receipts": receipts}))
