"""Puts a site on disk at once: all of it or nothing.

The new site is written beside the old one and takes its place at the end, so whoever looks
meanwhile sees a whole site. A folder that holds something else is never replaced.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cmedteb.errors import UsageError

# What tells a site of ours from somebody's folder.
SIGN = "leaderboard.json"


def replace_site(files: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Write files and put them where `folder` is.

    Args:
        files: paths within the site, with `/`, and contents.
        folder: new, empty, or a site of ours.

    Raises:
        UsageError: the folder holds something else.
    """
    folder = folder.resolve()
    if folder.exists() and not _replaceable(folder):
        raise UsageError(
            f"{folder} is not a leaderboard that was built before, so it is not replaced. "
            "Give a new or an empty folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        site = made / "new"
        for name, content in files:
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            folder.rename(made / "old")
        site.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return (folder / SIGN).is_file() or not any(folder.iterdir())
