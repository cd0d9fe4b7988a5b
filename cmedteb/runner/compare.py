"""Two models on the same queries: paired differences, from receipts alone."""

from __future__ import annotations

from dataclasses import dataclass

from cmedteb.errors import UsageError
from cmedteb.metrics import (
    PairedComparison,
    paired_difference,
    paired_pearson_difference,
    rank_run,
)
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.select import Stored, select
from cmedteb.runner.rescore import cutoffs, grades, similarities
from cmedteb.tasks.base import SEED
from cmedteb.types import Float64Array, TaskType


@dataclass(frozen=True)
class TaskComparison:
    """Model a against model b on one task."""

    task: str
    metric: str
    units: int
    comparison: PairedComparison


def compare(
    store: ResultStore,
    a: str,
    b: str,
    *,
    tasks: tuple[str, ...] = (),
    metric: str | None = None,
    judgements: str = "original",
) -> list[TaskComparison]:
    """Compare two models on every task that both have results of.

    Args:
        store: the results folder.
        a: the first model, as `select` names it.
        b: the second.
        tasks: only these.
        metric: a ranking score such as `recall_at_10`; by default each task's main score.
        judgements: under which version.

    Raises:
        UsageError: no task in common, or results that were not scored on the same thing.
    """
    ours = _by_task(store, a, tasks, judgements)
    theirs = _by_task(store, b, tasks, judgements)
    common = [name for name in ours if name in theirs]
    if not common:
        raise UsageError(
            f"{a} and {b} have no results of the same task under {judgements!r} judgements. "
            f"{a}: {', '.join(ours) or 'none'}; {b}: {', '.join(theirs) or 'none'}"
        )
    return [_compare(store, ours[name], theirs[name], metric) for name in common]


def _by_task(
    store: ResultStore, model: str, tasks: tuple[str, ...], judgements: str
) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for one in select(store, models=[model], tasks=tasks, judgements=judgements):
        earlier = found.setdefault(one.result.task_name, one)
        if earlier is not one:
            raise UsageError(
                f"{model} has several results of {one.result.task_name}: {earlier.path} and "
                f"{one.path}. Name one revision: {model}@REVISION"
            )
    return found


def _compare(store: ResultStore, a: Stored, b: Stored, metric: str | None) -> TaskComparison:
    if _scored_on(a.result) != _scored_on(b.result):
        raise UsageError(
            f"{a.path} and {b.path} were scored on different data (documents, queries or "
            "judgements): run one of them again"
        )
    if a.result.task_type == TaskType.STS:
        if metric not in {None, "pearson"}:
            raise UsageError(
                f"{a.result.task_name} holds pairs, which are compared by pearson, not {metric}. "
                "Leave it out with -t, or leave --metric out."
            )
        left, gold = similarities(store, a.path, a.result)
        right, _ = similarities(store, b.path, b.result)
        outcome = paired_pearson_difference(
            left["similarity"], right["similarity"], gold, seed=SEED
        )
        return TaskComparison(a.result.task_name, "pearson", len(gold), outcome)
    name = metric or a.result.main_score_name
    values = [_per_query(store, one, name) for one in (a, b)]
    outcome = paired_difference(values[0], values[1], seed=SEED)
    return TaskComparison(a.result.task_name, name, len(values[0]), outcome)


def _scored_on(result: TaskResult) -> tuple[str, str]:
    return result.dataset_content_hash, result.judgements.sha256


def _per_query(store: ResultStore, one: Stored, metric: str) -> Float64Array:
    scores = rank_run(
        store.receipt_table(one.path, one.result),
        grades(store, one.result),
        cutoffs=cutoffs(one.result),
    )
    if metric not in scores.values:
        raise UsageError(
            f"the receipt of {one.path} gives no {metric!r}. It gives: {', '.join(scores.values)}"
        )
    return scores.values[metric]
