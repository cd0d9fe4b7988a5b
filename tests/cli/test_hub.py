"""The command line against a real hub on loopback: fetch, run, run offline.

Run: pytest tests/cli/test_hub.py -q
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer

from cmedteb.resources import data_folder

BLOCKED = """
import socket, sys
class Blocked(socket.socket):
    def __init__(self, *_, **__):
        raise SystemExit("a socket was opened")
socket.socket = Blocked
sys.argv[0] = "cmedteb"
from cmedteb.cli import main
main()
"""
CARD = """
name = "Served"
type = "retrieval"
version = 1
main_score = "ndcg_at_10"
splits = ["{split}"]
official = true
title = {{ zh = "Served", en = "Served" }}

[source]
kind = "hub"
hf = "org/Served"
revision = "{revision}"
layout = "cmirb"
modelscope = "org/Served"

[licence]
name = "CC0-1.0"
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(params=["test", "dev"])
def cards(hub: HubServer, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of cards with one task, whose data set the hub serves in CMIRB's layout."""
    split = str(request.param)
    revision = hub.add("dataset", "org/Served", _cmirb(tmp_path / "origin", split))
    folder = tmp_path / "cards" / "ours"
    folder.mkdir(parents=True)
    (folder / "Served.toml").write_text(
        CARD.format(revision=revision, split=split), encoding="utf-8"
    )
    return folder.parent


def _cmirb(folder: Path, split: str) -> Path:
    """The smoke retrieval set as CMIRB's repositories hold theirs."""
    smoke = data_folder("tasks") / "smoke" / "SmokeRetrieval"
    (folder / "qrels").mkdir(parents=True)
    for name in ("corpus", "queries"):
        lines = (smoke / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = ({"id": row["_id"], "text": row["text"]} for row in map(json.loads, lines))
        _write(folder / f"{name}.jsonl", rows)
    judged = (smoke / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    fields = (line.split("\t") for line in judged)
    _write(
        folder / "qrels" / f"{split}.jsonl",
        ({"q_id": query, "p_id": doc, "score": int(grade)} for query, doc, grade in fields),
    )
    return folder


def _write(path: Path, rows: Iterator[dict[str, object]]) -> None:
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )


def _cmedteb(hub: HubServer, home: Path, *arguments: str, blocked: bool = False) -> str:
    """Run a verb in a process of its own with the hub's environment; returns stdout."""
    start = ["-c", BLOCKED] if blocked else ["-m", "cmedteb"]
    done = subprocess.run(
        [sys.executable, *start, *arguments],
        env=hub.environment(home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fetched_data_runs_offline_with_sockets_blocked(
    hub: HubServer, cards: Path, tmp_path: Path
) -> None:
    home, out = tmp_path / "home", str(tmp_path / "out")
    task = ["-t", "Served", "--tasks-dir", str(cards)]
    said = _cmedteb(hub, home, "fetch", *task)
    assert "71 queries, 391 documents" in said
    served = len(hub.requests())
    run = _cmedteb(hub, home, "run", *task, "--offline", "--json", "--output", out, blocked=True)
    smoke = _cmedteb(
        hub,
        home,
        "run",
        "-t",
        "SmokeRetrieval",
        "--offline",
        "--json",
        "--output",
        out,
        blocked=True,
    )
    assert len(hub.requests()) == served
    ours, packaged = (json.loads(text)["results"][0] for text in (run, smoke))
    assert ours["scores"] == packaged["scores"]
    stored = json.loads(Path(ours["path"]).read_text(encoding="utf-8"))
    assert stored["dataset_revision"] in (cards / "ours" / "Served.toml").read_text()


def test_a_fetched_folder_travels(hub: HubServer, cards: Path, tmp_path: Path) -> None:
    home, out = tmp_path / "home", str(tmp_path / "out")
    task = ["-t", "Served", "--tasks-dir", str(cards)]
    _cmedteb(hub, home, "fetch", *task, "--to", str(tmp_path / "carried"))
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "carried", elsewhere)
    run = _cmedteb(
        hub,
        tmp_path / "other-home",
        "run",
        *task,
        *("--data-dir", str(elsewhere), "--offline", "--json", "--output", out),
        blocked=True,
    )
    stored = json.loads(Path(json.loads(run)["results"][0]["path"]).read_text(encoding="utf-8"))
    assert stored["dataset_revision"] in (cards / "ours" / "Served.toml").read_text()


def test_a_hub_model_is_pinned_and_then_runs_offline(
    hub: HubServer, cls_folder: Path, tmp_path: Path
) -> None:
    revision = hub.add("model", "org/tiny", cls_folder)
    home, out = tmp_path / "home", str(tmp_path / "out")
    task = ["-m", "org/tiny", "-t", "SmokeSts", "--json", "--device", "cpu"]
    online = json.loads(_cmedteb(hub, home, "run", *task, "--output", out))
    served = len(hub.requests())
    offline = json.loads(
        _cmedteb(
            hub,
            home,
            "run",
            *task,
            *("--offline", "--overwrite", "always", "--output", out),
            blocked=True,
        )
    )
    assert len(hub.requests()) == served
    assert online["revision"] == offline["revision"] == revision
    assert online["results"][0]["scores"] == offline["results"][0]["scores"]


def test_modelscope_serves_the_same_set(hub: HubServer, cards: Path, tmp_path: Path) -> None:
    pytest.importorskip("modelscope", reason="needs the extra modelscope")
    out = str(tmp_path / "out")
    task = ["-t", "Served", "--tasks-dir", str(cards), "--hub", "modelscope", "--json"]
    run = json.loads(_cmedteb(hub, tmp_path / "home", "run", *task, "--output", out))
    assert run["results"][0]["main_score"] > 0.45
