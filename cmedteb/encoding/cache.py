"""The vector store: what was encoded once is read back, whatever becomes of the process.

One folder a *side* of a model (its weights, prompt, pooling, type, ...: everything that moves its
vectors), so two models can never share a vector:

    ROOT/<fingerprint of the side>/identity.json        what the side is, to look at
    ROOT/<fingerprint of the side>/<writer>.keys        32 bytes a row: digest of the text, of the
                                                        vector
    ROOT/<fingerprint of the side>/<writer>.<width>.f32 float32 rows

Files are only appended to, each by the process that made it, so any number of processes may share
a store. A row counts when its key is there and its vector has the digest that the key says: what a
killed process or a full disk left half written is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.data.columns import digest
from cmedteb.errors import CmedtebError
from cmedteb.types import Float32Array, Int64Array

DIGEST = 16
KEY = np.dtype([("text", f"V{DIGEST}"), ("vector", f"V{DIGEST}")])
Digests = NDArray[np.void]


def default_root() -> Path:
    """Where vectors are kept: `$CMEDTEB_CACHE/vectors`, else the user's cache folder."""
    named = os.environ.get("CMEDTEB_CACHE")
    if named:
        return Path(named) / "vectors"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "cmedteb" / "vectors"


def digests(texts: Iterable[str]) -> Digests:
    """A 128-bit digest of every text, one row a text."""
    joined = b"".join(digest(text.encode()) for text in texts)
    return np.frombuffer(joined, dtype=f"V{DIGEST}")


class Found(NamedTuple):
    """What a store holds of the texts asked for: their rows, and a vector for each."""

    rows: Int64Array
    vectors: Float32Array


@dataclass(frozen=True)
class _Shard:
    """The rows that one process wrote."""

    keys: NDArray[Any]
    vectors: Path
    rows: int
    width: int

    def read(self, rows: Int64Array) -> tuple[NDArray[np.bool_], Float32Array]:
        """The vectors of these rows, and which of them are as they were written."""
        shape = (self.rows, self.width)
        held = np.memmap(self.vectors, dtype=np.float32, mode="r", shape=shape)
        found = np.ascontiguousarray(held[rows])
        return self.keys["vector"][rows] == _vector_digests(found), found


@dataclass
class VectorStore:
    """The vectors of one side of one model.

    Args:
        root: the folder of all sides.
        identity: everything that moves the side's vectors, as plain values.
    """

    root: Path
    identity: Mapping[str, Any]
    _streams: tuple[BinaryIO, BinaryIO] | None = field(default=None, init=False)

    @cached_property
    def folder(self) -> Path:
        """Where this side's vectors lie."""
        text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False)
        return self.root / hashlib.sha256(text.encode()).hexdigest()[:32]

    def find(self, wanted: Digests) -> Found:
        """What is there of the wanted texts; a shard of another width than the first is not read.

        Args:
            wanted: digests of texts, each once; shape (n,).

        Returns:
            Rows of `wanted` that are there, ascending, and their vectors.
        """
        rows: list[Int64Array] = []
        vectors: list[Float32Array] = []
        missing = np.arange(len(wanted))
        for shard in self._shards():
            if not len(missing):
                break
            asked, there = _match(wanted[missing], shard.keys["text"])
            whole, found = shard.read(there)
            if vectors and found.shape[1] != vectors[0].shape[1]:
                continue
            rows.append(missing[asked[whole]])
            vectors.append(found[whole])
            missing = np.delete(missing, asked[whole])
        if not rows:
            return Found(np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32))
        order = np.argsort(np.concatenate(rows), kind="stable")
        return Found(np.concatenate(rows)[order], np.concatenate(vectors)[order])

    def add(self, keys: Digests, vectors: Float32Array) -> None:
        """Append vectors; they outlive this process as soon as this returns.

        Args:
            keys: digests of the texts, shape (n,).
            vectors: finite, shape (n, width).

        Raises:
            CmedtebError: the disk is full, or the folder may not be written to.
        """
        rows = np.empty(len(keys), dtype=KEY)
        rows["text"], rows["vector"] = keys, _vector_digests(vectors)
        try:
            into_keys, into_vectors = self._streams or self._open(vectors.shape[1])
            into_vectors.write(np.ascontiguousarray(vectors, dtype=np.float32).tobytes())
            into_vectors.flush()
            into_keys.write(rows.tobytes())
            into_keys.flush()
        except OSError as error:
            raise CmedtebError(
                f"cannot keep vectors in {self.folder}: {error.strerror}. Make room, name another "
                "folder with --vectors, or go without one: --vectors none."
            ) from error

    def close(self) -> None:
        """Make what was added safe against a loss of power too, and let go of the files."""
        for stream in self._streams or ():
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        self._streams = None

    def _open(self, width: int) -> tuple[BinaryIO, BinaryIO]:
        self.folder.mkdir(parents=True, exist_ok=True)
        described = self.folder / "identity.json"
        if not described.is_file():
            text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False, indent=2)
            described.write_text(text + "\n", encoding="utf-8")
        name = uuid.uuid4().hex
        self._streams = (
            (self.folder / f"{name}.keys").open("ab"),
            (self.folder / f"{name}.{width}.f32").open("ab"),
        )
        return self._streams

    def _shards(self) -> list[_Shard]:
        """What processes have written, this one too; a torn last row is left out."""
        shards = []
        for vectors in sorted(self.folder.glob("*.f32")):
            name, width = vectors.name.removesuffix(".f32").split(".")
            keys = self.folder / f"{name}.keys"
            rows = vectors.stat().st_size // (4 * int(width))
            if not keys.is_file() or not rows:
                continue
            written = keys.read_bytes()
            whole = min(rows, len(written) // KEY.itemsize)
            held = np.frombuffer(written, dtype=KEY, count=whole)
            shards.append(_Shard(held, vectors, whole, int(width)))
        return shards


def _vector_digests(vectors: Float32Array) -> Digests:
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    return np.frombuffer(b"".join(digest(row.data) for row in rows), dtype=f"V{DIGEST}")


def _match(wanted: Digests, held: Digests) -> tuple[Int64Array, Int64Array]:
    """Rows of `wanted` that are held, and for each its last row in `held`."""
    order = np.argsort(held.view(f"S{DIGEST}"), kind="stable")
    sorted_keys = held.view(f"S{DIGEST}")[order]
    place = np.searchsorted(sorted_keys, wanted.view(f"S{DIGEST}"), side="right") - 1
    place = np.maximum(place, 0)
    hit = (
        sorted_keys[place] == wanted.view(f"S{DIGEST}")
        if len(held)
        else np.zeros(len(wanted), dtype=bool)
    )
    asked = np.flatnonzero(hit)
    return asked, order[place[asked]]
