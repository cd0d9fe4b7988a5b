"""Approximate search and its recall. Run: pytest tests/search/test_faiss_index.py -q."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from builders import as_lists, strings

from cmedteb.errors import MissingExtraError, ScoreError, UsageError
from cmedteb.search import (
    Approximation,
    SearchMethod,
    Vectors,
    faiss_index,
    search_approximately,
    search_settings,
    search_vectors,
)
from cmedteb.search.faiss_index import share_found
from cmedteb.types import Float32Array, Run, Similarity
from search.support import each, names

pytest.importorskip("faiss", reason="needs faiss")

INDEXES = (SearchMethod.HNSW, SearchMethod.IVF)


def drawn(rows: int, *, seed: int, width: int = 32) -> Float32Array:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def found(
    queries: Vectors, documents: Vectors, method: SearchMethod, depth: int = 10
) -> Approximation:
    return search_approximately(
        queries,
        documents,
        ids=strings(names(len(documents.index))),
        similarity=Similarity.COSINE,
        depth=depth,
        method=method,
    )


def exact(queries: Vectors, documents: Vectors, depth: int = 10) -> Run:
    return search_vectors(
        queries,
        documents,
        ids=strings(names(len(documents.index))),
        similarity=Similarity.COSINE,
        depth=depth,
    )


@pytest.mark.parametrize("method", INDEXES)
def test_its_recall_is_that_of_its_own_run(method: SearchMethod) -> None:
    """Random vectors are the hardest, so something is missed; all queries are in the sample."""
    queries, documents = each(drawn(100, seed=1)), each(drawn(3000, seed=2))
    run, record = found(queries, documents, method, depth=50)
    whole = exact(queries, documents, depth=50)
    pairs = zip(as_lists(run), as_lists(whole), strict=True)
    shares = [len({row for row, _ in ours} & {row for row, _ in all_}) / 50 for ours, all_ in pairs]
    assert record.recall == pytest.approx(np.mean(shares), abs=1e-12)
    assert record.sampled == 100
    assert 0.2 < record.recall <= 1
    if method is SearchMethod.IVF:
        assert record.recall < 1
        assert record.parameters["nlist"] == 76
        assert record.parameters["nprobe"] == 5
    else:
        assert record.parameters["M"] == 32
        assert record.parameters["efSearch"] == 128


@pytest.mark.parametrize("method", INDEXES)
def test_what_it_finds_has_the_exact_scores_and_order(method: SearchMethod) -> None:
    queries, documents = each(drawn(20, seed=3)), each(drawn(1000, seed=4))
    run = found(queries, documents, method).run
    for ours, all_ in zip(
        as_lists(run), as_lists(exact(queries, documents, depth=1000)), strict=True
    ):
        scores = dict(all_)
        for row, score in ours:
            assert score == pytest.approx(scores[row], abs=1e-6)
        assert ours == sorted(ours, key=lambda one: (one[1], one[0]), reverse=True)


@pytest.mark.parametrize("method", INDEXES)
def test_the_same_vectors_give_the_same_run(method: SearchMethod) -> None:
    queries, documents = each(drawn(30, seed=5)), each(drawn(2000, seed=6))
    first, second = (found(queries, documents, method) for _ in range(2))
    assert as_lists(first.run) == as_lists(second.run)
    assert first.record == second.record


@pytest.mark.parametrize("method", INDEXES)
def test_equal_vectors_tie_and_are_all_found(method: SearchMethod) -> None:
    """Fifty documents of one vector: their text is the query."""
    vectors = drawn(400, seed=7)
    index = np.arange(450, dtype=np.int32)
    index[400:] = 17
    run = found(each(vectors[[17]]), Vectors(vectors, index), method, depth=20).run
    ours = as_lists(run)[0]
    assert [row for row, _ in ours] == list(range(449, 429, -1))
    assert len({score for _, score in ours}) == 1


@pytest.mark.parametrize("method", INDEXES)
def test_queries_that_stand_twice_are_answered_twice(method: SearchMethod) -> None:
    asked = Vectors(drawn(3, seed=8), np.asarray([2, 0, 2], dtype=np.int32))
    ours = as_lists(found(asked, each(drawn(200, seed=9)), method).run)
    assert ours[0] == ours[2] != ours[1]


@pytest.mark.parametrize("method", INDEXES)
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_small_corpora_are_found_whole(method: SearchMethod, rows: int) -> None:
    queries, documents = each(drawn(4, seed=10)), each(drawn(rows, seed=11))
    run, record = found(queries, documents, method)
    whole = exact(queries, documents)
    np.testing.assert_array_equal(run.docs, whole.docs)
    assert record.recall == 1.0
    assert len(run) == 4


@pytest.mark.parametrize("method", INDEXES)
def test_no_query_is_no_result(method: SearchMethod) -> None:
    run, record = found(each(drawn(0, seed=12)), each(drawn(50, seed=13)), method)
    assert len(run) == record.sampled == 0
    assert record.recall == 1.0


def test_the_sample_is_bounded_and_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "SAMPLED_QUERIES", 7)
    queries, documents = each(drawn(30, seed=14)), each(drawn(2000, seed=15))
    first, second = (found(queries, documents, SearchMethod.IVF).record for _ in range(2))
    assert first.sampled == 7
    assert first == second


def test_share_found_counts_documents_query_by_query() -> None:
    ours = Run(np.asarray([0, 1, 3]), np.asarray([4, 5, 6], np.int32), np.zeros(3, np.float32))
    all_ = Run(np.asarray([0, 2, 4]), np.asarray([4, 5, 6, 4], np.int32), np.zeros(4, np.float32))
    assert share_found(ours, all_) == 0.5


def test_settings_are_those_of_the_record() -> None:
    for method in INDEXES:
        record = found(each(drawn(3, seed=16)), each(drawn(40, seed=17)), method, depth=80).record
        assert search_settings(method, 80).items() <= record.parameters.items()
    assert search_settings(SearchMethod.EXACT, 10) == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(bad: float) -> None:
    documents = drawn(9, seed=18)
    documents[4, 2] = bad
    with pytest.raises(ScoreError, match="document vector 4 is no finite vector"):
        found(each(drawn(2, seed=19)), each(documents), SearchMethod.HNSW)
    with pytest.raises(ScoreError, match="query vector 4 is no finite vector"):
        found(each(documents), each(drawn(2, seed=19)), SearchMethod.HNSW)


def test_products_that_may_exceed_float32_are_refused() -> None:
    large = each(np.full((3, 4), 9e18, dtype=np.float32))
    how = {"ids": strings("abc"), "depth": 1, "method": SearchMethod.IVF}
    with pytest.raises(ScoreError, match="or compare them by cosine"):
        search_approximately(large, large, similarity=Similarity.DOT, **how)
    search_approximately(large, large, similarity=Similarity.COSINE, **how)


def test_exact_search_is_no_index() -> None:
    with pytest.raises(UsageError, match="exact search needs no index"):
        found(each(drawn(2, seed=20)), each(drawn(3, seed=21)), SearchMethod.EXACT)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cmedteb\[faiss\]'"):
        found(each(drawn(2, seed=22)), each(drawn(3, seed=23)), SearchMethod.HNSW)
