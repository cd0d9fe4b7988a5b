"""Which texts share a forward pass. Run: pytest tests/encoding/test_plan.py -q."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cmedteb.encoding import batches
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
