"""What the vector store holds, and taking away what is too old or too much.

A side that a living process reads or writes is never taken away, nor one that was used within the
last hour when room is made by itself: the next task of the same run will ask for it. To take away
is to rename, then to delete, so that a side is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmedteb.encoding.store.merge import leftovers, writer_of
from cmedteb.encoding.store.presence import gate, present
from cmedteb.encoding.store.shards import KEY, Files, files_in, shards_in
from cmedteb.errors import UsageError

LIMIT_VARIABLE = "CMEDTEB_CACHE_LIMIT"
MOST_BYTES = 50 * 10**9
RECENT_SECONDS = 3600.0
UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
SIDE = re.compile(r"[0-9a-f]{32}")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class Side:
    """What is kept of one side of one model.

    Attributes:
        name: of its folder.
        identity: what makes its vectors; empty where nobody can tell any more.
        rows: vectors that count.
        bytes: on the disk.
        width: of a vector; 0 where there is none.
        shards: pairs of files.
        damaged: bytes that do not count, in files that nobody writes to any more.
        used: seconds since 1970.
        in_use: whether a living process reads or writes it.
    """

    name: str
    identity: dict[str, Any]
    rows: int
    bytes: int
    width: int
    shards: int
    damaged: int
    used: float
    in_use: bool


def touch(folder: Path) -> None:
    """Note that a side was used now."""
    with suppress(OSError):
        (folder / "used").touch()


def inventory(root: Path, *, verify: bool = False) -> list[Side]:
    """All sides, those used last first; sizes are read, vectors only to verify them."""
    found = []
    for folder in _folders(root):
        at_work: set[str] = set()
        # Where locks cannot be made nothing can be written either: nobody is at work.
        with suppress(OSError), gate(root, folder.name):
            at_work = present(root, folder.name)
        with suppress(FileNotFoundError):
            found.append(_side(folder, at_work, verify=verify))
    return sorted(found, key=lambda side: (-side.used, side.name))


def _side(folder: Path, at_work: set[str], *, verify: bool) -> Side:
    files = files_in(folder)
    rows = damaged = 0
    for name, keys in files.keys.items():
        if name not in files.vectors:
            continue
        path, width = files.vectors[name]
        sizes = (keys.stat().st_size, path.stat().st_size)
        whole = min(sizes[0] // KEY.itemsize, sizes[1] // (4 * max(width, 1)))
        rows += whole
        if writer_of(name) not in at_work:
            damaged += sum(sizes) - whole * (KEY.itemsize + 4 * width)
    bad = _changed_rows(folder) if verify else 0
    width = max((width for _, width in files.vectors.values()), default=0)
    return Side(
        name=folder.name,
        identity=_identity(folder),
        rows=rows - bad,
        bytes=_bytes(folder),
        width=width,
        shards=len(files.vectors),
        damaged=damaged + bad * (KEY.itemsize + 4 * width) + _sizes(leftovers(folder, at_work)),
        used=_used(folder, files),
        in_use=bool(at_work),
    )


def _changed_rows(folder: Path) -> int:
    """Rows that are not as they were written; reads every vector."""
    return sum(int((~shard.read(np.arange(shard.rows))).sum()) for shard in shards_in(folder))


def remove(root: Path, name: str) -> bool:
    """Take a side away; False where a living process is at it."""
    with gate(root, name):
        if present(root, name):
            return False
        away = root / f".trash-{uuid.uuid4().hex}"
        try:
            (root / name).rename(away)
        except FileNotFoundError:
            return True
    shutil.rmtree(away, ignore_errors=True)
    return True


def empty_trash(root: Path) -> int:
    """Delete what a killed process had taken away and not yet deleted; returns bytes."""
    freed = 0
    for away in sorted(root.glob(".trash-*")):
        freed += _bytes(away)
        shutil.rmtree(away, ignore_errors=True)
    return freed


def make_room(root: Path, limit: int | None, *, recent: float = RECENT_SECONDS) -> list[str]:
    """Take away the sides used longest ago until all hold at most `limit` bytes.

    Args:
        root: of all sides.
        limit: bytes; None is no limit.
        recent: sides used within so many seconds stay, even over the limit.

    Returns:
        The sides that were taken away.
    """
    if limit is None:
        return []
    empty_trash(root)
    now, removed = time.time(), []
    sides = sorted((_used(folder, files_in(folder)), folder) for folder in _folders(root))
    held = {folder.name: _bytes(folder) for _, folder in sides}
    total = sum(held.values())
    for used, folder in sides:
        if total <= limit or now - used < recent:
            break
        if remove(root, folder.name):
            total -= held[folder.name]
            removed.append(folder.name)
    return removed


def limit_of(root: Path) -> int | None:
    """How many bytes all sides may hold: `$CMEDTEB_CACHE_LIMIT`, None for `none`.

    By default 50 GB, and never more than half of what the disk has left, the store counted as
    free.

    Raises:
        UsageError: the variable is no size.
    """
    told = os.environ.get(LIMIT_VARIABLE, "").strip()
    if told.lower() == "none":
        return None
    if told:
        return parse_size(told)
    above = root
    while not above.exists():
        above = above.parent
    held = sum(_bytes(folder) for folder in _folders(root))
    return min(MOST_BYTES, (shutil.disk_usage(above).free + held) // 2)


def parse_size(text: str) -> int:
    """Bytes, from `1000`, `20GB` (10^9) or `20GiB` (2^30).

    Raises:
        UsageError: it is none of these.
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{LIMIT_VARIABLE} is {text!r}: give a number of bytes or a size like 20GB, or none "
            "for no limit."
        )
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** UNITS[unit.upper()])


def _folders(root: Path) -> list[Path]:
    try:
        found = sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    # By their names: whatever else lies in a folder that was named by mistake is nobody's side.
    return [path for path in found if SIDE.fullmatch(path.name) and path.is_dir()]


def _identity(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _used(folder: Path, files: Files) -> float:
    """When a side was used last; one that never noted it, when it was written last."""
    paths = [folder / "used", *files.keys.values()]
    times = []
    for path in paths:
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times, default=0.0)


def _bytes(folder: Path) -> int:
    try:
        return _sizes(sorted(folder.rglob("*")))
    except FileNotFoundError:
        return 0


def _sizes(paths: Sequence[Path]) -> int:
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total
