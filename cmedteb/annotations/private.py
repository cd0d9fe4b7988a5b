"""Keeps texts out of `annotations/`, where ids, grades and prompts are published."""

from __future__ import annotations

from pathlib import Path

from cmedteb.errors import UsageError
from cmedteb.resources import data_folder


def refuse_shipped(folder: Path) -> None:
    """Refuse a folder for texts that lies in the shipped `annotations/`.

    Raises:
        UsageError: it does.
    """
    if folder.resolve().is_relative_to(data_folder("annotations").resolve()):
        raise UsageError(
            f"{folder}: these files hold texts of the data set, and none may enter annotations/. "
            "Give another folder with --to."
        )
