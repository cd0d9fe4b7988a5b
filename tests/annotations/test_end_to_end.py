"""The whole way by the command line, on real medical texts, killed on the way, without a network.

Each query of zh_med_mini has one relevant passage. Here it gets a second one, the same clauses in
another order, so that either answers the question; then the one of the two that BM25 finds and the
hashing encoder does not is left out of the judgements, as if labels had been gathered from the
latter. Judges with hidden gold must find it, and BM25 must get what it deserves.

Run: pytest tests/annotations/test_end_to_end.py -q. Skipped where ../shared/data is not.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import SHARED, retrieval_folder

from annotations.offline import LEFT, finished, python, start
from cmedteb.annotations.annotate import progress
from cmedteb.annotations.demo import FaultRates, Simulation
from cmedteb.annotations.demo.cast import simulation, write_panel
from cmedteb.annotations.demo.plant import Planting, plant, write_data
from cmedteb.annotations.demo.process import ledger, served
from cmedteb.annotations.overlay import read_overlay
from cmedteb.annotations.retrieve import retrieve
from cmedteb.data import Access, Hub
from cmedteb.runner import RunOptions
from cmedteb.tasks.registry import from_folder
from cmedteb.types import RankingData

SOURCE = SHARED / "zh_med_mini"
QUERIES = 60
WITH, WITHOUT = 12, 8
SYSTEMS = ("bm25", "hashing")
CLAUSES = re.compile("(?<=[\u3002\uff0c\uff1b\uff01\uff1f,;!?])")
IN_FLIGHT = 16 * 3

pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="needs ../shared/data/zh_med_mini")


def reordered(text: str) -> str:
    """The same clauses, the second half first."""
    clauses = [clause for clause in CLAUSES.split(text) if clause]
    parts = clauses if len(clauses) > 1 else list(text)
    middle = len(parts) // 2
    return "".join(parts[middle:] + parts[:middle])


def with_twins(folder: Path) -> Path:
    """The data with a second relevant passage for each of `QUERIES` queries."""
    lines = gzip.decompress((SOURCE / "corpus.jsonl.gz").read_bytes()).decode().splitlines()
    documents = {row["_id"]: row["text"] for row in map(json.loads, lines)}
    rows = map(json.loads, (SOURCE / "queries.jsonl").read_text("utf-8").splitlines())
    asked = dict(sorted((row["_id"], row["text"]) for row in rows)[:: 500 // QUERIES][:QUERIES])
    judged = [line.split("\t") for line in (SOURCE / "qrels.tsv").read_text().splitlines()[1:]]
    right = {query: doc for query, doc, _ in judged if query in asked}
    documents |= {f"{doc}-again": reordered(documents[doc]) for doc in right.values()}
    grades = {query: {doc: 2, f"{doc}-again": 2} for query, doc in right.items()}
    return retrieval_folder(folder, documents, asked, grades)


def only_some(planting: Planting) -> Planting:
    """Judgements of a few queries with a planted false negative, and of a few without."""
    planted = sorted({query for query, _ in planting.hidden})
    others = sorted(set(planting.judgements) - set(planted))
    kept = {*planted[:WITH], *others[:WITHOUT]}
    return replace(
        planting,
        judgements={query: row for query, row in planting.judgements.items() if query in kept},
        hidden=tuple(pair for pair in planting.hidden if pair[0] in kept),
    )


class Scene:
    """The planted data and who judges it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        full = from_folder(with_twins(home / "full"))
        access = Access(None, Hub.HF, offline=True)
        data = full.load(access)
        assert isinstance(data, RankingData)
        options = RunOptions(output=home / "before", access=access)
        returned = retrieve(full, data, options, models=SYSTEMS, depth=100)
        by_name = {one.system.name.rpartition("/")[2]: one for one in returned}
        whole = plant(data, by_name["bm25"], by_name["hashing"], share=0.5, wrong=0, seed=1)
        self.planting: Planting = only_some(whole)
        write_data(data, self.planting.judgements, home / "planted")
        told = simulation(1)
        rates = FaultRates(rate=0.01, reset_after=0.002, bad_json=0.005, cut=0.005)
        judges = tuple(replace(judge, rates=rates, wobble=0.0) for judge in told.judges)
        self.simulation: Simulation = replace(told, judges=judges)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("way"))


