"""A panel of judges at a server on this machine, as a user would write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

JUDGE = """
[[judges]]
label = "{label}"
model = "{label}"
base_url = "{url}"
concurrency = 8
price = {{ input = 1.0, cached = 0.5, output = 2.0 }}
"""


def write_panel(path: Path, url: str, labels: Sequence[str]) -> Path:
    """Write a panel of these judges, all at one server."""
    judges = "".join(JUDGE.format(label=label, url=url) for label in labels)
    path.write_text(f'name = "{path.stem}"\n{judges}', encoding="utf-8")
    return path
