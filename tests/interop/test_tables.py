"""CSV, LaTeX and TREC exports. Run: pytest tests/interop/test_tables.py.

Degenerate inputs: names with LaTeX's special characters, a missing cell, several revisions, a
limited run, one query (no interval), an id with a space.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from runner.support import Counting, reranking, retrieval, sts

import cmedteb
from cmedteb.errors import DataError
from cmedteb.interop.tables import COLUMNS, as_csv, as_latex, write_trec
from cmedteb.metrics import rank_run, read_qrels, read_run
from cmedteb.results import ResultStore
from cmedteb.results.select import Stored, select


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on three tasks."""
    home = tmp_path_factory.mktemp("tables")
    tasks = [retrieval(home / "Set_1"), reranking(home / "Lists"), sts(home / "Pairs")]
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks, output=home / "out")
    return home


@pytest.fixture
def stored(home: Path) -> list[Stored]:
    return select(ResultStore(home / "out"))


def test_csv_holds_every_score(stored: list[Stored]) -> None:
    text = as_csv(stored)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == ",".join(COLUMNS)
    read = {(row["model"], row["task"], row["score_name"]): float(row["score"]) for row in rows}
    expected = {
        (one.result.model.name, one.result.task_name, name): value
        for one in stored
        for name, value in one.result.values.items()
        if name != "main_score"
    }
    assert read == expected, "all scores, with all their digits"


def test_csv_marks_main_scores_with_their_interval(stored: list[Stored]) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(stored))))
    main = [row for row in rows if row["main"] == "1"]
    assert len(main) == len(stored) == 6
    by_name = {(one.result.model.name, one.result.task_name): one.result for one in stored}
    for row in main:
        result = by_name[row["model"], row["task"]]
        assert row["score_name"] == result.main_score_name
        low, high = result.interval.low, result.interval.high
        assert (float(row["interval_low"]), float(row["interval_high"])) == (low, high)
        assert (int(row["queries"]), row["partial"], row["split"]) == (result.units, "0", "test")
    assert {row["interval_low"] for row in rows if row["main"] == "0"} == {""}


def test_csv_of_one_query_has_an_empty_interval(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set", queries=1)
    cmedteb.evaluate("bm25", [data], output=tmp_path / "out")
    rows = csv.DictReader(io.StringIO(as_csv(select(ResultStore(tmp_path / "out")))))
    [main] = [row for row in rows if row["main"] == "1"]
    assert (main["interval_low"], main["interval_high"]) == ("", "")


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a LaTeX table by their first cell."""
    lines = [line.removesuffix(r" \\") for line in table.splitlines() if line.endswith(r"\\")]
    return {line.split(" & ")[0]: line.split(" & ")[1:] for line in lines}


def test_latex(stored: list[Stored]) -> None:
    table = as_latex(stored)
    assert table.splitlines()[0] == r"\begin{tabular}{lrrr}"
    assert table.splitlines()[-1] == r"\end{tabular}"
    rows = cells(table)
    assert rows["Model"] == ["Lists", "Pairs", r"Set\_1"]
    for number, task in enumerate(("Lists", "Pairs", "Set_1")):
        scores = {
            one.result.model.name: one.result.main_score
            for one in stored
            if one.result.task_name == task
        }
        for model, score in scores.items():
            best = round(score, 4) == round(max(scores.values()), 4)
            text = f"{100 * score:.2f}"
            assert rows[model][number] == (rf"\textbf{{{text}}}" if best else text)


def test_latex_escapes_and_leaves_gaps(tmp_path: Path) -> None:
    data, pairs = retrieval(tmp_path / "A_1"), sts(tmp_path / "B")
    cmedteb.evaluate(Counting(), [data, pairs], output=tmp_path / "out")
    odd = Counting(replace(Counting().facts, name="a&b/100%_#$~^{}\\"))
    cmedteb.evaluate(odd, [data], output=tmp_path / "out")
    rows = cells(as_latex(select(ResultStore(tmp_path / "out"))))
    name = r"a\&b/100\%\_\#\$\textasciitilde{}\textasciicircum{}\{\}\textbackslash{}"
    assert rows.keys() == {"Model", "test/counting", name}
    assert rows[name][1] == "--"


def test_latex_tells_revisions_apart(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set")
    for revision, prefix in (("1", ""), ("2", "zz zz ")):
        model = Counting(replace(Counting().facts, revision=revision), prefix=prefix)
        cmedteb.evaluate(model, [data], output=tmp_path / "out")
    stored = select(ResultStore(tmp_path / "out"))
    rows = cells(as_latex(stored))
    assert list(rows) == ["Model", "test/counting@1", "test/counting@2"]
    assert sum("textbf" in row[0] for row in rows.values()) == 1


def test_latex_marks_limited_runs_and_never_calls_them_best(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set")
    cmedteb.evaluate(Counting(prefix="zz zz "), [data], output=tmp_path / "out")
    part = Counting(replace(Counting().facts, name="test/part"))
    [result] = cmedteb.evaluate(part, [data], output=tmp_path / "out", limit=3)
    rows = cells(as_latex(select(ResultStore(tmp_path / "out"))))
    assert rows["test/part"] == [f"{100 * result.main_score:.2f}*"]
    assert rows["test/counting"][0].startswith(r"\textbf")
    alone = select(ResultStore(tmp_path / "out"), models=["part"])
    assert "textbf" not in as_latex(alone)


def test_trec_runs_score_as_stored(home: Path, tmp_path: Path) -> None:
    """Scoring the written run by the set's own judgements gives the stored scores."""
    store = ResultStore(home / "out")
    written = write_trec(store, select(store), tmp_path / "runs")
    assert [path.name for path in written] == [
        "cmedteb__bm25@1.Lists.run",
        "cmedteb__bm25@1.Set_1.run",
        "cmedteb__hashing@1.Lists.run",
        "cmedteb__hashing@1.Set_1.run",
    ], "no run of pairs"
    judged = read_qrels(home / "Set_1" / "qrels.tsv")
    for model, path in (("bm25", written[1]), ("hashing", written[3])):
        result = store.read(store.path(f"cmedteb/{model}", "1", "Set_1"))
        means = rank_run(read_run(path), judged).mean()
        assert {name: result.values[name] for name in means} == pytest.approx(means, abs=1e-12)
        assert path.read_text().split("\n")[0].split()[5] == f"cmedteb__{model}"


def test_trec_refuses_an_id_that_it_cannot_hold(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set")
    corpus = data / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + json.dumps({"_id": "d 99", "text": "abc abd"}) + "\n")
    cmedteb.evaluate("hashing", [data], output=tmp_path / "out")
    store = ResultStore(tmp_path / "out")
    with pytest.raises(DataError, match="'d 99' is empty or has white space"):
        write_trec(store, select(store), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_trec_refuses_a_changed_receipt(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "out", tmp_path / "out")
    store = ResultStore(tmp_path / "out")
    store.receipt("cmedteb/bm25", "1", "Lists").write_bytes(b"")
    with pytest.raises(DataError, match="missing or was changed"):
        write_trec(store, select(store), tmp_path / "runs")
