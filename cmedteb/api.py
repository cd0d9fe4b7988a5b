"""The Python API: the same evaluation as `cmedteb run`, for a notebook or a training loop.

>>> import cmedteb
>>> results = cmedteb.evaluate("bm25", tasks=["SmokeRetrieval"])
>>> results[0].main_score
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedteb.annotations import read_overlay
from cmedteb.data import Access, Hub
from cmedteb.models import ModelOptions, System
from cmedteb.models import load_model as load_system
from cmedteb.results import ORIGINAL, Overwrite, TaskResult
from cmedteb.runner import Observer, RunOptions, run_tasks
from cmedteb.tasks import Task, catalogue, resolve


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        tasks: in order.
        options: how.
        benchmarks: those that were asked for by name, with their tasks.
    """

    tasks: list[Task]
    options: RunOptions
    benchmarks: dict[str, tuple[str, ...]]

    def load(self, model: str, **flags: Any) -> System:  # noqa: ANN401  fields of ModelOptions
        """Load a model with the hub and the network that the plan allows."""
        access = self.options.access
        return load_system(model, ModelOptions(hub=access.hub, offline=access.offline, **flags))


def prepare(  # noqa: PLR0913  one argument a flag
    tasks: Sequence[str | Path | Task],
    *,
    output: Path,
    tasks_dir: Path | None = None,
    data_dir: Path | None = None,
    hub: str = "hf",
    offline: bool = False,
    judgements: str = ORIGINAL,
    overwrite: str = "missing",
    **options: Any,  # noqa: ANN401  fields of RunOptions
) -> Plan:
    """Resolve names to tasks and overlays.

    Raises:
        UsageError: an unknown task, or judgements that a task does not have.
    """
    known = catalogue(tasks_dir)
    found = resolve(tasks, known)
    overlays = {}
    if judgements != ORIGINAL:
        overlays = {task.card.name: read_overlay(task.card.name, judgements) for task in found}
    return Plan(
        tasks=found,
        options=RunOptions(
            output=output,
            access=Access(data_dir=data_dir, hub=Hub(hub), offline=offline),
            judgements=judgements,
            overlays=overlays,
            overwrite=Overwrite(overwrite),
            **options,
        ),
        benchmarks={
            name: known.benchmarks[name].tasks
            for name in tasks
            if isinstance(name, str) and name in known.benchmarks
        },
    )


def evaluate(
    model: str | System,
    tasks: Sequence[str | Path | Task] = ("smoke",),
    *,
    output: str | Path | None = None,
    observer: Observer | None = None,
    model_options: ModelOptions | None = None,
    **options: Any,  # noqa: ANN401  those of `prepare`
) -> list[TaskResult]:
    """Evaluate a model on tasks.

    Args:
        model: what `-m` takes, or any object with `encode_queries(texts)` and
            `encode_documents(texts)`, each from n texts to an array of shape (n, dimension). Its
            attribute `similarity` ("dot" or "cosine") says how vectors are compared; without one
            it is cosine. See `cmedteb.models.protocols` for retrievers and pair scorers.
        tasks: names of tasks or benchmarks, folders with data, or tasks from `load_task`.
        output: a results folder to keep results and receipts in; None keeps nothing.
        observer: told of progress.
        model_options: device, dtype, prompts and the like, where `model` is a string.
        **options: `data_dir`, `offline`, `limit`, `depth`, `judgements`, `overwrite`, ...

    Returns:
        One result a task, in order.

    Raises:
        CmedtebError: the first task that failed; with `output`, those before it are saved.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plan = prepare(tuple(tasks), output=Path(output or scratch), **options)
        system = load_system(model, model_options) if isinstance(model, str) else model
        outcomes = run_tasks(system, plan.tasks, plan.options, observer)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.result for outcome in outcomes if outcome.result is not None]


def load_model(model: str, options: ModelOptions | None = None) -> System:
    """Load a system by what `-m` takes."""
    return load_system(model, options)


def load_task(name: str, *, tasks_dir: Path | None = None) -> Task:
    """Load one task by name or folder; its `card` says what it is, its `load` brings the data."""
    return resolve([name], catalogue(tasks_dir))[0]
