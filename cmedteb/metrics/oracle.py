"""A second opinion on ranking measures: the same run scored by pytrec_eval, value by value.

pytrec_eval wraps the C code of trec_eval; our own measures (`ranking.py`) do without it because
it walks dictionaries. Here it is asked again, and the first value that differs is an error that
names measure, query and both numbers. Nothing else in the package calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.metrics.ranking import QueryScores
from cmedteb.metrics.trec import iter_rankings
from cmedteb.types import Qrels, Run

TOLERANCE = 1e-9

_ENGINE_NAMES = {
    "ndcg": "ndcg_cut",
    "map": "map_cut",
    "recall": "recall",
    "precision": "P",
    "hit_rate": "success",
    "mrr": "recip_rank",
}
_BATCH = 256


class _Query(NamedTuple):
    """One judged query: what was returned for it, and how that was judged."""

    query_id: str
    results: Mapping[str, float]
    grades: Mapping[str, int]


def verify_table(
    scores: QueryScores,
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
) -> float:
    """Check what `rank_run` gave for this run and these judgements.

    Args:
        scores: every value of it is compared.
        run: query id -> document id -> score.
        qrels: query id -> document id -> grade.

    Returns:
        The largest difference found, at most TOLERANCE.

    Raises:
        ScoreError: a value differs by more, or the two do not score the same queries.
    """
    judged = (
        _Query(query, run.get(query, {}), grades) for query, grades in qrels.items() if grades
    )
    return _compare(scores, judged)


def verify_run(
    scores: QueryScores, run: Run, qrels: Qrels, *, query_ids: Sequence[str], doc_ids: Sequence[str]
) -> float:
    """Check what `score_run` gave; see `verify_table`. Only a few queries are held as dictionaries.

    Args:
        scores: every value of it is compared.
        run: the run that was scored.
        qrels: the judgements that it was scored by.
        query_ids: the ids of the query rows.
        doc_ids: the ids of the corpus rows.

    Returns:
        The largest difference found, at most TOLERANCE.

    Raises:
        ScoreError: a value differs by more, or the two do not score the same queries.
    """
    names = [*doc_ids, *qrels.absent]
    judgements = Run(qrels.offsets, qrels.docs, qrels.grades.astype(np.float32))
    pairs = zip(
        iter_rankings(run, query_ids=query_ids, doc_ids=doc_ids),
        iter_rankings(judgements, query_ids=query_ids, doc_ids=names),
        strict=True,
    )
    judged = (
        _Query(query, results, {doc: int(grade) for doc, grade in grades.items()})
        for (query, results), (_, grades) in pairs
        if grades
    )
    return _compare(scores, judged)


def _compare(scores: QueryScores, judged: Iterator[_Query]) -> float:
    import pytrec_eval

    measures = set(_ENGINE_NAMES.values()) - {"recip_rank"}
    cutoffs = sorted({int(key.rpartition("_")[2]) for key in scores.values})
    wanted = {f"{measure}.{','.join(map(str, cutoffs))}" for measure in measures} | {"recip_rank"}
    largest, row = 0.0, 0
    while batch := list(islice(judged, _BATCH)):
        ids = tuple(query.query_id for query in batch)
        _check_queries(scores.query_ids[row : row + len(ids)], ids)
        # trec_eval writes out of bounds where the largest grade of a query is below -1.
        grades = {q.query_id: {d: max(g, -1) for d, g in q.grades.items()} for q in batch}
        engine = pytrec_eval.RelevanceEvaluator(grades, wanted)
        found = engine.evaluate({q.query_id: dict(q.results) for q in batch})
        for key, column in scores.values.items():
            theirs = [_value(found[query], key) for query in ids]
            ours = column[row : row + len(ids)]
            largest = max(largest, _difference(key, ids, ours.tolist(), theirs))
        row += len(ids)
    _check_queries(scores.query_ids[row:], ())
    return largest


def _value(found: Mapping[str, float], key: str) -> float:
    """The engine's value of one of our keys."""
    name, _, cutoff = key.rpartition("_at_")
    if name == "mrr":
        value = found["recip_rank"]
        return value if value * int(cutoff) >= 1.0 - TOLERANCE else 0.0
    return found[f"{_ENGINE_NAMES[name]}_{cutoff}"]


def _difference(key: str, ids: Sequence[str], ours: list[float], theirs: list[float]) -> float:
    largest = 0.0
    for query, mine, other in zip(ids, ours, theirs, strict=True):
        # Written so that NaN, which compares false with everything, fails too.
        if not abs(mine - other) <= TOLERANCE:
            raise ScoreError(
                f"{key} of query {query!r} is {mine!r} here and {other!r} by pytrec_eval. One of "
                "the two is wrong; please report it with this query's results and judgements."
            )
        largest = max(largest, abs(mine - other))
    return largest


def _check_queries(ours: Sequence[str], theirs: Sequence[str]) -> None:
    if tuple(ours) != tuple(theirs):
        odd = next(iter(set(ours) ^ set(theirs)), "the order")
        raise ScoreError(
            f"The scores and the judgements are not about the same queries: {odd!r} differs. "
            "Verify with the run and the judgements that were scored."
        )
