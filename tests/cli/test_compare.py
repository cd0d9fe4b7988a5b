"""`cmedteb compare`. Run: pytest tests/cli/test_compare.py. No data set is near when it runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.cells import cell_len
from runner.support import reranking, retrieval, sts

import cmedteb
from cli.conftest import Cli

KEYS = {"task", "metric", "queries", "a", "b", "difference", "interval", "level", "p"} | {
    "wins",
    "ties",
    "losses",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("compare")
    folders = [retrieval(home / "Set"), reranking(home / "Lists"), sts(home / "Pairs")]
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, folders, output=home / "out")
    for folder in folders:
        shutil.rmtree(folder)
    return home / "out"


def test_json(cli: Cli, results: Path) -> None:
    ended = cli("compare", "bm25", "hashing", "--results", results, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.document
    assert set(document) == {"a", "b", "tasks"}
    assert [one["task"] for one in document["tasks"]] == ["Lists", "Pairs", "Set"]
    for one in document["tasks"]:
        assert set(one) == KEYS
        low, high = one["interval"]
        assert low <= one["difference"] <= high
        assert one["difference"] == pytest.approx(one["a"] - one["b"])
        assert 0 < one["p"] <= 1
        assert one["wins"] + one["ties"] + one["losses"] == one["queries"]
        assert one["level"] == 0.95


def test_the_table_says_the_same_in_80_columns(cli: Cli, results: Path) -> None:
    document = cli("compare", "bm25", "hashing", "--results", results, "--json").document
    ended = cli("compare", "bm25", "hashing", "--results", results)
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    for one in document["tasks"]:
        row = next(line for line in ended.out.splitlines() if line.split()[:1] == [one["task"]])
        assert f"{100 * one['difference']:+.2f}" in row
        assert f"{one['wins']}/{one['ties']}/{one['losses']}" in row
        assert f"{one['p']:.4f}" in row


def test_one_query_has_no_interval(cli: Cli, tmp_path: Path) -> None:
    data = retrieval(tmp_path / "Set", queries=1)
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, [data], output=tmp_path / "out")
    command = ("compare", "bm25", "hashing", "--results", tmp_path / "out")
    assert cli(*command, "--json").document["tasks"][0]["interval"] is None
    assert " - " in cli(*command).out


def test_metric_and_task(cli: Cli, results: Path) -> None:
    command = ("compare", "bm25", "hashing", "--results", results, "-t", "Set")
    [one] = cli(*command, "--metric", "recall_at_5", "--json").document["tasks"]
    assert (one["task"], one["metric"]) == ("Set", "recall_at_5")
    ended = cli(*command, "--metric", "f1")
    assert ended.code == 2
    assert "It gives: " in ended.err


@pytest.mark.parametrize("names", [("bm25", "bge"), ("bge", "bm25"), ("bm25@7", "hashing")])
def test_a_missing_model_lists_what_there_is(
    cli: Cli, results: Path, names: tuple[str, str]
) -> None:
    ended = cli("compare", *names, "--results", results)
    assert ended.code == 2
    assert "It holds: cmedteb/bm25, cmedteb/hashing" in ended.err
