"""Search with sparse vectors, against plain dense products.

Run: pytest tests/search/test_sparse.py -q.

No test makes the dense matrix that the search must not make: one would take 40 GB.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from builders import as_lists, candidates, strings
from scipy.sparse import csr_array, random_array

from cmedteb.errors import ScoreError
from cmedteb.search import (
    SparseVectors,
    each_row,
    exact,
    rerank_sparse,
    row_dots,
    search_sparse,
    unit_rows,
)
from cmedteb.types import Float32Array
from search.support import names


def random_rows(rows: int, columns: int = 40, *, seed: int, density: float = 0.2) -> csr_array:
    draw = np.random.default_rng(seed)
    found = random_array((rows, columns), density=density, format="csr", dtype=np.float32, rng=draw)
    found.sort_indices()
    return csr_array(found)


def from_dense(rows: Any) -> csr_array:
    return csr_array(np.asarray(rows, dtype=np.float32))


def plain(queries: csr_array, documents: csr_array) -> Float32Array:
    """All scores, in float64 and by a dense product."""
    left, right = queries.toarray().astype(np.float64), documents.toarray().astype(np.float64)
    return np.asarray(left @ right.T, dtype=np.float32)


@pytest.mark.parametrize("block", [1, 7, 2**24])
@pytest.mark.parametrize("repeats", [False, True])
def test_search_equals_a_dense_product(
    monkeypatch: pytest.MonkeyPatch, block: int, *, repeats: bool
) -> None:
    monkeypatch.setattr(exact, "BLOCK_FLOATS", block * 60)
    left, right = random_rows(11, seed=1), random_rows(60, seed=2)
    index = np.random.default_rng(3).integers(0, 60, 90) if repeats else np.arange(60)
    documents = SparseVectors(right, index.astype(np.int32))
    ids = names(len(index))
    run = search_sparse(each_row(left), documents, ids=strings(ids), depth=20)
    scores = plain(left, right)[:, index]
    for query, found in enumerate(as_lists(run)):
        got = [score for _, score in found]
        np.testing.assert_allclose(got, scores[query][[row for row, _ in found]], rtol=1e-5)
        np.testing.assert_allclose(got, np.sort(scores[query])[::-1][:20], rtol=1e-5)
        assert found == sorted(found, key=lambda one: (one[1], ids[one[0]]), reverse=True)


def test_queries_that_occur_twice_are_answered_twice() -> None:
    left, right = random_rows(3, seed=4), random_rows(20, seed=5)
    asked = SparseVectors(left, np.asarray([2, 0, 2], dtype=np.int32))
    run = as_lists(search_sparse(asked, each_row(right), ids=strings(names(20)), depth=5))
    assert run[0] == run[2] != run[1]


def test_equal_scores_are_ordered_by_id_descending_also_at_the_cut() -> None:
    """Three equal vectors and one of equal score by another column; two places."""
    right = from_dense([[1, 2, 0], [0, 0, 5], [1, 2, 0], [1, 2, 0]])
    left = from_dense([[1, 1, 0.6]])
    found = as_lists(search_sparse(each_row(left), each_row(right), ids=strings("abcd"), depth=2))
    assert [row for row, _ in found[0]] == [3, 2]
    assert {score for _, score in found[0]} == {3.0}


def test_equal_vectors_score_equal_bits_wherever_they_stand() -> None:
    row = random_rows(1, 500, seed=6, density=0.5)
    others = random_rows(40, 500, seed=7, density=0.5)
    documents = csr_array(np.vstack([row.toarray(), others.toarray(), row.toarray()]))
    asked = random_rows(9, 500, seed=8, density=0.5)
    run = search_sparse(each_row(asked), each_row(documents), ids=strings(names(42)), depth=42)
    for found in as_lists(run):
        scores = dict(found)
        assert scores[0] == scores[41]


def test_candidates_get_the_scores_of_the_search() -> None:
    left, right = random_rows(6, seed=9), random_rows(50, seed=10)
    index = np.random.default_rng(11).integers(0, 50, 70).astype(np.int32)
    asked, documents, ids = each_row(left), SparseVectors(right, index), strings(names(70))
    whole = as_lists(search_sparse(asked, documents, ids=ids, depth=70))
    listed = [[1, 69, 30, 5], [], [0], list(range(70)), [7, 8], [68, 2, 44]]
    found = as_lists(rerank_sparse(asked, documents, candidates(listed), ids=ids))
    for given, ranked, everything in zip(listed, found, whole, strict=True):
        assert ranked == [one for one in everything if one[0] in given]
        assert len(ranked) == len(given)


def test_a_query_or_a_document_without_any_weight_scores_zero() -> None:
    nothing = from_dense([[0, 0], [0, 3]])
    run = search_sparse(each_row(nothing), each_row(nothing), ids=strings("ab"), depth=2)
    assert as_lists(run) == [[(1, 0.0), (0, 0.0)], [(1, 9.0), (0, 0.0)]]


def test_no_documents_and_no_queries() -> None:
    nothing, some = (
        each_row(csr_array((0, 4), dtype=np.float32)),
        each_row(random_rows(3, 4, seed=1)),
    )
    assert len(search_sparse(nothing, some, ids=strings(names(3)), depth=2)) == 0
    assert as_lists(search_sparse(some, nothing, ids=strings([]), depth=2)) == [[], [], []]
    assert nothing.bytes_each == 0


def test_other_columns_are_another_vocabulary() -> None:
    left, right = each_row(random_rows(2, 5, seed=1)), each_row(random_rows(3, 6, seed=2))
    ids = strings(names(3))
    with pytest.raises(ScoreError, match="5 columns and document vectors 6"):
        search_sparse(left, right, ids=ids, depth=2)
    with pytest.raises(ScoreError, match="do not share a vocabulary"):
        rerank_sparse(left, right, candidates([[0], [1]]), ids=ids)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(bad: float) -> None:
    left, right = each_row(from_dense([[1, 1]])), each_row(from_dense([[1, 0], [0, bad]]))
    with pytest.raises(ScoreError, match="query row 0 and document row 1"):
        search_sparse(left, right, ids=strings("ab"), depth=2)


def test_memory_is_that_of_the_entries_not_of_the_columns() -> None:
    """5,000,000 columns and 2,000 documents of 20 entries: 40 GB if it were dense."""
    columns, rows = 5_000_000, 2_000
    draw = np.random.default_rng(12)
    indices = np.sort(draw.integers(0, columns, (rows, 20)), axis=1).astype(np.int32).ravel()
    weights = draw.random(rows * 20, dtype=np.float32)
    documents = csr_array((weights, indices, np.arange(rows + 1) * 20), shape=(rows, columns))
    tracemalloc.start()
    run = search_sparse(
        each_row(documents[:50]), each_row(documents), ids=strings(names(rows)), depth=1
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert run.docs.tolist() == list(range(50))
    assert peak < 200 * 2**20


def test_rows_side_by_side() -> None:
    left, right = random_rows(8, seed=13), random_rows(8, seed=14)
    expected = (left.toarray() * right.toarray()).sum(axis=1)
    np.testing.assert_allclose(row_dots(left, right), expected, rtol=1e-5)


def test_unit_rows_are_cosines_and_leave_empty_rows_empty() -> None:
    rows = from_dense([[3, 4], [0, 0], [1e-20, 0]])
    np.testing.assert_allclose(unit_rows(rows).toarray(), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert rows.toarray()[0].tolist() == [3, 4]
    explicit = csr_array((np.zeros(1, np.float32), np.zeros(1, np.int32), np.array([0, 1])))
    assert unit_rows(explicit).toarray().tolist() == [[0.0]]


def test_bytes_of_a_vector() -> None:
    """A column number and a weight an entry; a text that stands twice is stored for each."""
    values = from_dense([[1, 1, 1], [0, 1, 0]])
    assert each_row(values).bytes_each == 16
    assert SparseVectors(values, np.asarray([0, 0, 1], dtype=np.int32)).bytes_each == pytest.approx(
        8 * 7 / 3
    )
