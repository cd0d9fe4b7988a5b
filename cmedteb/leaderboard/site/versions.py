"""Original against relabelled judgements: what each would say of a benchmark.

A board is counted under one version and knows, for every task with a newer version, each model's
score under both. The mean of a benchmark under the other version follows by exchanging those
scores; intervals are known for the version that the board was counted under.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cmedteb.leaderboard.board import BenchmarkEntry, Board, Move


class Sided(NamedTuple):
    """A mean and its rank under both versions."""

    original: float
    relabelled: float
    rank_original: int
    rank_relabelled: int

    @property
    def climbed(self) -> int:
        """Ranks gained by relabelling; negative if lost."""
        return self.rank_original - self.rank_relabelled


class Versions:
    """Both versions of all scores.

    Args:
        board: with cells, and moves for tasks that were relabelled.
    """

    def __init__(self, board: Board) -> None:
        self.scores = {(cell.task, cell.model): cell.score for cell in board.cells}
        self.moves: dict[tuple[str, str], Move] = {
            (entry.task, move.model): move for entry in board.relabelled for move in entry.moves
        }
        self.tasks = {entry.task: entry.version for entry in board.relabelled}
        self.shown = "original" if board.judgements == "original" else "relabelled"

    def means(self, entry: BenchmarkEntry, models: list[str]) -> Mapping[str, Sided]:
        """Model -> its mean over the benchmark's tasks under both versions.

        Args:
            entry: the benchmark.
            models: those that have all of its tasks.
        """
        both = {
            model: (self._mean(entry, model, "original"), self._mean(entry, model, "relabelled"))
            for model in models
        }
        return {
            model: Sided(
                *pair, *(1 + sum(other[n] > pair[n] for other in both.values()) for n in (0, 1))
            )
            for model, pair in both.items()
        }

    def _mean(self, entry: BenchmarkEntry, model: str, version: str) -> float:
        values = []
        for task in entry.tasks:
            move = self.moves.get((task, model))
            values.append(
                self.scores[task, model] if move is None else float(getattr(move, version))
            )
        return round(sum(values) / len(values), 6)
