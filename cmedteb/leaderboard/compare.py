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
    tables = [_Table(models, column) for column in columns]
    names = tuple(column.name for column in columns)
    found = []
    for first, model in enumerate(models):
        others = zip(*(table.after(first) for table in tables), strict=True)
        against = dict(zip(models[first + 1 :], others, strict=True))
        found.append(Comparisons(model=model, columns=names, against=against))
    return found


class _Table:
    """A column's numbers by the place of a model on the board.

    Args:
        models: all slugs of the board, in its order.
        column: its models may be fewer.
    """

    def __init__(self, models: Sequence[str], column: Column) -> None:
        there = {slug: row for row, slug in enumerate(column.models)}
        self.row = np.asarray([there.get(slug, -1) for slug in models])
        pairs, (wins, ties) = column.places.pairs, column.outcomes
        reach = critical(column.places.samples.units) * pairs.error
        numbers = [pairs.difference, pairs.difference - reach, pairs.difference + reach]
        self.numbers = [np.round(one, DIGITS) for one in numbers]
        self.p = [pairs.p, pairs.adjusted]
        self.counts = [wins, ties, wins.T]

    def after(self, first: int) -> list[Difference | None]:
        """One model against each one after it; None where one of the two is not here."""
        row, others = self.row[first], self.row[first + 1 :]
        found: list[Difference | None] = [None] * len(others)
        if row >= 0:
            there = np.flatnonzero(others >= 0)
            columns = [table[row, others[there]].tolist() for table in self.numbers]
            columns += [_significant(table[row, others[there]]) for table in self.p]
            columns += [table[row, others[there]].tolist() for table in self.counts]
            for place, *numbers in zip(there.tolist(), *columns, strict=True):
                found[place] = Difference(*numbers)
        return found


def _significant(p: Float64Array) -> list[float]:
    """Three digits, and never 0."""
    return [float(f"{max(value, 1e-12):.3g}") for value in p.tolist()]
