"""Puts a board together: results, cards, judgements and published rows in, one `Board` out.

No clock, no network, no model: the same files give the same board.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cmedteb import __version__
from cmedteb.errors import UsageError
from cmedteb.leaderboard.aggregate import (
    PlacedBenchmark,
    PlacedTask,
    moves,
    place_benchmark,
    place_tasks,
)
from cmedteb.leaderboard.board import (
    BenchmarkEntry,
    Board,
    Comparisons,
    HardQuery,
    JudgementsEntry,
    LicenceEntry,
    ModelEntry,
    PublishedTable,
    TaskEntry,
    Titled,
)
from cmedteb.leaderboard.compare import compare
from cmedteb.leaderboard.describe import cards_by_model, describe
from cmedteb.leaderboard.hardest import hardest
from cmedteb.leaderboard.known import KnownData
from cmedteb.leaderboard.load import Loaded, Releases, ScoredTask, load
from cmedteb.leaderboard.resample import LEVEL
from cmedteb.leaderboard.workers import Workers
from cmedteb.metrics.resample import RESAMPLES
from cmedteb.results import ORIGINAL, ResultStore
from cmedteb.tasks import Benchmark, Catalogue, TaskCard
from cmedteb.tasks.base import SEED

LATEST = "latest"


class Built(NamedTuple):
    """A board, and the comparisons that are too many to stand in it."""

    board: Board
    comparisons: list[Comparisons]


def build(
    results: Path,
    known: Catalogue,
    *,
    releases: Releases,
    data: Mapping[str, KnownData],
    published: list[PublishedTable],
    judgements: str = ORIGINAL,
) -> Built:
    """Build the board of a results folder.

    Args:
        results: the folder.
        known: cards and benchmarks.
        releases: task -> its versions of judgements, oldest first.
        data: task -> the data it must have been run on.
        published: tables that papers report.
        judgements: `original`, `latest`, or a version; a task without it keeps the original ones.

    Raises:
        DataError: something in the folder cannot be read, or was changed.
        UsageError: no task has judgements of that version.
    """
    with Workers() as workers:
        loaded = load(ResultStore(results), known, releases=releases, data=data, workers=workers)
        _check_version(judgements, loaded)
        versions = {name: _shown(task, judgements) for name, task in loaded.tasks.items()}
        placed = place_tasks(loaded.tasks, versions, workers)
    cards = {**known.cards, **{name: task.card for name, task in loaded.tasks.items()}}
    order = _order(known, loaded)
    shown = {name: cards[name] for name in order}
    models = _models(results, loaded, shown)
    benchmarks = [
        found
        for name, benchmark in known.benchmarks.items()
        if (found := place_benchmark(name, benchmark.tasks, placed)) is not None
    ]
    dates = [one.date for one in models]
    board = Board(
        cmedteb_version=__version__,
        generated_from=max(dates, default=None),
        judgements=judgements,
        seed=SEED,
        resamples=RESAMPLES,
        level=LEVEL,
        benchmarks=tuple(_benchmark(*item) for item in known.benchmarks.items()),
        tasks=tuple(_task(card, placed.get(name), known) for name, card in shown.items()),
        models=tuple(models),
        cells=tuple(cell for name in order if name in placed for cell in placed[name].cells()),
        standings=tuple(row for benchmark in benchmarks for row in benchmark.standings()),
        relabelled=tuple(
            moves(loaded.tasks[name], loaded.tasks[name].releases[-1].overlay.version)
            for name in order
            if name in loaded.tasks and loaded.tasks[name].releases
        ),
        published=tuple(published),
        left_out=tuple(loaded.left_out),
    )
    return Built(board, _comparisons(board, placed, benchmarks))


def _comparisons(
    board: Board, placed: dict[str, PlacedTask], benchmarks: list[PlacedBenchmark]
) -> list[Comparisons]:
    columns = [placed[task.name].column() for task in board.tasks if task.name in placed]
    columns += [benchmark.column() for benchmark in benchmarks]
    return compare([model.slug for model in board.models], columns)


def _check_version(judgements: str, loaded: Loaded) -> None:
    there = sorted({one.overlay.version for task in loaded.tasks.values() for one in task.releases})
    if judgements not in {ORIGINAL, LATEST, *there}:
        raise UsageError(
            f"no task here has judgements {judgements!r}. There are: "
            f"{', '.join([ORIGINAL, LATEST, *there])}"
        )


def _shown(task: ScoredTask, judgements: str) -> str:
    if judgements == LATEST:
        return task.releases[-1].overlay.version if task.releases else ORIGINAL
    return judgements if judgements in task.scores else ORIGINAL


def _order(known: Catalogue, loaded: Loaded) -> list[str]:
    """Tasks of benchmarks first, in their order; then those that only have results."""
    names = [task for benchmark in known.benchmarks.values() for task in benchmark.tasks]
    return list(dict.fromkeys([*names, *sorted(loaded.tasks)]))


def _models(results: Path, loaded: Loaded, shown: Mapping[str, TaskCard]) -> list[ModelEntry]:
    store, cards = ResultStore(results), cards_by_model()
    return [
        describe(slug, stored, store=store, cards=cards, tasks=shown)
        for slug, stored in loaded.models.items()
    ]


def _benchmark(name: str, benchmark: Benchmark) -> BenchmarkEntry:
    return BenchmarkEntry(
        name=name,
        title=Titled(zh=benchmark.title.zh, en=benchmark.title.en),
        tasks=benchmark.tasks,
        average=benchmark.average,
        source=benchmark.source,
    )


def _task(card: TaskCard, placed: PlacedTask | None, known: Catalogue) -> TaskEntry:
    sizes = card.sizes
    task = placed.task if placed is not None else None
    result = task.any_result if task is not None else None
    return TaskEntry(
        name=card.name,
        type=card.type.value,
        title=Titled(zh=card.title.zh, en=card.title.en),
        benchmarks=tuple(
            name for name, benchmark in known.benchmarks.items() if card.name in benchmark.tasks
        ),
        main_score_name=card.main_score,
        units=len(task.ids) if task is not None else sizes.queries or sizes.pairs,
        documents=sizes.documents,
        licence=LicenceEntry(
            name=card.licence.name, url=card.licence.url, redistribute=card.licence.redistribute
        ),
        revision=card.source.revision or (result.dataset_revision if result else None),
        content_hash=result.dataset_content_hash if result else None,
        judgements=_judgements(task),
        shown=placed.version if placed is not None else ORIGINAL,
        derived_from=card.contamination.derived_from,
        hardest=_hardest(placed),
        citation=card.citation,
        note=card.note,
    )


def _judgements(task: ScoredTask | None) -> tuple[JudgementsEntry, ...]:
    if task is None:
        return (JudgementsEntry(version=ORIGINAL, sha256=None, header={}),)
    return (
        JudgementsEntry(version=ORIGINAL, sha256=task.judgements, header={}),
        *(
            JudgementsEntry(version=one.overlay.version, sha256=None, header=dict(one.header))
            for one in task.releases
        ),
    )


def _hardest(placed: PlacedTask | None) -> tuple[HardQuery, ...]:
    if placed is None:
        return ()
    return hardest(placed.task.ids, placed.task.values(placed.version), placed.task.gold)
