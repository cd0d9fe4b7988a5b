"""The table of a benchmark as rows and columns, ready to be written down.

Complete models come first, by rank; models that lack a task follow without a mean or a rank. No
number is made here: scores, intervals, ranks and groups are the board's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cmedteb.leaderboard.board import (
    BenchmarkEntry,
    Board,
    Cell,
    ModelEntry,
    Move,
    Standing,
    TaskEntry,
)
from cmedteb.leaderboard.site.versions import Sided, Versions

TYPES = ("retrieval", "reranking", "sts")
SMALL = 500_000_000


class Shown(NamedTuple):
    """One cell: a score of the board, and what relabelling did to it."""

    cell: Cell
    move: Move | None
    trained: bool | None

    @property
    def on_top(self) -> bool:
        """Cannot be told apart from the best."""
        return self.cell.group_low == 0


class Row(NamedTuple):
    """One model; standing and mean are None where it lacks a task."""

    model: ModelEntry
    flags: tuple[str, ...]
    standing: Standing | None
    mean: Sided | None
    whisker: str
    cells: tuple[Shown | None, ...]


class Group(NamedTuple):
    """Neighbouring columns of one task type."""

    type: str
    tasks: tuple[TaskEntry, ...]


class Table(NamedTuple):
    """A benchmark's table."""

    entry: BenchmarkEntry
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    complete: int
    relabelled: tuple[str, ...]

    @property
    def tasks(self) -> tuple[TaskEntry, ...]:
        """Columns from left to right."""
        return tuple(task for group in self.groups for task in group.tasks)


class Index:
    """The board by name, and both versions of its scores."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.models = {entry.slug: entry for entry in board.models}
        self.tasks = {entry.name: entry for entry in board.tasks}
        self.cells = {(cell.model, cell.task): cell for cell in board.cells}
        self.versions = Versions(board)

    def standings(self, benchmark: str) -> list[Standing]:
        """Complete models, best first."""
        return [row for row in self.board.standings if row.benchmark == benchmark]

    def shown(self, model: str, task: str) -> Shown | None:
        """One cell."""
        cell = self.cells.get((model, task))
        if cell is None:
            return None
        move = self.versions.moves.get((task, model))
        return Shown(cell, move, self.models[model].trained_on.get(task))


def make_table(index: Index, entry: BenchmarkEntry) -> Table:
    """The table of one benchmark."""
    groups = tuple(_groups(index, entry))
    columns = [task.name for group in groups for task in group.tasks]
    standings = index.standings(entry.name)
    means = index.versions.means(entry, [row.model for row in standings])
    bounds = _bounds(standings)
    complete = {row.model for row in standings}
    partial = sorted({model for model, task in index.cells if task in columns} - complete)
    rows = [(row.model, row) for row in standings] + [(model, None) for model in partial]
    return Table(
        entry=entry,
        groups=groups,
        rows=tuple(
            Row(
                model=index.models[slug],
                flags=flags(index.models[slug], entry),
                standing=standing,
                mean=means.get(slug),
                whisker="" if standing is None else whisker(standing, *bounds),
                cells=tuple(index.shown(slug, task) for task in columns),
            )
            for slug, standing in rows
        ),
        complete=len(standings),
        relabelled=tuple(name for name in columns if name in index.versions.tasks),
    )


def flags(model: ModelEntry, entry: BenchmarkEntry) -> tuple[str, ...]:
    """What the chips ask for. Size is of the query side; zero-shot has to be known of all tasks."""
    size = model.query_parameters
    known = {
        "open": model.open_weights is True,
        "small": size is not None and size <= SMALL,
        "asymmetric": model.asymmetric,
        "zero": all(model.trained_on.get(task) is False for task in entry.tasks),
        "api": model.api,
    }
    return tuple(name for name, holds in known.items() if holds)


def whisker(place: Standing | Cell, low: float, high: float, *, width: int = 112) -> str:
    """An SVG path: the interval as a line, the score as a tick on it, 8 high."""

    def at(value: float) -> str:
        return f"{4 + (width - 8) * (value - low) / (high - low):.1f}"

    line = ""
    if place.low is not None and place.high is not None:
        line = f"M{at(place.low)} 4H{at(place.high)}"
    return f"{line}M{at(place.score)} 1v6"


def _bounds(standings: list[Standing]) -> tuple[float, float]:
    lows = [row.score if row.low is None else row.low for row in standings]
    highs = [row.score if row.high is None else row.high for row in standings]
    low, high = min(lows, default=0.0), max(highs, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _groups(index: Index, entry: BenchmarkEntry) -> Iterator[Group]:
    for kind in TYPES:
        tasks = tuple(index.tasks[name] for name in entry.tasks if index.tasks[name].type == kind)
        if tasks:
            yield Group(kind, tasks)
