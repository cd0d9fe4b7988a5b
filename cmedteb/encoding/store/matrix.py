"""Where the vectors of a column are put together: in memory, or on the disk if they are too many.

Ten million vectors of 1,024 numbers are 40 GB. In a file that is mapped, the operating system keeps
in memory what is being looked at, and search looks at a block at a time. The file has no name, so
that nothing is left of it when the process ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from cmedteb.types import Float32Array

# Larger than this part of memory, and a matrix goes to the disk.
SHARE = 4
# What a control group (a container, a batch job) may use, version 2 and 1; bytes or "max".
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory() -> int:
    """Bytes that this process may use: the machine's, or its control group's where that is less."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in LIMITS:
        with suppress(OSError, ValueError):
            most = min(most, int(Path(path).read_text(encoding="ascii")))
    return most


def new_matrix(rows: int, width: int, folder: Path) -> Float32Array:
    """A matrix of shape (rows, width) that holds anything.

    Args:
        rows: how many.
        width: of a row.
        folder: where its file goes if it is larger than a part of memory.

    Raises:
        OSError: the disk is full, or the folder may not be written to.
    """
    size = 4 * rows * width
    if size <= memory() // SHARE:
        return np.empty((rows, width), dtype=np.float32)
    with tempfile.TemporaryFile(dir=folder) as stream:
        _reserve(stream.fileno(), size)
        return np.memmap(stream, dtype=np.float32, mode="r+", shape=(rows, width))


def _reserve(file: int, size: int) -> None:
    """Take the room now: a disk that is full later would kill the process that writes."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
