"""Processes that cannot reach beyond the loopback: an audit hook ends them where they try.

`sitecustomize` runs before anything else in every Python process below, so a child's children are
watched too. A process that tries ends with `LEFT` and says where it wanted to go.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LEFT = 97
ROOT = Path(__file__).resolve().parents[2]
GUARD = f"""
import os, sys
LOCAL = ("127.0.0.1", "::1", "localhost", None, "")

def _watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOCAL:
        os.write(2, ("left the machine for " + str(host)).encode())
        os._exit({LEFT})

sys.addaudithook(_watch)
"""


def start(folder: Path, *arguments: str | Path, **variables: Any) -> subprocess.Popen[str]:
    """Start `python -m cmedteb` in a process that is kept on this machine.

    Args:
        folder: for the guard and for a cache of its own.
        arguments: of the command.
        variables: of the environment.
    """
    return python(folder, "-m", "cmedteb", *arguments, **variables)


def python(folder: Path, *arguments: str | Path, **variables: Any) -> subprocess.Popen[str]:
    """Start Python itself so."""
    guard = folder / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(GUARD)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CMEDTEB_")}
    environment = kept | {
        "PYTHONPATH": os.pathsep.join((str(guard), str(ROOT))),
        "CMEDTEB_CACHE": str(folder / "cache"),
        "COLUMNS": "80",
    }
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment | {key: str(value) for key, value in variables.items()},
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(folder: Path, *arguments: str | Path, code: int = 0) -> str:
    """Run a command to its end; returns what it printed to stdout."""
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
    return out
