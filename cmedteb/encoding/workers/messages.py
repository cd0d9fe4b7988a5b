"""What a pool and its workers say to each other. Plain values, so that any channel carries them.

A worker answers every job once, with `Done` or `Failed`; that it died is what the channel says.
Exceptions do not travel: they are told as text with the name of cmedteb's class, since those of
foreign code need not survive pickling.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from cmedteb.encoding.pipeline import Encoded
from cmedteb.encoding.workers.chunks import Planned
from cmedteb.errors import (
    CheckError,
    CmedtebError,
    DataError,
    ModelError,
    NotAvailableError,
    ScoreError,
    UsageError,
)

TAIL = 12
TOLD = {
    kind.__name__: kind
    for kind in (CheckError, DataError, ModelError, NotAvailableError, ScoreError, UsageError)
}


class Bench(Protocol):
    """A loaded model in a worker: what the caller of a pool provides.

    What is asked for (`ask`) is the caller's own picklable value: a task and a side, say.
    """

    @property
    def tokens(self) -> int | None:
        """Tokens encoded so far; None where nobody counts them."""
        ...

    def describe(self, ask: Any) -> Any:  # noqa: ANN401  the caller's own value
        """A picklable value about the model."""
        ...

    def encode(self, ask: Any, batches: Sequence[Planned]) -> Iterable[Encoded]:  # noqa: ANN401
        """The vectors of whole batches, by their rows; which texts share one is decided already."""
        ...


Open = Callable[[str], Bench]


class Job(NamedTuple):
    """Batches to encode, or, without any, something to be described.

    Attributes:
        number: says which job an answer belongs to.
        ask: what to do, as the bench knows it.
        batches: of the plan.
    """

    number: int
    ask: Any
    batches: tuple[Planned, ...] = ()


class Done(NamedTuple):
    """The answer to a job: vectors with their rows, or a description."""

    number: int
    vectors: tuple[Encoded, ...] = ()
    described: Any = None
    tokens: int | None = None


class Failed(NamedTuple):
    """A job, or loading the model (no number), raised an error.

    Attributes:
        number: of the job.
        kind: the class of `cmedteb.errors` it was; empty for foreign code's.
        text: what it said.
        tail: the last lines of the worker's traceback.
    """

    number: int | None
    kind: str
    text: str
    tail: str


class Ready(NamedTuple):
    """The model is loaded."""


class Died(NamedTuple):
    """The worker is gone; `how` says what is known of it."""

    how: str


Event = Ready | Done | Failed | Died


class Caught:
    """Holds what was raised under it. An interrupt and an exit stay what they are."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.error = error
            return True
        return False


def failed(error: Exception, number: int | None) -> Failed:
    """An error as a message."""
    kind = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in TOLD), "")
    text = str(error) if kind else f"{type(error).__name__}: {error}".rstrip(". ")
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failed(number, kind, text, "\n".join(lines[-TAIL:]))


def raised(failure: Failed, *, model: str, place: str) -> CmedtebError:
    """The message as an error: cmedteb's own as it was, any other as the model's failure."""
    if failure.kind:
        return TOLD[failure.kind](failure.text)
    doing = "could not be loaded" if failure.number is None else "failed"
    smaller = failure.number is not None and "memory" in failure.text.lower()
    hint = " Try a smaller --batch-tokens." if smaller else ""
    return ModelError(
        f"{model} {doing} on {place}: {failure.text}.{hint} The end of the worker's traceback:\n"
        f"{failure.tail}"
    )
