"""Kills a judging process again and again, and counts what the server saw.

    python tests/annotations/kill_support.py --pairs 20000 --kills 10

One JSON line: pairs, judges, kills, calls charged, answers repeated (the server's count and its
bound), answers lost. The judging process is `cmedteb annotate run`, the server is another one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from annotations.judging_support import LABELS, planned, pool, with_probe
from cmedteb.annotations.annotate import progress
from cmedteb.annotations.demo import SimulatedJudge, Simulation
from cmedteb.annotations.journal import FILE

CONCURRENCY = 16  # of all judges together: they share one account


class Killed(NamedTuple):
    """What came of it.

    Attributes:
        pairs: in the pool.
        kills: of the judging process.
        answers: that stand, of three judges.
        charged: answers that the server made.
        repeated: of these, beyond the first of each request.
        bound: what was promised at most: requests in flight, for each kill.
        lost: answers that were in the journal before a kill and not after it.
        exposed: requests that the journal says were cut off.
        seconds: all of it.
    """

    pairs: int
    kills: int
    answers: int
    charged: int
    repeated: int
    bound: int
    lost: int
    exposed: int
    seconds: float


@contextmanager
def server_process(folder: Path, gold: Any, *, latency: float) -> Iterator[str]:
    """A judge server in a process of its own; gives its base URL."""
    gold_file, simulation_file = folder / "gold.json", folder / "simulation.json"
    gold.write(gold_file)
    judges = tuple(SimulatedJudge(label, latency=latency) for label in LABELS)
    Simulation(judges=judges).write(simulation_file)
    command = [sys.executable, "-m", "cmedteb.annotations.demo.server", "--until-eof"]
    command += ["--gold", str(gold_file), "--simulation", str(simulation_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def ledger(base_url: str) -> dict[str, Any]:
    """What the server counted."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/ledger") as answer:
        return dict(json.loads(answer.read()))


def calls_in(folder: Path) -> set[int]:
    """Numbers of the calls in a journal."""
    address = f"{(folder / FILE).as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return {number for (number,) in connection.execute("SELECT id FROM call")}


def kill_again_and_again(
    folder: Path, *, queries: int, documents: int, kills: int, latency: float = 0.05
) -> Killed:
    """Judge a pool, killing the judging process so many times on the way."""
    began = time.monotonic()
    pairs, gold = pool(queries, documents)
    wanted = len(LABELS) * len(pairs)
    lost = 0
    with server_process(folder, with_probe(gold), latency=latency) as base_url:
        annotation = folder / "annotation"
        planned(annotation, base_url, pairs, gold, judge={"concurrency": CONCURRENCY})
        for number in range(kills):
            aim = wanted * (number + 1) // (kills + 1)
            kept = _killed_at(annotation, aim)
            lost += len(kept - calls_in(annotation))
        subprocess.run(_run(annotation), check=True)
        told = ledger(base_url)
    judges = progress(annotation).judges
    assert all(one.settled == one.total == len(pairs) for one in judges)
    with closing(sqlite3.connect(annotation / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return Killed(
        pairs=len(pairs),
        kills=kills,
        answers=sum(one.states["scored"] for one in judges),
        charged=sum(told["paid"].values()),
        repeated=told["repeated"],
        bound=kills * CONCURRENCY,
        lost=lost,
        exposed=sum(one.unfinished for one in judges),
        seconds=round(time.monotonic() - began, 1),
    )


def _killed_at(annotation: Path, aim: int) -> set[int]:
    """Kill a run once the journal holds so many calls; the calls it held just before."""
    with subprocess.Popen(_run(annotation)) as process:
        while True:
            kept = calls_in(annotation)
            if len(kept) >= aim:
                os.kill(process.pid, signal.SIGKILL)
                return kept
            assert process.poll() is None, "the run ended before it was killed"
            time.sleep(0.05)


def _run(annotation: Path) -> list[str]:
    return [sys.executable, "-m", "cmedteb", "annotate", "run", "-q", str(annotation)]


def main() -> None:
    """Do it at the size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = kill_again_and_again(
            Path(scratch), queries=given.pairs // 50, documents=50, kills=given.kills
        )
    sys.stdout.write(json.dumps(found._asdict()) + "\n")


if __name__ == "__main__":
    main()
