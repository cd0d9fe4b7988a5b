"""Which texts share a forward pass. Run: pytest tests/encoding/test_plan.py -q."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cmedteb.encoding.plan import Budget, batches, length_classes
from cmedteb.errors import UsageError
from cmedteb.types import Int64Array


def plan(lengths: list[int], *, budget: int, cap: int | None = None) -> list[Int64Array]:
    return list(batches(np.asarray(lengths, dtype=np.int64), budget=budget, cap=cap))


@pytest.mark.parametrize("seed", range(20))
def test_every_row_once_within_the_budget_longest_first(seed: int) -> None:
    draw = random.Random(seed)
    lengths = [draw.choice([0, 1, draw.randint(2, 50), 700]) for _ in range(draw.randint(1, 200))]
    budget, cap = draw.choice([1, 64, 1000]), draw.choice([None, 40])
    counted = [max(1, min(length, cap or length)) for length in lengths]
    made = plan(lengths, budget=budget, cap=cap)
    rows = [row for batch in made for row in batch.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    assert [counted[row] for row in rows] == sorted(counted, reverse=True)
    for batch in made:
        padded = len(batch) * max(counted[row] for row in batch)
        assert padded <= budget or len(batch) == 1


def test_a_batch_is_as_large_as_the_budget_allows() -> None:
    assert [len(batch) for batch in plan([10] * 7, budget=30)] == [3, 3, 1]


def test_one_text_longer_than_the_budget_goes_alone() -> None:
    assert [batch.tolist() for batch in plan([5, 100, 5], budget=10)] == [[1], [0, 2]]


def test_texts_are_counted_no_longer_than_the_cap() -> None:
    assert len(plan([1000] * 8, budget=64, cap=8)) == 1
    assert len(plan([1000] * 8, budget=64)) == 8


def test_equal_lengths_keep_their_order() -> None:
    assert plan([3, 5, 3, 5, 3], budget=100)[0].tolist() == [1, 3, 0, 2, 4]
    many = [row % 2 for row in range(5000)]
    rows = plan([1 + length for length in many], budget=20_000)[0].tolist()
    assert rows == [*range(1, 5000, 2), *range(0, 5000, 2)]


def test_empty_texts_count_as_one() -> None:
    assert [len(batch) for batch in plan([0] * 5, budget=2)] == [2, 2, 1]


def test_no_texts_no_batches() -> None:
    assert plan([], budget=10) == []


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_holds_nothing_is_refused(budget: int) -> None:
    with pytest.raises(UsageError, match="at least one"):
        plan([1], budget=budget)


def test_a_budget_that_shrinks_holds_from_the_next_batch() -> None:
    room = Budget(40, open=True)
    made = batches(np.full(20, 10), budget=room)
    assert len(next(made)) == 4
    room.shrink(40)
    assert [len(rows) for rows in made] == [2] * 8
    assert not room.open
    for _ in range(9):
        room.shrink(room.tokens)
    assert room.tokens == 1


def test_classes_of_lengths_hold_every_row_longest_first() -> None:
    lengths = np.asarray([0, 5, 15, 16, 17, 100, 99, 101, 5000, 16, 0])
    classes = [rows.tolist() for rows in length_classes(lengths)]
    assert classes == [[8], [5, 6, 7], [0, 1, 2, 3, 4, 9, 10]]
    assert length_classes(np.empty(0, dtype=np.int64)) == []


def test_a_text_is_in_the_same_class_whatever_the_others() -> None:
    lengths = np.random.default_rng(0).integers(0, 3000, 500)
    together = [sorted(lengths[rows].tolist()) for rows in length_classes(lengths)]
    for some in together:
        alone = length_classes(np.asarray(some))
        assert [sorted(np.asarray(some)[rows].tolist()) for rows in alone] == [some]
        assert max(some) < 20 or max(some) < 1.27 * min(some)


def test_a_batch_ends_before_padding_is_more_than_is_allowed() -> None:
    lengths = np.asarray([100] * 10 + [99] * 5 + [50] * 40)
    assert [len(rows) for rows in batches(lengths, budget=4000)] == [40, 15]
    assert [len(rows) for rows in batches(lengths, budget=4000, waste=1.01)] == [15, 40]


def test_padding_makes_no_batch_smaller_than_a_part_of_the_budget() -> None:
    lengths = 2 ** np.arange(10, -1, -1)
    made = [lengths[rows].tolist() for rows in batches(lengths, budget=8 * 2048, waste=1.0)]
    assert made[0] == [1024, 512]
    assert made[1] == [256, 128, 64, 32, 16, 8, 4, 2]
    assert sum(map(len, made)) == 11


@pytest.mark.parametrize("seed", range(10))
def test_with_a_bound_on_padding_the_rest_of_a_plan_is_the_plan_of_the_rest(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.lognormal(3, 1, 300).astype(np.int64)
    whole = list(batches(lengths, budget=700, waste=1.05))
    assert sorted(np.concatenate(whole).tolist()) == list(range(300))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= 700 for rows in whole)
    for done in range(0, len(whole), 7):
        left = np.sort(np.concatenate(whole[done:]))
        rest = [left[rows] for rows in batches(lengths[left], budget=700, waste=1.05)]
        assert [rows.tolist() for rows in rest] == [rows.tolist() for rows in whole[done:]]
