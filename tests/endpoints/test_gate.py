"""The gate, by a clock that the test turns.

Run: pytest tests/endpoints/test_gate.py -q.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cmedteb.endpoints.gate import LONGEST_PAUSE_S, WINDOW_S, Gate, Permit


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def entered(gate: Gate, tokens: int = 1) -> Permit:
    permit = gate.try_enter(tokens)
    assert isinstance(permit, Permit), permit
    return permit


def waits(gate: Gate, tokens: int = 1) -> float:
    wait = gate.try_enter(tokens)
    assert isinstance(wait, float)
    return wait


def test_it_widens_with_each_success_until_the_first_rejection() -> None:
    clock = Clock()
    gate = Gate(most=6, start=2, clock=clock)
    first, second = entered(gate), entered(gate)
    assert waits(gate) > 0
    gate.succeeded(first, 1)
    gate.succeeded(second, 1)
    permits = [entered(gate) for _ in range(4)]
    assert waits(gate) > 0
    for permit in permits:
        gate.succeeded(permit, 1)
    assert gate.width == 6


def test_after_a_rejection_it_is_half_as_wide_and_grows_by_one_a_round() -> None:
    clock = Clock()
    gate = Gate(most=8, start=8, clock=clock)
    permits = [entered(gate) for _ in range(8)]
    gate.rejected(permits[0], None)
    assert gate.width == 4
    for permit in permits[1:]:
        gate.rejected(permit, None)
    assert gate.width == 4, "eight rejections of one moment are one"
    assert gate.rejections == 8
    clock.now += 2
    for _ in range(4):
        gate.succeeded(entered(gate), 1)
    assert 4.8 < gate.width < 5.1


def test_the_way_back_slows_down_near_the_width_that_was_too_much() -> None:
    clock = Clock()
    gate = Gate(most=100, start=20, clock=clock)
    gate.rejected(entered(gate), 0.0)
    assert gate.width == 10
    clock.now += 1
    rounds = 0
    while gate.width < 19:
        for _ in range(int(gate.width)):
            gate.succeeded(entered(gate), 1)
        rounds += 1
    assert 20 < rounds < 30, "six rounds to 16, and five for each request in flight after that"
    clock.now += 1
    gate.rejected(entered(gate), 0.0)
    assert 15 < gate.width < 16, "a fifth less"
    clock.now += 1
    for _ in range(3000):
        gate.succeeded(entered(gate), 1)
    assert gate.width > 50, "and a server that can do more now is found out"


def test_a_rejection_pauses_everybody_for_as_long_as_the_server_asks() -> None:
    clock = Clock()
    gate = Gate(most=8, clock=clock)
    gate.rejected(entered(gate), 7.0)
    assert waits(gate) == 7.0
    clock.now += 6.9
    assert waits(gate) > 0
    clock.now += 0.2
    entered(gate)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock = Clock()
    gate = Gate(most=8, clock=clock)
    first, second = entered(gate), entered(gate)
    gate.rejected(first, 30.0)
    gate.rejected(second, 1.0)
    assert waits(gate) == 30.0


def test_pauses_that_nobody_measured_double_up_to_a_minute() -> None:
    clock = Clock()
    gate = Gate(most=8, clock=clock)
    pauses = []
    for _ in range(9):
        gate.rejected(entered(gate), None)
        pauses.append(round(waits(gate), 6))
        clock.now += pauses[-1]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    gate.succeeded(entered(gate), 1)
    gate.rejected(entered(gate), None)
    assert round(waits(gate), 6) == 0.5


def test_requests_in_any_minute() -> None:
    clock = Clock()
    gate = Gate(most=100, start=100, requests_per_minute=10, clock=clock)
    sent: list[float] = []
    while len(sent) < 35:
        permit = gate.try_enter(1)
        if isinstance(permit, Permit):
            sent.append(clock.now)
            gate.succeeded(permit, 1)
            clock.now += 0.7
        else:
            clock.now += permit
    for start in sent:
        assert sum(start <= at < start + 60 for at in sent) <= 10


def test_tokens_in_any_minute_are_those_that_the_answers_tell() -> None:
    clock = Clock()
    gate = Gate(most=100, start=100, tokens_per_minute=1000, clock=clock)
    permit = entered(gate, 900)
    assert waits(gate, 200) == WINDOW_S
    gate.succeeded(permit, 300)
    gate.succeeded(entered(gate, 200), 600)
    assert waits(gate, 200) > 0
    clock.now += WINDOW_S
    entered(gate, 1000)


def test_what_is_settled_after_its_minute_counts_no_more() -> None:
    clock = Clock()
    gate = Gate(most=100, start=100, tokens_per_minute=1000, clock=clock)
    slow = entered(gate, 900)
    clock.now += WINDOW_S
    other = entered(gate, 100)
    gate.succeeded(slow, 5000)
    gate.succeeded(other, 100)
    entered(gate, 900)


def test_a_request_larger_than_a_minute_allows_goes_alone() -> None:
    gate = Gate(most=100, tokens_per_minute=1000, clock=Clock())
    entered(gate, 5000)
    assert waits(gate, 1) > 0


def test_waiting_ends_when_it_is_stopped() -> None:
    gate = Gate(most=1, start=1)
    entered(gate)
    stopped = threading.Event()
    ended = threading.Event()

    def wait() -> None:
        assert gate.enter(1, stopped.is_set) is None
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not ended.wait(0.1)
    stopped.set()
    assert ended.wait(2)


def test_no_more_in_flight_than_allowed_with_many_threads() -> None:
    gate = Gate(most=3, start=3)
    lock = threading.Lock()
    now, most = 0, 0

    def work() -> None:
        nonlocal now, most
        for _ in range(50):
            permit = gate.enter(1)
            assert permit is not None
            with lock:
                now += 1
                most = max(most, now)
            with lock:
                now -= 1
            gate.succeeded(permit, 1)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
    assert gate.in_flight == 0
