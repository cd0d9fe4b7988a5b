"""Snapshots made directly: a pool, what judges said of it, what people said of it.

A journal can hold all of this; tests of what is *said* of a journal need no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from annotations.annotation_support import config, judge, pair, panel, sha256
from cmedteb.annotations.config import AnnotationConfig, System
from cmedteb.annotations.records import (
    Answer,
    Pair,
    Phase,
    Purpose,
    Review,
    Snapshot,
    State,
    Verdict,
)

Grades = Sequence[int | State | None]
SYSTEMS = tuple(
    System(name=name, kind="receipt", sha256=sha256(name), base=base)
    for name, base in (("bm25", None), ("dense", "Qwen/Qwen3-0.6B"))
)

TRICKS = ("control", "plea")


def settings(judges: Sequence[str] = ("a", "b", "c"), **changes: Any) -> AnnotationConfig:
    """A config of as many judges as are named."""
    of = panel(*(judge(label) for label in judges))
    return config(**{"panel": of, "systems": SYSTEMS, **changes})


def answer(
    pair_id: str,
    label: str,
    grade: int | State | None = 4,
    *,
    at: float = 1_800_000_000.0,
    **more: Any,
) -> Answer:
    """One answer: a grade, or the state that stands for none."""
    state = grade if isinstance(grade, State) else State.SCORED
    facts: dict[str, Any] = {
        "pair_id": pair_id,
        "judge": label,
        "purpose": Purpose.JUDGE,
        "attempt": 1,
        "verdict": Verdict(state, None if isinstance(grade, State) else grade, "because"),
        "requested_model": f"{label}-model",
        "returned_model": f"{label}-model-001",
        "fingerprint": None,
        "finish_reason": "stop",
        "tokens_in": 100,
        "tokens_cached": 60,
        "tokens_out": 10,
        "cost": 0.00012,
        "sent_at": at,
        "received_at": at + 1.0,
    }
    return Answer(**{**facts, **more})


def snapshot(
    pairs: Sequence[Pair],
    grades: Sequence[Grades],
    *,
    answers: Sequence[Answer] = (),
    reviews: Sequence[Review] = (),
    strata: Mapping[str, str] | None = None,
    of: AnnotationConfig | None = None,
) -> Snapshot:
    """A pool with one row of grades a pair; None was never asked.

    Args:
        pairs: of the pool and canaries.
        grades: by pair, then by judge of the panel.
        answers: further ones.
        reviews: in order.
        strata: of the pool.
        of: the config.
    """
    chosen = of or settings()
    given = [
        answer(one.pair_id, label, grade)
        for one, row in zip(pairs, grades, strict=True)
        for label, grade in zip(chosen.panel.labels, row, strict=True)
        if grade is not None
    ]
    ordered = sorted(pairs, key=lambda one: (one.query_id, one.doc_id, one.pair_id))
    return Snapshot(
        config=chosen,
        pairs=tuple(ordered),
        answers=(*given, *answers),
        reviews=tuple(reviews),
        sha256=sha256("journal"),
        strata=strata or {},
    )


def review(pair_id: str, grade: int | None, reviewer: str = "r1", **more: Any) -> Review:
    """A blind first sight, unless told otherwise."""
    facts: dict[str, Any] = {
        "phase": Phase.BLIND,
        "repeat": 0,
        "stratum": "",
        "unsure": False,
        "comment": "",
        "file_hash": sha256("file"),
    }
    return Review(pair_id=pair_id, reviewer=reviewer, grade=grade, **{**facts, **more})


def of_grades(rows: Sequence[Grades], *, per_query: int = 1, **more: Any) -> Snapshot:
    """A pool of so many rows, `per_query` of them a query."""
    pairs = [pair(f"q{row // per_query:06}", f"d{row:06}") for row in range(len(rows))]
    return snapshot(pairs, rows, **more)


def simulated(
    queries: int = 40, depth: int = 10, *, judges: int = 3, seed: int = 7, **changes: Any
) -> Snapshot:
    """Judges who see a latent relevance with noise; one original positive a query.

    Some questions are refused, cut or unreadable; some pairs are asked again at the end, and a few
    texts speak to the judge.
    """
    rng = np.random.default_rng(seed)
    labels = [f"judge-{number}" for number in range(1, judges + 1)]
    chosen = settings(labels, **changes)
    truth = rng.normal(2.4, 1.2, size=(queries, depth))
    truth[:, 0] = rng.normal(4.4, 0.8, size=queries)
    pairs, rows = [], []
    for query in range(queries):
        for doc in range(depth):
            ranks = {"bm25": doc + 1} if doc % 2 else {"dense": doc + 1}
            if doc % 3 == 0:
                ranks = {"bm25": doc + 1, "dense": depth - doc}
            original = 1 if doc == 0 else None
            pairs.append(pair(f"q{query:03}", f"d{doc:03}", original=original, ranks=ranks))
            seen = truth[query, doc] + rng.normal(0.0, 0.6, size=judges)
            rows.append([_grade(value, rng) for value in seen])
    more = [*_second_sights(pairs, truth.ravel(), labels, rng), *_tricks(labels)]
    traps = [_trap(number, trick) for number in range(3) for trick in TRICKS]
    unasked: list[Grades] = [[None] * judges for _ in traps]
    return snapshot([*pairs, *traps], [*rows, *unasked], answers=more, of=chosen)


def _grade(value: float, rng: np.random.Generator) -> int | State:
    if rng.random() < 0.01:
        return (State.REFUSED, State.CUT, State.INVALID)[int(rng.integers(3))]
    return int(np.clip(round(value), 1, 5))


def _second_sights(
    pairs: Sequence[Pair], truth: Any, labels: Sequence[str], rng: np.random.Generator
) -> list[Answer]:
    found = []
    for row in range(0, len(pairs), 7):
        for label in labels:
            for purpose in (Purpose.RETEST, Purpose.REVERSED):
                grade = int(np.clip(round(truth[row] + rng.normal(0.0, 0.6)), 1, 5))
                found.append(
                    answer(pairs[row].pair_id, label, grade, purpose=purpose, at=1_800_100_000.0)
                )
    return found


def _trap(number: int, trick: str) -> Pair:
    """The same document with and without a trick."""
    digest = sha256(f"{trick} {number}")[:16]
    return pair("q000", f"trap-{number}", pair_id=digest, canary=trick, ranks={})


def _tricks(labels: Sequence[str]) -> list[Answer]:
    """The first judge falls for the first plea, nobody for anything else."""
    return [
        answer(
            _trap(number, trick).pair_id,
            label,
            5 if (number, place, trick) == (0, 0, "plea") else 1,
            purpose=Purpose.CANARY,
        )
        for number in range(3)
        for trick in TRICKS
        for place, label in enumerate(labels)
    ]
