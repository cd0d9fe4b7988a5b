"""Who is at work on a side of the vector store: locks that die with their process.

    ROOT/.locks/<side>.<name>.live   held by a process as long as it reads or writes the side
    ROOT/.locks/<side>.gate          held for a moment to come in, or to take a side away
    ROOT/.locks/<side>.merge         held by the process that merges the side's shards

Readers and writers never wait for each other; only who takes a whole side away must find nobody
at it, and does so behind the gate, so that nobody comes in meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass
class Presence:
    """One user of a side, from `enter` to `leave`.

    Attributes:
        name: of this stay; shards that are written during it begin with it.
    """

    root: Path
    side: str
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _lock: FileLock | None = field(default=None, init=False)

    def enter(self) -> None:
        """Say that the side is in use.

        Raises:
            OSError: the root cannot be written to, or has no locks.
        """
        with gate(self.root, self.side):
            lock = _lock(self.root, f"{self.side}.{self.name}.live")
            lock.acquire()
        self._lock = lock

    def leave(self) -> None:
        """Say that it no longer is."""
        if self._lock is not None:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


def present(root: Path, side: str) -> set[str]:
    """The names of all who are at a side now; call it behind the gate."""
    names = set()
    for path in sorted((root / ".locks").glob(f"{side}.*.live")):
        lock = _lock(root, path.name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            names.add(path.name.split(".")[1])
        else:
            # Its process died without leaving.
            path.unlink(missing_ok=True)
            lock.release()
    return names


@contextmanager
def gate(root: Path, side: str) -> Iterator[None]:
    """Nobody comes in or takes the side away meanwhile; to be held for a moment."""
    with _lock(root, f"{side}.gate"):
        yield


@contextmanager
def merging(root: Path, side: str) -> Iterator[bool]:
    """Be the one who merges the side's shards; yields False where another process is."""
    lock = _lock(root, f"{side}.merge")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _lock(root: Path, name: str) -> FileLock:
    folder = root / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    # Not per thread: a pipeline may close in another thread than it opened in.
    return FileLock(folder / name, thread_local=False)
