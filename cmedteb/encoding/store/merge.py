"""Merging the small shards that finished processes left into one, and dropping what is damaged.

At every moment each row that was whole is whole in at least one shard that readers see: the merged
vectors are written first, which nobody reads without keys; the rename of the keys makes the merged
shard count; only then the old ones go. A killed merge leaves files that do not count, or both the
old and the new, and the next merge clears that up.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding.store.presence import gate, merging, present
from cmedteb.encoding.store.shards import (
    KEY,
    Shard,
    files_in,
    match,
    shards_in,
    sync_folder,
    vector_digests,
)
from cmedteb.types import Int64Array

MANY_SHARDS = 16
STALE_SECONDS = 3600.0


class Merged(NamedTuple):
    """What a merge did: shards that it replaced, and bytes that it freed."""

    shards: int
    freed: int


def merge(root: Path, side: str) -> Merged:
    """Merge a side's small shards where finished processes left many.

    Raises:
        OSError: the disk is full, or the folder may not be written to; nothing is lost.
    """
    with merging(root, side) as mine:
        if not mine:
            return Merged(0, 0)
        finished = _finished(root, side)
        chosen = small(finished) if len(finished) > MANY_SHARDS else []
        return _replace(root / side, chosen) if len(chosen) > 1 else Merged(0, 0)


def repair(root: Path, side: str) -> Merged:
    """Read every row that finished processes left, and drop what is damaged or half written.

    Raises:
        OSError: the disk is full, or the folder may not be written to; nothing is lost.
    """
    with merging(root, side) as mine:
        if not mine:
            return Merged(0, 0)
        damaged = [shard for shard in _finished(root, side) if not is_whole(shard)]
        done = _replace(root / side, damaged)
        return Merged(done.shards, done.freed + _sweep(root, side))


def small(shards: Sequence[Shard]) -> list[Shard]:
    """Those worth merging: all but the ones that are larger than all smaller ones together.

    So a row is copied about as often as the side doubles, and a large shard is left where it is.
    """
    ascending = sorted(shards, key=lambda shard: (shard.rows, shard.name))
    while len(ascending) > 1 and ascending[-1].rows > sum(one.rows for one in ascending[:-1]):
        ascending.pop()
    return sorted(ascending, key=lambda shard: shard.name) if len(ascending) > 1 else []


def is_whole(shard: Shard) -> bool:
    """Whether both files hold exactly the rows that count, as they were written."""
    keys, vectors = shard.files
    sizes = (shard.rows * KEY.itemsize, shard.rows * 4 * shard.width)
    if (keys.stat().st_size, vectors.stat().st_size) != sizes:
        return False
    return bool(shard.read(np.arange(shard.rows)).all())


def _finished(root: Path, side: str) -> list[Shard]:
    """The shards that nobody writes to any more."""
    with gate(root, side):
        names = present(root, side)
        return [one for one in shards_in(root / side) if writer_of(one.name) not in names]


def writer_of(name: str) -> str:
    """Whose shard it is."""
    return name.partition("-")[0]


def _replace(folder: Path, shards: Sequence[Shard]) -> Merged:
    """Write the whole rows of some shards anew, one shard a width, and remove the old."""
    freed = 0
    for width in sorted({shard.width for shard in shards}):
        freed -= _write([shard for shard in shards if shard.width == width], folder, width)
    if shards:
        sync_folder(folder)
    for shard in shards:
        for path in shard.files:
            freed += path.stat().st_size
            path.unlink()
    return Merged(len(shards), freed)


def _write(shards: Sequence[Shard], folder: Path, width: int) -> int:
    """One shard of the whole rows of others of one width; returns its bytes."""
    name = uuid.uuid4().hex
    vectors = folder / f"{name}.{width}.f32"
    part = folder / f"{name}.keys.part"
    try:
        keys = _write_vectors(shards, vectors)
        if len(keys):
            _write_synced(part, keys.tobytes())
            part.replace(folder / f"{name}.keys")
        else:
            vectors.unlink()
    except OSError:
        for path in (part, vectors):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    return len(keys) * (KEY.itemsize + 4 * width)


def _write_vectors(shards: Sequence[Shard], path: Path) -> NDArray[Any]:
    """Copy the whole rows, each text once; returns their keys."""
    keys = np.empty(0, dtype=KEY)
    with path.open("xb") as stream:
        for shard in shards:
            rows = _new_rows(shard, keys)
            copied = []
            for chosen, found in shard.blocks(rows):
                good = shard.keys["vector"][rows[chosen]] == vector_digests(found)
                stream.write(np.ascontiguousarray(found[good]).data)
                copied.append(shard.keys[rows[chosen[good]]])
            keys = np.concatenate([keys, *copied])
        stream.flush()
        os.fsync(stream.fileno())
    return keys


def _new_rows(shard: Shard, keys: NDArray[Any]) -> Int64Array:
    """The last row of every text of a shard that is not among the keys."""
    texts = shard.keys["text"]
    last = np.unique(match(texts, texts)[1])
    known, _ = match(texts[last], keys["text"])
    return np.delete(last, known)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def leftovers(folder: Path, at_work: set[str]) -> list[Path]:
    """Files that dead processes left and that nobody reads."""
    files = files_in(folder)
    vectors = {name: path for name, (path, _) in files.vectors.items()}
    alone = [
        path
        for here, other in ((files.keys, vectors), (vectors, files.keys))
        for name, path in sorted(here.items())
        if name not in other and writer_of(name) not in at_work
    ]
    limit = time.time() - STALE_SECONDS
    known = {"identity.json", "used"}
    others = [path for path in files.others if path.name not in known]
    return alone + [path for path in others if path.suffix == ".part" or _changed(path) < limit]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _sweep(root: Path, side: str) -> int:
    """Remove the leftovers of a side, as the one who may merge it; returns bytes."""
    with gate(root, side):
        found = leftovers(root / side, present(root, side))
    freed = 0
    for path in found:
        with suppress(FileNotFoundError):
            freed += path.stat().st_size
            path.unlink()
    return freed
