"""Ranks as single integers, and the running best. Run: pytest tests/search/test_keys.py -q."""

from __future__ import annotations

import numpy as np
import pytest

from cmedteb.search import keys as keys_module
from cmedteb.search.keys import NOTHING, Best, rank_keys, taken_apart
from cmedteb.types import Float32Array, Int32Array

WIDE = np.asarray(
    [0.0, 1e-45, -1e-45, 1.0, -1.0, np.finfo(np.float32).max, np.finfo(np.float32).min, 0.1, -0.1],
    dtype=np.float32,
)


def plain(scores: Float32Array, ties: Int32Array, k: int) -> list[list[tuple[int, float]]]:
    """For each row its best (tie rank, score), sorted the plain way."""
    return [
        sorted(
            ((int(tie), float(score)) for tie, score in zip(ties, row, strict=True)),
            key=lambda one: (-one[1], one[0]),
        )[:k]
        for row in scores
    ]


def as_pairs(best: Best) -> list[list[tuple[int, float]]]:
    ties, scores = taken_apart(best.sorted())
    return [
        list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(ties, scores, strict=True)
    ]


def test_integers_are_in_the_order_of_floats_and_come_back_bit_by_bit() -> None:
    draw = np.random.default_rng(0)
    drawn = draw.integers(0, 2**32, 5000, dtype=np.uint32).view(np.float32)
    scores = np.concatenate([WIDE, drawn[np.isfinite(drawn)]])
    ties = draw.integers(0, 2**31 - 1, len(scores)).astype(np.int32)
    found = rank_keys(scores, ties)
    order = np.lexsort((ties, -scores))
    np.testing.assert_array_equal(np.argsort(-found, kind="stable"), order)
    back = taken_apart(found)
    np.testing.assert_array_equal(back.ties, ties)
    np.testing.assert_array_equal((back.scores + 0).view(np.int32), (scores + 0).view(np.int32))


def test_zero_ties_with_negative_zero() -> None:
    both = rank_keys(np.asarray([0.0, -0.0], dtype=np.float32), np.asarray([3, 3], dtype=np.int32))
    assert both[0] == both[1] > NOTHING


@pytest.mark.parametrize("part", [1, 2**20])
@pytest.mark.parametrize("levels", [1, 2, 50, 10**9])
@pytest.mark.parametrize("k", [1, 3, 40, 150])
def test_offers_add_up_to_one_sort(
    monkeypatch: pytest.MonkeyPatch, part: int, levels: int, k: int
) -> None:
    """Blocks of one document, of fewer than k and of many; all tied (one level), or hardly any."""
    monkeypatch.setattr(keys_module, "PART_FLOATS", part)
    draw = np.random.default_rng(levels + k)
    scores = (draw.integers(0, levels, (9, 150)) / 7).astype(np.float32)
    ties = draw.permutation(150).astype(np.int32)
    best, start = Best(9, k), 0
    for width in (1, 2, 60, 0, 80, 7):
        block = slice(start, start + width)
        best.offer(slice(0, 4), scores[:4, block], ties[block])
        best.offer(slice(4, 9), scores[4:, block], ties[block])
        start += width
    assert as_pairs(best) == plain(scores, ties, k)


@pytest.mark.parametrize("falling", [False, True])
def test_sorted_documents_are_no_special_case(falling: bool) -> None:
    """Every block is better, or worse, than all that was kept."""
    scores = np.tile(np.arange(4000, dtype=np.float32), (3, 1))
    scores = scores[:, ::-1].copy() if falling else scores
    ties = np.arange(4000, dtype=np.int32)
    best = Best(3, 20)
    for start in range(0, 4000, 500):
        block = slice(start, start + 500)
        best.offer(slice(0, 3), scores[:, block], ties[block])
    assert as_pairs(best) == plain(scores, ties, 20)


def test_fewer_than_k_leave_nothing_behind_them() -> None:
    best = Best(1, 3)
    best.offer(slice(0, 1), np.asarray([[2]], dtype=np.float32), np.asarray([5], dtype=np.int32))
    assert best.sorted()[0, 1:].tolist() == [NOTHING, NOTHING]


@pytest.mark.parametrize("part", [64, 2**18])
def test_a_bar_passes_over_what_lies_below_it_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """A fair bar changes nothing; one that is too high leaves a row short."""
    monkeypatch.setattr(keys_module, "PART_FLOATS", part)
    draw = np.random.default_rng(9)
    scores = draw.integers(0, 90, (12, 400)).astype(np.float32)
    ties = draw.permutation(400).astype(np.int32)
    bar = np.sort(scores, axis=1)[:, -30].copy()
    bar[3] = scores[3].max()
    best = Best(12, 8, bar=bar)
    for start in range(0, 400, 50):
        best.offer(slice(0, 12), scores[:, start : start + 50], ties[start : start + 50])
    found, wanted = as_pairs(best), plain(scores, ties, 8)
    assert found[:3] == wanted[:3]
    assert found[4:] == wanted[4:]
    top = [one for one in wanted[3] if one[1] >= bar[3]]
    assert found[3][: len(top)] == top
    assert best.sorted()[3, len(top) :].tolist() == [NOTHING] * (8 - len(top))


@pytest.mark.parametrize("shape", ["all tied", "rising", "one level a block"])
def test_rows_that_run_full_keep_their_best(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """More pass than there is room for, in one offer and over several."""
    monkeypatch.setattr(keys_module, "ROOM", 1)
    draw = np.random.default_rng(11)
    scores = {
        "all tied": np.zeros((5, 600)),
        "rising": np.tile(np.arange(600), (5, 1)),
        "one level a block": np.tile(np.repeat(np.arange(6), 100), (5, 1)),
    }[shape].astype(np.float32)
    ties = draw.permutation(600).astype(np.int32)
    best = Best(5, 4)
    for start in range(0, 600, 100):
        best.offer(slice(0, 5), scores[:, start : start + 100], ties[start : start + 100])
    assert as_pairs(best) == plain(scores, ties, 4)