@pytest.fixture(scope="module")
def url(scene: Scene) -> Iterator[str]:
    with served(scene.planting.gold, scene.simulation, scene.home) as url:
        yield url


def paid(url: str) -> int:
    return sum(ledger(url)["paid"].values())


def kill_after(process: subprocess.Popen[str], url: str, calls: int) -> None:
    """SIGKILL as soon as the server has charged so many more calls."""
    target = paid(url) + calls
    deadline = time.monotonic() + 120
    while paid(url) < target and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.communicate()


@pytest.fixture(scope="module")
def judged(scene: Scene, url: str) -> Path:
    """An annotation, planned and judged by the command line; killed twice on the way."""
    panel = write_panel(scene.simulation, url, scene.home / "panel.toml")
    folder = scene.home / "annotation"
    models = [part for model in SYSTEMS for part in ("-m", model)]
    choices = ["--pool-depth", "10", "--retest", "0", "--reversed", "0", "--canaries", "0"]
    plan: list[str | Path] = ["annotate", "plan", folder, "-t", scene.home / "planted"]
    finished(scene.home, *plan, "--panel", panel, *models, *choices, "--offline", "-q")
    for calls in (100, 300):
        kill_after(start(scene.home, "annotate", "run", folder, "-q"), url, calls)
    finished(scene.home, "annotate", "run", folder, "-q")
    return folder


def read(folder: Path, *arguments: str | Path) -> Any:
    return json.loads(finished(folder, *arguments, "--json"))


@pytest.fixture(scope="module")
def report(scene: Scene, judged: Path) -> Any:
    """Its report, after its labels were released as v1."""
    finished(scene.home, "annotate", "build", judged, "--version", "v1", "--offline")
    return read(scene.home, "annotate", "report", judged, "--results", judged / "results")


def test_kills_cost_no_more_than_what_was_in_flight(judged: Path, url: str) -> None:
    assert all(judge.settled == judge.total for judge in progress(judged).judges)
    counted = ledger(url, calls=True)
    by_pair = {(query, doc): times for _, query, doc, times in counted["calls"] if query and doc}
    assert by_pair
    asked_again = sum(
        counted["faults"].get(judge, {}).get(fault, 0)
        for judge in counted["faults"]
        for fault in ("reset_after", "bad_json", "cut")
    )
    assert counted["repeated"] <= 2 * IN_FLIGHT + asked_again


def test_what_was_planted_is_found_and_the_better_system_rises(
    scene: Scene, judged: Path, report: Any
) -> None:
    overlay = read_overlay("planted", "v1", judged / "overlays")
    hidden = scene.planting.hidden
    pooled = [pair for pair in hidden if pair[1] in overlay.grades.get(pair[0], {})]
    found = [pair for pair in pooled if overlay.grades[pair[0]][pair[1]] > 0]
    assert len(hidden) >= WITH
    assert len(pooled) >= 0.5 * len(hidden), "BM25 found them, most of them early"
    assert len(found) >= 0.8 * len(pooled)
    assert report["found"]["total"] == sum(
        grade > 0 and doc not in scene.planting.judgements[query]
        for query, row in overlay.grades.items()
        for doc, grade in row.items()
    )
    moves = {move["model"]: move for move in report["scores"]["moves"]}
    better = moves["cmedteb/bm25"]
    assert better["rank_after"] == 1
    assert better["after"] > better["before"]
    assert better["change"]["value"] > moves["cmedteb/hashing"]["change"]["value"]
    rescored = read(
        scene.home,
        *("rescore", "--judgements", "v1", "--overlays", judged / "overlays"),
        *("--results", judged / "results"),
    )
    assert {row["model"]: row["after"] for row in rescored} == pytest.approx(
        {name: move["after"] for name, move in moves.items()}
    )


@pytest.mark.usefixtures("report")
def test_a_replay_from_a_copy_of_the_journal_gives_the_same_bytes(
    scene: Scene, judged: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "journal.sqlite"
    copy.write_bytes((judged / "journal.sqlite").read_bytes())
    receipts = ("--results", judged / "results")
    finished(scene.home, "annotate", "replay", copy, "--against", judged, *receipts)


def test_the_guard_ends_a_process_that_leaves_the_machine(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    process = python(tmp_path, "-c", code)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "192.0.2.1" in err) == (LEFT, True)
