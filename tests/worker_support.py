"""Benches that workers of tests open: small encoders that can be told to break, stall or kill.

Run: pytest tests/encoding -q. Texts command them, so that a test decides what happens without
reaching into another process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmedteb.encoding import Encoded
from cmedteb.encoding.workers import Planned, Processes, Workers, split_texts
from cmedteb.encoding.workers.split import ByLength
from cmedteb.errors import NotAvailableError
from cmedteb.types import Float32Array


class OwnError(Exception):
    """An error of foreign code, of no class that anybody expects."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Lengths:
    """Vectors that can be told from the texts and from who shares their batch.

    Args:
        marks: a folder in which every worker leaves its process id and each job a line.
    """

    def __init__(self, marks: Path | None = None, *, slowly: float = 0.0) -> None:
        self.tokens = 0
        self.marks = marks
        self.slowly = slowly
        if marks is not None:
            (marks / f"{os.getpid()}.pid").touch()

    def describe(self, ask: Any) -> Any:
        if ask == "fail":
            raise NotAvailableError("nothing to describe")
        return {"asked": ask, "pid": os.getpid()}

    def encode(self, ask: Any, batches: Sequence[Planned]) -> Iterator[Encoded]:
        def work(texts: Sequence[str]) -> Float32Array:
            self._obey(texts)
            time.sleep(self.slowly)
            self.tokens += sum(map(len, texts))
            return vectors(texts, scale=ask)

        return split_texts(work, budget=1).run(batches)

    def _obey(self, texts: Sequence[str]) -> None:
        if "raise" in texts:
            raise RuntimeError("this text is not for me")
        if "own error" in texts:
            raise OwnError("a", "b")
        if "kill" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        if "kill once" in texts and self.marks is not None:
            try:
                (self.marks / "killed").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)
        if "print" in texts:
            sys.stdout.write("a library talks\n")
            sys.stdout.flush()


def vectors(texts: Sequence[str], scale: float = 1.0) -> Float32Array:
    """What `Lengths` makes of one batch: the last value depends on the batch."""
    together = sum(map(len, texts))
    return np.asarray(
        [[scale * len(text), sum(map(ord, text)), together] for text in texts], dtype=np.float32
    )


def lengths(device: str) -> Lengths:
    """The plain bench."""
    del device
    return Lengths()


def marked(marks: Path, slowly: float, device: str) -> Lengths:
    """A bench that leaves marks in a folder."""
    del device
    return Lengths(marks, slowly=slowly)


def slow_second(marks: Path, device: str) -> Lengths:
    """A bench of which all but the first take forever to open; the first waits for the second."""
    del device
    try:
        (marks / "first").touch(exist_ok=False)
    except FileExistsError:
        (marks / f"{os.getpid()}.slow").touch()
        time.sleep(600)
    while not list(marks.glob("*.slow")):
        time.sleep(0.01)
    return Lengths(slowly=0.001)


def broken(device: str) -> Lengths:
    """A bench that cannot be opened."""
    raise NotAvailableError(f"no weights for {device}")


def dies(device: str) -> Lengths:
    """A bench whose opening kills the process."""
    del device
    os._exit(7)


def refuse() -> None:
    """What unpickling runs into."""
    raise ImportError("it is not here")


def main(marks: Path) -> None:
    """Encode slowly with two workers, for a test that ends this process."""
    crew = Processes(partial(marked, marks, 0.5), ["cpu", "cpu"])
    texts = pa.chunked_array([[f"text {number}" for number in range(500)]])
    with Workers(crew, model="lengths") as workers:
        list(workers.source(1.0, ByLength(8))(texts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
