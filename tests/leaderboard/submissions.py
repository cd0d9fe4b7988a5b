"""Submissions for the tests of `check`: a real run of two systems, then whatever a test breaks.

Results are written by the runner itself on the shipped smoke tasks; a fault is made by editing
files as a stranger could, with the checksum and the fingerprint made right again where the test is
about something else.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cmedteb
from cmedteb.leaderboard.check.context import Context
from cmedteb.leaderboard.check.faults import Fault
from cmedteb.leaderboard.check.history import Base
from cmedteb.leaderboard.check.submission import check
from cmedteb.leaderboard.describe import cards_by_model
from cmedteb.leaderboard.known import known_data
from cmedteb.results import TaskResult, fingerprint
from cmedteb.results.files import sha256_of
from cmedteb.tasks import catalogue

HOME = "cmedteb__hashing/1"


def run(root: Path) -> Path:
    """A results folder with BM25 and hashing on the smoke tasks."""
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks=["smoke"], output=root)
    return root


def context(root: Path) -> Context:
    """What the shipped cards and known data say."""
    return Context(
        root=root,
        tasks=catalogue().cards,
        data=known_data(),
        releases={},
        cards=cards_by_model(),
    )


def found(root: Path, base: Base | None = None) -> list[Fault]:
    """Faults and warnings of a folder."""
    return check(context(root), base=base)


def told(root: Path, base: Base | None = None) -> list[str]:
    """Only the faults, as lines below the folder."""
    prefix = f"{root}/"
    return [str(one).removeprefix(prefix) for one in found(root, base) if not one.warning]


def edit(path: Path, change: Callable[[dict[str, Any]], Any], *, sealed: bool = True) -> None:
    """Change a result; `sealed` makes its fingerprint and its checksum right again."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    if sealed:
        document["fingerprint"] = fingerprint(document["fingerprint_of"])
        path.write_text(json.dumps(document), encoding="utf-8")
        document["checksum"] = TaskResult.model_validate(document).content_checksum
    path.write_text(json.dumps(document), encoding="utf-8")


def edit_receipt(
    result: Path, change: Callable[[list[str]], list[str]], *, sealed: bool = True
) -> None:
    """Change the lines of a receipt; `sealed` names its new hash in the result."""
    path = result.parent / "receipts" / f"{result.stem}.tsv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    path.write_bytes(gzip.compress("".join(f"{one}\n" for one in change(lines)).encode()))
    if sealed:
        edit(result, lambda one: one["receipts"].update(sha256=sha256_of(path)))
