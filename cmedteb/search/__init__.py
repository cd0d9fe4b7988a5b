"""Search: from scores or vectors to runs, in trec_eval's order. Exact unless asked otherwise."""

from cmedteb.search.dense import Vectors, rerank_vectors, search_vectors
from cmedteb.search.exact import (
    drop_identical,
    rank_candidates,
    rank_scored,
    search_blocks,
    tie_ranks,
    top_k,
)
from cmedteb.search.faiss_index import (
    Approximation,
    SearchMethod,
    SearchRecord,
    search_approximately,
    search_settings,
)
from cmedteb.search.maxsim import (
    Block,
    TokenVectors,
    maxsim,
    maxsim_pairs,
    rerank_tokens,
    score_listed,
    search_tokens,
)
from cmedteb.search.quantized import (
    bytes_per_document,
    quantized_pairs,
    rerank_quantized,
    search_quantized,
)
from cmedteb.search.sparse import (
    SparseIndex,
    SparseVectors,
    each_row,
    rerank_sparse,
    row_dots,
    search_sparse,
    unit_rows,
)

__all__ = [
    "Approximation",
    "Block",
    "SearchMethod",
    "SearchRecord",
    "SparseIndex",
    "SparseVectors",
    "TokenVectors",
    "Vectors",
    "bytes_per_document",
    "drop_identical",
    "each_row",
    "maxsim",
    "maxsim_pairs",
    "quantized_pairs",
    "rank_candidates",
    "rank_scored",
    "rerank_quantized",
    "rerank_sparse",
    "rerank_tokens",
    "rerank_vectors",
    "row_dots",
    "score_listed",
    "search_approximately",
    "search_blocks",
    "search_quantized",
    "search_settings",
    "search_sparse",
    "search_tokens",
    "search_vectors",
    "tie_ranks",
    "top_k",
    "unit_rows",
]
