"""The grades of a pool as one table: what each judge of the panel said of each pair.

An annotation may hold several answers of a judge to one pair: one that was no grade is asked for
again, and a crash can repeat a call. The first grade counts, whatever came later; without one the
last state does. Canaries and probes are not of the pool; second sights, for drift, give no vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmedteb.annotations.records import GRADES, Answer, Pair, Purpose, Snapshot, State
from cmedteb.errors import ScoreError
from cmedteb.metrics.ratings import MISSING, Ratings
from cmedteb.types import Int32Array

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Votes:
    """What the panel said of the pool.

    Attributes:
        pairs: of the pool, without canaries, by query id and document id.
        judges: labels of the panel, in its order.
        grades: 1 to 5, or -1 where there is none; shape (pairs, judges).
        states: what became of each question: pair id and judge -> state; without an entry the
            judge was not asked, or has not answered yet.
    """

    pairs: tuple[Pair, ...]
    judges: tuple[str, ...]
    grades: Int32Array
    states: dict[Key, State]

    @classmethod
    def of(cls, snapshot: Snapshot, purpose: Purpose = Purpose.JUDGE) -> Votes:
        """The votes of one purpose; `JUDGE` makes the labels."""
        pairs = tuple(pair for pair in snapshot.pairs if pair.canary is None)
        judges = snapshot.config.panel.labels
        rows = {pair.pair_id: row for row, pair in enumerate(pairs)}
        columns = {judge: column for column, judge in enumerate(judges)}
        grades = np.full((len(pairs), len(judges)), MISSING, dtype=np.int32)
        states: dict[Key, State] = {}
        for key, answer in counted(snapshot, purpose).items():
            row, column = rows.get(key[0]), columns.get(key[1])
            if row is None or column is None:
                continue
            states[key] = answer.verdict.state
            if answer.verdict.grade is not None:
                grades[row, column] = answer.verdict.grade
        return cls(pairs, judges, grades, states)

    @property
    def complete(self) -> bool:
        """Whether every judge graded every pair."""
        return bool((self.grades != MISSING).all())

    def only(self, kept: frozenset[str]) -> Votes:
        """The votes on these pairs alone."""
        rows = [row for row, pair in enumerate(self.pairs) if pair.pair_id in kept]
        states = {key: state for key, state in self.states.items() if key[0] in kept}
        pairs = tuple(self.pairs[row] for row in rows)
        return Votes(pairs, self.judges, self.grades[rows], states)

    def ratings(self) -> Ratings:
        """As the statistics of agreement take them; pairs of one query depend on each other.

        Raises:
            ScoreError: there is no pair.
        """
        if not self.pairs:
            raise ScoreError("The pool has no pair that could be judged: nothing can be said.")
        return Ratings.of(
            self.grades,
            categories=GRADES,
            raters=self.judges,
            groups=[pair.query_id for pair in self.pairs],
        )


def counted(snapshot: Snapshot, purpose: Purpose) -> dict[Key, Answer]:
    """The answer that counts for each pair and judge: the first grade, else the last answer."""
    found: dict[Key, Answer] = {}
    for answer in snapshot.answers:
        if answer.purpose is not purpose:
            continue
        key = (answer.pair_id, answer.judge)
        if key not in found or found[key].verdict.grade is None:
            found[key] = answer
    return found
