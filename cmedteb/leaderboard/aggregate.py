"""From scored tasks to the board: places, averages, moves under newer judgements.

A model has an average of a benchmark only when it has all of its tasks: the mean of some tasks
would reward leaving out the hard ones. Ranks, rank intervals and groups of a benchmark are among
those complete models. What papers report never enters a rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cmedteb.leaderboard.board import Cell, Move, Relabelled, Standing
from cmedteb.leaderboard.compare import Column, Outcomes, outcomes
from cmedteb.leaderboard.load import ScoredTask
from cmedteb.leaderboard.places import Places, borda, place_all, ranks
from cmedteb.leaderboard.resample import (
    Samples,
    mean_of,
    resampled_correlations,
    resampled_means,
)
from cmedteb.leaderboard.workers import Workers
from cmedteb.types import Float64Array

DIGITS = 6
# Below so many values, starting processes takes longer than resampling.
_WORTH_PROCESSES = 1 << 20


@dataclass(frozen=True)
class Values:
    """What places the models of a task: a plain value, so that tasks can be spread over processes.

    Attributes:
        task: its name.
        values: main scores of queries or similarities of pairs, shape (models, queries).
        gold: of pairs; empty for rankings.
        ranked: the main score correlates ranks.
    """

    task: str
    values: Float64Array
    gold: Float64Array
    ranked: bool

    def samples(self) -> Samples:
        """Scores, resampled over queries or pairs."""
        if not len(self.gold):
            return resampled_means(self.task, self.values)
        if self.ranked:
            from scipy.stats import rankdata

            return resampled_correlations(
                self.task, rankdata(self.values, axis=1), rankdata(self.gold)
            )
        return resampled_correlations(self.task, self.values, self.gold)

    def outcomes(self) -> Outcomes:
        """Who is better how often; of a pair its share in r is compared."""
        if len(self.gold):
            return outcomes(_standard(self.values) * _standard(self.gold[None]))
        return outcomes(self.values)


class Placed(NamedTuple):
    """Where the models of a task stand."""

    places: Places
    outcomes: Outcomes


def place(of: Values) -> Placed:
    """Place the models of a task."""
    return Placed(place_all(of.samples()), of.outcomes())


@dataclass(frozen=True)
class PlacedTask:
    """A task with all models in their places.

    Attributes:
        task: what was scored.
        version: of the judgements that count.
        places: of all models.
        outcomes: of each against each.
    """

    task: ScoredTask
    version: str
    places: Places
    outcomes: Outcomes

    @property
    def name(self) -> str:
        """Of the task."""
        return self.task.card.name

    @property
    def slugs(self) -> list[str]:
        """The models, sorted; the order of all arrays here."""
        return list(self.task.scores[self.version])

    def column(self) -> Column:
        """For comparisons."""
        return Column(self.name, self.slugs, self.places, self.outcomes)

    def cells(self) -> list[Cell]:
        """Best first."""
        cells = []
        for row, slug in enumerate(self.slugs):
            result = self.task.stored[slug].result
            scores = self.task.scores[self.version][slug].scores
            cells.append(
                Cell(
                    model=slug,
                    task=self.name,
                    scores={name: round(scores[name], DIGITS) for name in sorted(scores)},
                    search_recall=result.search.recall if result.search else None,
                    **self.places.entry(row),
                )
            )
        return sorted(cells, key=lambda cell: (cell.rank, cell.model))


@dataclass(frozen=True)
class PlacedBenchmark:
    """A benchmark with its complete models in their places; `tasks` are all of its tasks."""

    name: str
    tasks: list[PlacedTask]
    slugs: list[str]

    @cached_property
    def scores(self) -> Float64Array:
        """Shape (tasks, models)."""
        return np.stack([part.score for part in self.parts])

    @cached_property
    def parts(self) -> list[Samples]:
        """For each task the samples of the complete models."""
        return [
            task.places.samples.of(np.asarray([task.slugs.index(slug) for slug in self.slugs]))
            for task in self.tasks
        ]

    @cached_property
    def places(self) -> Places:
        """By the mean over tasks."""
        return place_all(mean_of(self.parts))

    def column(self) -> Column:
        """For comparisons; wins are tasks."""
        counted: Outcomes = outcomes(np.round(self.scores, DIGITS).T)
        return Column(self.name, self.slugs, self.places, counted)

    def standings(self) -> list[Standing]:
        """Best first."""
        points = borda(self.scores)
        placed = ranks(points)
        rows = [
            Standing(
                benchmark=self.name,
                model=slug,
                borda=float(points[row]),
                borda_rank=placed[row],
                **self.places.entry(row),
            )
            for row, slug in enumerate(self.slugs)
        ]
        return sorted(rows, key=lambda one: (one.rank, one.model))


def place_tasks(
    tasks: Mapping[str, ScoredTask], versions: Mapping[str, str], workers: Workers
) -> dict[str, PlacedTask]:
    """Place the models of every task under the version of its judgements that counts."""
    # The largest first, so that none of them is left for the end.
    order = sorted(tasks, key=lambda name: (-len(tasks[name].ids), name))
    questions = [
        Values(
            task=name,
            values=tasks[name].values(versions[name]),
            gold=tasks[name].gold,
            ranked=tasks[name].card.main_score.endswith("spearman"),
        )
        for name in order
    ]
    size = sum(one.values.size for one in questions)
    answers = dict(
        zip(order, workers.map(place, questions, heavy=size >= _WORTH_PROCESSES), strict=True)
    )
    return {name: PlacedTask(task, versions[name], *answers[name]) for name, task in tasks.items()}


def place_benchmark(
    name: str, tasks: Sequence[str], placed: dict[str, PlacedTask]
) -> PlacedBenchmark | None:
    """None where no model has all tasks."""
    there = [placed[task] for task in tasks if task in placed]
    if len(there) < len(tasks):
        return None
    complete = sorted(set.intersection(*(set(task.slugs) for task in there)))
    return PlacedBenchmark(name, there, complete) if complete else None


def moves(task: ScoredTask, version: str) -> Relabelled:
    """What a newer version of the judgements changes."""
    before, after = task.scores["original"], task.scores[version]
    main = task.card.main_score
    old = np.asarray([one.scores[main] for one in before.values()])
    new = np.asarray([one.scores[main] for one in after.values()])
    rank_old, rank_new = ranks(old), ranks(new)
    rows = [
        Move(
            model=slug,
            original=round(float(old[row]), DIGITS),
            relabelled=round(float(new[row]), DIGITS),
            rank_original=rank_old[row],
            rank_relabelled=rank_new[row],
        )
        for row, slug in enumerate(before)
    ]
    rows.sort(key=lambda one: (one.rank_relabelled, one.model))
    return Relabelled(task=task.card.name, version=version, moves=tuple(rows))


def _standard(values: Float64Array) -> Float64Array:
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / values.std(axis=1, keepdims=True))
