"""The processes that a build or a check shares: one a core, started once it pays.

What is spread is a function of a module and plain values; answers come in the order of the
questions and are the same wherever they are computed. An error in a process is raised here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Self, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class Workers:
    """No process until something heavy comes; all end with the `with` statement."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(
        self, do: Callable[[Question], Answer], questions: Sequence[Question], *, heavy: bool
    ) -> Iterator[Answer]:
        """The answer to every question, in order.

        Args:
            do: a function of a module.
            questions: its arguments; the longest first keeps all processes busy to the end.
            heavy: they take longer than starting processes does.
        """
        if heavy and self._pool is None:
            # Spawned, since a fork of a process with threads may hang.
            self._pool = ProcessPoolExecutor(
                mp_context=get_context("spawn"), initializer=_without_threads
            )
        return map(do, questions) if self._pool is None else self._pool.map(do, questions)


def _without_threads() -> None:
    """Every core has its process: libraries that numpy loads later shall not start more."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))
