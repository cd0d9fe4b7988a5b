"""The vector store: what was encoded once is read back, whatever becomes of the process.

One folder a *side* of a model (its weights, prompt, pooling, type, ...: everything that moves its
vectors), so two models can never share a vector:

    ROOT/<fingerprint of the side>/identity.json   what the side is, to look at
    ROOT/<fingerprint of the side>/used            when it was used last: the time of the file
    ROOT/<fingerprint of the side>/<shard>...      see `store.shards`
    ROOT/.locks/                                   see `store.presence`

Files are only appended to, each by the process that made it, so any number of processes may share
a store. What a killed process or a full disk left half written is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cmedteb.encoding.store.matrix import new_matrix
from cmedteb.encoding.store.merge import merge
from cmedteb.encoding.store.presence import Presence
from cmedteb.encoding.store.shards import Digests, Shard, ShardWriter, digests, match, shards_in
from cmedteb.encoding.store.upkeep import limit_of, make_room, touch
from cmedteb.errors import CmedtebError
from cmedteb.results.files import write_atomic
from cmedteb.types import Float32Array, Int64Array

__all__ = ["Digests", "Found", "VectorStore", "default_root", "digests"]

LOOKS = 8
Answer = TypeVar("Answer")


def default_root() -> Path:
    """Where vectors are kept: `$CMEDTEB_CACHE/vectors`, else the user's cache folder."""
    named = os.environ.get("CMEDTEB_CACHE")
    if named:
        return Path(named) / "vectors"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "cmedteb" / "vectors"


class Found(NamedTuple):
    """What a store holds of the texts asked for: their rows, and a vector for each."""

    rows: Int64Array
    vectors: Float32Array


