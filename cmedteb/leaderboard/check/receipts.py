"""What a result returned: complete, in order, and worth exactly the scores that are claimed.

Every claimed number is computed again from the receipt and the known judgements; a difference
above TOLERANCE is a fault, and so is a score that the receipt does not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np

from cmedteb.data.judgements import overlaid
from cmedteb.errors import CmedtebError
from cmedteb.leaderboard.check.context import Context
from cmedteb.leaderboard.check.faults import Faults, plain
from cmedteb.leaderboard.receipt import Columns, repeated
from cmedteb.leaderboard.score import (
    Batch,
    ModelScores,
    ReceiptFile,
    judged_table,
    read_receipt,
    score_receipt,
)
from cmedteb.metrics import Interval, bootstrap_mean, bootstrap_pearson, bootstrap_spearman
from cmedteb.results import ORIGINAL, ResultStore, TaskResult
from cmedteb.results.receipts import content_hash, grade_lines
from cmedteb.tasks.base import SEED
from cmedteb.types import Float64Array, TaskType

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Checked:
    """A receipt that could be read, for comparison with those of others."""

    path: Path
    result: TaskResult
    columns: Columns


def check_receipt(
    path: Path, folder: Path, result: TaskResult, *, context: Context, faults: Faults
) -> Checked | None:
    """Read a receipt and recompute what it is worth.

    Args:
        path: of the result.
        folder: of the model's revision; the receipt is looked for nowhere else.
        result: what it claims.
        context: what it is held against.
        faults: where to tell.

    Returns:
        What was read; None where it cannot be compared with others.
    """
    receipt = ReceiptFile(
        folder / "receipts" / f"{path.stem}.tsv.gz", result.receipts.sha256, result.receipts.depth
    )
    agreed = context.data.get(result.task_name)
    try:
        columns = read_receipt(receipt)
        if agreed is None:
            return None
        store = ResultStore(context.root)
        file = store.judgement_file(result.task_name, agreed.judgements)
        table = judged_table(file, agreed.judgements)
        if not faults.all_of(receipt.path, _complete(columns, list(table), result)):
            return None
        batch = _batch(result, context, receipt, file)
        if batch is None:
            faults.add(path, f"judgements {plain(result.judgements.version)!r} are not released")
            return None
        if result.judgements.version != ORIGINAL:
            _check_overlaid(path, result, table, context, faults)
        scores = score_receipt(batch, columns)[result.judgements.version]
        gold = np.asarray([row.get("gold", np.nan) for row in table.values()])
    except CmedtebError as error:
        faults.add(receipt.path, str(error).removeprefix(f"{receipt.path}: "))
        return None
    _check_claims(path, result, scores, gold, faults)
    return Checked(path, result, columns)


def _complete(columns: Columns, ids: list[str], result: TaskResult) -> list[tuple[bool, str]]:
    there, wanted = set(columns.ids), set(ids)
    lengths = np.diff(columns.offsets)
    deepest = result.receipts.depth or 10**9
    pairs = result.task_type == TaskType.STS
    twice = repeated(columns)
    return [
        (not wanted - there, f"lacks {len(wanted - there)} of {len(wanted)} queries or pairs"),
        (not there - wanted, f"names {len(there - wanted)} queries or pairs that are not judged"),
        (bool((lengths > 0).all()), "a query has no answer"),
        (bool((lengths <= deepest).all()), f"a query has more than {deepest} answers"),
        (twice is None, f"query {plain(twice, longest=60)!r} has a document twice"),
        (pairs or _falls(columns), "documents are not in order, best first"),
        (_finite32(columns.value), "a score is beyond the range of float32"),
    ]


def _falls(columns: Columns) -> bool:
    """Whether scores never rise within a query, as float32."""
    if not len(columns.value):
        return True
    with np.errstate(over="ignore"):
        value = columns.value.astype(np.float32)
    rises = np.flatnonzero(value[1:] > value[:-1]) + 1
    return bool(np.isin(rises, columns.offsets).all())


def _finite32(values: Float64Array) -> bool:
    return bool((np.abs(values) <= np.finfo(np.float32).max).all())


def _batch(
    result: TaskResult, context: Context, receipt: ReceiptFile, judgements: Path
) -> Batch | None:
    card, agreed = context.tasks[result.task_name], context.data[result.task_name]
    version = result.judgements.version
    overlays = {
        one.overlay.version: one.overlay.grades
        for one in context.releases.get(card.name, ())
        if one.overlay.version == version
    }
    if version != ORIGINAL and not overlays:
        return None
    return Batch(
        task=card.name,
        main_score=card.main_score,
        pairs=card.type is TaskType.STS,
        judgements=judgements,
        sha256=agreed.judgements,
        overlays=overlays,
        receipts=(receipt,),
    )


def _check_overlaid(
    path: Path,
    result: TaskResult,
    table: dict[str, dict[str, float]],
    context: Context,
    faults: Faults,
) -> None:
    """The hash of judgements vN must be that of the released overlay over the original ones."""
    grades = {
        query: {doc: int(grade) for doc, grade in row.items()} for query, row in table.items()
    }
    for one in context.releases.get(result.task_name, ()):
        if one.overlay.version == result.judgements.version:
            lines = grade_lines(overlaid(grades, one.overlay, whole=True))
            if content_hash(lines) != result.judgements.sha256:
                faults.add(path, f"its judgements are not the released {one.overlay.version}")


def _check_claims(
    path: Path, result: TaskResult, scores: ModelScores, gold: Float64Array, faults: Faults
) -> None:
    given = {**scores.scores, "main_score": scores.scores[result.main_score_name]}
    low, high, _ = _interval(result, scores, gold)
    given |= {"interval.low": low, "interval.high": high}
    entry = result.scores[result.split][0]
    claimed: dict[str, float | None]
    claimed = {name: one for name, one in entry.items() if isinstance(one, int | float)}
    claimed |= {"interval.low": result.interval.low, "interval.high": result.interval.high}
    wrong = sorted(name for name in given if not _equal(claimed.get(name), given[name]))
    unknown = sorted(claimed.keys() - given.keys())
    for name in wrong[:3]:
        faults.add(
            path, f"{name} is claimed as {claimed.get(name)}, the receipt gives {given[name]:.6f}"
        )
    if len(wrong) > 3:
        faults.add(path, f"{len(wrong) - 3} more scores differ from what the receipt gives")
    if unknown:
        faults.add(path, f"claims scores that the receipt does not give: {', '.join(unknown[:5])}")


def _interval(result: TaskResult, scores: ModelScores, gold: Float64Array) -> Interval:
    """As a run computes it (see `tasks.base`)."""
    if result.task_type != TaskType.STS:
        return bootstrap_mean(np.sort(scores.values), seed=SEED)
    spearman = result.main_score_name.endswith("spearman")
    bootstrap = bootstrap_spearman if spearman else bootstrap_pearson
    return bootstrap(scores.values, gold, seed=SEED)


def _equal(claimed: float | None, given: float) -> bool:
    if claimed is None:
        return isnan(given)
    return abs(claimed - given) <= TOLERANCE
