"""History is append-only: what was published stays, a new run is a new revision's folder.

The state before is a folder or a git tree. `model.json` may gain records of latency; everything
else that was there must be there still, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cmedteb.errors import DataError, UsageError
from cmedteb.leaderboard.bounded import MAX_PACKED, read_bytes, read_json
from cmedteb.leaderboard.check.faults import Faults
from cmedteb.leaderboard.check.layout import IGNORED


class Base(NamedTuple):
    """A results folder as it was.

    Attributes:
        files: path in the folder -> hash of its content, as git hashes a blob.
        read: the content of one of them.
    """

    files: Mapping[str, str]
    read: Callable[[str], bytes]


def folder_base(folder: Path) -> Base:
    """The state of a folder.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} to compare with (--base)")
    return Base(hashes(folder), lambda name: read_bytes(folder / name, MAX_PACKED))


def git_base(folder: Path, commit: str) -> Base:
    """The state of a folder in the commit from which HEAD and `commit` parted.

    Raises:
        UsageError: no git repository, or no such commit.
    """
    if commit.startswith("-"):
        raise UsageError(f"{commit!r} is no commit")
    start = _git(folder, "merge-base", commit, "HEAD").decode().strip()
    listed = _git(folder, "ls-tree", "-r", "-z", start, "--", ".").decode()
    files = {}
    for line in filter(None, listed.split("\0")):
        about, _, name = line.partition("\t")
        files[name] = about.split()[2]
    return Base(
        {name: one for name, one in files.items() if not _ignored(name)},
        lambda name: _git(folder, "show", f"{start}:./{name}"),
    )


def hashes(folder: Path) -> dict[str, str]:
    """Path -> hash of every plain file below; links are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and not _ignored(name):
            try:
                found[name] = _blob(read_bytes(path, MAX_PACKED))
            except DataError:
                found[name] = "unreadable"
    return found


def changed(now: Mapping[str, str], base: Base) -> set[str]:
    """Files that are new or other than before."""
    return {name for name, one in now.items() if base.files.get(name) != one}


def check_history(root: Path, now: Mapping[str, str], base: Base, faults: Faults) -> None:
    """Whether all that was there still is, as it was."""
    for name in sorted(base.files):
        if name not in now:
            faults.add(root / name, "was published and is gone; history is append-only")
        elif now[name] != base.files[name] and not _only_grew(root / name, base.read(name)):
            faults.add(
                root / name,
                "was published and has changed; history is append-only, so a new run goes into a "
                "new revision's folder",
            )


def _only_grew(path: Path, before: bytes) -> bool:
    """Whether a `model.json` says what it said, with nothing but latency records added."""
    if path.name != "model.json":
        return False
    try:
        old, new = json.loads(before), read_json(path)
    except (ValueError, DataError):
        return False
    if not isinstance(new, dict):
        return False
    kept, there = old.pop("latency", []), new.pop("latency", [])
    return old == new and all(record in there for record in kept)


def _ignored(name: str) -> bool:
    return name.split("/", 1)[0] in IGNORED


def _blob(content: bytes) -> str:
    """What git calls this content."""
    start = f"blob {len(content)}\0".encode()
    return hashlib.sha1(start + content, usedforsecurity=False).hexdigest()


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise UsageError("--changed needs git, which is not installed") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise UsageError(f"git {arguments[0]} in {folder}: {said}") from error
    return done.stdout
