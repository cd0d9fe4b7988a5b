"""`cmedteb latency`. Run: pytest tests/cli/test_latency.py -q.

The hashing encoder on this machine's clock, with constants that make it short; no number that was
measured is asserted, only that they are there and fit together.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from cli.conftest import Cli
from cmedteb.results import ResultStore
from cmedteb.runner import latency
from cmedteb.runner.latency import Plan

TINY = Plan(
    calls=40,
    seconds=1.0,
    warm_seconds=0.5,
    loads=(0.1, 0.2),
    rate_seconds=0.02,
    requests=(20, 40),
    batch_sizes=(1, 8),
    batch_seconds=0.01,
    searches=5,
    search_seconds=0.5,
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "FULL", TINY)
    monkeypatch.setattr(latency, "QUICK", replace(TINY, quick=True, calls=20))


def test_the_record_is_printed_and_kept(cli: Cli, tasks: list[Path], tmp_path: Path) -> None:
    ended = cli("latency", "-m", "hashing", "-t", tasks[0], "--output", tmp_path, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.document
    assert (document["model"], document["revision"]) == ("cmedteb/hashing", "1")
    [record] = document["latency"]
    [kept] = ResultStore(tmp_path).latency("cmedteb/hashing", "1")
    assert kept.model_dump(mode="json") == record
    file = json.loads(Path(document["path"]).read_text(encoding="utf-8"))
    assert file["latency"] == [record]
    stream = record["single_stream"]
    assert stream["calls"] == 40
    assert 0 < stream["p50_ms"]["value"] <= stream["p95_ms"]["value"]
    assert record["offline"]["queries_per_second"] > 0
    assert record["index_search"]["documents"] == 24


def test_the_table_fits(cli: Cli, tasks: list[Path], tmp_path: Path) -> None:
    ended = cli("latency", "-m", "hashing", "-t", tasks[0], "-t", tasks[1], "--output", tmp_path)
    assert ended.code == 0
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    for said in (
        "cmedteb/hashing on Set",
        "cmedteb/hashing on Lists",
        "first call",
        "one at a time, p50",
        "control: same model twice",
        "random arrivals, p95 <= 50 ms",
        "all at once",
        "search in the index",
        "peak memory",
    ):
        assert said in ended.out
    assert ended.err.startswith("measuring 2 task(s): at most about ")
    assert "kept in " in ended.err


def test_a_quick_look_says_so(cli: Cli, tasks: list[Path], tmp_path: Path) -> None:
    command = ("latency", "-m", "hashing", "-t", tasks[0], "--output", tmp_path)
    assert "a quick look" in cli(*command, "--quick").out
    assert "a quick look" not in cli(*command).out
    kept = ResultStore(tmp_path).latency("cmedteb/hashing", "1")
    assert [(record.quick, record.single_stream.calls) for record in kept] == [
        (False, 40),
        (True, 20),
    ]


def test_a_flagged_control_is_said(
    cli: Cli, tasks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no difference allowed, any is one."""
    monkeypatch.setattr(latency, "FULL", replace(TINY, alike=-1.0))
    ended = cli("latency", "-m", "hashing", "-t", tasks[0], "--output", tmp_path)
    assert "DIFFERS" in ended.out
    assert "Set: the same model measured twice differs by " in ended.err


def test_a_limit_that_no_lone_call_keeps(
    cli: Cli, tasks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "FULL", replace(TINY, limit=1e-9))
    ended = cli("latency", "-m", "hashing", "-t", tasks[0], "--output", tmp_path)
    assert "a lone call takes longer" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-t", "SmokeSts", "-m", "hashing"], "no query side"),
        (["-m", "nothing"], "unknown model 'nothing'"),
        (["-m", "bm25", "-t", "SmokeReranking"], "bm25 encodes no queries"),
        (["--query-model", "hashing"], "both --query-model and --document-model"),
    ],
)
def test_what_cannot_be_measured(cli: Cli, tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = cli("latency", *arguments, "--output", tmp_path)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


def test_smoke_queries_unless_told(cli: Cli, tmp_path: Path) -> None:
    document = cli("latency", "-m", "hashing", "--output", tmp_path, "--json").document
    assert [record["task"] for record in document["latency"]] == ["SmokeRetrieval"]
