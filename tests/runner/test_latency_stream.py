"""Warming up, turns, batches, percentiles. Run: pytest tests/runner/test_latency_stream.py -q.

All on a clock that moves only when the scripted model is called. Degenerate inputs: a model that
never settles, one that gets slower for ever, a single call, calls that take no time at all.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from cmedteb.runner.latency import Plan
from cmedteb.runner.latency.percentiles import difference, have_settled, percentile_ms, point_ms
from cmedteb.runner.latency.stream import shuffled, take_turns, try_batches, warm_up
from runner.latency_support import SHORT, TEXTS, FakeClock, Scripted, steady


def texts(seed: int = 0) -> list[str]:
    return list(islice(shuffled(TEXTS, seed=seed), 2_000))


def test_the_first_call_stands_apart() -> None:
    model = Scripted(FakeClock(), lambda number, _: 1.0 if number == 0 else 0.01)
    found = warm_up(model.bench, iter(texts()), Plan())
    assert found.first_call_ms == pytest.approx(1000.0)
    assert (found.calls, found.settled) == (20, True)


def test_warming_up_goes_on_until_two_windows_are_alike() -> None:
    """10 % slower from window to window until call 60, then steady: windows 6 and 7 are alike."""
    model = Scripted(FakeClock(), lambda number, _: 0.9 ** min((number - 1) // 10, 6))
    found = warm_up(model.bench, iter(texts()), Plan(warm_seconds=1e9))
    assert (found.calls, found.settled) == (80, True)


def test_twenty_calls_are_made_at_least() -> None:
    model = Scripted(FakeClock(), steady(0.01))
    assert warm_up(model.bench, iter(texts()), Plan(window=4)).calls == 20
    assert warm_up(model.bench, iter(texts()), Plan(window=15)).calls == 30


def test_a_model_that_never_settles_is_capped() -> None:
    restless = Scripted(FakeClock(), lambda number, _: 0.01 * 1.1 ** ((number - 1) // 10))
    found = warm_up(restless.bench, iter(texts()), Plan(warm_cap=100, warm_seconds=1e9))
    assert (found.calls, found.settled) == (100, False)
    slow = Scripted(FakeClock(), lambda number, _: 2.0 * 1.5 ** (number // 10))
    found = warm_up(slow.bench, iter(texts()), Plan(warm_seconds=30.0))
    assert (found.calls, found.settled) == (20, False)


@pytest.mark.parametrize(
    ("taken", "settled"),
    [
        ([1.0] * 4, True),
        ([1.0, 1.0, 1.04, 1.04], True),
        ([1.0, 1.0, 1.06, 1.06], False),
        ([1.06, 1.06, 1.0, 1.0], False),
        ([9.0, 9.0, 1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 1.0], False),
        ([], False),
        ([0.0] * 4, True),
    ],
)
def test_what_has_settled(taken: list[float], settled: bool) -> None:
    assert have_settled(taken, window=2, within=0.05) is settled


def test_arms_take_turns_with_the_same_queries() -> None:
    clock = FakeClock()
    order: list[str] = []
    arms = []
    for name in "AB":
        arm = Scripted(clock, steady(0.001))
        arm.takes = lambda _number, _texts, name=name: order.append(name) or 0.001  # type: ignore
        arms.append(arm)
    found = take_turns([arm.bench for arm in arms], iter(texts()), Plan(calls=24, block=3))
    assert "".join(order) == "AAABBBBBBAAAAAABBBBBBAAA"
    assert arms[0].calls == arms[1].calls == [[text] for text in found.asked]
    assert [len(arm) for arm in found.arms] == [12, 12]
    assert found.seconds == pytest.approx(0.024)


def test_turns_end_with_the_round_when_the_time_is_over() -> None:
    model = Scripted(FakeClock(), steady(1.0))
    found = take_turns([model.bench, model.bench], iter(texts()), Plan(seconds=30.0, block=10))
    assert [len(arm) for arm in found.arms] == [20, 20]


def test_a_drift_of_the_machine_meets_both_arms_alike() -> None:
    """Each call is a bit slower than the last: A B A B would find B slower."""
    model = Scripted(FakeClock(), lambda number, _: 1.0 + number)
    found = take_turns([model.bench] * 2, iter(texts()), Plan(calls=40, block=1, seconds=1e9))
    assert difference(*found.arms) == pytest.approx(0.0, abs=0.05)
    assert np.mean(found.arms[0]) == np.mean(found.arms[1])


def test_queries_are_shuffled_by_the_seed() -> None:
    assert texts(0) == texts(0) != texts(1)
    assert sorted(texts()[:40]) == sorted(texts()[40:80]) == sorted(TEXTS)
    assert texts()[:40] not in (texts()[40:80], TEXTS)


def test_throughput_by_batch_size() -> None:
    """A call takes 1 ms and 1 ms a text: 1 / (1 + 1/n) thousand a second."""
    model = Scripted(FakeClock(), lambda _, asked: 0.001 * (1 + len(asked)))
    one, four = try_batches(model.bench, iter(texts()), SHORT)
    assert (one.size, four.size) == (1, 4)
    assert one.queries_per_second == pytest.approx(500.0)
    assert four.queries_per_second == pytest.approx(800.0)
    assert one.queries >= 0.05 * 500
    assert four.queries % 4 == 0


def test_batches_hold_queries_of_like_length() -> None:
    model = Scripted(FakeClock(), steady(0.001))
    try_batches(model.bench, iter(texts()), SHORT)
    seen = [[len(text) for text in call] for call in model.calls if len(call) == 4]
    assert all(lengths == sorted(lengths) for lengths in seen)
    pools = [seen[at : at + 2] for at in range(0, len(seen) - 1, 2)]
    assert all(max(min(pool)) <= min(max(pool)) for pool in pools)
    assert {pool[0] > pool[1] for pool in pools} == {True, False}, "short ones are not always first"


def test_a_batch_size_is_tried_twice_at_least() -> None:
    model = Scripted(FakeClock(), steady(10.0))
    assert [one.queries for one in try_batches(model.bench, iter(texts()), SHORT)] == [2, 8]


def test_percentiles_are_numpys_in_milliseconds() -> None:
    taken = np.random.default_rng(1).exponential(0.01, size=1_000).tolist()
    found = percentile_ms(taken, 95, seed=0)
    assert found.value == pytest.approx(1000 * float(np.percentile(taken, 95)))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found == percentile_ms(taken, 95, seed=0) != percentile_ms(taken, 95, seed=1)
    assert point_ms(taken, 95) == found.value


def test_the_interval_of_a_median_is_the_binomial_one() -> None:
    """Order statistics 40 and 61 of 100 bound a median with 95 %: 39.5 to 61 ms here."""
    found = percentile_ms([0.001 * rank for rank in range(1, 101)], 50, seed=0)
    assert found.value == 50.5
    assert found.low == pytest.approx(40.5, abs=1.0)
    assert found.high == pytest.approx(60.5, abs=1.0)


def test_a_single_call_has_no_interval() -> None:
    found = percentile_ms([0.002], 50, seed=0)
    assert (found.value, found.low, found.high) == (2.0, None, None)


def test_difference_of_medians() -> None:
    assert difference([1.0, 2.0, 9.0], [2.2]) == pytest.approx(0.1)
    assert difference([0.0], [0.0]) == 0.0
    assert difference([0.0], [1.0]) == 1.0
