"""Which versions of judgements have been released, with what each header says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from cmedteb.annotations.overlay import read_overlay
from cmedteb.data.judgements import Overlay
from cmedteb.resources import data_folder

_VERSION = re.compile(r"^v([1-9][0-9]*)$")


class Released(NamedTuple):
    """One version of one task's judgements, and its whole header."""

    overlay: Overlay
    header: dict[str, Any]


def released(folder: Path | None = None) -> dict[str, list[Released]]:
    """Task -> its versions, oldest first.

    Args:
        folder: where overlays lie; by default the shipped `annotations/overlays`.

    Raises:
        DataError: a header or its lines are malformed.
    """
    folder = folder or data_folder("annotations") / "overlays"
    found: dict[str, list[Released]] = {}
    for path in sorted(folder.glob("*/*.tsv.gz"), key=_order):
        version = path.name.removesuffix(".tsv.gz")
        if not _VERSION.match(version):
            continue
        task = path.parent.name
        overlay = read_overlay(task, version, folder)
        header = json.loads((path.parent / f"{version}.json").read_text(encoding="utf-8"))
        found.setdefault(task, []).append(Released(overlay, header))
    return found


def _order(path: Path) -> tuple[str, int]:
    match = _VERSION.match(path.name.removesuffix(".tsv.gz"))
    return path.parent.name, int(match[1]) if match else 0
