"""Ranking measures by trec_eval's rules, per query; pytrec_eval is the engine.

The rules (trec_eval, usnistgov/trec_eval):

* documents stand by score, compared as float32, descending; equal scores by document id,
  descending as a string;
* the mean runs over every judged query: one without results counts 0, and so does one whose
  judgements are all 0;
* a grade above 0 is relevant; a document without a judgement, or with a grade of 0 or below, is
  not, and its gain is 0;
* average precision and recall divide by all relevant documents, whether or not the run, or even
  the corpus, has them; nDCG has linear gain and the discount log2(rank + 1).

The room refuses to turn a broken run into a number: a score that is not a finite float32, a
document returned twice, or judgements that judge nothing raise ScoreError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import pytrec_eval

from cmedteb.errors import ScoreError
from cmedteb.types import Float64Array, Int32Array, Int64Array, Qrels, Run

CUTOFFS: tuple[int, ...] = (1, 3, 5, 10, 20, 100, 1000)

_ENGINE_NAMES = {
    "ndcg": "ndcg_cut",
    "map": "map_cut",
    "recall": "recall",
    "precision": "P",
    "hit_rate": "success",
}
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
# trec_eval reserves memory in proportion to the largest grade, and overflows at 2**31 - 1.
_MAX_GRADE = 10_000
_BATCH = 256
_Value = TypeVar("_Value", int, float)


@dataclass(frozen=True, slots=True, eq=False)
class QueryScores:
    """The measures of every judged query.

    Attributes:
        query_ids: the judged queries, in the order in which they were given.
        values: for each key (`ndcg_at_10`, ...) a value in [0, 1] for each query, in the order of
            `query_ids`; shape (queries,).
    """

    query_ids: tuple[str, ...]
    values: dict[str, Float64Array]

    def mean(self) -> dict[str, float]:
        """The plain mean over the judged queries, key by key."""
        return {key: float(np.mean(column)) for key, column in self.values.items()}


class _Judged(NamedTuple):
    """One judged query with what was returned for it and how that was judged."""

    query_id: str
    results: dict[str, float]
    grades: dict[str, int]


def rank_run(
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    cutoffs: Sequence[int] = CUTOFFS,
) -> QueryScores:
    """Score a run given as dictionaries, by the rules in the module's docstring.

    Degenerate cases: a judged query that the run lacks, or for which it has no result, counts 0; a
    query whose grades are all 0 or below counts 0; a query with an empty dictionary of judgements
    is not judged and left out; queries of the run that are not judged are ignored.

    Args:
        run: query id -> document id -> score; higher is better.
        qrels: query id -> document id -> integer grade.
        cutoffs: the ranks k to cut at.

    Returns:
        `ndcg_at_k`, `map_at_k`, `recall_at_k`, `precision_at_k`, `mrr_at_k` and `hit_rate_at_k`
        for every k, for each judged query in the order of `qrels`.

    Raises:
        ScoreError: a score is NaN, infinite or beyond float32; a grade is not an integer or is out
            of range; nothing is judged.
    """
    return _evaluate(_judged_from_mappings(run, qrels), cutoffs)


def score_run(
    run: Run,
    qrels: Qrels,
    *,
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    depth: int | None,
) -> QueryScores:
    """Score a columnar run, by the rules in the module's docstring; `rank_run` gives the same.

    Degenerate cases are those of `rank_run`: a query row without judgements is left out, a judged
    row without results counts 0.

    Args:
        run: row q holds what was returned for `query_ids[q]`; the order within a row is not used.
        qrels: row q holds the judgements of `query_ids[q]`, absent documents included.
        query_ids: the ids of the query rows; unique.
        doc_ids: the ids of the corpus rows (a list is fastest); unique.
        depth: how deep the run was cut: cutoffs beyond it would claim what was never looked at and
            are left out. None: the run is complete (reranking), so every cutoff stands.

    Returns:
        The measures of `rank_run` at the members of CUTOFFS up to `depth`.

    Raises:
        ScoreError: a score is not finite, a document is twice in a row, a row names a document
            that is not there, the tables do not have the same rows, or nothing is judged.
    """
    _check_rows(run, qrels, query_ids)
    cutoffs = [k for k in CUTOFFS if depth is None or k <= depth]
    return _evaluate(_judged_from_columns(run, qrels, query_ids, doc_ids), cutoffs)


def _judged_from_mappings(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]]
) -> Iterator[_Judged]:
    for query_id, judgements in qrels.items():
        if not judgements:
            continue
        results = {doc: float(score) for doc, score in run.get(query_id, {}).items()}
        for doc, score in results.items():
            # Written so that NaN, which compares false with everything, fails too.
            if not abs(score) <= _MAX_FLOAT32:
                raise _bad_score(query_id, doc, score)
        grades = {doc: _integer(query_id, doc, grade) for doc, grade in judgements.items()}
        yield _Judged(query_id, results, grades)


def _judged_from_columns(
    run: Run, qrels: Qrels, query_ids: Sequence[str], doc_ids: Sequence[str]
) -> Iterator[_Judged]:
    known = len(doc_ids)
    for row, query_id in enumerate(query_ids):
        judged = slice(*_bounds(qrels.offsets, row))
        if judged.start == judged.stop:
            continue
        rows = _checked_rows(qrels.docs[judged], known + len(qrels.absent), query_id, "judgements")
        names = [doc_ids[i] if i < known else qrels.absent[i - known] for i in rows]
        grades = _by_document(query_id, names, qrels.grades[judged].tolist(), "judged")

        returned = slice(*_bounds(run.offsets, row))
        rows = _checked_rows(run.docs[returned], known, query_id, "results")
        names = [doc_ids[i] for i in rows]
        scores = run.scores[returned]
        finite = np.isfinite(scores)
        if not finite.all():
            bad = int(np.argmin(finite))
            raise _bad_score(query_id, names[bad], float(scores[bad]))
        yield _Judged(query_id, _by_document(query_id, names, scores.tolist(), "returned"), grades)


def _evaluate(judged: Iterable[_Judged], cutoffs: Sequence[int]) -> QueryScores:
    """Score the judged queries batch by batch, so that few dictionaries exist at a time."""
    names = _engine_names(cutoffs)
    measures = {f"{base}.{','.join(map(str, cutoffs))}" for base in _ENGINE_NAMES.values()}
    measures.add("recip_rank")
    query_ids: list[str] = []
    rows: list[list[float]] = []
    queue = iter(judged)
    while batch := list(islice(queue, _BATCH)):
        grades = {query.query_id: query.grades for query in batch}
        _check_grades(batch)
        engine = pytrec_eval.RelevanceEvaluator(grades, measures)
        found = engine.evaluate({query.query_id: query.results for query in batch})
        query_ids.extend(query.query_id for query in batch)
        rows.extend(
            [found[query.query_id][name] for name in (*names.values(), "recip_rank")]
            for query in batch
        )
    if not rows:
        raise ScoreError(
            "No query is judged, so there is nothing to average over. Check that the judgements "
            "belong to this task and split."
        )
    table = np.asarray(rows, dtype=np.float64)
    values = {key: np.ascontiguousarray(table[:, i]) for i, key in enumerate(names)}
    reciprocal_rank = table[:, -1]
    for k in cutoffs:
        values[f"mrr_at_{k}"] = np.where(reciprocal_rank >= 1.0 / k, reciprocal_rank, 0.0)
    return QueryScores(tuple(query_ids), values)


def _engine_names(cutoffs: Sequence[int]) -> dict[str, str]:
    """Our keys -> the engine's, for all measures but the reciprocal rank."""
    if not cutoffs or min(cutoffs) < 1:
        raise ValueError(f"cutoffs must be one or more positive ranks, not {list(cutoffs)}")
    return {
        f"{ours}_at_{k}": f"{theirs}_{k}" for ours, theirs in _ENGINE_NAMES.items() for k in cutoffs
    }


