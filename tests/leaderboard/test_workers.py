"""Processes that are shared. Run: pytest tests/leaderboard/test_workers.py -q.

Degenerate inputs: nothing to do, an error in a process.
"""

from __future__ import annotations

import os

import pytest

from cmedteb.errors import DataError
from cmedteb.leaderboard.workers import Workers


def at_home(_: int) -> int:
    return os.getpid()


def threads(_: int) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


def refuse(number: int) -> int:
    raise DataError(f"{number} is no good")


def test_what_is_light_stays_here() -> None:
    with Workers() as workers:
        assert list(workers.map(at_home, [1, 2], heavy=False)) == [os.getpid()] * 2
        assert list(workers.map(at_home, [], heavy=False)) == []


def test_what_is_heavy_goes_to_processes_and_then_all_does() -> None:
    with Workers() as workers:
        assert os.getpid() not in workers.map(at_home, [1, 2], heavy=True)
        assert os.getpid() not in workers.map(at_home, [1, 2], heavy=False)
        assert list(workers.map(abs, range(-50, 0), heavy=False)) == list(range(50, 0, -1))
        assert set(workers.map(threads, [1, 2], heavy=True)) == {"1"}
        with pytest.raises(DataError, match="7 is no good"):
            list(workers.map(refuse, [7], heavy=True))
