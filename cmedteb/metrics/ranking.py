"""Ranking measures by trec_eval's rules, per query, straight from index and score arrays.

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
document returned twice, or judgements that judge nothing raise ScoreError. `oracle.py` holds it
against pytrec_eval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.metrics.cutoffs import at_cutoffs
from cmedteb.metrics.ranks import MAX_GRADE, Names, bad_grade, bad_score, find_relevant, judged
from cmedteb.types import Float32Array, Float64Array, Int32Array, Int64Array, Qrels, Run

CUTOFFS: tuple[int, ...] = (1, 3, 5, 10, 20, 100, 1000)

_MAX_FLOAT32 = float(np.finfo(np.float32).max)


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
        `ndcg_at_k`, `map_at_k`, `recall_at_k`, `precision_at_k`, `hit_rate_at_k` and `mrr_at_k`
        for every k, for each judged query in the order of `qrels`.

    Raises:
        ScoreError: a score is NaN, infinite or beyond float32; a grade is not an integer or is out
            of range; nothing is judged.
    """
    query_ids = [query for query, grades in qrels.items() if grades]
    results = [run.get(query, {}) for query in query_ids]
    rows: defaultdict[str, int] = defaultdict(count().__next__)
    run_columns = Run(
        _offsets(results),
        _document_rows(results, rows),
        _scores(query_ids, results),
    )
    doc_ids = list(rows)
    judgements = [qrels[query] for query in query_ids]
    qrels_columns = Qrels(
        _offsets(judgements),
        _document_rows(judgements, rows),
        _grades(query_ids, judgements),
        absent=tuple(rows)[len(doc_ids) :],
    )
    names = Names(query_ids, doc_ids, qrels_columns.absent)
    return _evaluate(run_columns, qrels_columns, names, cutoffs)


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
    names = Names(query_ids, doc_ids, qrels.absent)
    return _evaluate(run, qrels, names, [k for k in CUTOFFS if depth is None or k <= depth])


def _evaluate(run: Run, qrels: Qrels, names: Names, cutoffs: Sequence[int]) -> QueryScores:
    if not cutoffs or min(cutoffs) < 1:
        raise ValueError(f"cutoffs must be one or more positive ranks, not {list(cutoffs)}")
    judgements = judged(qrels, names)
    if not len(judgements.rows):
        raise ScoreError(
            "No query is judged, so there is nothing to average over. Check that the judgements "
            "belong to this task and split."
        )
    values = at_cutoffs(
        find_relevant(run, judgements, names),
        judgements.relevant(),
        queries=len(judgements.rows),
        cutoffs=cutoffs,
    )
    return QueryScores(tuple(names.queries[row] for row in judgements.rows.tolist()), values)


def _check_rows(run: Run, qrels: Qrels, query_ids: Sequence[str]) -> None:
    if not len(run) == len(qrels) == len(query_ids):
        raise ScoreError(
            f"The run has {len(run)} query rows, the judgements {len(qrels)}, and there are "
            f"{len(query_ids)} query ids: all three must describe the same queries."
        )
    if len(set(query_ids)) != len(query_ids):
        raise ScoreError("A query id occurs twice: query ids must be unique.")


def _offsets(tables: Sequence[Mapping[str, object]]) -> Int64Array:
    return np.cumsum([0, *map(len, tables)], dtype=np.int64)


def _document_rows(tables: Sequence[Mapping[str, object]], rows: Mapping[str, int]) -> Int32Array:
    """The row of every document, in order; `rows` gives a new document the next one."""
    return np.fromiter(map(rows.__getitem__, chain.from_iterable(tables)), dtype=np.int32)


def _scores(query_ids: Sequence[str], results: Sequence[Mapping[str, float]]) -> Float32Array:
    scores = _values(results)
    # Written so that NaN, which compares false with everything, fails too.
    good = np.abs(scores) <= _MAX_FLOAT32
    if not good.all():
        bad = int(np.argmin(good))
        query, doc = _entry(query_ids, results, bad)
        raise bad_score(query, doc, float(scores[bad]))
    return scores.astype(np.float32)


def _grades(query_ids: Sequence[str], judgements: Sequence[Mapping[str, int]]) -> Int32Array:
    grades = _values(judgements)
    good = (grades == np.floor(grades)) & np.isfinite(grades) & (grades <= MAX_GRADE)
    if not good.all():
        bad = int(np.argmin(good))
        query, doc = _entry(query_ids, judgements, bad)
        raise bad_grade(query, doc, judgements[query_ids.index(query)][doc])
    # How far below 0 makes no difference.
    return np.maximum(grades, -1.0).astype(np.int32)


def _values(tables: Sequence[Mapping[str, float]]) -> Float64Array:
    values = chain.from_iterable(table.values() for table in tables)
    return np.fromiter(map(float, values), dtype=np.float64)


def _entry(
    query_ids: Sequence[str], tables: Sequence[Mapping[str, object]], position: int
) -> tuple[str, str]:
    """The query and the document of an entry of all tables put together."""
    named = ((query, doc) for query, table in zip(query_ids, tables, strict=True) for doc in table)
    return next(islice(named, position, None))
