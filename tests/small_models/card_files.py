"""Model cards as a user would write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_card(path: Path, **fields: Any) -> Path:
    """Write a card; a mapping becomes a table, and a mapping in it a table of that table."""
    path.write_text("\n".join(_lines(fields, ())), encoding="utf-8")
    return path


def _lines(fields: Mapping[str, Any], table: tuple[str, ...]) -> list[str]:
    tables = {name: value for name, value in fields.items() if isinstance(value, Mapping)}
    lines = [f"[{'.'.join(table)}]"] if table else []
    # A string of JSON, a list of them, a number and a truth value are TOML as they stand.
    lines += [f"{name} = {json.dumps(fields[name])}" for name in fields if name not in tables]
    for name, value in tables.items():
        lines += _lines(value, (*table, name))
    return lines
