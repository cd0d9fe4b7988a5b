"""The Python API: the same evaluation as `cmedteb run`, for a notebook or a training loop.

>>> import cmedteb
>>> results = cmedteb.evaluate("bm25", tasks=["SmokeRetrieval"])
>>> results[0].main_score
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmedteb.annotations import read_overlay
from cmedteb.data import Access, Hub, holds_data_set
from cmedteb.errors import UsageError
from cmedteb.models import ModelOptions, System
from cmedteb.models import load_model as load_system
from cmedteb.results import ORIGINAL, Overwrite, TaskResult
from cmedteb.runner import Observer, RunOptions, run_tasks
from cmedteb.runner.workers import opened_model
from cmedteb.search import SearchMethod
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
        return load_system(model, self._model_options(flags))

    def opened(
        self,
        model: str,
        *,
        devices: str = "auto",
        ray: str | None = None,
        **flags: Any,  # noqa: ANN401  fields of ModelOptions
    ) -> AbstractContextManager[System]:
        """The same model where it is to run: here, or in workers that end with the context."""
        return opened_model(model, self._model_options(flags), devices=devices, ray=ray)

    def _model_options(self, flags: dict[str, Any]) -> ModelOptions:
        access = self.options.access
        return ModelOptions(hub=access.hub, offline=access.offline, **flags)


def prepare(  # noqa: PLR0913  one argument a flag
    tasks: Sequence[str | Path | Task],
    *,
    output: Path,
    tasks_dir: Path | None = None,
    data_dir: str | Path | None = None,
    hub: str = "hf",
    offline: bool = False,
    judgements: str = ORIGINAL,
    overlays: str | Path | None = None,
    overwrite: str = "missing",
    search: str = "exact",
    **options: Any,  # noqa: ANN401  fields of RunOptions
) -> Plan:
    """Resolve names to tasks and overlays.

    Raises:
        UsageError: an unknown task, or judgements that a task does not have.
    """
    known = catalogue(tasks_dir)
    found = resolve(tasks, known)
    local = Path(data_dir) if data_dir else None
    _refuse_one_folder_for_many(local, found)
    versions = {}
    if judgements != ORIGINAL:
        home = Path(overlays) if overlays else None
        names = [task.card.name for task in found]
        versions = {name: read_overlay(name, judgements, home) for name in names}
    return Plan(
        tasks=found,
        options=RunOptions(
            output=output,
            access=Access(local, Hub(hub), offline=offline),
            judgements=judgements,
            overlays=versions,
            overwrite=Overwrite(overwrite),
            search=SearchMethod(search),
            **options,
        ),
        benchmarks={
            name: known.benchmarks[name].tasks
            for name in tasks
            if isinstance(name, str) and name in known.benchmarks
        },
    )


def _refuse_one_folder_for_many(data_dir: Path | None, tasks: Sequence[Task]) -> None:
    """A folder that is itself a data set cannot be the data of several tasks."""
    named = [task.card.name for task in tasks if task.folder is None]
    if data_dir is not None and len(named) > 1 and holds_data_set(data_dir):
        raise UsageError(
            f"{data_dir} is one data set, and {len(named)} tasks ask for theirs "
            f"({named[0]}, {named[1]}, ...). Give the folder above it, with one folder a task."
        )


def evaluate(
    model: str | System,
    tasks: str | Path | Sequence[str | Path | Task] = ("smoke",),
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
        tasks: names of tasks or benchmarks, folders with data, or tasks from `load_task`; a
            single name may stand alone.
        output: a results folder to keep results and receipts in; None keeps nothing.
        observer: told of progress.
        model_options: device, dtype, prompts and the like, where `model` is a string.
        **options: `data_dir`, `hub`, `offline`, `limit`, `depth`, `judgements`, `overwrite`, ...;
            `offline` holds for the model too, and `hub` unless `model_options` are given.

    Returns:
        One result a task, in order.

    Raises:
        CmedtebError: the first task that failed; with `output`, those before it are saved.
    """
    with tempfile.TemporaryDirectory() as scratch:
        wanted = (tasks,) if isinstance(tasks, str | Path) else tuple(tasks)
        plan = prepare(wanted, output=Path(output or scratch), **options)
        system = _load(model, plan, model_options) if isinstance(model, str) else model
        outcomes = run_tasks(system, plan.tasks, plan.options, observer)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.result for outcome in outcomes if outcome.result is not None]


def _load(model: str, plan: Plan, options: ModelOptions | None) -> System:
    if options is None:
        return plan.load(model)
    offline = options.offline or plan.options.access.offline
    return load_system(model, replace(options, offline=offline))


def load_model(model: str, options: ModelOptions | None = None) -> System:
    """Load a system by what `-m` takes."""
    return load_system(model, options)


def load_task(name: str, *, tasks_dir: Path | None = None) -> Task:
    """Load one task by name or folder; its `card` says what it is, its `load` brings the data."""
    return resolve([name], catalogue(tasks_dir))[0]
