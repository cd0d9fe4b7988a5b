"""Search over document vectors that are stored in fewer bits than they were encoded in.

What becomes of the queries is sentence-transformers' own way: its searches
(`semantic_search_usearch`) quantise them as the documents are, with the ranges of the documents,
and compare int8 codes by their inner product and binary codes by their Hamming distance. Vectors
that are compared by cosine are divided by their length first.

Both scores are integers and computed exactly, so equal codes tie wherever their documents stand;
binary codes tie often, and ties are trec_eval's. Rescoring compares the best again with the
vectors as they were before quantisation, on both sides. Nothing here approximates the search, and
nothing is padded: a dimension that does not fill whole bytes is refused. Memory holds the codes,
a block of numbers and the best of each query; the vectors may be mapped from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.search.codes import (
    Codes,
    products,
    products_by_row,
    ranges_of,
    refuse_broken_bytes,
    refuse_non_finite_vectors,
)
from cmedteb.search.dense import Vectors, rerank_vectors, sides
from cmedteb.search.exact import rank_scored, tie_ranks
from cmedteb.search.keys import Best, taken_apart
from cmedteb.search.sides import Side, parts
from cmedteb.types import Candidates, Float32Array, Int32Array, Run, Similarity, Storage

if TYPE_CHECKING:
    import pyarrow as pa

BITS = {Storage.FLOAT32: 32, Storage.INT8: 8, Storage.BINARY: 1}
RESCORED = 4
# What is multiplied at once.
BLOCK_DOCUMENTS = 2**12
BLOCK_FLOATS = 2**22
# Places for the best of the queries that are ranked in one pass over the documents.
HELD_KEYS = 2**21


class PairCodes(NamedTuple):
    """Codes of both sides of sentence pairs as numbers, one row a distinct text."""

    left: Float32Array
    right: Float32Array


def bytes_per_document(storage: Storage, dimension: int) -> float:
    """What one document vector takes; the ranges of int8, once for all, are not counted.

    Rescoring reads the float32 vectors as well. They may lie where bytes are cheap, and are not
    counted either.
    """
    return dimension * BITS[storage] / 8


def search_quantized(  # noqa: PLR0913  those of `search_vectors`, and how vectors are stored
    queries: Vectors,
    documents: Vectors,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
    depth: int,
    storage: Storage,
    rescore: bool = False,
) -> Run:
    """The best `depth` documents for every query over the whole corpus.

    Args:
        queries: before quantisation.
        documents: before quantisation; int8 ranges are their least and greatest value in each
            dimension.
        ids: of the documents.
        similarity: by which the vectors are compared before quantisation.
        depth: how many documents to keep for each query.
        storage: `int8` or `binary`.
        rescore: order the best 4 x depth again by the vectors before quantisation.

    Returns:
        With scores that are inner products of codes (int8), negated Hamming distances (binary),
        or the similarity itself (rescored).

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
        UsageError: binary, and the dimension is no multiple of 8.
        MissingExtraError: sentence-transformers is not installed.
    """
    asked, held = _coded(queries, documents, similarity, storage)
    width = RESCORED * depth if rescore else depth
    run = _best(asked, queries.index, held, documents.index, tie_ranks(ids), width)
    if not rescore:
        return run
    best = Candidates(run.offsets, run.docs)
    return _cut(rerank_vectors(queries, documents, best, ids=ids, similarity=similarity), depth)


def rerank_quantized(  # noqa: PLR0913  those of `rerank_vectors`, and how vectors are stored
    queries: Vectors,
    documents: Vectors,
    candidates: Candidates,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
    storage: Storage,
    rescore: bool = False,
) -> Run:
    """Exactly the given candidates of every query, ordered.

    Lists are short, so rescoring orders all of a list by the vectors before quantisation.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
        UsageError: binary, and the dimension is no multiple of 8.
        MissingExtraError: sentence-transformers is not installed.
    """
    if rescore:
        return rerank_vectors(queries, documents, candidates, ids=ids, similarity=similarity)
    asked, held = _coded(queries, documents, similarity, storage)
    query = queries.index[np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))]
    found = documents.index[candidates.docs]
    scores = np.empty(len(found), dtype=np.float32)
    for part in parts(len(found), queries.values.shape[1]):
        pairs = asked.numbers(query[part]), held.numbers(found[part])
        scores[part] = products_by_row(*pairs, storage)
    return rank_scored(candidates, scores, tie_ranks(ids))


def quantized_pairs(
    left: Vectors, right: Vectors, *, similarity: Similarity, storage: Storage
) -> PairCodes:
    """The codes of sentence pairs, to be compared as vectors are; one row a distinct text.

    As sentence-transformers' `EmbeddingSimilarityEvaluator` has it: int8 ranges come from both
    sides together, and the bits of binary codes are compared as 0 and 1.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
        UsageError: binary, and the dimension is no multiple of 8.
        MissingExtraError: sentence-transformers is not installed.
    """
    first, second = _sides(left, right, similarity, storage)
    ranges = ranges_of(first, second) if storage is Storage.INT8 else None
    codes = [Codes.of(side, storage, ranges).numbers(slice(None)) for side in (first, second)]
    if storage is Storage.BINARY:
        codes = [np.maximum(side, 0) for side in codes]
    return PairCodes(*codes)


def _coded(
    queries: Vectors, documents: Vectors, similarity: Similarity, storage: Storage
) -> tuple[Codes, Codes]:
    """Both sides by the ranges of the documents."""
    left, right = _sides(queries, documents, similarity, storage)
    ranges = ranges_of(right) if storage is Storage.INT8 else None
    return Codes.of(left, storage, ranges), Codes.of(right, storage, ranges)


def _sides(
    left: Vectors, right: Vectors, similarity: Similarity, storage: Storage
) -> tuple[Side, Side]:
    """Both sides, finite and of a width that can be coded."""
    refuse_non_finite_vectors(left.values, "first")
    refuse_non_finite_vectors(right.values, "second")
    found = sides(left, right, similarity)
    if storage is Storage.BINARY:
        refuse_broken_bytes(left.values.shape[1])
    return found


def _best(
    asked: Codes,
    query_index: Int32Array,
    held: Codes,
    index: Int32Array,
    ties: Int32Array,
    depth: int,
) -> Run:
    """The best documents of every query, a block of documents at a time."""
    width = min(depth, len(index))
    row_of_tie = np.empty_like(ties)
    row_of_tie[ties] = np.arange(len(ties), dtype=np.int32)
    docs = np.empty((len(query_index), width), dtype=np.int32)
    scores = np.empty((len(query_index), width), dtype=np.float32)
    for group in parts(len(query_index), 2 * width, HELD_KEYS):
        best = Best(len(query_index[group]), width)
        for block in parts(len(index), 1, BLOCK_DOCUMENTS):
            there = held.numbers(index[block])
            for rows in parts(len(query_index[group]), len(there), BLOCK_FLOATS):
                here = asked.numbers(query_index[group][rows])
                best.offer(rows, products(here, there, held.storage), ties[block])
        ranked = taken_apart(best.sorted())
        docs[group], scores[group] = row_of_tie[ranked.ties], ranked.scores
    offsets = np.arange(len(query_index) + 1, dtype=np.int64) * width
    return Run(offsets=offsets, docs=docs.ravel(), scores=scores.ravel())


def _cut(run: Run, depth: int) -> Run:
    """The first `depth` of a run that is equally deep for every query."""
    width = int(run.offsets[1]) if len(run) else 0
    kept = min(width, depth)
    offsets = np.arange(len(run) + 1, dtype=np.int64) * kept
    docs = run.docs.reshape(len(run), width)[:, :kept].ravel()
    scores = run.scores.reshape(len(run), width)[:, :kept].ravel()
    return Run(offsets=offsets, docs=docs, scores=scores)
