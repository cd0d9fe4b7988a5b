"""One queue over a column, several workers that take chunks from it, and what becomes of failures.

Who the workers are is a `Crew`'s business: processes of this machine, or Ray actors anywhere. A
worker that dies loses the chunk it was at, which goes back to the front of the queue, and is
replaced; a chunk that kills three workers is an error that names its texts. An error in the model
is raised once, after what is under way has come back. Nothing here knows a model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, Self

from cmedteb.encoding.pipeline import Encoded, Source
from cmedteb.encoding.workers.chunks import CHUNK_TEXTS, Chunk, Plan, chunks
from cmedteb.encoding.workers.messages import Died, Done, Event, Failed, Job, Ready, raised
from cmedteb.errors import CmedtebError, ModelError

if TYPE_CHECKING:
    import pyarrow as pa

# The next chunk lies at the worker before it has finished one, so that it never waits for us.
AHEAD = 2
DEATHS = 3


class Crew(Protocol):
    """Workers by number, 0 to `size` - 1, and the way to talk to them.

    After `hire`, a `Ready`, `Failed` or `Died` of that worker follows; after `send`, a `Done`,
    `Failed` or `Died`. Nothing follows a `Died` before the next `hire`.
    """

    @property
    def size(self) -> int:
        """How many workers there are to be."""
        ...

    def hire(self, worker: int) -> None:
        """Start a worker."""
        ...

    def send(self, worker: int, job: Job) -> None:
        """Give a worker a job; it does them one after the other."""
        ...

    def wait(self) -> list[tuple[int, Event]]:
        """What has happened since; waits until something has."""
        ...

    def place(self, worker: int) -> str:
        """Where a worker runs, for people."""
        ...

    def close(self) -> None:
        """End all workers, whatever they are doing; they are gone when this returns."""
        ...


@dataclass(slots=True, eq=False)
class _Task:
    """A job on its way through the pool; of a chunk without batches, a question."""

    number: int
    ask: Any
    chunk: Chunk


class _Column:
    """The tasks of one column: those to come, those that came back, those that are under way."""

    def __init__(self, tasks: Iterable[_Task]) -> None:
        self._next = iter(tasks)
        self._back: deque[_Task] = deque()
        self._open: set[int] = set()
        self._ended = False

    def take(self) -> _Task | None:
        """The next to be done; None after the last."""
        task = self._back.popleft() if self._back else next(self._next, None)
        if task is not None:
            self._open.add(task.number)
        else:
            self._ended = True
        return task

    def put_back(self, tasks: Sequence[_Task]) -> None:
        """What was under way and was lost is done first."""
        self._back.extendleft(reversed(tasks))
        self._open.difference_update(task.number for task in tasks)

    def done(self, task: _Task) -> bool:
        """Whether it belonged here and was still open."""
        mine = task.number in self._open
        self._open.discard(task.number)
        return mine

    def has(self, task: _Task) -> bool:
        """Whether it is under way for this column."""
        return task.number in self._open

    @property
    def finished(self) -> bool:
        """Whether all are answered."""
        return self._ended and not self._back and not self._open

    @property
    def under_way(self) -> bool:
        """Whether answers are still to come."""
        return bool(self._open)


class Workers:
    """Workers that stay over tasks and sides; they start when they are first needed.

    Args:
        crew: who they are.
        model: its name, for messages.
        chunk_texts: the most texts of a chunk.

    Attributes:
        tokens: counted by all workers so far; None where nobody counts.
        replaced: workers that died and were replaced.
    """

    def __init__(self, crew: Crew, *, model: str, chunk_texts: int = CHUNK_TEXTS) -> None:
        self.tokens: int | None = None
        self.replaced = 0
        self._crew = crew
        self._model = model
        self._chunk_texts = chunk_texts
        self._numbers = count()
        self._busy: dict[int, deque[_Task]] = {}
        self._starting: dict[int, bool] = {}
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        self._crew.close()
        self._busy.clear()
        self._starting.clear()
        self._started = False

    def describe(self, ask: Any) -> Any:  # noqa: ANN401  the caller's own values
        """What a bench says of the model.

        Raises:
            CmedtebError: as the bench raised it; a ModelError for what foreign code raised.
        """
        question = _Task(next(self._numbers), ask, Chunk([]))
        return next(done.described for done in list(self._through(_Column([question]))))

    def source(self, ask: Any, plan: Plan) -> Source:  # noqa: ANN401  the caller's own value
        """A source for `encode_distinct`, by one plan for all workers.

        Args:
            ask: what the bench is to encode with.
            plan: which texts share a forward pass.
        """

        def source(texts: pa.ChunkedArray) -> Iterator[Encoded]:
            made = chunks(
                plan(texts), texts=len(texts), workers=self._crew.size, most=self._chunk_texts
            )
            tasks = (_Task(next(self._numbers), ask, chunk) for chunk in made)
            for done in self._through(_Column(tasks)):
                yield from done.vectors

        return source

    def _through(self, column: _Column) -> Iterator[Done]:
        """The answers to all tasks, in the order in which they come."""
        failure = self._start()
        while True:
            if failure is None:
                self._feed(column)
            if column.finished or (failure is not None and not column.under_way):
                break
            answered: list[Done] = []
            for worker, event in self._crew.wait():
                if isinstance(event, Done):
                    task = self._taken(worker, event.number)
                    if task is not None and column.done(task):
                        self._count(event)
                        answered.append(event)
                else:
                    error = self._happened(worker, event, column)
                    failure = failure or error
            if failure is None:
                self._feed(column)
            yield from answered
        if failure is not None:
            raise failure

    def _start(self) -> CmedtebError | None:
        if not self._started:
            self._started = True
            for worker in range(self._crew.size):
                self._hire(worker, again=False)
        return self._nobody_left()

    def _hire(self, worker: int, *, again: bool) -> None:
        self._starting[worker] = again
        self._crew.hire(worker)

    def _nobody_left(self) -> CmedtebError | None:
        if self._busy or self._starting:
            return None
        return ModelError(
            f"{self._model}: no worker is left. Run again: what was encoded may be kept."
        )

    def _feed(self, column: _Column) -> None:
        """Give the next tasks to those who have least to do."""
        while self._busy:
            worker = min(self._busy, key=lambda one: (len(self._busy[one]), one))
            if len(self._busy[worker]) >= AHEAD or (task := column.take()) is None:
                return
            self._busy[worker].append(task)
            self._crew.send(worker, Job(task.number, task.ask, tuple(task.chunk.batches)))

    def _taken(self, worker: int, number: int | None) -> _Task | None:
        """The task that an answer belongs to; it may be of a column that was given up."""
        tasks = self._busy.get(worker, deque())
        found = next((task for task in tasks if task.number == number), None)
        if found is not None:
            tasks.remove(found)
        return found

    def _count(self, done: Done) -> None:
        if done.tokens is not None:
            self.tokens = (self.tokens or 0) + done.tokens

    def _happened(
        self, worker: int, event: Ready | Failed | Died, column: _Column
    ) -> CmedtebError | None:
        """Take note of what is no answer; returns an error that ends the column."""
        if isinstance(event, Ready):
            del self._starting[worker]
            self._busy[worker] = deque()
            return None
        if worker in self._starting:
            return self._not_started(worker, event)
        if worker not in self._busy:
            return None  # it ends after it has told why it cannot start
        if isinstance(event, Failed):
            task = self._taken(worker, event.number)
            if task is None or not column.done(task):
                return None
            return raised(event, model=self._model, place=self._crew.place(worker))
        return self._died(worker, event, column)

    def _not_started(self, worker: int, event: Failed | Died) -> CmedtebError | None:
        """What it says is an error, unless it stands in for one that could; a death is tried again.

        Either way the others go on without it, if there are any.
        """
        again = self._starting.pop(worker)
        if again and (self._busy or self._starting):
            return None
        if isinstance(event, Died) and not again and self._busy:
            self.replaced += 1
            self._hire(worker, again=True)
            return None
        place = self._crew.place(worker)
        if isinstance(event, Failed):
            return raised(event, model=self._model, place=place)
        return ModelError(
            f"{self._model}: the worker on {place} died while it was loading the model "
            f"({event.how}). Is the memory enough for so many copies? Ask for fewer with "
            "--devices. A script of your own that starts workers needs `if __name__ == "
            "'__main__':` around what it does."
        )

    def _died(self, worker: int, event: Died, column: _Column) -> CmedtebError | None:
        """Put back what it had, and start another in its place."""
        lost = [task for task in self._busy.pop(worker) if column.has(task)]
        place = self._crew.place(worker)
        column.put_back(lost)
        self.replaced += 1
        self._hire(worker, again=True)
        if not lost:
            return None
        lost[0].chunk.deaths += 1
        if lost[0].chunk.deaths < DEATHS:
            return None
        return ModelError(
            f"{self._model}: {DEATHS} workers died, one after the other, of {_named(lost[0])}; "
            f"the last on {place} ({event.how}). Try a smaller --batch-tokens, or look at those "
            "texts."
        )


def _named(task: _Task) -> str:
    rows = task.chunk.rows
    if not len(rows):
        return f"the question {task.ask!r}"
    return (
        f"the same chunk of {len(rows)} texts in {len(task.chunk.batches)} batches, of which the "
        f"first begins with text {rows[0]}"
    )
