"""How stored results move under new judgements: from receipts, without a model, a GPU or a text.

Nothing is written. What cannot be compared (another state of the judgements, no receipt) is named
and left out; nothing is guessed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmedteb.annotations.report.numbers import LEVEL, est, rounded
from cmedteb.annotations.report.schema import Move, ScorePart
from cmedteb.annotations.report.values import Why
from cmedteb.data.judgements import Overlay, overlaid
from cmedteb.errors import CmedtebError, DataError
from cmedteb.metrics import paired_difference, rank_run
from cmedteb.metrics.agreement_intervals import REPLICATES, Estimate
from cmedteb.results import ResultStore
from cmedteb.results.select import Stored, select
from cmedteb.results.store import ORIGINAL
from cmedteb.runner.rescore import cutoffs, grades
from cmedteb.types import Float64Array, TaskType


class _Scored(NamedTuple):
    stored: Stored
    before: Float64Array
    after: Float64Array


def score_part(
    results: Path, overlay: Overlay, *, seed: int, judgements: str = ORIGINAL
) -> ScorePart | None:
    """Every whole result of the overlay's task, before and after; None where there is none.

    Args:
        results: the results folder.
        overlay: the new judgements; its parent must be what a result was scored against.
        seed: of the bootstrap over queries.
        judgements: the version that the new ones were made for.
    """
    store = ResultStore(results)
    found, left_out = [], []
    for stored in select(store, tasks=[overlay.task], judgements=judgements):
        name = f"{stored.result.model.name}@{stored.result.model.revision}"
        try:
            found.append(_scored(store, stored, overlay))
        except CmedtebError as error:
            left_out.append(f"{name}: {str(error).split(': ')[0]}")
    if not found and not left_out:
        return None
    before = [float(one.before.mean()) for one in found]
    after = [float(one.after.mean()) for one in found]
    ranks = list(zip(_ranks(before), _ranks(after), strict=True))
    moves = [_move(one, *rank, seed=seed) for one, rank in zip(found, ranks, strict=True)]
    return ScorePart(
        main_score=found[0].stored.result.main_score_name if found else "",
        moves=tuple(sorted(moves, key=lambda move: (move.rank_after, move.model, move.revision))),
        kendall_tau=_tau(before, after),
        left_out=tuple(sorted(left_out)),
    )


def _scored(store: ResultStore, stored: Stored, overlay: Overlay) -> _Scored:
    result = stored.result
    if result.partial:
        raise DataError("a result over some queries only")
    if overlay.parent not in {None, result.judgements.sha256}:
        raise DataError("scored against other judgements than these labels were made for")
    if result.task_type == TaskType.STS:
        raise DataError("pairs have no judgements of documents")
    table = grades(store, result)
    run = store.receipt_table(stored.path, result)
    before, after = (
        rank_run(run, judged, cutoffs=cutoffs(result))
        for judged in (table, overlaid(table, overlay, whole=True))
    )
    if before.query_ids != after.query_ids:
        raise DataError("the new judgements judge queries that had no judgement")
    name = result.main_score_name
    return _Scored(stored, before.values[name], after.values[name])


def _move(one: _Scored, rank_before: int, rank_after: int, *, seed: int) -> Move:
    change = paired_difference(one.after, one.before, seed=seed, resamples=REPLICATES, level=LEVEL)
    single = len(one.before) == 1
    model = one.stored.result.model
    return Move(
        model=model.name,
        revision=model.revision,
        before=rounded(change.mean_b) or 0.0,
        after=rounded(change.mean_a) or 0.0,
        change=est(
            Estimate(change.difference, change.interval, 0), why=Why.NO_CASES, one_query=single
        ),
        rank_before=rank_before,
        rank_after=rank_after,
    )


def _ranks(scores: list[float]) -> list[int]:
    """From 1, best first; equal scores share the better rank."""
    return [1 + sum(other > score for other in scores) for score in scores]


def _tau(before: list[float], after: list[float]) -> float | None:
    if len(before) < 2:
        return None
    from scipy.stats import kendalltau

    tau = float(kendalltau(np.asarray(before), np.asarray(after)).statistic)
    return rounded(tau)
