"""Two processes on one results folder. Run: pytest tests/runner/test_processes.py.

Real processes, slowed down so that they meet.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import cmedteb
from cmedteb.results import ResultStore
from runner.support import contents, lines_of, reranking, retrieval, start, write_overlay


def ends(*processes: Any) -> list[tuple[dict[str, Any], str]]:
    """Wait for all; their documents and their stderr."""
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return [(json.loads(out), err) for out, err in outputs]


def run(out: Path, log: Path, *tasks: Path, delay: float = 0.08) -> subprocess.Popen[str]:
    """Start a slow run: ten or so batches of documents."""
    named = [part for task in tasks for part in ("-t", task)]
    process: subprocess.Popen[str] = start(
        *("run", "-m", "hashing", "--output", out, "--batch-tokens", "60", "--json", *named),
        DRIVER_LOG=log,
        DRIVER_DELAY=delay,
    )
    return process


def test_the_same_task_is_computed_once(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    logs = [tmp_path / "log1", tmp_path / "log2", tmp_path / "log3"]
    documents = [document for document, _ in ends(*(run(out, log, data) for log in logs))]
    assert sorted(one["results"][0]["reused"] for one in documents) == [False, True, True]
    assert len({one["results"][0]["main_score"] for one in documents}) == 1
    assert sum(bool(lines_of(log)) for log in logs) == 1, "one encoded, the others waited"
    cmedteb.evaluate("hashing", [data], output=tmp_path / "calm", batch_tokens=60)
    assert contents(out) == contents(tmp_path / "calm")


def test_different_tasks_run_side_by_side(tmp_path: Path) -> None:
    first, second = retrieval(tmp_path / "Set"), reranking(tmp_path / "Lists")
    out, log = tmp_path / "out", tmp_path / "log"
    ends(run(out, log, first), run(out, log, second))
    assert len({line.split()[0] for line in lines_of(log)}) == 2
    cmedteb.evaluate("hashing", [first, second], output=tmp_path / "calm", batch_tokens=60)
    assert contents(out) == contents(tmp_path / "calm")


def test_a_task_in_work_holds_up_no_other(tmp_path: Path) -> None:
    """While this process holds one task, another process runs the other to its end."""
    held, free = retrieval(tmp_path / "Held"), retrieval(tmp_path / "Free")
    out = tmp_path / "out"
    with ResultStore(out).locked("cmedteb/hashing", "1", "Held"):
        ends(run(out, tmp_path / "log", free, delay=0))
        assert [result.task_name for _, result in ResultStore(out).results()] == ["Free"]
    ends(run(out, tmp_path / "log", held, free, delay=0))


def test_the_one_that_waits_says_so(tmp_path: Path) -> None:
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    arguments = ("run", "-m", "hashing", "-t", data, "--output", out, "--batch-tokens", "60")
    options = {"DRIVER_LOG": tmp_path / "log", "DRIVER_DELAY": 0.08}
    processes = [start(*arguments, **options) for _ in range(2)]
    told = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted("as before" in out for out, _ in told) == [False, True]
    waiter = next(err for out, err in told if "as before" in out)
    assert waiter == "Set: another process was running it; looking at its result\n"


def test_runs_and_rescores_at_once(tmp_path: Path) -> None:
    """Five processes write the same and different results; every file is whole in the end."""
    data, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1", "-\tq:01\td:01\t0"])
    cmedteb.evaluate("hashing", [data], output=out, batch_tokens=60)
    rescores = [
        start("rescore", "--judgements", "v1", "--overlays", overlays, "--results", out, "--json")
        for _ in range(3)
    ]
    fresh = [
        start(
            *("run", "-m", "hashing", "-t", data, "--output", out, "--json"),
            *("--judgements", "v1", "--overlays", overlays, "--batch-tokens", "60"),
        )
        for _ in range(2)
    ]
    ends(*rescores, *fresh)
    store = ResultStore(out)
    scores = []
    for path, result in store.results():
        assert result.checksum == result.content_checksum
        assert store.receipt_is_whole(path, result)
        scores.append((result.judgements.version, result.units))
    assert scores == [("original", 12), ("v1", 12)]
