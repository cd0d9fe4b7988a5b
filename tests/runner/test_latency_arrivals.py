"""Random arrivals: the open loop. Run: pytest tests/runner/test_latency_arrivals.py -q.

On a clock that moves only when the scripted model is called or waited for. Degenerate inputs: a
stall, a model slower than the limit, one that is overloaded at every rate, a rate of next to none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmedteb.runner.latency import Plan
from cmedteb.runner.latency.arrivals import find_rate, poisson_arrivals, serve
from cmedteb.runner.latency.stream import shuffled
from runner.latency_support import SHORT, TEXTS, FakeClock, Scripted, steady


def test_arrivals_are_a_poisson_process_of_the_seed() -> None:
    due = poisson_arrivals(50.0, 20_000, seed=0)
    gaps = np.diff(due, prepend=0.0)
    assert gaps.min() >= 0.0
    assert gaps.mean() == pytest.approx(1 / 50.0, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50.0, rel=0.03)
    assert (gaps > 1 / 50.0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert np.array_equal(due[:9], poisson_arrivals(50.0, 20_000, seed=0)[:9])
    assert not np.array_equal(due, poisson_arrivals(50.0, 20_000, seed=1))


def test_queries_are_timed_from_when_they_were_due() -> None:
    """One at a time, 10 ms each: the second waits for the first, the third comes late enough."""
    model = Scripted(FakeClock(), steady(0.010))
    served = serve(model.bench, ["a", "b", "c"], np.array([0.0, 0.004, 0.5]), batch=1)
    assert served.seconds == pytest.approx([0.010, 0.016, 0.010])
    assert served.calls == 3
    assert model.clock.time == pytest.approx(100.0 + 0.510)


def test_queries_that_wait_together_share_a_call() -> None:
    model = Scripted(FakeClock(), steady(0.010))
    due = np.array([0.0, 0.001, 0.002, 0.003, 0.004, 0.5])
    served = serve(model.bench, list("abcdef"), due, batch=3)
    assert model.calls == [["a"], ["b", "c", "d"], ["e"], ["f"]]
    assert served.seconds == pytest.approx([0.010, 0.019, 0.018, 0.017, 0.026, 0.010])


def test_a_closed_loop_hides_a_stall_and_an_open_one_does_not() -> None:
    """Call 100 of 400 stalls for a second: that delays one query, or all that are due meanwhile."""

    def stalls(number: int, _texts: object) -> float:
        return 1.0 if number == 100 else 0.004

    closed = Scripted(FakeClock(), stalls)
    taken = [closed.bench.seconds([text]) for text in TEXTS * 10]
    assert np.percentile(taken, 95) == pytest.approx(0.004)
    served = Scripted(FakeClock(), stalls)
    due = poisson_arrivals(150.0, 400, seed=0)
    seconds = serve(served.bench, TEXTS * 10, due, batch=1).seconds
    assert np.percentile(seconds, 95) > 0.5
    assert (seconds > 0.05).sum() > 100


def test_the_clock_may_stop_short_of_the_moment() -> None:
    """Adding the start and taking it off again may lose the last bit: the loop goes on."""
    model = Scripted(FakeClock(time=1e9 + 0.1), steady(0.001))
    due = poisson_arrivals(1e4, 300, seed=0)
    assert serve(model.bench, TEXTS * 8, due, batch=64).seconds.min() > 0.0


def search(model: Scripted, plan: Plan = SHORT, **options: float) -> object:
    texts = shuffled(TEXTS, seed=0)
    settings = {"capacity": 100.0, "batch": 1, "alone": 0.010, **options}
    return find_rate(model.bench, texts, plan, **settings)  # type: ignore[arg-type]


def test_rates_rise_until_one_fails() -> None:
    """10 ms a query, one at a time (M/D/1): the mean wait at load r is 5 ms x r / (1 - r)."""
    plan = replace(SHORT, loads=(0.3, 0.6, 0.97, 0.98), requests=(2_000, 2_000), rate_seconds=60.0)
    found = search(Scripted(FakeClock(), steady(0.010)), plan)
    tried = [rate.queries_per_second for rate in found.rates]
    assert tried == pytest.approx([30.0, 60.0, 97.0, 97.0]), "what fails is tried once more"
    assert found.queries_per_second == pytest.approx(60.0)
    assert [rate.p95_ms <= 50.0 for rate in found.rates] == [True, True, False, False]
    assert found.rates[-1].p95_ms != found.rates[-2].p95_ms, "with other arrivals"
    assert {rate.requests for rate in found.rates} == {2_000}
    assert found.limit_ms == 50.0


def test_a_batch_carries_what_single_calls_cannot() -> None:
    """A call takes 10 ms whatever it holds: 300 a second need batches of three."""
    plan = replace(SHORT, loads=(3.0,), rate_seconds=5.0, requests=(20, 2_000))
    alone = search(Scripted(FakeClock(), steady(0.010)), plan)
    assert alone.queries_per_second == 0.0
    together = search(Scripted(FakeClock(), steady(0.010)), plan, batch=16)
    assert together.queries_per_second == pytest.approx(300.0)
    assert together.rates[0].calls < together.rates[0].requests / 2
    assert together.batch == 16


def test_one_stall_does_not_end_the_search() -> None:
    model = Scripted(FakeClock(), lambda number, _: 2.0 if number == 3 else 0.001)
    found = search(model, alone=0.001)
    assert found.rates[0].p95_ms > 50.0, "the trial with the stall is kept"
    assert found.rates[0].queries_per_second == found.rates[1].queries_per_second
    assert found.queries_per_second == pytest.approx(90.0)


def test_nothing_is_tried_where_a_lone_call_takes_too_long() -> None:
    model = Scripted(FakeClock(), steady(0.2))
    found = search(model, alone=0.2)
    assert (found.rates, found.queries_per_second, model.calls) == ([], 0.0, [])


@pytest.mark.parametrize(
    ("capacity", "requests"), [(1e6, 200), (100.0, 100), (50.0, 50), (15.0, 20), (0.1, 20)]
)
def test_how_many_requests_a_rate_has(capacity: float, requests: int) -> None:
    """A second of them, from 20 to 200."""
    plan = replace(SHORT, loads=(1.0,))
    found = search(Scripted(FakeClock(), steady(1e-7)), plan, capacity=capacity)
    assert found.rates[0].requests == requests


def test_a_slow_rate_lasts_three_times_as_long_at_most() -> None:
    plan = replace(SHORT, loads=(1.0,), requests=(200, 2_000), rate_seconds=10.0)
    found = search(Scripted(FakeClock(), steady(0.001)), plan, capacity=4.0)
    assert found.rates[0].requests == 120
