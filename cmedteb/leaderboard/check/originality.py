"""Whose receipt is it: the same as another model's, or better than anything that was measured?

Equal bytes under another model's name are a fault: nobody returns another model's scores to nine
digits by chance. What is merely unlikely is a warning, since a first good model looks like that:
the same ten documents in the same order for every query, a score far above the best, next to
nothing in common with any other model.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from cmedteb.errors import CmedtebError
from cmedteb.leaderboard.bounded import read_bytes, unpack
from cmedteb.leaderboard.check.faults import Faults, plain
from cmedteb.leaderboard.check.receipts import Checked
from cmedteb.leaderboard.receipt import Columns, parse
from cmedteb.leaderboard.score import MAX_PACKED
from cmedteb.results import TaskResult
from cmedteb.types import TaskType

JUMP = 0.15
TOP = 10
OVERLAP = 0.02


@dataclass(frozen=True)
class Other:
    """A result that is there already, of any model."""

    path: Path
    folder: Path
    result: TaskResult

    def columns(self) -> Columns | None:
        """Its receipt; None where it cannot be read, which is told where it is checked."""
        path = self.folder / "receipts" / f"{self.result.task_name}.tsv.gz"
        try:
            return parse(path, unpack(path, read_bytes(path, MAX_PACKED)))
        except CmedtebError:
            return None


def check_original(checked: Checked, others: list[Other], faults: Faults) -> None:
    """Compare a receipt with those of all other models on the same task and data."""
    mine = checked.result
    rivals = [
        one
        for one in others
        if one.result.task_name == mine.task_name
        and one.result.dataset_content_hash == mine.dataset_content_hash
        and one.result.model.name != mine.model.name
    ]
    for one in rivals:
        if one.result.receipts.sha256 == mine.receipts.sha256:
            faults.add(checked.path, f"its receipt is that of {plain(one.result.model.name)}")
            return
    _check_jump(checked, others, faults)
    if mine.task_type != TaskType.STS and rivals:
        _check_rankings(checked, rivals, faults)


def _check_jump(checked: Checked, others: list[Other], faults: Faults) -> None:
    mine = checked.result
    if mine.main_score > 0.995:
        faults.warn(checked.path, f"a score of {100 * mine.main_score:.2f} is all but perfect")
    same = [one for one in others if one.result.task_name == mine.task_name]
    best = max((one.result.main_score for one in same if one.path != checked.path), default=None)
    if best is not None and mine.main_score > best + JUMP:
        faults.warn(
            checked.path,
            f"{100 * mine.main_score:.2f} is {100 * (mine.main_score - best):.2f} above the best "
            "model so far",
        )


def _check_rankings(checked: Checked, rivals: list[Other], faults: Faults) -> None:
    mine = tops(checked.columns)
    shares = []
    for one in rivals:
        columns = one.columns()
        if columns is None:
            continue
        theirs = tops(columns)
        if _digest(theirs) == _digest(mine):
            name = plain(one.result.model.name)
            faults.warn(checked.path, f"ranks the first {TOP} of every query as {name} does")
            return
        shares.append(_overlap(mine, theirs))
        ranked = one.result.task_type == TaskType.RERANKING
        if ranked and _candidates(columns) != _candidates(checked.columns):
            faults.add(checked.path, "ranks other candidates than other models were given")
            return
    if shares and max(shares) < OVERLAP:
        faults.warn(
            checked.path,
            f"shares {100 * max(shares):.1f} % of its first {TOP} documents with any other model",
        )


def tops(columns: Columns) -> dict[str, list[str]]:
    """For each query its first documents, in order."""
    starts = columns.offsets[:-1]
    stops = np.minimum(columns.offsets[1:], starts + TOP)
    return {
        one: columns.key[int(start) : int(stop)].to_pylist() if stop > start else []
        for one, start, stop in zip(columns.ids, starts, stops, strict=True)
    }


def _digest(ranked: dict[str, list[str]]) -> str:
    text = "\n".join("\t".join([one, *ranked[one]]) for one in sorted(ranked))
    return sha256(text.encode()).hexdigest()


def _overlap(mine: dict[str, list[str]], theirs: dict[str, list[str]]) -> float:
    """The mean share of first documents that both have."""
    shares = [
        len({*ranked} & {*theirs.get(one, ())}) / max(1, len(ranked))
        for one, ranked in mine.items()
    ]
    return float(np.mean(shares)) if shares else 0.0


def _candidates(columns: Columns) -> str:
    """A hash of which documents each query has, in whatever order."""
    names = columns.key.to_pylist()
    rows = [
        "\t".join([one, *sorted(names[int(start) : int(stop)])])
        for one, start, stop in zip(
            columns.ids, columns.offsets[:-1], columns.offsets[1:], strict=True
        )
    ]
    return sha256("\n".join(sorted(rows)).encode()).hexdigest()
