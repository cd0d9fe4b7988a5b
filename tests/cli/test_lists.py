"""`cmedteb tasks`, `cmedteb models` and `cmedteb fetch`. Run: pytest tests/cli/test_lists.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from runner.support import contents

from cli.conftest import Cli


def test_tasks_are_a_list(cli: Cli) -> None:
    ended = cli("tasks", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = {one["name"]: one for one in ended.document}
    assert isinstance(ended.document, list)
    assert found["SmokeSts"]["type"] == "sts"
    assert found["SmokeRetrieval"]["main_score"] == "ndcg_at_10"
    assert "smoke" in found["SmokeRetrieval"]["benchmarks"]
    assert {"CMedTEB", "CMIRB"} <= {name for one in found.values() for name in one["benchmarks"]}


@pytest.mark.parametrize("arguments", [["tasks"], ["models"], ["models", "show", "bm25"]])
def test_tables_fit(cli: Cli, arguments: list[str]) -> None:
    ended = cli(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80


def test_every_card_can_be_shown_in_80_columns(cli: Cli) -> None:
    """Chinese titles are two columns a character."""
    for one in cli("tasks", "--json").document:
        ended = cli("tasks", "show", one["name"])
        assert one["title"]["zh"] in ended.out
        wide = [line for line in ended.out.splitlines() if cell_len(line) > 80]
        assert not wide, wide
        assert cli("tasks", "show", one["name"], "--json").document["name"] == one["name"]


def test_a_user_s_own_cards_are_listed(cli: Cli, tasks_dir: Path) -> None:
    found = {one["name"]: one for one in cli("tasks", "--tasks-dir", tasks_dir, "--json").document}
    assert found["Set"]["benchmarks"] == ["Mine"]
    assert found["Far"]["source"] == "nobody/nothing"
    assert "Mine  (two sets)" in cli("tasks", "--tasks-dir", tasks_dir).out
    shown = cli("tasks", "show", "Set", "--tasks-dir", tasks_dir)
    assert "--data-dir only" in shown.out


@pytest.mark.parametrize("verb", ["tasks", "models"])
def test_an_unknown_name_says_where_to_look(cli: Cli, verb: str) -> None:
    ended = cli(verb, "show", "nothing")
    assert ended.code == 2
    assert f"`cmedteb {verb}` lists them" in ended.err


def test_models_are_a_list(cli: Cli) -> None:
    found = {one["name"]: one for one in cli("models", "--json").document}
    assert found["bm25"]["family"] == "bm25"
    assert cli("models", "show", "bm25", "--json").document == found["bm25"]


def test_fetch_writes_the_local_layout(cli: Cli, tmp_path: Path) -> None:
    """What it wrote gives the results of the set itself."""
    folder = tmp_path / "data"
    ended = cli("fetch", "-t", "smoke", "--to", folder)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 3
    assert all("content " in line for line in ended.out.splitlines())
    run = ("run", "-m", "hashing", "-t", "smoke", "--json", "--output")
    theirs = cli(*run, tmp_path / "a").document["results"]
    ours = cli(*run, tmp_path / "b", "--data-dir", folder).document["results"]
    assert [one["scores"] for one in ours] == [one["scores"] for one in theirs]
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.keys() == second.keys()
    prints = [
        {
            name: one["fingerprint"]
            for name, one in files.items()
            if "Smoke" in name and "gz" not in name
        }
        for files in (first, second)
    ]
    assert prints[0] == prints[1]


def test_fetch_fails_by_the_error_and_keeps_going_if_told(
    cli: Cli, tasks_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    command = ("fetch", "--tasks-dir", tasks_dir, "--offline", "-t", "Far", "-t", "SmokeSts")
    ended = cli(*command)
    assert (ended.code, ended.out) == (4, "")
    ended = cli(*command, "--keep-going")
    assert ended.code == 4
    assert "cmedteb: Far failed: " in ended.err
    assert "SmokeSts: 144 pairs" in ended.out


def test_lists_are_strict_json_documents(cli: Cli) -> None:
    for verb in ("tasks", "models"):
        out = cli(verb, "--json").out
        assert json.loads(out) == json.loads(json.dumps(json.loads(out), allow_nan=False))
        assert out.startswith("[")
