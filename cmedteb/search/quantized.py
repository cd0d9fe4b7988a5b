"""Search over document vectors that are stored in fewer bits than they were encoded in.

The quantisation is sentence-transformers' own (`quantize_embeddings`), and so is what becomes of
the queries: its searches (`semantic_search_usearch`) quantise them as the documents are, with the
ranges of the documents, and compare int8 codes by their inner product and binary codes by their
Hamming distance. Vectors that are compared by cosine are divided by their length first.

Both scores are integers and computed exactly, so equal codes tie wherever their documents stand;
binary codes tie often, and ties are trec_eval's. Rescoring compares the best again with the
vectors as they were before quantisation, on both sides. Nothing here approximates the search, and
nothing is padded: a dimension that does not fill whole bytes is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.errors import MissingExtraError, ScoreError, UsageError
from cmedteb.search.dense import Vectors, comparable, rerank_vectors
from cmedteb.search.exact import rank_candidates, search_blocks, tie_ranks
from cmedteb.types import Candidates, Float32Array, Int32Array, Run, Similarity, Storage

if TYPE_CHECKING:
    import pyarrow as pa

BITS = {Storage.FLOAT32: 32, Storage.INT8: 8, Storage.BINARY: 1}
RESCORED = 4
# Products of int8 codes are at most 128 * 128, so float32 sums 1,024 of them without rounding.
EXACT_WIDTH = 1024


class Codes(NamedTuple):
    """Quantised vectors of both sides, one row a vector, as float32 integers (binary: 1 and -1)."""

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
    codes = _quantised(queries, documents, similarity, storage)
    in_order = np.array_equal(documents.index, np.arange(len(codes.right)))

    def score_block(rows: slice) -> Float32Array:
        scores = _scores(codes.left[queries.index[rows]], codes.right, storage)
        return scores if in_order else scores[:, documents.index]

    run = search_blocks(
        score_block,
        queries=len(queries.index),
        documents=len(documents.index),
        ties=tie_ranks(ids),
        depth=RESCORED * depth if rescore else depth,
    )
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
    codes = _quantised(queries, documents, similarity, storage)

    def score_query(query: int, rows: Int32Array) -> Float32Array:
        asked = codes.left[queries.index[[query]]]
        scores: Float32Array = _scores(asked, codes.right[documents.index[rows]], storage)[0]
        return scores

    return rank_candidates(score_query, candidates, tie_ranks(ids))


def quantized_pairs(
    left: Vectors, right: Vectors, *, similarity: Similarity, storage: Storage
) -> Codes:
    """The codes of sentence pairs, to be compared as vectors are; one row a distinct text.

    As sentence-transformers' `EmbeddingSimilarityEvaluator` has it: int8 ranges come from both
    sides together, and the bits of binary codes are compared as 0 and 1.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
        UsageError: binary, and the dimension is no multiple of 8.
        MissingExtraError: sentence-transformers is not installed.
    """
    first, second = _finite(left, right, similarity)
    both = np.concatenate([first, second])
    codes = _codes(both, both, storage)
    if storage is Storage.BINARY:
        codes = np.maximum(codes, 0)
    return Codes(codes[: len(first)], codes[len(first) :])


def _quantised(
    queries: Vectors, documents: Vectors, similarity: Similarity, storage: Storage
) -> Codes:
    left, right = _finite(queries, documents, similarity)
    return Codes(_codes(left, right, storage), _codes(right, right, storage))


def _finite(
    left: Vectors, right: Vectors, similarity: Similarity
) -> tuple[Float32Array, Float32Array]:
    """Both sides ready to be quantised, where NaN would silently become a number."""
    for side, vectors in (("first", left), ("second", right)):
        bad = ~np.isfinite(vectors.values).all(axis=1)
        if bad.any():
            raise ScoreError(
                f"vector {int(np.argmax(bad))} of the {side} side holds NaN or infinity, no finite "
                "number, and cannot be quantised. Check the model with that text."
            )
    return comparable(left, right, similarity)


def _codes(vectors: Float32Array, calibration: Float32Array, storage: Storage) -> Float32Array:
    """Codes of vectors by the ranges of others, shape as the vectors'."""
    try:
        from sentence_transformers import quantize_embeddings
    except ImportError as error:
        raise MissingExtraError(error.name or "sentence-transformers", "models") from error
    if storage is Storage.INT8:
        codes = quantize_embeddings(vectors, precision="int8", calibration_embeddings=calibration)
        return np.asarray(codes, dtype=np.float32)
    refuse_broken_bytes(vectors.shape[1])
    bits = np.unpackbits(quantize_embeddings(vectors, precision="ubinary"), axis=1)
    signs: Float32Array = bits.astype(np.float32) * 2 - 1
    return signs


def refuse_broken_bytes(dimension: int) -> None:
    """Raise a UsageError where bits of this many dimensions do not fill whole bytes."""
    if dimension % 8:
        whole = f", such as --truncate-dim {dimension // 8 * 8}" if dimension > 8 else ""
        raise UsageError(
            f"binary storage packs 8 dimensions into a byte, and the vectors have {dimension}. "
            f"Choose a multiple of 8{whole}."
        )


def _scores(queries: Float32Array, documents: Float32Array, storage: Storage) -> Float32Array:
    """Scores of codes, shape (queries, documents); integers, exact below 2**24."""
    if storage is Storage.BINARY:
        negated_hamming: Float32Array = (queries @ documents.T - queries.shape[1]) / 2
        return negated_hamming
    if queries.shape[1] <= EXACT_WIDTH:
        products: Float32Array = queries @ documents.T
        return products
    total = np.zeros((len(queries), len(documents)), dtype=np.float64)
    for start in range(0, queries.shape[1], EXACT_WIDTH):
        part = slice(start, start + EXACT_WIDTH)
        total += queries[:, part] @ documents[:, part].T
    return total.astype(np.float32)


def _cut(run: Run, depth: int) -> Run:
    """The first `depth` of a run that is equally deep for every query."""
    width = int(run.offsets[1]) if len(run) else 0
    kept = min(width, depth)
    offsets = np.arange(len(run) + 1, dtype=np.int64) * kept
    docs = run.docs.reshape(len(run), width)[:, :kept].ravel()
    scores = run.scores.reshape(len(run), width)[:, :kept].ravel()
    return Run(offsets=offsets, docs=docs, scores=scores)
