"""Runs calls side by side in threads and hands on each answer as it comes.

What was received is always handed on: when a call fails, or at Ctrl-C, no new call begins, those in
flight are waited for and yielded, and then the error is raised. A second Ctrl-C does not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Stop = threading.Event


class Stopped(Exception):  # noqa: N818  a signal inside this room, no error
    """A call was given up before it was sent, because the others are being stopped."""


def concurrently(
    items: Iterable[Item], call: Callable[[Item, Stop], Result], *, workers: int
) -> Iterator[Result]:
    """The results of calls, in the order in which they end.

    Args:
        items: what to call with; taken one by one, as workers become free.
        call: does the work; its second argument is set when no request may be sent any more, and
            is what `Endpoint` methods take as `stop`.
        workers: the most calls at a time.

    Raises:
        BaseException: what the first failing call raised, after all results were yielded.
        KeyboardInterrupt: likewise.
    """
    running = _Running(iter(items), call)
    error: BaseException | None = None
    try:
        left = running.start(workers)
        while left:
            try:
                ended, failed, results = running.ends.get()
            except KeyboardInterrupt as interrupt:
                if error is not None:
                    raise
                error, ended, failed, results = interrupt, 0, None, ()
            left -= ended
            if failed is not None and not isinstance(failed, Stopped):
                error = error or failed
            if error is not None:
                running.stop.set()
            yield from results
    finally:
        # In-flight calls of a consumer that went away end by themselves; their threads are daemons.
        running.stop.set()
    if error is not None:
        raise error


class _Running(Generic[Item, Result]):
    """Workers that share an iterator and a queue of (workers ended, error, results)."""

    def __init__(self, items: Iterator[Item], call: Callable[[Item, Stop], Result]) -> None:
        self.stop = Stop()
        self.ends: SimpleQueue[tuple[int, BaseException | None, tuple[Result, ...]]] = SimpleQueue()
        self._items = items
        self._call = call
        self._lock = threading.Lock()

    def start(self, workers: int) -> int:
        """Start the threads; returns how many."""
        for number in range(workers):
            name = f"cmedteb-call-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        return workers

    def _work(self) -> None:
        with self:
            while not self.stop.is_set():
                with self._lock:
                    item = next(self._items, _END)
                if isinstance(item, _End):
                    return
                self.ends.put((0, None, (self._call(item, self.stop),)))

    def __enter__(self) -> None:
        """A worker begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Whatever ended a worker reaches the thread that waits for it."""
        self.ends.put((1, error, ()))
        return True


class _End:
    """Stands for the end of the items."""


_END = _End()
