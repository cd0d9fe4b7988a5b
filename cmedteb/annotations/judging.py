"""Lets a panel judge a pool: several judges side by side, each with workers of its own.

Ctrl-C, a used-up budget and an error of ours stop everybody: nothing new is sent, what is in flight
is waited for and kept. A judge that can no longer work (no money, no key, a server that is down)
stops alone, and the others go on; its error is raised at the end. With a cascade a pair goes to the
next judge only while unanimity is still possible.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from cmedteb.annotations.asking import Asker
from cmedteb.annotations.canaries import Question as Texts
from cmedteb.annotations.dispatch import Dispatch, Queue
from cmedteb.annotations.panel import Structure
from cmedteb.annotations.questions import Asked, Question
from cmedteb.annotations.records import State
from cmedteb.endpoints import BudgetError, Stop, Stopped
from cmedteb.errors import CmedtebError, ModelError, NotAvailableError, UsageError

POLL_S = 0.2
MOST_FAILED = 5  # in a row: the judge is down

Progress = Callable[["Sequence[Tally]"], None]


class Tally(NamedTuple):
    """How far one judge is.

    Attributes:
        judge: its label.
        total: questions to it, as far as they are known.
        settled: of these, with an answer that stands, earlier runs included.
        states: how those of this run ended.
        stopped: why it stopped alone.
    """

    judge: str
    total: int
    settled: int
    states: Mapping[State, int]
    stopped: str | None


@dataclass
class _Line:
    """One judge at work."""

    asker: Asker
    queue: Queue
    in_flight: int = 0
    states: Counter[State] = field(default_factory=Counter)
    failed_in_a_row: int = 0
    error: BaseException | None = None
    structure: Structure = Structure.TEXT

    def tally(self) -> Tally:
        told = None if self.error is None else str(self.error)
        queue = self.queue
        return Tally(queue.judge, queue.total, queue.settled, dict(self.states), told)


class Judging:
    """One run of a panel over a pool.

    Args:
        dispatch: who is to be asked what.
        askers: one for each judge of the panel, in its order.
    """

    def __init__(self, dispatch: Dispatch, askers: Sequence[Asker]) -> None:
        self.stop = Stop()
        self._dispatch = dispatch
        self._lines = [
            _Line(asker, queue) for asker, queue in zip(askers, dispatch.queues, strict=True)
        ]
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._fatal: BaseException | None = None

    def tallies(self) -> tuple[Tally, ...]:
        """How far each judge is."""
        with self._changed:
            return tuple(line.tally() for line in self._lines)

    def run(self, probe: Texts, progress: Progress | None = None) -> tuple[Tally, ...]:
        """Judge until nothing is left to ask.

        Args:
            probe: what a judge is tried with before its first question.
            progress: told now and then how far it is.

        Raises:
            KeyboardInterrupt: after what was in flight has come; a second one does not wait.
            CmedtebError: why judging stopped, or why a judge stopped alone.
        """
        for number, line in enumerate(self._lines):
            if line.queue.left or self._dispatch.cascading:
                self._start(self._open, line, number, probe)
        tell = progress or _nobody
        interrupted = False
        while any(thread.is_alive() for thread in list(self._threads)):
            try:
                with self._changed:
                    self._changed.wait(POLL_S)
                tell(self.tallies())
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                self._halt()
        tell(self.tallies())
        self._raise(interrupted=interrupted)
        return self.tallies()

    def _raise(self, *, interrupted: bool) -> None:
        if self._fatal is not None:
            raise self._fatal
        if interrupted:
            raise KeyboardInterrupt
        for line in self._lines:
            if line.error is not None:
                raise line.error

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open(self, line: _Line, number: int, probe: Texts) -> None:
        """Find out how this judge answers, then set its workers to work."""
        with self._ending(line):
            with self._changed:
                while not self.stop.is_set() and not line.queue.ready and not self._over(number):
                    self._changed.wait(POLL_S)
                nothing = not line.queue.ready and not line.queue.last
            if self.stop.is_set() or nothing:
                return
            line.structure = line.asker.find_structure(probe, self.stop)
            workers = line.asker.judge.concurrency
            if not self._dispatch.cascading:
                workers = min(workers, line.queue.left)
            for _ in range(workers):
                self._start(self._work, line, number)

    def _work(self, line: _Line, number: int) -> None:
        with self._ending(line):
            while (question := self._next(line, number)) is not None:
                asked = None
                try:
                    asked = self._ask(line, question)
                finally:
                    with self._changed:  # at once: between the two, a later judge would go home
                        line.in_flight -= 1
                        if asked is not None:
                            line.states[asked.last] += 1
                            self._dispatch.note(number, question, asked)
                        self._changed.notify_all()

    def _next(self, line: _Line, number: int) -> Question | None:
        """The next question to a judge; waits while an earlier judge may still hand one on."""
        with self._changed:
            while not self.stop.is_set() and line.error is None:
                if line.queue.ready:
                    line.in_flight += 1
                    return line.queue.ready.popleft()
                if self._over(number):
                    if not line.queue.last:
                        return None
                    line.in_flight += 1
                    return line.queue.last.popleft()
                self._changed.wait(POLL_S)
        return None

    def _over(self, number: int) -> bool:
        """Whether no earlier judge can hand on a question any more."""
        earlier = self._lines[:number] if self._dispatch.cascading else []
        busy = any(line.error is None and (line.queue.ready or line.in_flight) for line in earlier)
        return not busy

    def _ask(self, line: _Line, question: Question) -> Asked:
        before = self._dispatch.before(line.queue, question)
        try:
            asked = line.asker.ask(question, line.structure, self.stop, before=before)
        except (Stopped, BudgetError, NotAvailableError, UsageError):
            raise
        except ModelError:
            with self._changed:
                line.failed_in_a_row += 1
                if line.failed_in_a_row >= MOST_FAILED:
                    raise
            return Asked(0 if before is None else before.attempts, State.FAILED, None)
        with self._changed:
            line.failed_in_a_row = 0
        return asked

    def _halt(self, error: BaseException | None = None) -> None:
        """Send nothing new."""
        self.stop.set()
        with self._changed:
            self._fatal = self._fatal or error
            self._changed.notify_all()

    @contextmanager
    def _ending(self, line: _Line) -> Iterator[None]:
        """Whatever ends a thread reaches the one that waits for it."""
        ended = _Ended()
        with ended:
            yield
        error = ended.error
        if error is None or isinstance(error, Stopped):
            return
        alone = isinstance(error, CmedtebError) and not isinstance(error, BudgetError)
        if not alone:
            self._halt(error)
            return
        with self._changed:
            line.error = line.error or error
            self._changed.notify_all()


def _nobody(tallies: Sequence[Tally]) -> None:
    """Nobody wants to know how far it is."""


class _Ended:
    """Keeps what was raised in a block."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        """The block begins."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.error = error
        return True
