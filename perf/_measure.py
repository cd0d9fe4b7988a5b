"""What the scripts share: arms in fresh processes, taken in turns, and one line for it all.

A script runs itself once for each arm and round (`--arm NAME`); such a child prints one JSON
object. The parent takes the arms in turns, so that whatever else the machine does hits all of
them alike, and prints the median of every number with the machine and the versions.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 3
PACKAGES = (
    "cmedteb",
    "mteb",
    "sentence-transformers",
    "transformers",
    "torch",
    "numpy",
    "pyarrow",
    "faiss-cpu",
    "pytrec-eval-terrier",
    "bm25s",
)
MIB = 1 << 20
_STARTED = "CMEDTEB_PERF_STARTED"


@dataclass
class Spent:
    """What a block of code took: seconds of the clock and of all processors, memory in MiB."""

    wall: float = 0.0
    cpu: float = 0.0
    added_peak_mib: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure a block; the peak is what it added to the memory held before it (Linux)."""
    found = Spent()
    _reset_peak()
    before, wall, cpu = _resident(), time.perf_counter(), time.process_time()
    yield found
    found.wall, found.cpu = time.perf_counter() - wall, time.process_time() - cpu
    found.added_peak_mib = (_peak() - before) / MIB


def take_turns(
    script: str, arms: Sequence[str], arguments: Sequence[str], *, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Run every arm once a round, each time in a process of its own.

    Args:
        script: its `__file__`.
        arms: what to pass as `--arm`; the order turns around from round to round.
        arguments: of every call.
        rounds: how often.
    """
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    for number in range(rounds):
        for arm in arms if number % 2 == 0 else reversed(arms):
            found[arm].append(child([sys.executable, script, *arguments, "--arm", arm]))
            print(f"# round {number + 1}: {arm}", file=sys.stderr, flush=True)
    return found


def child(command: Sequence[str]) -> dict[str, Any]:
    """The JSON object on the last line that a process prints.

    Raises:
        SystemExit: the process failed; what it said stands in the message.
    """
    told = {**os.environ, _STARTED: repr(time.time())}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=told)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def since_start() -> float:
    """Seconds since the parent started this process, imports included; NaN without a parent."""
    return time.time() - float(os.environ.get(_STARTED, "nan"))


def medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of every number; what is no number is taken from the first round."""
    return {
        key: round(median(one[key] for one in rounds), 6)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else value
        for key, value in rounds[0].items()
    }


def ratios(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: Sequence[str]
) -> dict[str, float]:
    """How many times ours fits into theirs, key by key."""
    return {key: round(theirs[key] / ours[key], 2) for key in keys if ours.get(key)}


def report(name: str, line: Mapping[str, Any]) -> None:
    """Print the line: what was measured, then where."""
    print(json.dumps({"measured": name, **line, "machine": machine()}), flush=True)


def machine() -> dict[str, Any]:
    """Processor, memory, load and versions."""
    about: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = None
    return about


def quiet() -> None:
    """Offline, and without anybody's progress bars: for the children."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    found = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor())


def _status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), None)


def _resident() -> int:
    return _status("VmRSS:") or 0


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _reset_peak() -> None:
    """Linux forgets the peak of a process that writes 5 here; elsewhere it stays."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