@dataclass
class VectorStore:
    """The vectors of one side of one model.

    From the first question until `close`, nobody takes the side away.

    Args:
        root: the folder of all sides.
        identity: everything that moves the side's vectors, as plain values.
        clock: seconds, for what must be flushed now and then.
    """

    root: Path
    identity: Mapping[str, Any]
    clock: Callable[[], float] = time.monotonic
    _presence: Presence | None = field(default=None, init=False)
    _writer: ShardWriter | None = field(default=None, init=False)
    _opened: int = field(default=0, init=False)
    _limit: int | None = field(default=None, init=False)

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
        rows, vectors = self.fill(wanted)
        return Found(rows, vectors if len(rows) == len(vectors) else vectors[rows])

    def fill(self, wanted: Digests) -> Found:
        """A matrix with a row for each wanted text, in which those that are there are filled in.

        Vectors are copied once, from the disk to their row. Where all lie in one file and in this
        order none is: the matrix stays on the disk, read-only.

        Args:
            wanted: digests of texts, each once; shape (n,).

        Returns:
            Rows that are filled in, ascending, and the matrix, shape (n, width), see `matrix`: its
            other rows hold anything. Shape (0, 0) where the side has no vector at all.
        """
        return self._look(lambda shards: self._fill(shards, wanted))

    def matrix(self, rows: int, width: int) -> Float32Array:
        """A matrix to be filled in, on the disk where it is large; see `store.matrix`.

        Raises:
            CmedtebError: the disk is full, or the folder may not be written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return new_matrix(rows, width, self.root)
        except OSError as error:
            raise self._failed(error) from error

    def add(self, keys: Digests, vectors: Float32Array) -> None:
        """Append vectors; they outlive this process as soon as this returns.

        A loss of power costs what was encoded within the last few seconds.

        Args:
            keys: digests of the texts, shape (n,).
            vectors: finite, shape (n, width).

        Raises:
            CmedtebError: the disk is full, or the folder may not be written to. What was added
                before is kept.
        """
        try:
            self._writing(vectors.shape[1]).append(keys, vectors)
        except (OSError, NotImplementedError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Make what was added safe against a loss of power too, and let go of the side.

        Raises:
            CmedtebError: the disk failed.
        """
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
                self._make_room()
        except OSError as error:
            raise self._failed(error) from error
        finally:
            if self._presence is not None:
                touch(self.folder)
                self._presence.leave()
                self._presence = None

    def _look(self, answer: Callable[[list[Shard]], Answer]) -> Answer:
        """Answer from the shards; again where another process merged some meanwhile."""
        if self.folder.is_dir():
            # Without a lock where none can be made: then nothing can be taken away either.
            with suppress(OSError, NotImplementedError):
                self._enter()
        for _ in range(LOOKS):
            with suppress(FileNotFoundError):
                return answer(shards_in(self.folder))
        raise CmedtebError(
            f"the files of {self.folder} vanish while they are read. Does something other than "
            "cmedteb remove them? Stop it, or go without: --vectors none."
        )

    def _fill(self, shards: list[Shard], wanted: Digests) -> Found:
        if not shards:
            return Found(np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32))
        mapped = _mapped(shards, wanted)
        if mapped is not None:
            return Found(np.arange(len(wanted)), mapped)
        out = self.matrix(len(wanted), shards[0].width)
        return Found(_read(shards, wanted, out), out)

    def _enter(self) -> Presence:
        if self._presence is not None:
            return self._presence
        self._limit = limit_of(self.root)
        presence = Presence(self.root, self.folder.name)
        presence.enter()
        self._presence, self._opened = presence, 0
        if self.folder.is_dir():
            touch(self.folder)
            # A merge that fails loses nothing, and the shards are read as they are.
            with suppress(OSError):
                merge(self.root, self.folder.name)
        return presence

    def _writing(self, width: int) -> ShardWriter:
        """The shard of this stay for vectors of this width."""
        if self._writer is not None and self._writer.width == width:
            return self._writer
        presence = self._enter()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._opened:
            self._describe()
            self._make_room()
        if self._writer is not None:
            self._writer.close()
        name = f"{presence.name}-{self._opened}"
        self._opened += 1
        self._writer = ShardWriter(self.folder, name, width, self.clock)
        return self._writer

    def _make_room(self) -> None:
        # What cannot be taken away now can be later; it is no reason to fail.
        with suppress(OSError):
            make_room(self.root, self._limit)

    def _describe(self) -> None:
        described = self.folder / "identity.json"
        text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False, indent=2) + "\n"
        with suppress(OSError, UnicodeDecodeError):
            if described.read_text(encoding="utf-8") == text:
                return
        write_atomic(described, text.encode())

    def _failed(self, error: OSError | NotImplementedError) -> CmedtebError:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):
                writer.abandon()
        told = getattr(error, "strerror", None) or str(error)
        return CmedtebError(
            f"cannot keep vectors in {self.folder}: {told}. What was kept before is safe, and the "
            "same command goes on from there. Make room (`cmedteb cache clean`), name another "
            "folder with --vectors, or go without one: --vectors none."
        )


def _mapped(shards: list[Shard], wanted: Digests) -> Float32Array | None:
    """All wanted vectors on the disk, where they lie in one shard, whole and in this order."""
    for shard in shards:
        if shard.width != shards[0].width:
            continue
        asked, there = match(wanted, shard.keys["text"])
        if len(asked):
            in_order = len(asked) == len(wanted) and bool((np.diff(there) == 1).all())
            if not in_order or not shard.read(there).all():
                return None
            return shard.mapped()[there[0] : there[0] + len(there)]
    return None


def _read(shards: list[Shard], wanted: Digests, out: Float32Array) -> Int64Array:
    """Copy what is there and whole; returns the rows, ascending."""
    missing = np.arange(len(wanted))
    for shard in shards:
        if len(missing) and shard.width == out.shape[1]:
            asked, there = match(wanted[missing], shard.keys["text"])
            whole = shard.read(there, out=out, place=missing[asked])
            missing = np.delete(missing, asked[whole])
    return np.setdiff1d(np.arange(len(wanted)), missing, assume_unique=True)
