"""Search with sparse vectors: term weights of BM25, or those that a model learned.

Scores are exact dot products in float32, summed over the columns that both sides hold in ascending
order: equal vectors get exactly equal scores wherever their documents stand, and a pair scores the
same in a search as among candidates. Memory is that of the vectors and of one block of scores;
no dense matrix of documents x columns is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.search.exact import rank_candidates, search_blocks, tie_ranks
from cmedteb.types import Candidates, Float32Array, Float64Array, Int32Array, Run

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True)
class SparseVectors:
    """One sparse vector for each distinct text, and for each row the position of its vector.

    Attributes:
        values: float32, shape (distinct texts, columns); sorted columns, none twice.
        index: shape (rows,).
    """

    values: csr_array
    index: Int32Array

    @property
    def bytes_each(self) -> float:
        """Mean size of a stored vector: a column number and a weight, of 4 bytes each."""
        entries = np.diff(self.values.indptr)
        return 8 * float(entries[self.index].mean()) if len(self.index) else 0.0


def each_row(values: csr_array) -> SparseVectors:
    """Vectors of rows of which each has its own."""
    return SparseVectors(values, np.arange(values.shape[0], dtype=np.int32))


def search_sparse(
    queries: SparseVectors, documents: SparseVectors, *, ids: pa.ChunkedArray, depth: int
) -> Run:
    """The best `depth` documents for every query over the whole corpus, by dot product.

    Args:
        queries: one row a query.
        documents: one row a document.
        ids: of the documents.
        depth: how many documents to keep for each query.

    Raises:
        ScoreError: the two sides have different columns, or a score is not finite.
    """
    return SparseIndex(documents, ids).search(queries, depth)


class SparseIndex:
    """Documents made ready to be searched; asking it again costs the query alone."""

    def __init__(self, documents: SparseVectors, ids: pa.ChunkedArray) -> None:
        self.documents = documents
        self._transposed = documents.values.T.tocsr()
        self._in_order = np.array_equal(documents.index, np.arange(documents.values.shape[0]))
        self._ties = tie_ranks(ids)

    def search(self, queries: SparseVectors, depth: int) -> Run:
        """The best `depth` documents for every query; errors as of `search_sparse`."""
        _refuse_other_columns(queries, self.documents)

        def score_block(rows: slice) -> Float32Array:
            wanted = queries.values[queries.index[rows]]
            scores: Float32Array = (wanted @ self._transposed).toarray()
            return scores if self._in_order else scores[:, self.documents.index]

        return search_blocks(
            score_block,
            queries=len(queries.index),
            documents=len(self.documents.index),
            ties=self._ties,
            depth=depth,
        )


def rerank_sparse(
    queries: SparseVectors,
    documents: SparseVectors,
    candidates: Candidates,
    *,
    ids: pa.ChunkedArray,
) -> Run:
    """Exactly the given candidates of every query, ordered by dot product.

    Raises:
        ScoreError: the two sides have different columns, or a score is not finite.
    """
    _refuse_other_columns(queries, documents)

    def score_query(query: int, rows: Int32Array) -> Float32Array:
        wanted = queries.values[[queries.index[query]]]
        scores: Float32Array = (documents.values[documents.index[rows]] @ wanted.T).toarray()
        return scores.ravel()

    return rank_candidates(score_query, candidates, tie_ranks(ids))


def row_dots(left: csr_array, right: csr_array) -> Float64Array:
    """Dot products of rows that stand beside each other; shape (rows,)."""
    return np.asarray(left.multiply(right).sum(axis=1), dtype=np.float64).ravel()


def unit_rows(values: csr_array) -> csr_array:
    """Rows divided by their length; an empty row stays empty (cosine 0 with everything)."""
    from scipy.sparse import csr_array

    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    squares = np.bincount(rows, weights=values.data.astype(np.float64) ** 2, minlength=1)
    lengths = np.maximum(np.sqrt(squares), np.finfo(np.float64).tiny)
    scaled = (values.data / lengths[rows]).astype(np.float32)
    return csr_array((scaled, values.indices, values.indptr), shape=values.shape)


def _refuse_other_columns(queries: SparseVectors, documents: SparseVectors) -> None:
    left, right = queries.values.shape[1], documents.values.shape[1]
    if left != right:
        raise ScoreError(
            f"query vectors have {left} columns and document vectors {right}: the two sides do not "
            "share a vocabulary. Check that both encoders belong together."
        )
