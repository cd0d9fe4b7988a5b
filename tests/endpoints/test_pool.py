"""Calls side by side: what was received is handed on, whatever happens to the others.

Run: pytest tests/endpoints/test_pool.py -q.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from cmedteb.endpoints import Stop, Stopped, concurrently


def press_ctrl_c() -> None:
    time.sleep(0.1)  # until the main thread waits for results
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def test_every_result_once() -> None:
    results = list(concurrently(range(100), lambda item, _: item * 2, workers=7))
    assert sorted(results) == [2 * item for item in range(100)]


def test_nothing_to_do() -> None:
    assert list(concurrently([], lambda item, _: item, workers=3)) == []
    assert list(concurrently([], lambda item, _: item, workers=0)) == []


def test_results_come_as_calls_end() -> None:
    def call(seconds: float, _: Stop) -> float:
        time.sleep(seconds)
        return seconds

    assert list(concurrently([0.3, 0.0, 0.1], call, workers=3)) == [0.0, 0.1, 0.3]


def test_calls_run_side_by_side() -> None:
    together = threading.Barrier(4)
    assert len(list(concurrently(range(4), lambda _, __: together.wait(5), workers=4))) == 4


def test_a_failure_ends_the_others_after_they_were_received() -> None:
    begun = []

    def call(item: int, _: Stop) -> int:
        begun.append(item)
        if item == 0:
            raise ValueError("the first fails")
        time.sleep(0.2)
        return item

    received: list[int] = []
    with pytest.raises(ValueError, match="the first fails"):
        _kept(concurrently(range(100), call, workers=4), received)
    assert sorted(received) == sorted(set(begun) - {0})
    assert len(begun) < 10


def _kept(results: Iterator[int], received: list[int]) -> None:
    """Take results one by one, so that those before an error stay."""
    for result in results:
        received.append(result)  # noqa: PERF402  `extend` is the same, and less plain here


def test_calls_that_were_stopped_are_no_error() -> None:
    def call(item: int, stop: Stop) -> int:
        if item == 0:
            stop.set()
            return item
        if stop.wait(5):
            raise Stopped
        return item

    assert list(concurrently(range(50), call, workers=4)) == [0]


@pytest.fixture(params=[True, False], ids=["interrupts waits", "waits are resumed"])
def interrupting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether a signal ends a wait of the system; some libraries switch that off."""
    signal.siginterrupt(signal.SIGINT, request.param)
    yield
    signal.siginterrupt(signal.SIGINT, True)


@pytest.mark.usefixtures("interrupting")
def test_ctrl_c_waits_for_what_is_in_flight_and_begins_nothing_new() -> None:
    begun = []

    def call(item: int, _: Stop) -> int:
        begun.append(item)
        if item == 3:
            press_ctrl_c()
        time.sleep(0.3)
        return item

    received: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        _kept(concurrently(range(1000), call, workers=4), received)
    assert sorted(received) == sorted(begun)
    assert len(begun) <= 8


@pytest.mark.usefixtures("interrupting")
def test_a_second_ctrl_c_does_not_wait() -> None:
    seen, ended = threading.Event(), []

    def call(item: int, stop: Stop) -> int:
        if item == 0:
            press_ctrl_c()
            assert stop.wait(5)
            press_ctrl_c()
        seen.wait(20)
        ended.append(item)
        return item

    with pytest.raises(KeyboardInterrupt):
        list(concurrently(range(4), call, workers=4))
    assert ended == []
    seen.set()


def test_a_consumer_that_leaves_stops_the_workers() -> None:
    stopped = threading.Event()

    def call(item: int, stop: Stop) -> int:
        if item == 0:
            return item
        if stop.wait(5):
            stopped.set()
        return item

    results = concurrently(range(10), call, workers=2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert stopped.wait(2)
