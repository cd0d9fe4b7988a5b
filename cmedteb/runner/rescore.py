"""New scores from old receipts: other judgements, no model, no GPU, no texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cmedteb import __version__
from cmedteb.data.judgements import GradeTable, Overlay, overlaid
from cmedteb.errors import DataError
from cmedteb.metrics import CUTOFFS, rank_run
from cmedteb.results import ResultStore, TaskResult, fingerprint
from cmedteb.results.receipts import content_hash, grade_lines, write_table
from cmedteb.results.schema import Judgements, Phase, score_entry
from cmedteb.runner.record import as_interval
from cmedteb.runner.timing import Phases
from cmedteb.tasks import Scored
from cmedteb.tasks.base import correlate, summarise
from cmedteb.types import Float64Array, TaskType


@dataclass(frozen=True)
class Rescored:
    """A result recomputed from its receipt, beside the one it was recomputed from."""

    before: TaskResult
    after: TaskResult
    path: Path


def recompute(store: ResultStore, path: Path, result: TaskResult) -> Scored:
    """Scores from the receipt and the judgements the result was scored against.

    Raises:
        DataError: receipt or judgements are missing or were changed.
    """
    if result.task_type == TaskType.STS:
        similarity, gold = similarities(store, path, result)
        return correlate(similarity, gold, task=result.task_name, main_score=result.main_score_name)
    return _score(store, path, result, grades(store, result))


def rescore(store: ResultStore, path: Path, result: TaskResult, overlay: Overlay) -> Rescored:
    """Score a stored ranking under an overlay, and store that beside the original result.

    Raises:
        DataError: the overlay was made for other judgements, or the receipt is not whole.
    """
    phases = Phases()
    with phases.measured("score"):
        original = grades(store, result)
        there = result.judgements.sha256
        if overlay.parent not in {None, there} and not result.partial:
            raise DataError(
                f"the judgements {overlay.version} of {overlay.task} were made for others than "
                f"{path} was scored against (sha256 {str(overlay.parent)[:12]}, there {there[:12]})"
            )
        table = overlaid(original, overlay, whole=not result.partial)
        scored = _score(store, path, result, table)
    lines = list(grade_lines(table))
    judgements = Judgements(version=overlay.version, sha256=content_hash(lines))
    write_table(store.judgement_file(result.task_name, judgements.sha256), lines)
    after = _updated(result, scored, judgements, phases)
    model = result.model
    target = store.path(model.name, model.revision, result.task_name, overlay.version)
    return Rescored(before=result, after=store.write(target, after), path=target)


def similarities(
    store: ResultStore, path: Path, result: TaskResult
) -> tuple[dict[str, Float64Array], Float64Array]:
    """An STS receipt as columns, with the gold scores; pairs in the order they were scored."""
    receipt, gold = store.receipt_table(path, result), store.judgement_table(result)
    if receipt.keys() != gold.keys():
        raise DataError(f"the receipt of {path} does not hold the pairs that are judged")
    named = next(iter(receipt.values()), {})
    columns = {
        name: np.asarray([receipt[pair][name] for pair in gold], dtype=np.float64) for name in named
    }
    return columns, np.asarray([row["gold"] for row in gold.values()], dtype=np.float64)


def grades(store: ResultStore, result: TaskResult) -> GradeTable:
    """The judgements that a result was scored against."""
    table = store.judgement_table(result)
    return {query: {doc: int(grade) for doc, grade in row.items()} for query, row in table.items()}


def cutoffs(result: TaskResult) -> list[int]:
    """The ranks that the receipt is deep enough for."""
    depth = result.receipts.depth
    return [k for k in CUTOFFS if depth is None or k <= depth]


def _score(
    store: ResultStore, path: Path, result: TaskResult, table: Mapping[str, Mapping[str, int]]
) -> Scored:
    by_query = rank_run(store.receipt_table(path, result), table, cutoffs=cutoffs(result))
    return summarise(by_query, task=result.task_name, main_score=result.main_score_name)


def _updated(
    result: TaskResult, scored: Scored, judgements: Judgements, phases: Phases
) -> TaskResult:
    """The same run under other judgements; its fingerprint is that of a fresh run."""
    depth = result.depth if result.receipts.depth is None else result.receipts.depth
    identity = {**result.fingerprint_of, "judgements": judgements.sha256}
    if identity["depth"] is not None:
        identity["depth"] = depth
    split = result.split
    return result.model_copy(
        update={
            "scores": {split: [score_entry(scored.scores, scored.main_score)]},
            "interval": as_interval(scored),
            "judgements": judgements,
            "depth": depth,
            "cmedteb_version": __version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "evaluation_time": sum(phase.end - phase.start for phase in phases.done),
            "evaluation_phases": [
                Phase(name=phase.name, start=phase.start, end=phase.end, split=split)
                for phase in phases.done
            ],
            "tokens": None if result.tokens is None else 0,
            "texts_encoded": 0,
            "receipts": result.receipts.model_copy(
                update={"path": f"../receipts/{result.task_name}.tsv.gz"}
            ),
            "fingerprint": fingerprint(identity),
            "fingerprint_of": identity,
        }
    )
