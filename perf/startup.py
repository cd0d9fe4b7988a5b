"""How long until the command line answers? Fresh processes, ours and mteb's in turns.

    python perf/startup.py [--rounds 5]

One JSON line: the least and the median wall seconds of `cmedteb --help`, `cmedteb tasks` and
`cmedteb models` beside `mteb --help`, and how many times each of ours fits into mteb's (by the
least, which other work on the machine disturbs least). Needs the extra `mteb`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from _measure import report

COMMANDS = (
    ("cmedteb", "--help"),
    ("cmedteb", "tasks"),
    ("cmedteb", "models"),
    ("mteb", "--help"),
)


def main() -> None:
    """Time every command once a round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {" ".join(command): [] for command in COMMANDS}
    for command in COMMANDS:
        seconds(*command)  # once, so that every round finds the files in memory
    for _ in range(rounds):
        for command in COMMANDS:
            taken[" ".join(command)].append(seconds(*command))
    least = {name: min(values) for name, values in taken.items()}
    line = {
        "rounds": rounds,
        "seconds": {
            name: {"min": round(least[name], 3), "median": round(median(values), 3)}
            for name, values in taken.items()
        },
        "ratio": {
            name: round(least["mteb --help"] / value, 1)
            for name, value in least.items()
            if name.startswith("cmedteb")
        },
    }
    report("startup", line)


def seconds(program: str, argument: str) -> float:
    """Wall time of one call of a program that is installed beside this Python."""
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        raise SystemExit(f"{path} is not there: run this with .venv/bin/python after make install")
    start = time.perf_counter()
    subprocess.run([str(path), argument], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
