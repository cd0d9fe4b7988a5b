"""Finding results by what people call them: a model's name, a revision, a task, a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cmedteb.errors import UsageError
from cmedteb.results.schema import TaskResult
from cmedteb.results.store import ORIGINAL, ResultStore


class Stored(NamedTuple):
    """A result and where it lies."""

    path: Path
    result: TaskResult


def select(
    store: ResultStore,
    *,
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    judgements: str | None = ORIGINAL,
) -> list[Stored]:
    """The results of these models and tasks; all where none are named.

    Args:
        store: the results folder.
        models: `bm25`, `org/model`, `org/model@revision`, or a revision's folder.
        tasks: names of tasks.
        judgements: which version; None is any.

    Raises:
        UsageError: a named model has no results here; lists those that have.
    """
    there = [Stored(path, result) for path, result in store.results()]
    for spec in models:
        if not any(names(spec, one) for one in there):
            known = sorted({one.result.model.name for one in there})
            raise UsageError(
                f"{store.root} holds no results of {spec!r}. It holds: {', '.join(known) or 'none'}"
            )
    return [
        one
        for one in there
        if (not models or any(names(spec, one) for spec in models))
        and (not tasks or one.result.task_name in tasks)
        and judgements in {None, one.result.judgements.version}
    ]


def names(spec: str, stored: Stored) -> bool:
    """Whether a specification names this result's model."""
    name, _, revision = spec.partition("@")
    model = stored.result.model
    if Path(spec).is_dir():
        return Path(spec).resolve() in stored.path.resolve().parents
    return name in {model.name, model.name.rpartition("/")[2]} and model.revision.startswith(
        revision
    )
