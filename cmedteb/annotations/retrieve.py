"""Evaluates models that are named for a pool, and reads their receipts like any other's.

Results and receipts stay in a folder of the annotation, so a second plan finds them and a new
version of the judgements can rescore them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmedteb.annotations.systems import Returned, read_receipts
from cmedteb.errors import NotAvailableError, UsageError
from cmedteb.types import RankingData

if TYPE_CHECKING:
    from cmedteb.runner import Observer, RunOptions
    from cmedteb.tasks import Task

# One lexical system, and a dense one that needs no GPU: a pool of one kind finds what that kind
# finds. The paper does not say which it pooled.
DEFAULT_MODELS = ("bm25", "bge-small-zh-v1.5")


def retrieve(
    task: Task,
    data: RankingData,
    options: RunOptions,
    *,
    models: Sequence[str] = DEFAULT_MODELS,
    depth: int,
    observer: Observer | None = None,
) -> tuple[Returned, ...]:
    """Run models on a task and return what they found, sorted by name.

    Args:
        task: a ranking task.
        data: its data, as loaded.
        options: how to run; what its results folder holds already is not computed again.
        models: what `cmedteb run -m` takes.
        depth: of the pool; receipts hold 100 documents at most.
        observer: told of progress.

    Raises:
        UsageError: a model is unknown, or the pool is to be deeper than receipts.
        NotAvailableError: a model's weights cannot be had; says what can be pooled instead.
    """
    from cmedteb.runner.evaluate import RECEIPT_DEPTH

    if depth > RECEIPT_DEPTH:
        raise UsageError(
            f"receipts hold {RECEIPT_DEPTH} documents a query, the pool is to be {depth} deep: "
            f"take --pool-depth {RECEIPT_DEPTH} at most, or deeper TREC runs (--runs FILE)."
        )
    made = [_evaluated(model, task, options, observer) for model in models]
    name, results = task.card.name, options.output
    return read_receipts(data, results, task=name, models=made, depth=depth, kind="model")


def _evaluated(model: str, task: Task, options: RunOptions, observer: Observer | None) -> str:
    """Evaluate one model; returns `name@revision`."""
    from cmedteb.models import ModelOptions
    from cmedteb.runner import run_tasks
    from cmedteb.runner.workers import opened_model

    access = options.access
    try:
        with opened_model(model, ModelOptions(hub=access.hub, offline=access.offline)) as system:
            (outcome,) = run_tasks(system, [task], options, observer)
    except NotAvailableError as error:
        raise NotAvailableError(
            f"the model {model!r} cannot be pooled: {error} To pool what needs no download: "
            "-m bm25 -m hashing; what you have already: --results DIR, or --runs FILE."
        ) from error
    if outcome.error is not None:
        raise outcome.error
    if outcome.result is None:
        raise UsageError(f"{model} gave no result on {task.card.name}.")
    return f"{outcome.result.model.name}@{outcome.result.model.revision}"
