"""`cmedteb rescore`. Run: pytest tests/cli/test_rescore.py.

Verification of stored scores (exit code 3 for one that was tampered with), other judgements, and
what is left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from runner.support import contents, write_overlay

import cmedteb
from cli.conftest import Cli
from cmedteb.results.files import read_json, write_json
from cmedteb.results.receipts import write_table


@pytest.fixture(scope="session")
def made(tasks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rescore")
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks, output=out)
    return out


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of two models' results on three tasks; no data set is near."""
    return Path(shutil.copytree(made, tmp_path / "results"))


@pytest.fixture
def overlays(tmp_path: Path) -> Path:
    return write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t2", "-\tq:01\td:01\t0"])


def test_untouched_scores_hold(cli: Cli, results: Path) -> None:
    before = contents(results)
    ended = cli("rescore", "--judgements", "original", "--results", results, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert [row["holds"] for row in ended.document] == [True] * 6
    for row in ended.document:
        assert row["after"] == pytest.approx(row["before"], abs=1e-12)
    assert contents(results) == before, "it only looks"


def entry(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["scores"]["test"][0]
    return found


def set_score(name: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        entry(document)[name] += 0.001

    return change


def remove_score(document: dict[str, Any]) -> None:
    del entry(document)["ndcg_at_3"]


def narrow_interval(document: dict[str, Any]) -> None:
    document["interval"]["low"] += 0.01


@pytest.mark.parametrize(
    "change",
    [
        set_score("main_score"),
        set_score("ndcg_at_10"),
        set_score("recall_at_100"),
        remove_score,
        narrow_interval,
    ],
)
def test_a_tampered_number_ends_with_3(
    cli: Cli, results: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """The main score that a board would show, any other score, and the interval."""
    path = results / "cmedteb__hashing" / "1" / "Set.json"
    document = read_json(path)
    change(document)
    write_json(path, document)
    ended = cli("rescore", "--judgements", "original", "--results", results, "--json")
    assert ended.code == 3
    assert [row["path"] for row in ended.document if not row["holds"]] == [str(path)]
    assert f"cmedteb: 1 stored scores differ from their receipts: {path}" in ended.err


def test_a_tampered_receipt_or_judgement_ends_with_1(cli: Cli, results: Path) -> None:
    command = ("rescore", "--judgements", "original", "--results", results)
    receipt = results / "cmedteb__hashing" / "1" / "receipts" / "Set.tsv.gz"
    content = receipt.read_bytes()
    write_table(receipt, ["q:00\td:00:1"])
    ended = cli(*command)
    assert ended.code == 1
    assert "missing or was changed since" in ended.err
    receipt.write_bytes(content)
    assert cli(*command).code == 0
    judged = next((results / "judgements").glob("Set.*"))
    write_table(judged, ["q:00\td:00:1"])
    ended = cli(*command)
    assert ended.code == 1
    assert "was changed since it was written" in ended.err


def test_other_judgements_lie_beside_the_old(cli: Cli, results: Path, overlays: Path) -> None:
    before = contents(results)
    ended = cli(
        *("rescore", "--judgements", "v1", "--overlays", overlays, "--results", results),
        *("-t", "Set", "--json"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert [row["model"] for row in ended.document] == ["cmedteb/bm25", "cmedteb/hashing"]
    for row in ended.document:
        assert row["before"] != row["after"]
        stored = read_json(Path(row["path"]))
        assert Path(row["path"]).parent.name == "v1"
        assert stored["judgements"]["version"] == "v1"
        assert entry(stored)["main_score"] == row["after"]
    assert before.items() <= contents(results).items()


def test_tasks_without_that_version_are_left_out_with_a_word(
    cli: Cli, results: Path, overlays: Path
) -> None:
    """Only some tasks of a benchmark have an overlay; pairs never have one."""
    ended = cli("rescore", "--judgements", "v1", "--overlays", overlays, "--results", results)
    assert ended.code == 0
    assert "left out: there are no judgements 'v1' of Lists" in ended.err
    assert "Pairs.json: pairs have original judgements only; left out" in ended.err
    assert ended.out.count("Set") == 2


@pytest.mark.parametrize(
    "arguments", [["--judgements", "v7"], ["--judgements", "v1", "-t", "Lists"]]
)
def test_a_version_that_nothing_has_is_an_error(
    cli: Cli, results: Path, overlays: Path, arguments: list[str]
) -> None:
    ended = cli("rescore", *arguments, "--overlays", overlays, "--results", results)
    assert ended.code == 2
    assert "There are: original" in ended.err


def test_an_overlay_for_other_judgements_is_refused(
    cli: Cli, results: Path, tmp_path: Path
) -> None:
    overlays = write_overlay(
        tmp_path / "wrong", "Set", ["+\tq:00\td:05\t1"], header={"parent": "e" * 64}
    )
    ended = cli("rescore", "--judgements", "v1", "--overlays", overlays, "--results", results)
    assert ended.code == 1
    assert "made for others" in ended.err


def test_no_results_say_how_to_make_some(cli: Cli, tmp_path: Path) -> None:
    ended = cli("rescore", "--judgements", "original", "--results", tmp_path / "none")
    assert ended.code == 2
    assert "`cmedteb run` makes some" in ended.err


def test_the_table_fits(cli: Cli, results: Path, overlays: Path) -> None:
    command = ("rescore", "--judgements", "v1", "--overlays", overlays, "--results", results)
    ended = cli(*command, "-t", "Set", "-m", "bm25")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    [row] = cli(*command, "-t", "Set", "-m", "bm25", "--json").document
    for text in (f"{100 * row['before']:.2f}", f"{100 * row['after']:.2f}"):
        assert text in ended.out
    assert f"{100 * (row['after'] - row['before']):+.2f}" in ended.out
