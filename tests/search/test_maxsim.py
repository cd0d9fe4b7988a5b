"""Exact MaxSim against plain loops, with ties, empty texts, budgets and blocks.

Run: pytest tests/search/test_maxsim.py -q.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from builders import as_lists, candidates, strings
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from cmedteb.errors import ScoreError
from cmedteb.search import (
    Block,
    TokenVectors,
    maxsim,
    maxsim_pairs,
    rerank_tokens,
    score_listed,
    search_tokens,
)
from cmedteb.search.maxsim import EMPTY
from cmedteb.types import Int32Array

WIDTH = 12
BUDGETS = (1, 100, 5_000, None)


def random_texts(lengths: Sequence[int], *, seed: int, width: int = WIDTH) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn((length, width), generator=draw) for length in lengths]


def whole_texts(lengths: Sequence[int], *, seed: int, width: int = 3) -> list[torch.Tensor]:
    """Small whole numbers: their products and sums are exact, and many scores tie."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(-2, 3, (length, width), generator=draw).float() for length in lengths]


def draw_lengths(count: int, *, seed: int, longest: int = 17) -> list[int]:
    return np.random.default_rng(seed).integers(1, longest + 1, count).tolist()


def brute(queries: list[torch.Tensor], documents: list[torch.Tensor]) -> NDArray[np.float64]:
    """The definition, token by token, in float64."""
    return np.asarray(
        [
            [
                sum(max(float(a.double() @ b.double()) for b in document) for a in query)
                for document in documents
            ]
            for query in queries
        ]
    )


def in_blocks(
    texts: list[torch.Tensor], cuts: Sequence[int], index: Int32Array | None = None
) -> Iterator[Block]:
    """Blocks of texts cut at these places; `index` names the text of each document."""
    index = np.arange(len(texts), dtype=np.int32) if index is None else index
    for start, end in zip([0, *cuts], [*cuts, len(texts)], strict=True):
        rows = np.flatnonzero((index >= start) & (index < end)).astype(np.int32)
        yield Block(TokenVectors.of(texts[start:end]), rows, index[rows] - start)


def every(texts: list[Any]) -> Int32Array:
    return np.arange(len(texts), dtype=np.int32)


def names(count: int) -> list[str]:
    """Ids whose order is not that of the rows."""
    return [f"{(7 * row) % count:04d}" for row in range(count)]


