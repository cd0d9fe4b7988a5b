"""Exact top-k in trec_eval's order. Run: pytest tests/search/test_exact.py -q."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from builders import as_lists, candidates, strings

from cmedteb.errors import ScoreError
from cmedteb.search import (
    drop_identical,
    rank_candidates,
    rank_scored,
    search_blocks,
    tie_ranks,
    top_k,
)
from cmedteb.search import exact as exact_module
from cmedteb.types import Float32Array, Int32Array, Run

MIXED_IDS = [
    *(f"d{row}" for row in range(40)),
    *(f"D-{row}" for row in range(10)),
    *(chr(0x4E00 + row) for row in range(8)),
    *(f"{chr(0x20000 + row)}x" for row in range(8)),
    *(chr(0xFF21 + row) for row in range(6)),
]


def oracle(scores: Float32Array, ids: list[str], k: int) -> list[int]:
    """The whole ranking by (score, id), both descending, cut at k."""
    keys = [(float(score), name.encode()) for score, name in zip(scores, ids, strict=True)]
    return sorted(range(len(ids)), key=keys.__getitem__, reverse=True)[:k]


def trec_eval_order(scores: Float32Array, ids: list[str]) -> list[str]:
    """The order that trec_eval gives a run: each document's rank, asked by judging only it."""
    run = {"q": {name: float(score) for name, score in zip(ids, scores, strict=True)}}
    ranks = {}
    for name in ids:
        judge = pytrec_eval.RelevanceEvaluator({"q": {name: 1}}, {"recip_rank"})
        ranks[name] = 1 / judge.evaluate(run)["q"]["recip_rank"]
    return sorted(ids, key=ranks.__getitem__)


@pytest.mark.parametrize("seed", range(30))
def test_top_k_is_the_prefix_of_the_full_ranking(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ids = draw.permutation(MIXED_IDS)[: draw.integers(1, len(MIXED_IDS) + 1)].tolist()
    levels = int(draw.integers(1, 6))
    scores = draw.integers(-levels, levels + 1, size=(7, len(ids))).astype(np.float32) / 3
    ties = tie_ranks(strings(ids))
    for k in (1, 2, 5, len(ids), len(ids) + 1):
        hits = top_k(scores, ties, k)
        for row in range(len(scores)):
            expected = oracle(scores[row], ids, k)
            assert hits.docs[row].tolist() == expected
            assert hits.scores[row].tolist() == scores[row, expected].tolist()


def test_order_is_that_of_trec_eval() -> None:
    draw = np.random.default_rng(3)
    ids = draw.permutation(MIXED_IDS).tolist()
    scores = draw.integers(0, 5, size=len(ids)).astype(np.float32)
    hits = top_k(scores[None, :], tie_ranks(strings(ids)), len(ids))
    assert [ids[row] for row in hits.docs[0]] == trec_eval_order(scores, ids)


def test_tie_straddling_the_cut_keeps_the_highest_ids() -> None:
    scores = np.asarray([[1, 1, 1, 9, 1]], dtype=np.float32)
    hits = top_k(scores, tie_ranks(strings(["a", "e", "c", "b", "d"])), 3)
    assert hits.docs.tolist() == [[3, 1, 4]]


def test_constant_scores_rank_by_id_descending() -> None:
    ids = [f"d{row:03d}" for row in range(50)]
    hits = top_k(np.zeros((1, 50), dtype=np.float32), tie_ranks(strings(ids)), 10)
    assert hits.docs[0].tolist() == list(range(49, 39, -1))


def test_negative_zero_ties_with_zero() -> None:
    scores = np.asarray([[0.0, -0.0, 0.0]], dtype=np.float32)
    hits = top_k(scores, tie_ranks(strings(["a", "b", "c"])), 2)
    assert hits.docs.tolist() == [[2, 1]]


def test_one_document() -> None:
    hits = top_k(np.asarray([[0.5], [0.25]], dtype=np.float32), tie_ranks(strings(["only"])), 100)
    assert hits.docs.tolist() == [[0], [0]]
    assert hits.scores.tolist() == [[0.5], [0.25]]


def test_scores_apart_by_less_than_float32_tie() -> None:
    wide = np.asarray([[0.1, 0.1 + 1e-12]])
    assert wide[0, 0] != wide[0, 1]
    hits = top_k(wide.astype(np.float32), tie_ranks(strings(["b", "a"])), 1)
    assert hits.docs.tolist() == [[0]]


def test_search_in_blocks_equals_search_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).integers(0, 4, size=(23, 31)).astype(np.float32)
    ties = tie_ranks(strings([f"d{row}" for row in range(31)]))

    def search() -> Run:
        return search_blocks(
            lambda rows: scores[rows], queries=23, documents=31, ties=ties, depth=9
        )

    whole = search()
    monkeypatch.setattr(exact_module, "BLOCK_FLOATS", 70)
    assert len(list(exact_module.query_blocks(23, 31))) == 12
    assert as_lists(search()) == as_lists(whole)