def _check_rows(run: Run, qrels: Qrels, query_ids: Sequence[str]) -> None:
    if not len(run) == len(qrels) == len(query_ids):
        raise ScoreError(
            f"The run has {len(run)} query rows, the judgements {len(qrels)}, and there are "
            f"{len(query_ids)} query ids: all three must describe the same queries."
        )
    if len(set(query_ids)) != len(query_ids):
        raise ScoreError("A query id occurs twice: query ids must be unique.")


def _check_grades(batch: Iterable[_Judged]) -> None:
    for query in batch:
        doc = max(query.grades, key=query.grades.__getitem__)
        if query.grades[doc] > _MAX_GRADE:
            raise ScoreError(
                f"Query {query.query_id!r}, document {doc!r}: grade {query.grades[doc]} is above "
                f"{_MAX_GRADE}, which trec_eval cannot hold. Map the grades to small integers."
            )


def _bounds(offsets: Int64Array, row: int) -> tuple[int, int]:
    return int(offsets[row]), int(offsets[row + 1])


def _checked_rows(docs: Int32Array, limit: int, query_id: str, what: str) -> list[int]:
    if len(docs) and (int(docs.min()) < 0 or int(docs.max()) >= limit):
        raise ScoreError(
            f"Query {query_id!r}: its {what} name a document row outside 0..{limit - 1}. "
            "Run, judgements and document ids must come from the same corpus."
        )
    rows: list[int] = docs.tolist()
    return rows


def _by_document(
    query_id: str, names: list[str], values: list[_Value], what: str
) -> dict[str, _Value]:
    paired = dict(zip(names, values, strict=True))
    if len(paired) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ScoreError(
            f"Query {query_id!r}: document {twice!r} is {what} twice. Each document may stand "
            "once in a query."
        )
    return paired


def _integer(query_id: str, doc: str, grade: int) -> int:
    if not float(grade).is_integer():
        raise ScoreError(
            f"Query {query_id!r}, document {doc!r}: grade {grade!r} is not an integer."
        )
    return int(grade)


def _bad_score(query_id: str, doc: str, score: float) -> ScoreError:
    return ScoreError(
        f"Query {query_id!r}, document {doc!r}: the score is {score}, not a finite float32, so "
        "the run has no order. Look for NaN or overflow (half precision?) in the model's output."
    )
