"""A judge server in a process of its own, which ends with the one that started it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmedteb.annotations.demo.gold import Gold
from cmedteb.annotations.demo.judges import Simulation
from cmedteb.errors import NotAvailableError

MODULE = "cmedteb.annotations.demo.server"


@contextmanager
def served(gold: Gold, simulation: Simulation, folder: Path) -> Iterator[str]:
    """Serve judges until the block ends; gives the server's URL, without `/v1`.

    Args:
        gold: what the judges know; written into the folder for the server to read.
        simulation: who they are; likewise.
        folder: for these two files.

    Raises:
        NotAvailableError: the server did not start.
    """
    gold.write(folder / "gold.json")
    simulation.write(folder / "simulation.json")
    command = [sys.executable, "-m", MODULE, "--until-eof", "--gold", str(folder / "gold.json")]
    command += ["--simulation", str(folder / "simulation.json")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            raise NotAvailableError(
                f"the judge server did not start (exit code {process.wait()}); see its words above"
            )
        try:
            yield str(json.loads(line)["base_url"]).removesuffix("/v1")
        finally:
            if process.stdin is not None:
                process.stdin.close()


def ledger(url: str, *, calls: bool = False) -> dict[str, Any]:
    """What a server counted; see `Ledger.summary`."""
    # The server is ours and on the loopback: a proxy of the user's is not asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/ledger" + ("?calls=1" if calls else "")) as reply:
        told: dict[str, Any] = json.loads(reply.read())
    return told
