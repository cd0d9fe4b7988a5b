"""mteb reads our results and runs our tasks. Run: pytest tests/interop/test_mteb.py.

Skipped where mteb is not installed; what is written is also checked without it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from runner.support import reranking, retrieval, sts, write_overlay

import cmedteb
from cmedteb.data import Access
from cmedteb.errors import MissingExtraError
from cmedteb.interop.mteb import KEYS, as_task, export
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.files import read_json
from cmedteb.results.select import select
from cmedteb.tasks import from_folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on three tasks; one of them also under other judgements; one limited run."""
    home = tmp_path_factory.mktemp("mteb")
    tasks = [retrieval(home / "Set"), reranking(home / "Lists"), sts(home / "Pairs")]
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks, output=home / "out")
    overlays = write_overlay(home / "overlays", "Set", ["+\tq:00\td:05\t1"])
    options = {"judgements": "v1", "overlays": overlays}
    cmedteb.evaluate("bm25", [tasks[0]], output=home / "out", **options)
    cmedteb.evaluate("bm25", [retrieval(home / "Part")], output=home / "out", limit=3)
    return home


def results(home: Path) -> dict[tuple[str, str], TaskResult]:
    """Whole results under the original judgements, by model and task."""
    stored = select(ResultStore(home / "out"))
    return {
        (one.result.model.name, one.result.task_name): one.result
        for one in stored
        if not one.result.partial
    }


def test_the_export_is_mteb_s_cache_without_what_mteb_has_no_word_for(
    home: Path, tmp_path: Path
) -> None:
    written = export(select(ResultStore(home / "out"), judgements=None), tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json"))
    expected = [
        f"results/cmedteb__{model}/1/{name}.json"
        for model in ("bm25", "hashing")
        for name in ("Lists", "Pairs", "Set", "model_meta")
    ]
    assert names == sorted(expected)
    assert len(written) == 6
    document = read_json(tmp_path / "results/cmedteb__bm25/1/Set.json")
    assert set(document) == set(KEYS)
    assert document["scores"] == results(home)["cmedteb/bm25", "Set"].scores
    meta = read_json(tmp_path / "results/cmedteb__hashing/1/model_meta.json")
    assert (meta["name"], meta["revision"], meta["embed_dim"]) == ("cmedteb/hashing", "1", 1024)
    assert meta["similarity_fn_name"] == "cosine"


def test_mteb_s_loader_reads_our_files_as_they_lie(home: Path) -> None:
    mteb_results = pytest.importorskip("mteb.results", reason="mteb is not installed")
    store = ResultStore(home / "out")
    for path, ours in store.results():
        theirs = mteb_results.TaskResult.from_disk(path)
        assert theirs.task_name == ours.task_name
        assert theirs.dataset_revision == ours.dataset_revision
        assert theirs.evaluation_time == ours.evaluation_time
        [entry] = theirs.scores["test"]
        read = {key: value for key, value in entry.items() if isinstance(value, float)}
        assert read == ours.values
        assert theirs.get_score() == ours.main_score


def test_mteb_s_cache_loads_the_export(home: Path, tmp_path: Path) -> None:
    mteb = pytest.importorskip("mteb", reason="mteb is not installed")
    export(select(ResultStore(home / "out")), tmp_path)
    loaded = mteb.ResultCache(str(tmp_path)).load_results()
    read = {
        (model.model_name, task.task_name): task.get_score()
        for model in loaded.model_results
        for task in model.task_results
    }
    assert read == {key: result.main_score for key, result in results(home).items()}
    assert {model.model_revision for model in loaded.model_results} == {"1"}


def _scored_by_mteb(mteb: Any, folder: Path, cache: Path) -> dict[str, Any]:
    """Scores of mteb's own evaluation of our task with our hashing encoder."""
    from mteb.models.abs_encoder import AbsEncoder

    from cmedteb.models.hashing import Hashing

    class Wrapped(AbsEncoder):
        mteb_model_meta = mteb.get_model_meta("mteb/baseline-random-encoder")

        def encode(self, inputs: Any, **_: Any) -> Any:
            texts = [text for batch in inputs for text in batch["text"]]
            return Hashing().encode_documents(texts)

    task = from_folder(folder)
    converted = as_task(task.card, task.load(Access()))
    outcome = mteb.evaluate(
        Wrapped(), converted, cache=mteb.ResultCache(cache), show_progress_bar=False
    )
    return dict(outcome.task_results[0].scores["test"][0])


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (retrieval, ("ndcg_at_10", "map_at_100", "recall_at_5", "precision_at_3", "mrr_at_10")),
        (reranking, ("map_at_10", "ndcg_at_3", "mrr_at_5")),
        (sts, ("cosine_pearson", "cosine_spearman", "euclidean_pearson", "manhattan_spearman")),
    ],
)
def test_mteb_s_own_evaluation_gives_our_scores(
    tmp_path: Path, make: Any, keys: tuple[str, ...]
) -> None:
    mteb = pytest.importorskip("mteb", reason="mteb is not installed")
    pytest.importorskip("torch", reason="mteb's evaluation needs torch")
    folder = make(tmp_path / "Set")
    theirs = _scored_by_mteb(mteb, folder, tmp_path / "cache")
    [ours] = cmedteb.evaluate("hashing", [folder], depth=1000)
    assert set(keys) <= set(ours.values)
    for key in keys:
        assert theirs[key] == pytest.approx(ours.values[key], abs=1e-5), key


def test_exporting_results_does_not_need_mteb(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    monkeypatch.setitem(sys.modules, "mteb.abstasks", None)
    assert len(export(select(ResultStore(home / "out")), tmp_path)) == 6
    json.loads((tmp_path / "results/cmedteb__bm25/1/Set.json").read_text())
    task = from_folder(home / "Set")
    with pytest.raises(MissingExtraError, match=r"pip install 'cmedteb\[mteb\]'"):
        as_task(task.card, task.load(Access()))
