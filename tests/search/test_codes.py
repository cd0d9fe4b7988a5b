"""Codes of quantised vectors: what of a document stays in memory.

Run: pytest tests/search/test_codes.py -q.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from builders import strings

from cmedteb.search import bytes_per_document, search_quantized
from cmedteb.types import Similarity, Storage
from search.support import each

pytest.importorskip("sentence_transformers.util", reason="needs sentence-transformers")


@pytest.mark.parametrize("storage", [Storage.INT8, Storage.BINARY])
@pytest.mark.parametrize("rescore", [False, True])
def test_memory_grows_by_the_codes_and_not_by_the_vectors(storage: Storage, rescore: bool) -> None:
    """Of every document its code stays in memory, and a few numbers beside it."""
    width, few, many = 256, 20_000, 60_000
    draw = np.random.default_rng(31)
    vectors = draw.standard_normal((many, width), dtype=np.float32)
    queries = each(draw.standard_normal((8, width), dtype=np.float32))

    def peak(count: int) -> int:
        documents, ids = each(vectors[:count]), strings([f"{row:06d}" for row in range(count)])
        tracemalloc.start()
        try:
            search_quantized(
                queries,
                documents,
                ids=ids,
                similarity=Similarity.COSINE,
                depth=10,
                storage=storage,
                rescore=rescore,
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported on the way
    beside = 64
    grown = (peak(many) - peak(few)) / (many - few)
    assert grown <= bytes_per_document(storage, width) + beside
    assert grown < 4 * width / 2
