"""Search: from scores or vectors to runs. Exact, and in trec_eval's order."""

from cmedteb.search.dense import Vectors, rerank_vectors, search_vectors
from cmedteb.search.exact import (
    drop_identical,
    rank_candidates,
    search_blocks,
    tie_ranks,
    top_k,
)

__all__ = [
    "Vectors",
    "drop_identical",
    "rank_candidates",
    "rerank_vectors",
    "search_blocks",
    "search_vectors",
    "tie_ranks",
    "top_k",
]
