"""The command line in a process that is slow, or that dies where it is told to. Not a test.

Environment:
    DRIVER_LOG     a file that gets one line for every call of the encoder.
    DRIVER_DELAY   seconds that every such call takes longer.
    DRIVER_DIE_AT  N: SIGKILL itself before the Nth step of writing (a flush to the disk or a
                   rename), counted from 1.
    DRIVER_TORN    N: write half of the Nth file, then SIGKILL itself.

The encoder is the real one (`hashing`); only the time it takes, and the time of death, are set.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cmedteb.cli import main
from cmedteb.models import hashing


def die() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def slow_down(log: Path, delay: float) -> None:
    """Log and delay every call of the hashing encoder."""
    original = hashing.Hashing._encode

    def encode(self: hashing.Hashing, texts: Sequence[str]) -> Any:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{os.getpid()} {len(texts)}\n")
        time.sleep(delay)
        return original(self, texts)

    hashing.Hashing._encode = encode  # type: ignore[method-assign]


def die_at(step: int) -> None:
    """Die before the given step of writing."""
    steps = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step:
                die()
            return function(*arguments, **options)

        return call

    os.fsync, os.replace = counted(os.fsync), counted(os.replace)  # type: ignore[assignment]


def tear(number: int) -> None:
    """Die when half of the given file is written."""
    original, opened = os.fdopen, 0

    def fdopen(*arguments: Any, **options: Any) -> Any:
        nonlocal opened
        stream = original(*arguments, **options)
        opened += 1
        if opened == number:
            whole = stream.write

            def half(content: bytes) -> None:
                whole(content[: len(content) // 2])
                stream.flush()
                die()

            stream.write = half
        return stream

    os.fdopen = fdopen  # type: ignore[assignment]


if __name__ == "__main__":
    if "DRIVER_LOG" in os.environ:
        slow_down(Path(os.environ["DRIVER_LOG"]), float(os.environ.get("DRIVER_DELAY", "0")))
    if "DRIVER_DIE_AT" in os.environ:
        die_at(int(os.environ["DRIVER_DIE_AT"]))
    if "DRIVER_TORN" in os.environ:
        tear(int(os.environ["DRIVER_TORN"]))
    main()