@pytest.mark.parametrize("floats", BUDGETS)
def test_scores_are_the_definition(floats: int | None) -> None:
    queries = random_texts(draw_lengths(9, seed=1), seed=2)
    documents = random_texts(draw_lengths(31, seed=3, longest=40), seed=4)
    left, right = TokenVectors.of(queries), TokenVectors.of(documents)
    expected = brute(queries, documents)
    found = maxsim(left, right, floats=floats)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    rows = np.asarray([4, 0, 4], dtype=np.int32)
    some = maxsim(left, right, rows=rows, floats=floats)
    np.testing.assert_allclose(some, expected[rows], rtol=1e-5, atol=1e-5)
    q, d = np.divmod(np.random.default_rng(5).permutation(9 * 31).astype(np.int32), 31)
    pairs = maxsim_pairs(left, right, q, d, floats=floats)
    np.testing.assert_allclose(pairs, expected[q, d], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("floats", BUDGETS)
def test_exact_numbers_give_exact_scores_however_they_are_cut(floats: int | None) -> None:
    queries = whole_texts(draw_lengths(7, seed=1), seed=2)
    documents = whole_texts(draw_lengths(40, seed=3), seed=4)
    found = maxsim(TokenVectors.of(queries), TokenVectors.of(documents), floats=floats)
    np.testing.assert_array_equal(found, brute(queries, documents))


@pytest.mark.parametrize("cuts", [(), (1,), (13, 20), tuple(range(1, 60))], ids=len)
@pytest.mark.parametrize("depth", [1, 7, 100])
def test_every_cut_into_blocks_gives_the_run_of_brute_force(
    cuts: tuple[int, ...], depth: int
) -> None:
    """With ties inside and across blocks, repeated queries and repeated documents."""
    queries = whole_texts([3, 1, 6], seed=2)
    documents = whole_texts(draw_lengths(60, seed=3, longest=4), seed=4)
    asked = np.asarray([0, 1, 2, 1], dtype=np.int32)
    index = np.random.default_rng(6).integers(0, 60, 90).astype(np.int32)
    index[:60] = np.random.default_rng(7).permutation(60)
    ids = names(90)
    run = search_tokens(
        TokenVectors.of(queries),
        asked,
        in_blocks(documents, cuts, index),
        ids=strings(ids),
        depth=depth,
    )
    scores = brute(queries, documents)[np.ix_(asked, index)]
    assert len(set(scores[0])) < 30
    for query, found in enumerate(as_lists(run)):
        order = sorted(range(90), key=lambda row: (scores[query, row], ids[row]), reverse=True)
        assert found == [(row, scores[query, row]) for row in order[:depth]]


def test_random_vectors_give_one_run_however_they_are_cut() -> None:
    queries = random_texts(draw_lengths(5, seed=1), seed=2)
    documents = random_texts(draw_lengths(50, seed=3), seed=4)
    runs = [
        search_tokens(
            TokenVectors.of(queries),
            every(queries),
            in_blocks(documents, cuts),
            ids=strings(names(50)),
            depth=20,
        )
        for cuts in ((), (10, 11, 30), tuple(range(1, 50)))
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.docs, runs[0].docs)
        np.testing.assert_allclose(run.scores, runs[0].scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("width", [32, 100, 768])
@pytest.mark.parametrize("tokens", [1, 3, 7])
def test_equal_vectors_score_exactly_equal_wherever_they_stand(width: int, tokens: int) -> None:
    """A matrix product may round by position and by shape: then ties would be noise."""
    copies, longer = 101, 3
    queries = random_texts([1, 5, 37], seed=1, width=width)
    one = random_texts([tokens], seed=2, width=width)[0]
    others = random_texts([tokens + longer] * 5, seed=4, width=width)
    documents = [*others, *(one.clone() for _ in range(copies))]
    ids = names(len(documents))
    left = TokenVectors.of(queries)
    found = search_tokens(
        left, every(queries), in_blocks(documents, ()), ids=strings(ids), depth=len(documents)
    )
    ordered = rerank_tokens(
        left,
        every(queries),
        in_blocks(documents, ()),
        candidates([range(len(documents))] * 3),
        ids=strings(ids),
    )
    for run in (found, ordered):
        for result in as_lists(run):
            equal = [(ids[row], score) for row, score in result if row >= 5]
            assert len({score for _, score in equal}) == 1
            assert [name for name, _ in equal] == sorted(ids[5:], reverse=True)
            assert len({score for _, score in result}) == 6


def test_equal_pairs_score_exactly_equal() -> None:
    """A small budget puts the same pair into batches of different shapes."""
    queries = TokenVectors.of(random_texts([5, 37], seed=1, width=32))
    documents = TokenVectors.of(random_texts([1, 4, 10, 10, 10], seed=2, width=32))
    right = np.asarray([2, 3, 4, *([0] * 200), *([1] * 200)])
    for left in (0, 1):
        asked = np.full(len(right), left)
        for floats in (1_000, 5_000, 20_000):
            scores = maxsim_pairs(queries, documents, asked, right, floats=floats)
            assert [len(set(scores[right == row])) for row in (0, 1)] == [1, 1]


def test_rerank_orders_exactly_the_candidates() -> None:
    queries = random_texts([4, 2, 8], seed=1)
    documents = random_texts(draw_lengths(30, seed=3), seed=4)
    listed = [[5, 1, 29, 8], [], [0, 2, 28]]
    asked = np.asarray([2, 0, 1], dtype=np.int32)
    run = rerank_tokens(
        TokenVectors.of(queries),
        asked,
        in_blocks(documents, (3, 29)),
        candidates(listed),
        ids=strings(names(30)),
    )
    scores = brute(queries, documents)[asked]
    for query, found in enumerate(as_lists(run)):
        rows = [row for row, _ in found]
        assert rows == sorted(listed[query], key=lambda row: -scores[query, row])
        np.testing.assert_allclose([s for _, s in found], scores[query, rows], rtol=1e-5)


def test_a_candidate_in_no_block_is_an_error() -> None:
    left, documents = TokenVectors.of(random_texts([4], seed=1)), random_texts([3, 5], seed=2)
    with pytest.raises(ScoreError, match="query row 0 and document row 2 is nan"):
        rerank_tokens(
            left,
            np.zeros(1, dtype=np.int32),
            in_blocks(documents, ()),
            candidates([[0, 2]]),
            ids=strings("abc"),
        )


def test_a_document_of_no_tokens_is_the_last_one() -> None:
    queries = [text.abs() + 1 for text in whole_texts([4, 6], seed=1)]
    documents = whole_texts([3, 0, 5, 0], seed=2)
    documents[0] = torch.full((3, 3), -1e6)
    left, right = TokenVectors.of(queries), TokenVectors.of(documents)
    scores = maxsim(left, right)
    np.testing.assert_array_equal(scores[:, [1, 3]], EMPTY)
    assert EMPTY < scores[:, 0].max() < -1e7
    pairs = maxsim_pairs(left, right, np.repeat([0, 1], 4), np.tile([0, 1, 2, 3], 2))
    np.testing.assert_array_equal(pairs.reshape(2, 4), scores)
    run = search_tokens(
        left, every(queries), in_blocks(documents, (2,)), ids=strings("abcd"), depth=4
    )
    assert [[row for row, _ in found][-2:] for found in as_lists(run)] == [[3, 1], [3, 1]]


def test_a_query_of_no_tokens_scores_nothing() -> None:
    queries, documents = random_texts([0, 2], seed=1), random_texts([3, 1], seed=2)
    left, right = TokenVectors.of(queries), TokenVectors.of(documents)
    np.testing.assert_array_equal(maxsim(left, right)[0], [0, 0])
    np.testing.assert_array_equal(maxsim(left, right, mean=True)[0], [0, 0])
    nobody = TokenVectors.of(queries[:1])
    np.testing.assert_array_equal(maxsim(nobody, right), [[0, 0]])
    one = np.zeros(1, dtype=np.int32)
    np.testing.assert_array_equal(maxsim_pairs(nobody, right, one, one), [0])
    np.testing.assert_array_equal(maxsim(right, nobody), [[EMPTY], [EMPTY]])


def test_nothing_to_search_or_nobody_who_asks() -> None:
    queries, documents = random_texts([2, 3], seed=1), random_texts([3, 1], seed=2)
    nothing = search_tokens(
        TokenVectors.of(queries), every(queries), iter(()), ids=strings([]), depth=5
    )
    assert as_lists(nothing) == [[], []]
    nobody = TokenVectors(torch.empty((0, WIDTH)), np.zeros(1, dtype=np.int64))
    unasked = search_tokens(
        nobody, every([]), in_blocks(documents, (1,)), ids=strings("ab"), depth=5
    )
    assert as_lists(unasked) == []


def test_the_mean_divides_by_the_query() -> None:
    lengths = [1, 4, 9]
    queries, documents = random_texts(lengths, seed=1), random_texts([3, 7], seed=2)
    left, right = TokenVectors.of(queries), TokenVectors.of(documents)
    expected = brute(queries, documents) / np.asarray(lengths)[:, None]
    np.testing.assert_allclose(maxsim(left, right, mean=True), expected, rtol=1e-5)
    pairs = maxsim_pairs(left, right, np.asarray([2, 1]), np.asarray([0, 1]), mean=True)
    np.testing.assert_allclose(pairs, [expected[2, 0], expected[1, 1]], rtol=1e-5)
    run = search_tokens(
        left, every(queries), in_blocks(documents, ()), ids=strings("ab"), depth=1, mean=True
    )
    np.testing.assert_allclose(run.scores, expected.max(axis=1), rtol=1e-5)
    listed = score_listed(
        left, in_blocks(documents, ()), every([0, 1]), every([0, 1]), documents=2, mean=True
    )
    np.testing.assert_allclose(listed, np.diag(expected), rtol=1e-5)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_half_types_are_kept_and_scored_in_float32(kind: torch.dtype) -> None:
    queries = [text.to(kind) for text in random_texts([4, 2], seed=1)]
    documents = [text.to(kind) for text in random_texts([3, 7, 5], seed=2)]
    left, right = TokenVectors.of(queries), TokenVectors.of(documents)
    assert right.nbytes == 15 * WIDTH * kind.itemsize
    np.testing.assert_allclose(maxsim(left, right), brute(queries, documents), rtol=1e-5)
    run = search_tokens(
        left,
        every(queries),
        in_blocks([*documents, documents[1]], ()),
        ids=strings("abcd"),
        depth=4,
    )
    assert all(dict(found)[1] == dict(found)[3] for found in as_lists(run))


class Largest(TorchDispatchMode):
    """Remembers the largest array that torch made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


def test_no_array_is_larger_than_the_budget() -> None:
    queries = TokenVectors.of(random_texts(draw_lengths(80, seed=1), seed=2))
    documents = TokenVectors.of(random_texts(draw_lengths(300, seed=3, longest=30), seed=4))
    budget = 60_000
    with Largest() as seen:
        maxsim(queries, documents, floats=budget)
    assert budget / 2 < seen.numbers <= budget
    q, d = np.divmod(np.arange(80 * 300, dtype=np.int32), 300)
    with Largest() as seen:
        maxsim_pairs(queries, documents, q, d, floats=budget)
    assert budget / 4 < seen.numbers <= budget
    everything = int(queries.offsets[-1] * documents.offsets[-1])
    assert everything > 50 * budget


def test_lengths_are_not_padded_to_the_longest_of_all() -> None:
    """One long document among many short ones costs what it costs alone."""
    queries = TokenVectors.of(random_texts([16] * 4, seed=1))
    documents = TokenVectors.of(random_texts([2000, *[10] * 400], seed=2))
    multiplied = 0

    class Products(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal multiplied
            made = func(*args, **(kwargs or {}))
            multiplied += made.numel() if func is torch.ops.aten.mm.default else 0
            return made

    with Products():
        maxsim(queries, documents, floats=512 * 2000)
    assert multiplied == 64 * 6000


@pytest.mark.parametrize("way", ["search", "rerank"])
def test_a_block_is_gone_before_the_next_one_is_made(way: str) -> None:
    documents, queries = random_texts([5] * 12, seed=1), random_texts([3], seed=2)
    made: list[weakref.ref[torch.Tensor]] = []

    def blocks() -> Iterator[Block]:
        for start in range(0, 12, 4):
            assert all(each() is None for each in made)
            vectors = TokenVectors.of(documents[start : start + 4])
            made.append(weakref.ref(vectors.values))
            rows = np.arange(start, start + 4, dtype=np.int32)
            fresh = [Block(vectors, rows, rows - start)]
            del vectors
            yield fresh.pop()

    left, ids = TokenVectors.of(queries), strings(names(12))
    if way == "search":
        search_tokens(left, every(queries), blocks(), ids=ids, depth=3)
    else:
        rerank_tokens(left, every(queries), blocks(), candidates([range(12)]), ids=ids)
    assert len(made) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(bad: float) -> None:
    queries, documents = random_texts([3, 2], seed=1), random_texts([3, 4, 5], seed=2)
    documents[2][1] = bad
    left, ids = TokenVectors.of(queries), strings("abc")
    with pytest.raises(ScoreError, match=r"query row 0 and document row 2 is (nan|inf)"):
        search_tokens(left, every(queries), in_blocks(documents, (1,)), ids=ids, depth=2)
    with pytest.raises(ScoreError, match=r"query row 1 and document row 2 is (nan|inf)"):
        rerank_tokens(
            left, every(queries), in_blocks(documents, ()), candidates([[0], [1, 2]]), ids=ids
        )


def test_two_sides_of_different_width_are_refused() -> None:
    left = TokenVectors.of(random_texts([3], seed=1, width=4))
    right = TokenVectors.of(random_texts([3], seed=1, width=5))
    one = np.zeros(1, dtype=np.int32)
    with pytest.raises(ScoreError, match=r"4 dimensions .* 5"):
        maxsim(left, right)
    with pytest.raises(ScoreError, match=r"4 dimensions .* 5"):
        maxsim_pairs(left, right, one, one)


def test_texts_of_different_width_are_refused() -> None:
    with pytest.raises(ScoreError, match=r"shapes \[\(4,\), \(5,\)\]"):
        TokenVectors.of([torch.zeros(2, 4), torch.zeros(2, 5)])
