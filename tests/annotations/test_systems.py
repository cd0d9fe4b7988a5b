"""What systems returned: receipts, TREC runs and models on the spot, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import corpus, qrels, queries, ranking

from cmedteb.annotations.config import System
from cmedteb.annotations.pool import build_pool
from cmedteb.annotations.retrieve import DEFAULT_MODELS, retrieve
from cmedteb.annotations.systems import from_table, read_receipts, read_trec
from cmedteb.api import evaluate
from cmedteb.data import Access, Hub
from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models import find_card
from cmedteb.results import ResultStore
from cmedteb.runner import RunOptions
from cmedteb.tasks import catalogue, resolve
from cmedteb.types import RankingData

OFFLINE = Access(None, Hub.HF, offline=True)
(SMOKE,) = resolve(["SmokeRetrieval"], catalogue())


def smoke() -> RankingData:
    data = SMOKE.load(OFFLINE)
    assert isinstance(data, RankingData)
    return data


DATA = smoke()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two models on the smoke task."""
    folder = tmp_path_factory.mktemp("results")
    for model in ("bm25", "hashing"):
        evaluate(model, tasks=["SmokeRetrieval"], output=folder, offline=True)
    return folder


def test_receipts_by_name_and_in_order(results: Path) -> None:
    first, second = read_receipts(DATA, results, task="SmokeRetrieval", depth=50)
    assert [first.system.name, second.system.name] == sorted(
        [first.system.name, second.system.name]
    )
    assert first.system.kind == "receipt"
    assert first.system.base is None
    ((path, result),) = [
        pair for pair in ResultStore(results).results() if pair[1].model.name == first.system.name
    ]
    table = ResultStore(results).receipt_table(path, result)
    names = DATA.corpus.ids.to_pylist()
    query = DATA.queries.ids[3].as_py()
    span = slice(int(first.offsets[3]), int(first.offsets[4]))
    assert [names[row] for row in first.docs[span].tolist()] == list(table[query])
    assert first.system.sha256 == result.receipts.sha256


def test_one_model_only(results: Path) -> None:
    (one,) = read_receipts(DATA, results, task="SmokeRetrieval", models=["bm25"], depth=10)
    assert one.system.name.rpartition("/")[2] == "bm25"


def test_receipts_that_cannot_be_pooled(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results of SmokeReranking"):
        read_receipts(DATA, results, task="SmokeReranking", depth=50)
    with pytest.raises(UsageError, match="holds 100 documents a query"):
        read_receipts(DATA, results, task="SmokeRetrieval", depth=101)
    evaluate("bm25", tasks=["SmokeRetrieval"], output=tmp_path, limit=5, offline=True)
    with pytest.raises(UsageError, match="first 5 queries only"):
        read_receipts(DATA, tmp_path, task="SmokeRetrieval", depth=50)
    other = ranking(DATA.corpus, DATA.queries, DATA.qrels)
    with pytest.raises(DataError, match="made from other data"):
        read_receipts(other, results, task="SmokeRetrieval", depth=50)


SMALL = ranking(corpus(["a", "b", "c"]), queries(["x", "y"]), qrels([{0: 1}, {1: 1}]))


def trec(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line} t\n" for line in lines))
    return path


def test_a_trec_run_in_trec_evals_order(tmp_path: Path) -> None:
    path = trec(
        tmp_path / "lexical.run",
        "q000 Q0 d000 1 1.0",
        "q000 Q0 d002 2 3.0",
        "q000 Q0 d001 3 1.0",
    )
    first, second = read_trec(SMALL, [str(path), f"other={path}"])
    assert [first.system.name, second.system.name] == ["lexical", "other"]
    assert first.docs.tolist() == [2, 1, 0]
    assert first.offsets.tolist() == [0, 3, 3]
    with pytest.raises(UsageError, match="two runs are called 'lexical'"):
        read_trec(SMALL, [str(path), str(path)])


def test_ids_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 queries that the data set does not have.*'q999'"):
        read_trec(SMALL, [str(trec(tmp_path / "a", "q999 Q0 d000 1 1.0"))])
    with pytest.raises(DataError, match="'d999', which is not in the corpus"):
        read_trec(SMALL, [str(trec(tmp_path / "b", "q000 Q0 d999 1 1.0"))])


def test_a_run_and_a_receipt_of_the_same_ranking_pool_equally(
    results: Path, tmp_path: Path
) -> None:
    from cmedteb.metrics import write_run

    (receipt,) = read_receipts(DATA, results, task="SmokeRetrieval", models=["hashing"], depth=20)
    ((path, result),) = [
        pair for pair in ResultStore(results).results() if pair[1].model.name == receipt.system.name
    ]
    table = ResultStore(results).receipt_table(path, result)
    write_run(tmp_path / "a.run.gz", table.items())
    (run,) = read_trec(DATA, [f"{receipt.system.name}={tmp_path / 'a.run.gz'}"])
    assert build_pool(DATA, [run], depth=20) == build_pool(DATA, [receipt], depth=20)


def test_models_named_on_the_spot(results: Path) -> None:
    options = RunOptions(output=results, access=OFFLINE)
    made = retrieve(SMOKE, DATA, options, models=["hashing", "bm25"], depth=30)
    (one,) = read_receipts(DATA, results, task="SmokeRetrieval", models=["bm25"], depth=30)
    (same,) = [entry for entry in made if entry.system.name == one.system.name]
    assert same.system.kind == "model"
    assert same.docs.tolist() == one.docs.tolist()
    assert len(made) == 2
    with pytest.raises(UsageError, match="receipts hold 100 documents"):
        retrieve(SMOKE, DATA, options, models=["bm25"], depth=101)


def test_the_default_models_have_cards() -> None:
    assert all(find_card(model) is not None for model in DEFAULT_MODELS)


def test_weights_that_cannot_be_had_name_what_can_be_pooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CMEDTEB_CACHE", str(tmp_path / "cache"))
    options = RunOptions(output=tmp_path / "results", access=OFFLINE)
    with pytest.raises(NotAvailableError, match=r"-m bm25 -m hashing.*--runs FILE"):
        retrieve(SMOKE, DATA, options, models=["bge-small-zh-v1.5"], depth=10)


def test_scores_are_compared_as_float32() -> None:
    table = {"q000": {"d000": 1.0, "d001": 1.0 + 1e-9}}
    made = from_table(SMALL, table, System(name="a", kind="trec", sha256="0"), where="a")
    assert made.docs.tolist() == [1, 0]
