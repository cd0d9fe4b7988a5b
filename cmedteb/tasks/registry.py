"""From what `-t` says to tasks: a card's name, a benchmark's name, or a folder of data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cmedteb.cards import read_toml
from cmedteb.data import Layout, Source, detect, splits
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder
from cmedteb.tasks.card import Licence, TaskCard, Title, read_card
from cmedteb.tasks.reranking import RerankingTask
from cmedteb.tasks.retrieval import RetrievalTask
from cmedteb.tasks.sts import StsTask
from cmedteb.types import TaskType

Task = RetrievalTask | RerankingTask | StsTask

MAIN_SCORES = {
    TaskType.RETRIEVAL: "ndcg_at_10",
    TaskType.RERANKING: "map_at_10",
    TaskType.STS: "pearson",
}


class Benchmark(BaseModel):
    """A named list of tasks and the mean that is *the* average of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Title
    tasks: tuple[str, ...]
    average: Literal["mean"] = "mean"
    source: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All cards and benchmarks that are known here."""

    cards: dict[str, TaskCard]
    benchmarks: dict[str, Benchmark]


def catalogue(extra: Path | None = None) -> Catalogue:
    """Read the shipped cards, and those of a user's own folder over them.

    Raises:
        DataError: a card is not valid, or a benchmark names a task that has none.
    """
    roots = [data_folder("tasks"), *([extra] if extra else [])]
    cards: dict[str, TaskCard] = {}
    benchmarks: dict[str, Benchmark] = {}
    for root in roots:
        for path in sorted(root.glob("*/*.toml")):
            card = read_card(path)
            cards[card.name] = card
        benchmarks |= _read_benchmarks(root / "benchmarks.toml")
    for name, benchmark in benchmarks.items():
        if unknown := [task for task in benchmark.tasks if task not in cards]:
            raise DataError(f"benchmark {name} names tasks without a card: {', '.join(unknown)}")
    return Catalogue(cards, benchmarks)


def _read_benchmarks(path: Path) -> dict[str, Benchmark]:
    if not path.is_file():
        return {}
    return read_toml(path, dict[str, Benchmark], what="a valid list of benchmarks")


def resolve(specs: Sequence[str | Path | Task], known: Catalogue) -> list[Task]:
    """The tasks that these specifications name, in order, each once; a task names itself.

    Raises:
        UsageError: a name is no task, no benchmark and no folder.
    """
    tasks: dict[str, Task] = {}
    for spec in specs:
        for task in _named(spec, known):
            earlier = tasks.setdefault(task.card.name, task)
            if _place(earlier) != _place(task):
                raise UsageError(
                    f"two tasks are called {task.card.name}: {earlier.folder or 'the card'} and "
                    f"{task.folder or 'the card'}. Rename one folder, or run them one by one."
                )
    return list(tasks.values())


def _place(task: Task) -> Path | None:
    return task.folder.resolve() if task.folder is not None else None


def _named(spec: str | Path | Task, known: Catalogue) -> list[Task]:
    if isinstance(spec, RetrievalTask | StsTask):
        return [spec]
    name = str(spec)
    if name in known.benchmarks:
        return [make_task(known.cards[task]) for task in known.benchmarks[name].tasks]
    if name in known.cards:
        return [make_task(known.cards[name])]
    if Path(name).is_dir():
        return [from_folder(Path(name))]
    raise UsageError(_unknown(name, known))


def make_task(card: TaskCard, folder: Path | None = None) -> Task:
    """The task class that a card asks for."""
    classes: dict[TaskType, type[Task]] = {
        TaskType.RETRIEVAL: RetrievalTask,
        TaskType.RERANKING: RerankingTask,
        TaskType.STS: StsTask,
    }
    return classes[card.type](card, folder)


def from_folder(folder: Path) -> Task:
    """A task without a card: its type follows from the files of the folder."""
    kind = detect(folder)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", folder.resolve().name).lstrip("._-") or "local"
    card = TaskCard(
        name=name,
        type=kind,
        version=1,
        main_score=MAIN_SCORES[kind],
        splits=(_split(folder),),
        note="A local data set without a card.",
        title=Title(zh=name, en=name),
        source=Source(kind="local", layout=Layout.BEIR),
        licence=Licence(name="unknown"),
    )
    return make_task(card, folder)


def _split(folder: Path) -> str:
    """The split of a folder that is scored: test, else the only one."""
    there = splits(folder)
    if not there or "test" in there:
        return "test"
    if len(there) > 1:
        raise UsageError(
            f"{folder} has the splits {', '.join(there)} and none is called test: keep one of "
            "them, or write a card that names it (--tasks-dir)."
        )
    return there[0]


def _unknown(spec: str, known: Catalogue) -> str:
    names = [*known.cards, *known.benchmarks]
    folded = {name.lower(): name for name in names}
    holding = [name for low, name in folded.items() if spec.lower() in low]
    close = holding or [folded[near] for near in get_close_matches(spec.lower(), folded, n=3)]
    hint = f" Did you mean {', '.join(close)}?" if close else ""
    return (
        f"unknown task {spec!r}: it is no task, no benchmark and no folder.{hint} "
        "`cmedteb tasks` lists what there is."
    )
