"""Remembers in an exported folder where its data came from.

`provenance.json` is believed only while the folder still holds the data it describes: the content
hash is compared after loading.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cmedteb.types import Provenance

RECORD = "provenance.json"


def write_record(folder: Path, provenance: Provenance, *, name: str, origin: str) -> None:
    """Write where the data in this folder came from."""
    record = {
        "name": name,
        "origin": origin,
        "revision": provenance.revision,
        "content_hash": provenance.content_hash,
        "warnings": provenance.warnings,
    }
    text = json.dumps(record, ensure_ascii=False, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a folder; empty if it has none that can be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def recorded_revision(folder: Path, content_hash: str) -> str | None:
    """The revision the record names, if it describes exactly the data that was loaded."""
    record = read_record(folder)
    revision = record.get("revision")
    matches = record.get("content_hash") == content_hash and isinstance(revision, str)
    return revision if matches else None
