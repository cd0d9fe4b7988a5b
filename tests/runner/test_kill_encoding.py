"""`kill -9` while a real model encodes, then the same command again.

Run: pytest tests/runner/test_kill_encoding.py -q. The processes are the command line with a
sentence-transformers model and texts of many lengths. What was kept must never be encoded again,
and the end must be the files of a run that nobody disturbed, byte by byte.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import retrieval_folder

import cmedteb
from cmedteb.encoding.store.upkeep import inventory
from runner.support import contents, lines_of, words

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs cmedteb[models]"
)
DRIVER = Path(__file__).with_name("vector_driver.py")
DOCUMENTS, QUERIES = 300, 20
TEXTS = DOCUMENTS + QUERIES
BATCH_TOKENS = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of 1 to 30 words, each once, so that batches have many shapes."""
    lengths = np.random.default_rng(1).integers(1, 30, size=DOCUMENTS)
    texts = {f"d:{row:03d}": f"{words(row, int(count))} {row}" for row, count in enumerate(lengths)}
    asked = {f"q:{row:02d}": f"{words(row, 3)} ? {row}" for row in range(QUERIES)}
    judged = {f"q:{row:02d}": {f"d:{row:03d}": 1} for row in range(QUERIES)}
    return retrieval_folder(tmp_path_factory.mktemp("kill") / "Set", texts, asked, judged)


class Disturbed:
    """One command that is killed again and again, over the same folders."""

    def __init__(self, model: Path, data: Path, folder: Path) -> None:
        self.out, self.vectors, self.log = folder / "out", folder / "vectors", folder / "log"
        self.command = [
            *(sys.executable, str(DRIVER), "run", "-m", str(model), "-t", str(data)),
            *("--output", str(self.out), "--vectors", str(self.vectors)),
            *("--batch-tokens", str(BATCH_TOKENS), "--json"),
        ]

    def start(self, **variables: object) -> Any:
        """Start the command."""
        kept = {key: value for key, value in os.environ.items() if key[:7] != "CMEDTEB"}
        told = {"DRIVER_LOG": str(self.log)} | {key: str(v) for key, v in variables.items()}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command, env=kept | told, **pipes)

    def die(self, moment: str, batch: int) -> None:
        """Run until it kills itself."""
        process = self.start(DRIVER_DIE=f"{moment}:{batch}")
        told = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, told

    def kill_after(self, batches: int, seconds: float) -> None:
        """Kill it some time after it has come so far."""
        seen = len(lines_of(self.log))
        process = self.start(DRIVER_DELAY=0.03)
        wait_for(lambda: len(lines_of(self.log)) >= seen + batches, process)
        time.sleep(seconds)
        process.kill()
        process.communicate()

    @property
    def rows_kept(self) -> int:
        """Vectors that are whole on the disk; reads every one."""
        return sum(side.rows for side in inventory(self.vectors, verify=True))

    @property
    def batches(self) -> list[int]:
        """The rows of every batch that was encoded so far, whatever became of it."""
        return [int(line) for line in lines_of(self.log)]


def wait_for(condition: Callable[[], bool], process: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def without_counts(found: dict[str, Any]) -> dict[str, Any]:
    """Results without what differs by design: how much of them had to be encoded."""
    counts = {"texts_encoded", "cache_hits", "tokens"}
    return {
        name: {key: value[key] for key in value if key not in counts}
        if isinstance(value, dict)
        else value
        for name, value in found.items()
    }


def test_killed_again_and_again_it_encodes_again_what_was_in_flight_alone(
    cls_folder: Path, data: Path, tmp_path: Path
) -> None:
    run = Disturbed(cls_folder, data, tmp_path)
    kept = [0]
    for moment, batch in (("before", 3), ("between", 2), ("after", 2)):
        run.die(moment, batch)
        kept.append(run.rows_kept)
        # The batches of this run but the one in flight, which only `after` has kept.
        done = run.batches[-batch:] if moment == "after" else run.batches[-batch:-1]
        assert kept[-1] - kept[-2] == sum(done)
    seen = len(run.batches)
    run.kill_after(batches=3, seconds=random.Random(0).uniform(0, 0.2))
    kept.append(run.rows_kept)
    fresh = run.batches[seen:]
    assert kept[-1] - kept[-2] in {sum(fresh), sum(fresh[:-1])}
    assert kept[-1] < TEXTS, "there was something left to do"
    process = run.start()
    told, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert len(json.loads(told)["results"]) == 1
    [result] = [value for name, value in contents(run.out).items() if name.endswith("/Set.json")]
    assert (result["texts_encoded"], result["cache_hits"]) == (TEXTS - kept[-1], kept[-1])
    assert run.rows_kept == TEXTS, "every text is kept once"
    twice = sum(run.batches) - TEXTS
    assert twice <= 4 * max(run.batches)

    calm = tmp_path / "calm"
    cmedteb.evaluate(
        str(cls_folder), [data], output=calm, vectors=tmp_path / "v", batch_tokens=BATCH_TOKENS
    )
    assert without_counts(contents(run.out)) == without_counts(contents(calm))


def test_two_at_once_over_one_store_both_finish(
    cls_folder: Path, data: Path, tmp_path: Path
) -> None:
    """They have a results folder each, so no lock of a task keeps them apart."""
    runs = [Disturbed(cls_folder, data, tmp_path) for _ in range(2)]
    runs[1].out = tmp_path / "other"
    place = runs[1].command.index("--output") + 1
    runs[1].command[place] = str(runs[1].out)
    processes = [run.start(DRIVER_DELAY=0.01) for run in runs]
    told = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    first, second = (without_counts(contents(run.out)) for run in runs)
    assert first == second
    assert TEXTS <= runs[0].rows_kept <= 2 * TEXTS
    assert not any(side.damaged or side.in_use for side in inventory(runs[0].vectors, verify=True))
