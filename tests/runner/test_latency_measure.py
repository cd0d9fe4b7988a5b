"""The protocol as a whole. Run: pytest tests/runner/test_latency_measure.py -q.

On a clock that moves only when the scripted model is called or waited for. Degenerate inputs: no
queries, a model that counts no tokens, arms that differ.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cmedteb.errors import DataError
from cmedteb.runner.latency import FULL, QUICK, Asked, measure_latency
from cmedteb.runner.latency.clock import SystemClock
from cmedteb.runner.latency.measure import Measured, control_of
from cmedteb.runner.latency.stream import take_turns
from runner.latency_support import SHORT, TEXTS, FakeClock, Scripted, steady


def measured(model: Scripted, **changes: object) -> Measured:
    asked = Asked(model.encode_queries, TEXTS, prompt="find: ", tokens=lambda: model.tokens)
    return measure_latency(asked, replace(SHORT, **changes), clock=model.clock)  # type: ignore


def test_a_steady_model() -> None:
    """10 ms a call: the percentiles, the throughput of either batch and the rates follow."""
    found = measured(Scripted(FakeClock(), steady(0.010)))
    stream = found.single_stream
    for percentile in (stream.p50_ms, stream.p95_ms):
        assert [percentile.value, percentile.low, percentile.high] == pytest.approx([10.0] * 3)
    assert (stream.calls, stream.p99_ms, stream.level) == (40, None, 0.95)
    assert stream.seconds == pytest.approx(0.4)
    assert [one.queries_per_second for one in found.offline.sizes] == pytest.approx([100.0, 400.0])
    assert (found.offline.batch, found.offline.queries_per_second) == (4, pytest.approx(400.0))
    assert found.server.batch == 4
    assert found.server.queries_per_second == pytest.approx(0.9 * 400.0)
    assert not found.control.flagged
    assert found.control.difference == pytest.approx(0.0)


def test_the_tail_of_single_calls() -> None:
    """Every tenth call takes 100 ms, the others 10: the 50th percentile is 10, the 95th 100."""
    model = Scripted(FakeClock(), lambda number, _: 0.1 if number % 10 == 0 else 0.01)
    stream = measured(model, calls=1_000).single_stream
    assert stream.calls == 1_000
    assert stream.p50_ms.value == pytest.approx(10.0)
    assert stream.p95_ms.value == pytest.approx(100.0)
    assert stream.p99_ms is not None
    assert stream.p99_ms.value == pytest.approx(100.0)


def test_p99_needs_a_thousand_calls() -> None:
    assert measured(Scripted(FakeClock(), steady(0.01)), calls=990).single_stream.p99_ms is None
    stopped = measured(Scripted(FakeClock(), steady(0.1)), calls=1_000, seconds=60.0)
    assert stopped.single_stream.calls < 1_000
    assert stopped.single_stream.p99_ms is None


def test_queries_are_those_of_the_task_with_their_prompt() -> None:
    model = Scripted(FakeClock(), steady(0.001))
    queries = measured(model).queries
    assert {text for call in model.calls for text in call} <= set(TEXTS)
    asked = [text for call in model.calls[21:61] for text in call]
    assert (queries.distinct, queries.asked) == (40, len(set(asked)))
    assert queries.prompt == "find: "
    assert queries.characters == queries.tokens, "the scripted model counts characters"
    assert queries.tokens is not None
    assert queries.tokens[1] == max(map(len, TEXTS))
    assert queries.tokens[0] == np.median(
        [len(text) for call in model.calls[21:61] for text in call]
    )


def test_a_model_that_counts_no_tokens() -> None:
    model = Scripted(FakeClock(), steady(0.001))
    found = measure_latency(Asked(model.encode_queries, TEXTS), SHORT, clock=model.clock)
    assert found.queries.tokens is None
    assert found.queries.prompt is None


def test_everything_is_repeatable() -> None:
    """The same seed asks the same queries at the same moments; another one does not."""
    first, second, other = (Scripted(FakeClock(), steady(0.002)) for _ in range(3))
    assert measured(first) == measured(second)
    assert first.calls == second.calls
    measured(other, seed=1)
    assert other.calls != first.calls


def test_batches_that_alone_would_break_the_limit_are_not_served() -> None:
    """20 ms a text: four a call take 80 ms and are best for throughput, but not for arrivals."""
    model = Scripted(FakeClock(), lambda _, texts: 0.019 * len(texts) + 0.001)
    found = measured(model)
    assert found.offline.batch == 4
    assert found.server.batch == 1
    assert 0 < found.server.queries_per_second < 50.0


def test_a_control_arm_that_differs_is_flagged() -> None:
    """The second arm is 10 % slower: two things that are not the same model."""
    clock = FakeClock()
    arms = [Scripted(clock, steady(seconds)).bench for seconds in (0.010, 0.011)]
    found = control_of(take_turns(arms, iter(TEXTS * 9), SHORT), SHORT)
    assert found.difference == pytest.approx(0.1)
    assert found.flagged
    assert (found.first_p50_ms, found.second_p50_ms) == pytest.approx((10.0, 11.0))
    alike = [Scripted(clock, steady(seconds)).bench for seconds in (0.010, 0.0104)]
    assert not control_of(take_turns(alike, iter(TEXTS * 9), SHORT), SHORT).flagged


def test_a_machine_that_is_disturbed_in_turns_is_flagged() -> None:
    """What slows one arm's blocks and spares the other's shows in the control."""
    model = Scripted(FakeClock(), lambda number, _: 0.02 if number % 7 == 0 else 0.01)
    assert not measured(model).control.flagged, "a disturbance that meets both moves neither"
    model = Scripted(FakeClock(), lambda number, _: 0.02 if (number - 16) % 20 >= 10 else 0.01)
    assert measured(model).control.flagged


def test_no_queries(tmp_path: object) -> None:
    with pytest.raises(DataError, match="no queries"):
        measure_latency(Asked(lambda _: None, []), SHORT, clock=FakeClock())


def test_each_part_is_told_before_it_begins() -> None:
    told: list[tuple[str, int]] = []
    model = Scripted(FakeClock(), steady(0.001))
    asked = Asked(model.encode_queries, TEXTS)
    measure_latency(
        asked, SHORT, clock=model.clock, tell=lambda part: told.append((part, len(model.calls)))
    )
    assert [part for part, _ in told] == [
        "warming up",
        "one query at a time",
        "all queries at once",
        "random arrivals",
    ]
    assert [calls for _, calls in told][:3] == [0, 21, 61]


def test_the_device_is_idle_before_and_after_each_call() -> None:
    """Work that runs on after a call has returned counts for that call."""
    clock = FakeClock()
    pending = [0.0]

    def answer(texts: object) -> None:
        clock.time += 0.001
        pending[0] += 0.009

    def synchronise() -> None:
        clock.time += pending[0]
        pending[0] = 0.0

    asked = Asked(answer, TEXTS, synchronise=synchronise)
    found = measure_latency(asked, SHORT, clock=clock)
    assert found.single_stream.p50_ms.value == pytest.approx(10.0)
    assert found.warm_up.first_call_ms == pytest.approx(10.0)
    assert found.offline.sizes[0].queries_per_second == pytest.approx(100.0)


def test_the_constants_of_the_protocol() -> None:
    assert (FULL.calls, FULL.seconds, FULL.warm_calls) == (1_000, 60.0, 20)
    assert (FULL.settled, FULL.alike, FULL.limit) == (0.05, 0.05, 0.050)
    assert QUICK.quick
    assert not FULL.quick
    assert QUICK.longest < FULL.longest / 5
    # 30 warm, 60 alone, 5 x 5 in batches, 6 rates of at most 30, 10 of searching
    assert FULL.longest == pytest.approx(30 + 60 + 25 + 180 + 10)


def test_the_clock_of_this_machine_waits_long_enough() -> None:
    clock = SystemClock()
    moment = clock.now() + 0.003
    clock.wait_until(moment)
    assert clock.now() >= moment
    clock.wait_until(-math.inf)
