"""A way of encoding in two halves: the plan, which travels to the parent, and the run, which stays.

`run(plan(texts))` in one process, and the plan in one and the run in many, are the same forward
passes. A plan must be picklable; it holds what it takes to make batches (lengths, or a tokenizer)
and no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.encoding.engine import Engine, TokenPlan
from cmedteb.encoding.pipeline import Encode, Encoded
from cmedteb.encoding.plan import Budget, batches
from cmedteb.encoding.workers.chunks import Plan, Planned

if TYPE_CHECKING:
    import pyarrow as pa

Run = Callable[[Iterable[Planned]], Iterator[Encoded]]


class Split(NamedTuple):
    """The two halves."""

    plan: Plan
    run: Run

    def source(self, texts: pa.ChunkedArray) -> Iterator[Encoded]:
        """Both in this process: a source for `encode_distinct`."""
        return self.run(self.plan(texts))


@dataclass(frozen=True)
class ByLength:
    """The plan by characters; batches are given as texts.

    Attributes:
        budget: characters of one forward pass, padding counted.
        cap: the length at which the model cuts a text, if known.
    """

    budget: int
    cap: int | None = None

    def __call__(self, texts: pa.ChunkedArray) -> Iterator[Planned]:
        """The batches of a column."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
        for rows in batches(lengths, budget=self.budget, cap=self.cap):
            taken = texts.take(rows)
            work = len(rows) * max(1, int(lengths[rows[0]]))
            yield Planned(rows, work, pa.concat_arrays(taken.chunks))


def split_texts(encode: Encode, *, budget: int, cap: int | None = None) -> Split:
    """An encoder of texts, by the plan that `planned` follows in one process."""

    def run(planned: Iterable[Planned]) -> Iterator[Encoded]:
        for rows, _, texts in planned:
            yield Encoded(rows, np.asarray(encode(texts.to_pylist()), dtype=np.float32))

    return Split(ByLength(budget, cap), run)


@dataclass(frozen=True)
class ByTokens:
    """The plan of an engine; batches are given as token ids, tokenised where the plan is followed.

    Attributes:
        tokens: the engine's.
    """

    tokens: TokenPlan

    def __call__(self, texts: pa.ChunkedArray) -> Iterator[Planned]:
        """The batches of a column."""
        for batch in self.tokens(texts):
            yield Planned(batch.rows, batch.ids.size, batch)


def split_engine(engine: Engine, prompt: str = "", *, budget: int | None = None) -> Split:
    """An engine, by its own plan.

    Args:
        engine: of one side.
        prompt: put before each text.
        budget: tokens of one forward pass, padding counted; None lets the engine find it, here
            and now.
    """
    if budget is not None:
        engine = replace(engine, budget=Budget(budget))

    def run(planned: Iterable[Planned]) -> Iterator[Encoded]:
        return engine.run(one.content for one in planned)

    return Split(ByTokens(engine.plan(prompt)), run)
