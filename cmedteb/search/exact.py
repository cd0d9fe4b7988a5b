"""Exact search: the best k of every document, ties as trec_eval breaks them.

Scores are float32. Equal scores are ordered by document id descending, also where the tie
straddles rank k, so the run that is returned is the prefix of the full trec_eval ranking.
It never approximates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.search.keys import Best, rank_keys, taken_apart
from cmedteb.types import Candidates, Float32Array, Int32Array, Run

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_FLOATS = 2**24


class Hits(NamedTuple):
    """The best of one block of queries: columns and scores, each of shape (queries, k)."""

    docs: Int32Array
    scores: Float32Array


def tie_ranks(ids: pa.ChunkedArray) -> Int32Array:
    """For each row its place when ids are sorted descending; ids compare as UTF-8 bytes."""
    import pyarrow.compute as pc

    order = pc.sort_indices(ids, sort_keys=[("", "descending")]).to_numpy()
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def query_blocks(queries: int, documents: int) -> Iterator[slice]:
    """Slices of the queries whose score block stays below `BLOCK_FLOATS` values."""
    rows = max(1, BLOCK_FLOATS // max(1, documents))
    for start in range(0, queries, rows):
        yield slice(start, min(start + rows, queries))


def top_k(scores: Float32Array, ties: Int32Array, k: int) -> Hits:
    """The k best columns of every row, best first.

    Args:
        scores: shape (queries, documents); must be finite.
        ties: shape (documents,), all different and from 0: among equal scores the smaller wins.
        k: how many; all documents where there are fewer.
    """
    column = np.empty(int(ties.max(initial=-1)) + 1, dtype=np.int32)
    column[ties] = np.arange(len(ties), dtype=np.int32)
    best = Best(len(scores), min(k, len(ties)))
    best.offer(slice(0, len(scores)), scores, ties)
    found = taken_apart(best.sorted())
    return Hits(column[found.ties], found.scores)


def search_blocks(
    score_block: Callable[[slice], Float32Array],
    *,
    queries: int,
    documents: int,
    ties: Int32Array,
    depth: int,
) -> Run:
    """Rank the whole corpus for every query, one block of queries at a time.

    Args:
        score_block: gives the float32 scores of these query rows against all documents.
        queries: how many queries there are.
        documents: how many documents there are.
        ties: from `tie_ranks`.
        depth: how many documents to keep for each query.

    Raises:
        ScoreError: a score is NaN or infinite.
    """
    width = min(depth, documents)
    docs = np.empty((queries, width), dtype=np.int32)
    kept = np.empty((queries, width), dtype=np.float32)
    for rows in query_blocks(queries, documents):
        scores = score_block(rows)
        refuse_non_finite(scores, first_query=rows.start)
        hits = top_k(scores, ties, width)
        docs[rows], kept[rows] = hits.docs, hits.scores
    offsets = np.arange(queries + 1, dtype=np.int64) * width
    return Run(offsets=offsets, docs=docs.ravel(), scores=kept.ravel())


def rank_candidates(
    score_query: Callable[[int, Int32Array], Float32Array],
    candidates: Candidates,
    ties: Int32Array,
) -> Run:
    """Order exactly the given candidates of every query.

    Args:
        score_query: gives the float32 scores of these document rows for this query row.
        candidates: what to order.
        ties: from `tie_ranks`.

    Raises:
        ScoreError: a score is NaN or infinite.
    """
    scores = np.empty(len(candidates.docs), dtype=np.float32)
    for query in range(len(candidates)):
        span = slice(candidates.offsets[query], candidates.offsets[query + 1])
        scores[span] = score_query(query, candidates.docs[span])
    return rank_scored(candidates, scores, ties)


def rank_scored(candidates: Candidates, scores: Float32Array, ties: Int32Array) -> Run:
    """Order candidates that have their scores.

    Args:
        candidates: what to order.
        scores: of the entries of `candidates.docs`, float32.
        ties: from `tie_ranks`.

    Raises:
        ScoreError: a score is NaN or infinite.
    """
    query = np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))
    bad = ~np.isfinite(scores)
    if bad.any():
        entry = int(np.argmax(bad))
        refuse_non_finite(
            scores[entry][None, None],
            first_query=int(query[entry]),
            documents=candidates.docs[entry][None],
        )
    order = np.lexsort((-rank_keys(scores, ties[candidates.docs]), query))
    return Run(offsets=candidates.offsets, docs=candidates.docs[order], scores=scores[order])


def refuse_non_finite(
    scores: Float32Array, *, first_query: int, documents: Int32Array | None = None
) -> None:
    """Raise for a NaN or infinite score: ranked, it would silently become the last document.

    Args:
        scores: shape (queries, documents).
        first_query: the row of the first query, for the message.
        documents: the corpus row of each column, if not its number.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        document = column if documents is None else documents[column]
        raise ScoreError(
            f"the score of query row {first_query + row} and document row {document} is "
            f"{scores[row, column]}, no finite number. Check the model's vectors for these texts."
        )


def drop_identical(
    run: Run, *, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray, depth: int
) -> Run:
    """A run without documents that carry their query's own id, cut at `depth`.

    Some reference evaluations leave such documents out; search one deeper before calling this.
    """
    import pyarrow.compute as pc

    found = pc.index_in(query_ids, value_set=doc_ids)
    same = pc.fill_null(found, -1).to_numpy().astype(np.int32)
    lengths = np.diff(run.offsets)
    kept = run.docs != np.repeat(same, lengths)
    query = np.repeat(np.arange(len(run)), lengths)
    before = np.concatenate([[0], np.cumsum(kept)])[run.offsets[:-1]]
    kept &= (np.cumsum(kept) - 1 - before[query]) < depth
    offsets = np.concatenate([[0], np.cumsum(np.bincount(query[kept], minlength=len(run)))])
    return Run(offsets=offsets.astype(np.int64), docs=run.docs[kept], scores=run.scores[kept])