def test_search_keeps_all_of_a_small_corpus() -> None:
    scores = np.asarray([[1, 2], [2, 1]], dtype=np.float32)
    ties = tie_ranks(strings(["a", "b"]))
    run = search_blocks(lambda rows: scores[rows], queries=2, documents=2, ties=ties, depth=100)
    assert as_lists(run) == [[(1, 2.0), (0, 1.0)], [(0, 2.0), (1, 1.0)]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_search_refuses_a_score_that_is_no_number(bad: float) -> None:
    scores = np.ones((3, 4), dtype=np.float32)
    scores[2, 1] = bad
    ties = tie_ranks(strings("abcd"))
    with pytest.raises(ScoreError, match="query row 2 and document row 1"):
        search_blocks(lambda rows: scores[rows], queries=3, documents=4, ties=ties, depth=2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rerank_names_the_document_with_a_bad_score(bad: float) -> None:
    def score(query: int, rows: Int32Array) -> Float32Array:
        return np.where(rows == 3, bad, 1.0).astype(np.float32) if query else rows * np.float32(1)

    listed = candidates([[0, 1], [4, 3]])
    with pytest.raises(ScoreError, match="query row 1 and document row 3"):
        rank_candidates(score, listed, tie_ranks(strings("abcde")))


def test_rerank_returns_exactly_the_candidates() -> None:
    draw = np.random.default_rng(5)
    ids = [f"d{row:02d}" for row in range(40)]
    scores = draw.integers(0, 3, size=(12, 40)).astype(np.float32)
    listed = [draw.permutation(40)[: draw.integers(1, 30)].tolist() for _ in range(12)]
    run = rank_candidates(
        lambda query, rows: scores[query, rows], candidates(listed), tie_ranks(strings(ids))
    )
    for query, (found, given) in enumerate(zip(as_lists(run), listed, strict=True)):
        mine = oracle(scores[query, given], [ids[row] for row in given], len(given))
        assert [row for row, _ in found] == [given[place] for place in mine]


def test_scores_of_candidates_are_ordered_list_by_list() -> None:
    listed = candidates([[3, 1, 0], [], [2, 2], [0, 3]])
    scores = np.asarray([1, 5, 5, 0.5, 0.5, -2, -1], dtype=np.float32)
    run = rank_scored(listed, scores, tie_ranks(strings("abcd")))
    assert as_lists(run) == [
        [(1, 5.0), (0, 5.0), (3, 1.0)],
        [],
        [(2, 0.5), (2, 0.5)],
        [(3, -1.0), (0, -2.0)],
    ]
    assert len(rank_scored(candidates([]), scores[:0], tie_ranks(strings("ab")))) == 0


def test_drop_identical_drops_the_querys_own_document_and_cuts() -> None:
    run = Run(
        np.asarray([0, 3, 6, 9]),
        np.asarray([0, 1, 2, 2, 1, 0, 0, 1, 2], dtype=np.int32),
        np.asarray([3, 2, 1] * 3, dtype=np.float32),
    )
    kept = drop_identical(
        run, query_ids=strings(["b", "elsewhere", "a"]), doc_ids=strings("abc"), depth=2
    )
    assert as_lists(kept) == [
        [(0, 3.0), (2, 1.0)],
        [(2, 3.0), (1, 2.0)],
        [(1, 2.0), (2, 1.0)],
    ]


def test_drop_identical_may_leave_a_query_without_results() -> None:
    run = Run(np.asarray([0, 1, 2]), np.asarray([0, 0], np.int32), np.asarray([1, 1], np.float32))
    kept = drop_identical(run, query_ids=strings("ab"), doc_ids=strings("a"), depth=5)
    assert as_lists(kept) == [[], [(0, 1.0)]]
