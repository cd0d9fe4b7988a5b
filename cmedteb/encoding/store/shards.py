"""One shard of vectors: two files that one process appends to, and how its rows are read.

    <writer>-<number>.keys          32 bytes a row: digest of the text, digest of the vector
    <writer>-<number>.<width>.f32   float32 rows

Rows are read and checked a few MiB at a time, straight into the caller's matrix, so that a matrix
is never in memory twice. A row whose vector has not the digest that its key says does not count.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.data.columns import digest
from cmedteb.types import Float32Array, Int64Array

DIGEST = 16
KEY = np.dtype([("text", f"V{DIGEST}"), ("vector", f"V{DIGEST}")])
BLOCK_BYTES = 4 << 20
GAP_BYTES = 64 << 10
SYNC_SECONDS = 5.0
Digests = NDArray[np.void]
Bools = NDArray[np.bool_]


def digests(texts: Iterable[str]) -> Digests:
    """A 128-bit digest of every text, one row a text."""
    joined = b"".join(digest(text.encode()) for text in texts)
    return np.frombuffer(joined, dtype=f"V{DIGEST}")


def vector_digests(vectors: Float32Array) -> Digests:
    """A 128-bit digest of every row, shape (n,)."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if not rows.size:
        return np.frombuffer(digest(b"") * len(rows), dtype=f"V{DIGEST}")
    raw, size = rows.data.cast("B"), rows.itemsize * rows.shape[1]
    blake2b = hashlib.blake2b
    joined = b"".join(
        blake2b(raw[start : start + size], digest_size=DIGEST).digest()
        for start in range(0, size * len(rows), size)
    )
    return np.frombuffer(joined, dtype=f"V{DIGEST}")


def match(wanted: Digests, held: Digests) -> tuple[Int64Array, Int64Array]:
    """Rows of `wanted` that are held, ascending, and for each its last row in `held`."""
    if not len(held) or not len(wanted):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    # Numbers sort several times faster than strings of bytes.
    asked_for, heads = _head(wanted), _head(held)
    order = np.argsort(heads, kind="stable")
    if _ambiguous(heads[order], held[order]):
        asked_for, heads = wanted.view(f"S{DIGEST}"), held.view(f"S{DIGEST}")
        order = np.argsort(heads, kind="stable")
    place = np.searchsorted(heads[order], asked_for, side="right") - 1
    there = order[np.maximum(place, 0)]
    asked = np.flatnonzero(held[there] == wanted)
    return asked, there[asked]


