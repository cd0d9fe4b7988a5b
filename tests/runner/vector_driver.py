"""The command line in a process that logs what it keeps, and dies where it is told to. Not a test.

Environment:
    DRIVER_LOG    a file that gets a line for every batch of vectors before it is kept: its rows.
    DRIVER_DELAY  seconds that keeping a batch takes longer.
    DRIVER_DIE    `before:N`, `between:N` or `after:N`: SIGKILL itself before the Nth batch is
                  written, between its vectors and its keys, or after both.

The model, the store and the files are the real ones.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from cmedteb.cli import main
from cmedteb.encoding.store import shards


def watch() -> None:
    """Log and delay what is kept, and die."""
    log, delay = Path(os.environ["DRIVER_LOG"]), float(os.environ.get("DRIVER_DELAY", "0"))
    moment, _, number = os.environ.get("DRIVER_DIE", "never:0").partition(":")
    append, write_all = shards.ShardWriter.append, shards._write_all
    batches = writes = 0

    def die_if(now: str) -> None:
        if now == moment and batches == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    def append_watched(writer: shards.ShardWriter, texts: Any, vectors: Any) -> None:
        nonlocal batches, writes
        batches, writes = batches + 1, 0
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{len(texts)}\n")
        time.sleep(delay)
        die_if("before")
        append(writer, texts, vectors)
        die_if("after")

    def write_watched(stream: Any, data: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            die_if("between")
        write_all(stream, data)

    shards.ShardWriter.append = append_watched  # type: ignore[method-assign]
    shards._write_all = write_watched


if __name__ == "__main__":
    watch()
    main()
