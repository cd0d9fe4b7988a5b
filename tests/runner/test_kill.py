"""`kill -9` at any point, then the same command again. Run: pytest tests/runner/test_kill.py.

The processes are real and die by SIGKILL: before every single flush and rename of a run, in the
middle of every file, at random moments of encoding, and in the forward pass of a real
sentence-transformers model. Afterwards every JSON file must be readable, nothing half-done may be
taken for a result, what was finished must not run again, and the end must be the files of a run
that nobody disturbed.
"""

from __future__ import annotations

import importlib.util
import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import cmedteb
from cmedteb.results import ResultStore
from cmedteb.results.files import read_json
from runner.support import contents, lines_of, reranking, retrieval, start, write_overlay

# A flush, a rename and a flush of the folder each for receipt, judgements, model and result.
STEPS = 4 * 3
FILES = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retrieval(tmp_path_factory.mktemp("kill") / "Set")


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The files of a run that nobody killed."""
    out = tmp_path_factory.mktemp("undisturbed")
    cmedteb.evaluate("hashing", [data], output=out)
    return contents(out)


def kill_at(out: Path, *arguments: str | Path, **where: int) -> None:
    """Run the command line until it kills itself."""
    process = start("run", "-m", "hashing", "--output", out, *arguments, **where)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def check_readable(out: Path) -> None:
    """No JSON file is half, and each result is whole with its receipt and its judgements."""
    for path in out.rglob("*.json"):
        read_json(path)
    store = ResultStore(out)
    for path, result in store.results():
        assert result.checksum == result.content_checksum
        assert len(store.receipt_table(path, result)) == result.units
        assert len(store.judgement_table(result)) == result.units


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_before_any_step_of_writing(
    data: Path, undisturbed: dict[str, Any], tmp_path: Path, step: int
) -> None:
    kill_at(tmp_path, "-t", data, DRIVER_DIE_AT=step)
    check_readable(tmp_path)
    # The result appears with the rename of the last file, which is the last step but one.
    written = step == STEPS
    assert len(list(ResultStore(tmp_path).results())) == written
    cmedteb.evaluate("hashing", [data], output=tmp_path)
    assert contents(tmp_path) == undisturbed


def test_no_step_of_writing_is_left_out(data: Path, tmp_path: Path) -> None:
    """The run has exactly the steps that the test above dies in."""
    process = start(
        "run", "-m", "hashing", "-t", data, "--output", tmp_path, DRIVER_DIE_AT=STEPS + 1
    )
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("file", range(1, FILES + 1))
def test_killed_in_the_middle_of_a_file(
    data: Path, undisturbed: dict[str, Any], tmp_path: Path, file: int
) -> None:
    kill_at(tmp_path, "-t", data, DRIVER_TORN=file)
    [torn] = tmp_path.rglob("*.tmp")
    assert torn.stat().st_size > 0
    check_readable(tmp_path)
    assert list(ResultStore(tmp_path).results()) == []
    cmedteb.evaluate("hashing", [data], output=tmp_path)
    assert contents(tmp_path) == undisturbed
    assert torn.is_file(), "nobody took it for his own"


def test_killed_while_a_result_is_replaced(
    data: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """The old result stays readable, and is not taken for the new one or for the old receipt's."""
    cmedteb.evaluate("hashing", [data], output=tmp_path)
    for step in (1, 3, 10):
        kill_at(tmp_path, "-t", data, "--depth", "10", DRIVER_DIE_AT=step)
        [(path, result)] = ResultStore(tmp_path).results()
        assert result.depth == 100
        assert ResultStore(tmp_path).receipt_is_whole(path, result) == (step == 1)
    cmedteb.evaluate("hashing", [data], output=tmp_path)
    assert contents(tmp_path).keys() == undisturbed.keys()
    assert contents(tmp_path) == undisturbed


def test_a_killed_rescore_is_repeated(data: Path, tmp_path: Path) -> None:
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1"])
    cmedteb.evaluate("hashing", [data], output=tmp_path / "out")
    before = contents(tmp_path / "out")
    command = ("rescore", "--judgements", "v1", "--overlays", overlays, "--results")
    for step in (1, 5, 8):
        process = start(*command, tmp_path / "out", DRIVER_DIE_AT=step)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        check_readable(tmp_path / "out")
    process = start(*command, tmp_path / "out")
    process.communicate(timeout=60)
    assert process.returncode == 0
    after = contents(tmp_path / "out")
    assert before.items() <= after.items()
    assert "cmedteb__hashing/1/v1/Set.json" in after


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Two tasks, again and again, until the command gets through; each text batch is logged."""
    tasks = [retrieval(tmp_path / "Set"), reranking(tmp_path / "Lists")]
    log, out, rng = tmp_path / "log", tmp_path / "out", random.Random(0)
    arguments: list[Any] = ["run", "-m", "hashing", "--output", out, "--batch-tokens", "120"]
    for task in tasks:
        arguments += ["-t", task]
    finished: set[str] = set()
    kills = 0
    while kills < 6:
        seen = len(lines_of(log))
        process = start(*arguments, DRIVER_LOG=log, DRIVER_DELAY=0.02)
        _wait_for(lambda seen=seen: len(lines_of(log)) > seen, process)
        time.sleep(rng.uniform(0, 0.7))
        process.kill()
        process.communicate()
        kills += 1
        check_readable(out)
        there = {result.task_name for _, result in ResultStore(out).results()}
        assert finished <= there
        finished = there
        if len(finished) == len(tasks):
            break
    seen = len(lines_of(log))
    process = start(*arguments, "--json", DRIVER_LOG=log)
    document = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    reused = {one["task"] for one in document["results"] if one["reused"]}
    assert reused == finished, "what was finished does not run again, all else does"
    assert (len(lines_of(log)) > seen) == (len(finished) < len(tasks))
    cmedteb.evaluate("hashing", tasks, output=tmp_path / "calm", batch_tokens=120)
    assert contents(out) == contents(tmp_path / "calm")


def _wait_for(condition: Any, process: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs cmedteb[models]"
)
def test_a_real_model_killed_in_its_forward_pass(cls_folder: Path, tmp_path: Path) -> None:
    """One finished task, then death in the second; the first is not encoded again."""
    short = retrieval(tmp_path / "Short", documents=8, queries=4)
    long = retrieval(tmp_path / "Long", documents=1500, queries=4)
    out = tmp_path / "out"
    arguments = ["run", "-m", cls_folder, "--output", out, "-t", short, "-t", long]
    process = start(*arguments, "--batch-tokens", "1")
    locks = out / ".locks"
    _wait_for(lambda: list(locks.glob("*Long.lock")), process)
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    process.communicate()
    check_readable(out)
    [(path, finished)] = ResultStore(out).results()
    assert finished.task_name == "Short"
    stamp = path.stat().st_mtime_ns
    first, second = cmedteb.evaluate(str(cls_folder), [short, long], output=out)
    assert first == finished
    assert path.stat().st_mtime_ns == stamp
    [calm] = cmedteb.evaluate(str(cls_folder), [long], output=tmp_path / "calm")
    assert second.values == calm.values
    receipts = [
        home / calm.model.name.replace("/", "__") / calm.model.revision / "receipts"
        for home in (out, tmp_path / "calm")
    ]
    assert len({(home / "Long.tsv.gz").read_bytes() for home in receipts}) == 1
