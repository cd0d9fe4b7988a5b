"""Any two models on every task: differences, and on how many queries which is better.

From the same samples as the places on the board, so that a comparison and a group never
contradict each other. On a benchmark wins, ties and losses count tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cmedteb.leaderboard.board import Comparisons, Difference
from cmedteb.leaderboard.places import Places
from cmedteb.leaderboard.resample import critical
from cmedteb.types import Float64Array, Int64Array

DIGITS = 5


class Outcomes(NamedTuple):
    """How often each model is better than, equal to and worse than each other one."""

    wins: Int64Array
    ties: Int64Array


@dataclass(frozen=True)
class Column:
    """One task or benchmark, and the models that have it.

    Attributes:
        name: of the task or benchmark.
        models: slugs, in the order of `places`.
        places: with the pairs.
        outcomes: by query, or by task.
    """

    name: str
    models: list[str]
    places: Places
    outcomes: Outcomes


def outcomes(values: Float64Array) -> Outcomes:
    """Count over queries.

    Args:
        values: shape (models, queries); equal values tie.
    """
    models = len(values)
    wins = np.zeros((models, models), dtype=np.int64)
    ties = np.zeros((models, models), dtype=np.int64)
    for row in range(models):
        wins[row] = (values[row] > values).sum(axis=1)
        ties[row] = (values[row] == values).sum(axis=1)
    return Outcomes(wins, ties)


def compare(models: Sequence[str], columns: Sequence[Column]) -> list[Comparisons]:
    """Every model against each one after it.

    Args:
        models: all slugs of the board, in its order.
        columns: tasks, then benchmarks.
    """
    rows = [_rows(models, column) for column in columns]
    names = tuple(column.name for column in columns)
    tables = [_differences(column) for column in columns]
    found = []
    for first, model in enumerate(models):
        against = {
            other: tuple(
                table[place[first]][place[second]] if place[first] >= 0 <= place[second] else None
                for place, table in zip(rows, tables, strict=True)
            )
            for second, other in enumerate(models[first + 1 :], first + 1)
        }
        found.append(Comparisons(model=model, columns=names, against=against))
    return found


def _rows(models: Sequence[str], column: Column) -> list[int]:
    """For each model of the board its row in a column; -1 where it has none."""
    there = {slug: row for row, slug in enumerate(column.models)}
    return [there.get(slug, -1) for slug in models]


def _differences(column: Column) -> list[list[Difference]]:
    pairs, samples = column.places.pairs, column.places.samples
    reach = critical(samples.units) * pairs.error
    wins, ties = column.outcomes
    numbers = [pairs.difference, pairs.difference - reach, pairs.difference + reach]
    rounded = [np.round(one, DIGITS).tolist() for one in numbers]
    rounded += [_significant(one) for one in (pairs.p, pairs.adjusted)]
    counts = [wins.tolist(), ties.tolist(), wins.T.tolist()]
    size = range(len(column.models))
    return [
        [Difference(*(table[row][other] for table in (*rounded, *counts))) for other in size]
        for row in size
    ]


def _significant(p: Float64Array) -> list[list[float]]:
    """Three digits, and never 0."""
    return [[float(f"{max(value, 1e-12):.3g}") for value in row] for row in p.tolist()]
