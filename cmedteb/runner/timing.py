"""The clock of a task: named phases with wall times, as mteb records them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Measured(NamedTuple):
    """One phase; `start` and `end` in seconds since the epoch."""

    name: str
    start: float
    end: float


@dataclass
class Phases:
    """Phases in the order they ended."""

    done: list[Measured] = field(default_factory=list)

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure the body, also when it fails."""
        started, clock = time.time(), time.perf_counter()
        try:
            yield
        finally:
            self.done.append(Measured(name, started, started + time.perf_counter() - clock))