def _head(keys: Digests) -> NDArray[Any]:
    """The first half of every digest, as a number."""
    whole = np.ascontiguousarray(keys).view(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(whole[:, 0])


def _ambiguous(heads: NDArray[Any], keys: Digests) -> bool:
    """Whether two different digests have one first half; both sorted by it."""
    twins = np.flatnonzero(heads[1:] == heads[:-1])
    return bool((keys[twins] != keys[twins + 1]).any())


@dataclass(frozen=True)
class Shard:
    """The rows that one process wrote.

    Attributes:
        name: of its files, without what follows the point.
        keys: of the whole rows, shape (rows,).
        vectors: the file of the vectors.
        width: of a vector.
    """

    name: str
    keys: NDArray[Any]
    vectors: Path
    width: int

    @property
    def rows(self) -> int:
        """How many rows are whole in both files."""
        return len(self.keys)

    @property
    def files(self) -> tuple[Path, Path]:
        """The keys and the vectors."""
        return self.vectors.with_name(f"{self.name}.keys"), self.vectors

    def mapped(self) -> Float32Array:
        """All rows, read-only and on the disk until they are looked at."""
        shape = (self.rows, self.width)
        return np.memmap(self.vectors, dtype=np.float32, mode="r", shape=shape)

    def read(
        self,
        rows: Int64Array,
        *,
        out: Float32Array | None = None,
        place: Int64Array | None = None,
    ) -> Bools:
        """Check rows, and copy those that are as they were written.

        Args:
            rows: of this shard, in any order.
            out: the matrix to copy into; None copies nothing.
            place: for each of `rows`, its row of `out`.

        Returns:
            Which of `rows` are as they were written.

        Raises:
            FileNotFoundError: the shard was merged into another meanwhile.
        """
        whole = np.zeros(len(rows), dtype=bool)
        for chosen, found in self.blocks(rows):
            good = self.keys["vector"][rows[chosen]] == vector_digests(found)
            whole[chosen] = good
            if out is not None and place is not None:
                if good.all():
                    out[place[chosen]] = found
                else:
                    out[place[chosen[good]]] = found[good]
        return whole

    def blocks(self, rows: Int64Array) -> Iterator[tuple[Int64Array, Float32Array]]:
        """The vectors of these rows in the order of the file, unchecked, a few MiB at a time.

        Yields:
            Positions in `rows`, and their vectors, which are overwritten by the next block.
        """
        size = 4 * self.width
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        buffer = np.empty((max(1, BLOCK_BYTES // size), self.width), dtype=np.float32)
        with self.vectors.open("rb", buffering=0) as stream:
            for start, stop in _spans(ascending, len(buffer), max(1, GAP_BYTES // size)):
                first = int(ascending[start])
                count = int(ascending[stop - 1]) - first + 1
                stream.seek(first * size)
                if not _read_exactly(stream, buffer[:count]):
                    return
                span = buffer[:count]
                if count != stop - start:
                    span = span[ascending[start:stop] - first]
                yield order[start:stop], span


def _spans(rows: Int64Array, most: int, gap: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows where a read would be longer than `most` or would skip over `gap`."""
    start = 0
    while start < len(rows):
        stop = int(np.searchsorted(rows, rows[start] + most))
        jumps = np.flatnonzero(np.diff(rows[start:stop]) > gap)
        if len(jumps):
            stop = start + int(jumps[0]) + 1
        yield start, stop
        start = stop


def _read_exactly(stream: Any, into: Float32Array) -> bool:  # noqa: ANN401  a raw file
    """Fill a buffer from a file; False where the file ends before."""
    left = into.data.cast("B")
    while left:
        count = stream.readinto(left)
        if not count:
            return False
        left = left[count:]
    return True


class Files(NamedTuple):
    """What lies in a side's folder, by the name of the shard."""

    keys: dict[str, Path]
    vectors: dict[str, tuple[Path, int]]
    others: list[Path]


def files_in(folder: Path) -> Files:
    """Sort the files of a side's folder; all empty where there is no folder."""
    found = Files({}, {}, [])
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return found
    for path in paths:
        name, *middle = path.name.split(".")
        if path.suffix == ".keys" and not middle[1:]:
            found.keys[name] = path
        elif path.suffix == ".f32" and len(middle) == 2 and middle[0].isdigit():
            found.vectors[name] = (path, int(middle[0]))
        else:
            found.others.append(path)
    return found


def shards_in(folder: Path) -> list[Shard]:
    """What processes have written, this one too; a torn last row is left out.

    Raises:
        FileNotFoundError: a shard was merged into another meanwhile; look again.
    """
    files = files_in(folder)
    shards = []
    for name, keys in files.keys.items():
        if name not in files.vectors:
            continue
        path, width = files.vectors[name]
        # In this order: while a process appends, a key is never there before its vector.
        written = keys.read_bytes()
        rows = min(len(written) // KEY.itemsize, path.stat().st_size // (4 * max(width, 1)))
        if rows and width:
            held = np.frombuffer(written, dtype=KEY, count=rows)
            shards.append(Shard(name, held, path, width))
    return shards


class ShardWriter:
    """Appends to one shard.

    What was appended outlives this process at once: it is handed to the operating system, vectors
    before keys. Against a loss of power it is flushed to the disk when that was last done
    `SYNC_SECONDS` ago, not with every batch, which would wait for the disk more than it encodes.

    Args:
        folder: of the side; there already.
        name: of the shard, used by nobody before.
        width: of a vector.
        clock: seconds.
    """

    def __init__(
        self, folder: Path, name: str, width: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.width = width
        self.rows = 0
        self._folder, self._clock = folder, clock
        self._keys = (folder / f"{name}.keys").open("xb", buffering=0)
        try:
            self._vectors = (folder / f"{name}.{width}.f32").open("xb", buffering=0)
        except OSError:
            self._keys.close()
            raise
        self._named = False
        self._synced = clock()
        self._synced_rows = 0

    def append(self, texts: Digests, vectors: Float32Array) -> None:
        """Append rows; all of them, or none of them counts.

        Raises:
            OSError: the disk is full, or failed.
        """
        if not len(texts):
            return
        values = np.ascontiguousarray(vectors, dtype=np.float32)
        keys = np.empty(len(texts), dtype=KEY)
        keys["text"], keys["vector"] = texts, vector_digests(values)
        _write_all(self._vectors, values.data.cast("B"))
        _write_all(self._keys, memoryview(keys.tobytes()))
        self.rows += len(keys)
        if self._clock() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make what was appended safe against a loss of power."""
        if self.rows > self._synced_rows:
            os.fsync(self._vectors.fileno())
            os.fsync(self._keys.fileno())
            self._synced_rows = self.rows
        if not self._named:
            sync_folder(self._folder)
            self._named = True
        self._synced = self._clock()

    def close(self) -> None:
        """Make all safe, and let go of the files."""
        try:
            self.sync()
        finally:
            self._vectors.close()
            self._keys.close()

    def abandon(self) -> None:
        """After a failed append: cut what it left half written, and let go of the files."""
        for stream, size in ((self._keys, KEY.itemsize), (self._vectors, 4 * self.width)):
            with stream:
                stream.truncate(self.rows * size)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe against a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(stream: Any, data: memoryview) -> None:  # noqa: ANN401  a raw file
    while data:
        data = data[stream.write(data) :]
