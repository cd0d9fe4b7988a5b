"""Finds the data folders: the copy packed into the wheel, or the checkout.

It hands out paths only; what a folder holds is read by the package of the same name.
"""

from __future__ import annotations

from pathlib import Path

from cmedteb.errors import NotAvailableError

FOLDERS = ("tasks", "annotations", "leaderboard")


def data_root() -> Path:
    """The folder that holds `tasks/`, `annotations/` and `leaderboard/`."""
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """One of the data folders.

    Raises:
        NotAvailableError: the installation carries no such folder.
    """
    folder = data_root() / name
    if name not in FOLDERS or not folder.is_dir():
        raise NotAvailableError(
            f"the data folder {name!r} is not under {data_root()}. "
            "The installation is incomplete: reinstall cmedteb."
        )
    return folder
