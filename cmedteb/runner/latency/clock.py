"""Time: the clock that everything here reads, and the stopwatch around one call of a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

SPIN = 0.001


class Clock(Protocol):
    """Where the time comes from; a test brings its own."""

    def now(self) -> float:
        """Seconds since any fixed moment."""
        ...

    def wait_until(self, moment: float) -> None:
        """Come back when `now` has reached the moment."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """Sleep, but not through the last millisecond: a sleeper wakes up late."""
        while (left := moment - self.now()) > 0:
            if left > SPIN:
                time.sleep(left - SPIN)


Answer = Callable[[Sequence[str]], object]


def nothing() -> None:
    """Wait for no device: a call on the CPU has ended when it returns."""


@dataclass(frozen=True)
class Bench:
    """A model under a stopwatch.

    Attributes:
        answer: what is timed: one call for these queries.
        clock: where the time comes from.
        synchronise: waits for all work that was given to a device.
    """

    answer: Answer
    clock: Clock
    synchronise: Callable[[], None] = nothing

    def run(self, texts: Sequence[str]) -> None:
        """One call, up to the last of its work on the device."""
        self.answer(texts)
        self.synchronise()

    def seconds(self, texts: Sequence[str]) -> float:
        """How long one call takes; the device is idle before and after."""
        self.synchronise()
        began = self.clock.now()
        self.run(texts)
        return self.clock.now() - began
