"""Ranking measures from where the relevant documents stand: arrays in, one column a measure out.

All measures here depend on nothing but the ranks and grades of the relevant documents that were
returned, and on how many there are of each grade. The sums run rank by rank, as trec_eval's do, so
that a query's value does not depend on which others are scored with it.

The room knows no ids and checks nothing: `ranking.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cmedteb.types import Float64Array, Int64Array

MEASURES = ("ndcg", "map", "recall", "precision", "hit_rate", "mrr")


class Relevant(NamedTuple):
    """The judgements above grade 0: `query` counts the judged queries; both shape (entries,)."""

    query: Int64Array
    grade: Int64Array


class Found(NamedTuple):
    """The relevant documents that were returned, by query and then by rank.

    Attributes:
        query: counts the judged queries, as in Relevant; shape (entries,).
        rank: from 1.
        grade: above 0.
    """

    query: Int64Array
    rank: Int64Array
    grade: Int64Array


def at_cutoffs(
    found: Found, relevant: Relevant, *, queries: int, cutoffs: Sequence[int]
) -> dict[str, Float64Array]:
    """Compute nDCG (linear gain, discount log2(rank + 1)), MAP, recall, precision, hits and MRR.

    A query without a relevant judgement, or for which none was returned, has 0 everywhere.

    Args:
        found: sorted by query and rank.
        relevant: in any order.
        queries: how many are judged.
        cutoffs: the ranks k to cut at.

    Returns:
        `NAME_at_k` for every name in MEASURES and every k; each of shape (queries,).
    """
    total = np.bincount(relevant.query, minlength=queries)
    terms, ideal = _terms(found), _terms(_ideal_order(relevant))
    by_cutoff = {k: _at(k, terms, ideal, total) for k in cutoffs}
    return {f"{name}_at_{k}": by_cutoff[k][name] for name in MEASURES for k in cutoffs}


class _Terms(NamedTuple):
    """What every relevant document adds to the sums of its query, at whatever cutoff it counts."""

    query: Int64Array
    rank: Int64Array
    gain: Float64Array
    precision: Float64Array
    reciprocal: Float64Array


def _terms(ranked: Found) -> _Terms:
    query, rank, grade = ranked
    nth = 1 + place_in_run(query)
    return _Terms(query, rank, grade / np.log2(rank + 1), nth / rank, (nth == 1) / rank)


def _at(k: int, found: _Terms, ideal: _Terms, total: Int64Array) -> dict[str, Float64Array]:
    """Every measure at one cutoff; `total` relevant documents a query."""
    queries = len(total)
    inside = found.rank <= k
    query = found.query[inside]
    hits = np.bincount(query, minlength=queries)
    within = ideal.rank <= k
    best = _sum(ideal.query[within], ideal.gain[within], queries)
    return {
        "ndcg": _ratio(_sum(query, found.gain[inside], queries), best),
        "map": _ratio(_sum(query, found.precision[inside], queries), total),
        "recall": _ratio(hits, total),
        "precision": hits / k,
        "hit_rate": (hits > 0).astype(np.float64),
        "mrr": _sum(query, found.reciprocal[inside], queries),
    }


def _sum(query: Int64Array, terms: Float64Array, queries: int) -> Float64Array:
    """A sum for each query, its terms added one by one in their order."""
    return np.asarray(np.bincount(query, weights=terms, minlength=queries), dtype=np.float64)


def place_in_run(values: Int64Array) -> Int64Array:
    """For each entry how many equal ones stand right before it: 5 5 7 7 7 gives 0 1 0 1 2."""
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    lengths = np.diff(starts, append=len(values))
    return np.asarray(np.arange(len(values)) - np.repeat(starts, lengths))


def _ideal_order(relevant: Relevant) -> Found:
    """The relevant documents of every query as the best system would rank them."""
    order = np.lexsort((-relevant.grade, relevant.query))
    query = relevant.query[order]
    return Found(query, 1 + place_in_run(query), relevant.grade[order])


def _ratio(part: Float64Array | Int64Array, whole: Float64Array | Int64Array) -> Float64Array:
    """0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
