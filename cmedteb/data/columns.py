"""Builds text and id columns lean: contiguous UTF-8, every distinct text once.

Texts arrive a batch at a time and are never held as Python strings. A column of more than 1 GiB is
split into chunks, since Arrow's 32-bit offsets end at 2 GiB; below that it is one chunk, because
Arrow concatenates all chunks whenever rows are taken from several.
"""

from __future__ import annotations

import hashlib
import mmap
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.types import Int32Array, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

DIGEST_BYTES = 16
CHUNK_BYTES = 1 << 30
SEGMENT_BYTES = 1 << 20
BATCH_ROWS = 4096

Digests = NDArray[np.bytes_]


def digest(raw: bytes | memoryview) -> bytes:
    """A 128-bit digest of a text's UTF-8 bytes."""
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()


def strings_of(column: pa.StringArray) -> tuple[memoryview, NDArray[np.int32]]:
    """The bytes of a column without nulls, and where each string begins in them (and the end)."""
    _, places, data = column.buffers()
    offsets = np.frombuffer(places, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    if data is None or not len(column):
        return memoryview(b""), np.zeros(len(column) + 1, dtype=np.int32)
    view = memoryview(data)[int(offsets[0]) : int(offsets[-1])]
    return view, offsets - offsets[0]


def digests_of(column: pa.StringArray) -> Digests:
    """The digest of every string of a column without nulls."""
    view, offsets = strings_of(column)
    found = np.empty(len(column), dtype=f"S{DIGEST_BYTES}")
    for first in range(0, len(column), BATCH_ROWS):
        edges = offsets[first : first + BATCH_ROWS + 1].tolist()
        some = b"".join([digest(view[start:end]) for start, end in pairwise(edges)])
        found[first : first + BATCH_ROWS] = np.frombuffer(some, dtype=found.dtype)
    return found


def all_different(names: pa.ChunkedArray) -> bool:
    """Whether no string occurs twice, by sorting digests: 16 bytes a string, no hash table."""
    digests = np.concatenate([np.empty(0, f"S{DIGEST_BYTES}"), *map(digests_of, names.chunks)])
    digests.sort()
    return not bool((digests[1:] == digests[:-1]).any())


class _Bytes:
    """Bytes that grow in segments of anonymous memory.

    A growing bytearray would be copied from heap block to heap block, and the holes it leaves are
    never given back; a segment is, as soon as it has been copied into the final buffer.
    """

    def __init__(self) -> None:
        self._segments: list[mmap.mmap] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            if self._size == len(self._segments) * SEGMENT_BYTES:
                self._segments.append(mmap.mmap(-1, SEGMENT_BYTES))
            at = self._size % SEGMENT_BYTES
            part = view[: SEGMENT_BYTES - at]
            self._segments[-1][at : at + len(part)] = part
            self._size += len(part)
            view = view[len(part) :]

    def finish(self) -> pa.Buffer:
        """All bytes in one Arrow buffer; the segments are freed on the way."""
        import pyarrow as pa

        buffer = pa.allocate_buffer(self._size)
        target = memoryview(buffer).cast("B")
        for start, segment in zip(range(0, self._size, SEGMENT_BYTES), self._segments, strict=True):
            part = min(SEGMENT_BYTES, self._size - start)
            target[start : start + part] = memoryview(segment)[:part]
            segment.close()
        return buffer


class StringBuilder:
    """Appends UTF-8 strings to one growing buffer, without a list of strings."""

    def __init__(self) -> None:
        self._data = _Bytes()
        self._offsets = array("i", [0])
        self._chunks: list[pa.Array] = []
        self._closed = 0

    def __len__(self) -> int:
        return self._closed + len(self._offsets) - 1

    def extend(self, raws: Iterable[bytes]) -> None:
        """Append strings, given as UTF-8."""
        for raw in raws:
            if len(self._data) + len(raw) > CHUNK_BYTES and len(self._offsets) > 1:
                self._close()
            self._data.write(raw)
            self._offsets.append(len(self._data))

    def extend_column(self, column: pa.StringArray) -> None:
        """Append the strings of a column without nulls, much smaller than a chunk."""
        view, offsets = strings_of(column)
        if len(self._data) + len(view) > CHUNK_BYTES and len(self._offsets) > 1:
            self._close()
        self._offsets.frombytes((offsets[1:] + np.int32(len(self._data))).tobytes())
        self._data.write(view)

    def finish(self) -> pa.ChunkedArray:
        """The column; the builder is empty afterwards."""
        import pyarrow as pa

        self._close()
        chunks, self._chunks, self._closed = self._chunks, [], 0
        return pa.chunked_array(chunks, type=pa.string())

    def _close(self) -> None:
        import pyarrow as pa

        rows = len(self._offsets) - 1
        buffers = [None, pa.py_buffer(self._offsets), self._data.finish()]
        self._chunks.append(pa.Array.from_buffers(pa.string(), rows, buffers))
        self._closed += rows
        self._data, self._offsets = _Bytes(), array("i", [0])


class Placement(NamedTuple):
    """Where a batch of digests stands: position of each, and which of the batch were new."""

    positions: Int32Array
    fresh: NDArray[np.int64]


class DigestIndex:
    """Finds the position of a digest among those seen before: 20 bytes an entry.

    Sorted runs of growing length, merged like a log-structured tree; a dictionary of Python
    objects would need ten times the memory.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Digests, Int32Array]] = []
        self._count = 0

    def place(self, digests: Digests) -> Placement:
        """The position of each digest; new ones are numbered on in order of appearance."""
        keys, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        positions = np.full(len(keys), -1, dtype=np.int32)
        for run_keys, run_positions in self._runs:
            at = np.minimum(np.searchsorted(run_keys, keys), len(run_keys) - 1)
            known = run_keys[at] == keys
            positions[known] = run_positions[at[known]]
        new = np.flatnonzero(positions < 0)
        new = new[np.argsort(first[new])]
        positions[new] = np.arange(self._count, self._count + len(new), dtype=np.int32)
        self._count += len(new)
        if len(new):
            self._add(keys[np.sort(new)], positions[np.sort(new)])
        return Placement(positions[inverse.reshape(-1)], first[new])

    def _add(self, keys: Digests, positions: Int32Array) -> None:
        self._runs.append((keys, positions))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            merged_keys = np.concatenate([self._runs[-2][0], self._runs[-1][0]])
            merged_positions = np.concatenate([self._runs[-2][1], self._runs[-1][1]])
            order = np.argsort(merged_keys, kind="stable")
            self._runs[-2:] = [(merged_keys[order], merged_positions[order])]


class TextBuilder:
    """Builds a TextColumn from batches of texts."""

    def __init__(self) -> None:
        self._strings = StringBuilder()
        self._seen = DigestIndex()
        self._index: list[Int32Array] = []

    def extend(self, raws: Sequence[bytes]) -> Int32Array:
        """Append rows, given as UTF-8; returns the position of each row's distinct text."""
        if not raws:
            return np.empty(0, dtype=np.int32)
        digests = np.array([digest(raw) for raw in raws], dtype=f"S{DIGEST_BYTES}")
        placement = self._seen.place(digests)
        self._strings.extend(raws[int(row)] for row in placement.fresh)
        self._index.append(placement.positions)
        return placement.positions

    def extend_column(self, column: pa.StringArray) -> None:
        """Append the rows of a column without nulls."""
        placement = self._seen.place(digests_of(column))
        fresh = column if len(placement.fresh) == len(column) else column.take(placement.fresh)
        self._strings.extend_column(fresh)
        self._index.append(placement.positions)

    def finish(self) -> TextColumn:
        """The column; the builder must not be used afterwards."""
        index = np.concatenate(self._index) if self._index else np.empty(0, dtype=np.int32)
        self._index, self._seen = [], DigestIndex()
        return TextColumn(self._strings.finish(), index)
