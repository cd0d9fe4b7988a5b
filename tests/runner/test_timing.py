"""The clock of a task. Run: pytest tests/runner/test_timing.py."""

from __future__ import annotations

import time

import pytest

from cmedteb.runner.timing import Phases


def test_phases_in_order_with_wall_times() -> None:
    phases, before = Phases(), time.time()
    with phases.measured("load"):
        time.sleep(0.02)
    with phases.measured("encode"):
        pass
    first, second = phases.done
    assert (first.name, second.name) == ("load", "encode")
    assert first.end - first.start >= 0.02
    assert before <= first.start <= second.start <= time.time()


def test_a_phase_that_fails_is_measured() -> None:
    phases = Phases()
    with pytest.raises(KeyError), phases.measured("encode"):
        raise KeyError
    assert [phase.name for phase in phases.done] == ["encode"]
