"""The search in an index, apart from the encoding: exact top-k for one query vector.

Over random vectors of the corpus' size and the model's dimension: what an exact search costs does
not depend on what the vectors mean, and no corpus has to be encoded. On the CPU, as `run` searches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmedteb.results.latency import IndexSearch
from cmedteb.runner.latency.percentiles import percentile_ms
from cmedteb.search import tie_ranks, top_k

if TYPE_CHECKING:
    import pyarrow as pa

    from cmedteb.runner.latency.clock import Clock
    from cmedteb.runner.latency.plan import Plan

MOST_FLOATS = 2**29


def time_search(
    ids: pa.ChunkedArray, dimension: int, plan: Plan, clock: Clock
) -> IndexSearch | None:
    """Time the search for one vector after the other; None where the vectors would exceed 2 GiB.

    Args:
        ids: of the documents, which break ties.
        dimension: of the vectors.
        plan: how many searches, how long, how deep.
        clock: where the time comes from.
    """
    count = len(ids)
    if not 0 < count * dimension <= MOST_FLOATS:
        return None
    rng = np.random.default_rng(plan.seed)
    documents = rng.standard_normal((count, dimension), dtype=np.float32)
    queries = rng.standard_normal((plan.searches, dimension), dtype=np.float32)
    ties, depth = tie_ranks(ids), min(plan.depth, count)
    top_k(queries[:1] @ documents.T, ties, depth)
    taken: list[float] = []
    began = clock.now()
    for row in range(plan.searches):
        asked = clock.now()
        top_k(queries[row : row + 1] @ documents.T, ties, depth)
        taken.append(clock.now() - asked)
        if clock.now() - began > plan.search_seconds:
            break
    return IndexSearch(
        vectors="random float32",
        documents=count,
        dimension=dimension,
        depth=depth,
        searches=len(taken),
        p50_ms=percentile_ms(taken, 50, seed=plan.seed),
        p95_ms=percentile_ms(taken, 95, seed=plan.seed),
    )
