"""Search with vectors: scores of an encoder's matrices, handed to exact top-k.

Vectors are compared exactly as the model states: `dot` takes them as they are, `cosine` divides
by their lengths. Equal vectors get exactly equal scores, wherever their documents stand: a matrix
product rounds by position, and a tie that it breaks would not be trec_eval's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.data.columns import digest
from cmedteb.errors import ScoreError
from cmedteb.search.exact import rank_candidates, search_blocks, tie_ranks
from cmedteb.types import Candidates, Float32Array, Int32Array, Run, Similarity

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector for each distinct text, and for each row the position of its vector."""

    values: Float32Array
    index: Int32Array


def search_vectors(
    queries: Vectors,
    documents: Vectors,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
    depth: int,
) -> Run:
    """The best `depth` documents for every query over the whole corpus.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
    """
    left, right = comparable(queries, documents, similarity)
    merged = _each_once(Vectors(right, documents.index))
    in_order = np.array_equal(merged.index, np.arange(len(merged.values)))

    def score_block(rows: slice) -> Float32Array:
        scores: Float32Array = left[queries.index[rows]] @ merged.values.T
        return scores if in_order else scores[:, merged.index]

    return search_blocks(
        score_block,
        queries=len(queries.index),
        documents=len(documents.index),
        ties=tie_ranks(ids),
        depth=depth,
    )


def rerank_vectors(
    queries: Vectors,
    documents: Vectors,
    candidates: Candidates,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
) -> Run:
    """Exactly the given candidates of every query, ordered.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
    """
    left, right = comparable(queries, documents, similarity)

    def score_query(query: int, rows: Int32Array) -> Float32Array:
        products = right[documents.index[rows]] * left[queries.index[query]]
        scores: Float32Array = products.sum(axis=1)
        return scores

    return rank_candidates(score_query, candidates, tie_ranks(ids))


def comparable(
    queries: Vectors, documents: Vectors, similarity: Similarity
) -> tuple[Float32Array, Float32Array]:
    """The values of both sides, so that their inner products are the similarity.

    Raises:
        ScoreError: the two sides have different dimensions.
    """
    left, right = np.ascontiguousarray(queries.values), np.ascontiguousarray(documents.values)
    if left.shape[1] != right.shape[1]:
        raise ScoreError(
            f"query vectors have {left.shape[1]} dimensions and document vectors {right.shape[1]}: "
            "the two sides do not share a vector space. Check that both encoders belong together."
        )
    if similarity is Similarity.COSINE:
        return _unit(left), _unit(right)
    return left, right


def _each_once(vectors: Vectors) -> Vectors:
    """The same vectors with equal ones held once."""
    digests = np.array([digest(row.data) for row in vectors.values], dtype="S16")
    _, first, position = np.unique(digests, return_index=True, return_inverse=True)
    if len(first) == len(digests):
        return vectors
    return Vectors(vectors.values[first], position[vectors.index].astype(np.int32))


def _unit(vectors: Float32Array) -> Float32Array:
    """Rows divided by their length; a zero vector stays zero (cosine 0 with everything)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32Array = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
