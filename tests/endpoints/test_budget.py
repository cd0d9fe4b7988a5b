"""Budgets: reserved before, settled after, never exceeded.

Run: pytest tests/endpoints/test_budget.py -q.
"""

from __future__ import annotations

import random
import threading
import time

import pytest

from cmedteb.endpoints import Budget, Price
from cmedteb.errors import ModelError, UsageError


def test_the_price_of_tokens() -> None:
    assert Price(2.0).of(500_000) == 1.0
    assert Price(2.0, 8.0).of(500_000, 250_000) == 3.0


def test_a_reservation_is_settled_to_what_was_charged() -> None:
    budget = Budget(1.0)
    assert budget.reserve(0.6)
    budget.settle(0.6, 0.2)
    assert budget.spent == 0.2
    assert budget.reserved == 0.0
    assert budget.reserve(0.8)


def test_a_budget_that_is_used_up_says_so_and_what_to_do() -> None:
    budget = Budget(1.0)
    budget.reserve(0.9)
    budget.settle(0.9, 0.9)
    with pytest.raises(ModelError, match=r"budget of 1 is used up: 0\.9 is spent.*--budget"):
        budget.reserve(0.2)


def test_it_waits_for_reservations_that_may_be_given_back() -> None:
    budget = Budget(1.0)
    budget.reserve(0.9)
    got = threading.Event()

    def second() -> None:
        assert budget.reserve(0.9)
        got.set()

    threading.Thread(target=second, daemon=True).start()
    assert not got.wait(0.1)
    budget.settle(0.9, 0.05)
    assert got.wait(2)


def test_waiting_ends_when_it_is_stopped() -> None:
    budget = Budget(1.0)
    budget.reserve(1.0)
    assert not budget.reserve(1.0, stopped=lambda: True)


def test_no_limit_only_counts() -> None:
    budget = Budget()
    for _ in range(5):
        budget.reserve(100.0)
        budget.settle(100.0, 50.0)
    assert budget.spent == 250.0


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_limits_that_are_none(limit: float) -> None:
    with pytest.raises(UsageError, match="positive amount"):
        Budget(limit)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_never_exceeded_by_many_threads(seed: int) -> None:
    """Whatever requests cost and in whatever order they end."""
    budget = Budget(10.0)
    charged: list[float] = []
    too_much: list[float] = []

    def work(number: int) -> None:
        draw = random.Random(100 * seed + number)
        while True:
            most = draw.uniform(0.01, 0.5)
            try:
                budget.reserve(most)
            except ModelError:
                return
            if budget.spent + budget.reserved > 10.0 + 1e-9:
                too_much.append(budget.spent)
            time.sleep(draw.uniform(0, 0.001))
            cost = draw.uniform(0, most)
            charged.append(cost)
            budget.settle(most, cost)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not too_much
    assert sum(charged) <= 10.0
    assert sum(charged) == pytest.approx(budget.spent)
    assert budget.spent > 9.0
