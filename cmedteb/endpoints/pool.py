"""Runs calls side by side in threads and hands on each answer as it comes.

What was received is always handed on: when a call fails, or at Ctrl-C, no new call begins, those in
flight are waited for and yielded, and then the error is raised. A second Ctrl-C does not wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Stop = threading.Event
POLL_SECONDS = 0.1


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
    taken = 0
    try:
        left = running.start(workers)
        while left:
            try:
                # Read, not removed: an interrupt on the way back from here loses nothing.
                event = running.event(taken)
            except KeyboardInterrupt as interrupt:
                if error is not None:
                    raise
                error = interrupt
                running.stop.set()
                continue
            taken += 1
            left -= event.ended
            if event.failed is not None and not isinstance(event.failed, Stopped):
                error = error or event.failed
            if error is not None:
                running.stop.set()
            yield from event.results
    finally:
        # In-flight calls of a consumer that went away end by themselves; their threads are daemons.
        running.stop.set()
    if error is not None:
        raise error


class _Event(NamedTuple, Generic[Result]):
    """What a worker tells: that it ended, what ended it, what it has got."""

    ended: bool
    failed: BaseException | None
    results: tuple[Result, ...]


class _Running(Generic[Item, Result]):
    """Workers that share an iterator, and the log of what they told."""

    def __init__(self, items: Iterator[Item], call: Callable[[Item, Stop], Result]) -> None:
        self.stop = Stop()
        self._log: deque[_Event[Result]] = deque()
        self._forgotten = 0
        self._told = threading.Condition()
        self._items = items
        self._call = call
        self._lock = threading.Lock()

    def event(self, number: int) -> _Event[Result]:
        """What was told as the so-and-so-manieth; waits for it, and forgets what came before.

        It wakes up now and then, because a library may have had interrupted waits resumed by the
        system (SA_RESTART), and then Ctrl-C would not end a wait.
        """
        with self._told:
            while self._forgotten < number:
                self._log.popleft()
                self._forgotten += 1
            self._told.notify_all()
            while not self._log:
                self._told.wait(POLL_SECONDS)
            return self._log[0]

    def _tell(self, event: _Event[Result]) -> None:
        """Log an event, and wait until it was dealt with before the worker begins anything new.

        So what was received and is not yet kept is at most one result a worker, however slow the
        one who takes them.
        """
        with self._told:
            number = self._forgotten + len(self._log)
            self._log.append(event)
            self._told.notify_all()
            while not event.ended and self._forgotten <= number and not self.stop.is_set():
                self._told.wait(POLL_SECONDS)

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
                self._tell(_Event(False, None, (self._call(item, self.stop),)))

    def __enter__(self) -> None:
        """A worker begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Whatever ended a worker reaches the thread that waits for it."""
        self._tell(_Event(True, error, ()))
        return True


class _End:
    """Stands for the end of the items."""


_END = _End()
