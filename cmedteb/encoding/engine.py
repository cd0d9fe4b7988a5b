"""Encodes a column with a local network: tokenise ahead, batch by tokens, keep the device busy.

One plan over the token counts of all texts says which of them share a forward pass, so that the
vectors do not depend on who runs which batch. A plan can be made in one process (`TokenPlan`) and
run in others (`Engine.run`). What the network is and how vectors are pooled is the caller's:
nothing here knows a library of models.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.encoding.lanes import Collect, Forward, Ids, Lane, out_of_memory
from cmedteb.encoding.pipeline import Encoded, Source
from cmedteb.encoding.plan import Budget, batches, length_classes
from cmedteb.encoding.tokens import Ragged, Tokenise, in_blocks, read_ahead
from cmedteb.types import Float32Array, Int64Array

if TYPE_CHECKING:
    import pyarrow as pa

# Tokens of a text of the batch by which memory is measured.
PROBE = 512
# Slots of a batch for each real token.
WASTE = 1.05


@dataclass(frozen=True)
class Padding:
    """How short texts of a batch are filled up.

    Attributes:
        filler: the id of padding.
        left: before the first token, not behind the last.
    """

    filler: int
    left: bool = False

    def pad(self, texts: Ragged, rows: Int64Array) -> tuple[Ids, Ids]:
        """Ids and mask of some texts, as wide as the longest of them and at least one token."""
        lengths = texts.lengths[rows]
        width = max(1, int(lengths.max()))
        place = np.arange(width)
        first = width - lengths[:, None] if self.left else np.zeros((len(rows), 1), dtype=np.int64)
        real = (place >= first) & (place < first + lengths[:, None])
        ids = np.full(real.shape, self.filler, dtype=np.int64)
        starts = texts.offsets[rows][:, None] - first
        ids[real] = texts.ids[(starts + place)[real]]
        return ids, real.astype(np.int64)


class Batch(NamedTuple):
    """Texts that share a forward pass: their rows (longest first), ids and mask."""

    rows: Int64Array
    ids: Ids
    mask: Ids

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return int(self.mask.sum())

    def halves(self) -> tuple[Batch, Batch]:
        """The longer and the shorter half, each as wide as it needs."""
        half = (len(self.rows) + 1) // 2
        first, second = slice(half), slice(half, None)
        return self._part(first), self._part(second)

    def _part(self, rows: slice) -> Batch:
        mask = self.mask[rows]
        wide = np.flatnonzero(mask.any(axis=0))
        # A batch is padded on one side only, so that the columns in use are next to each other.
        columns = slice(wide[0], wide[-1] + 1) if len(wide) else slice(1)
        return Batch(self.rows[rows], self.ids[rows, columns], mask[:, columns])


@dataclass(frozen=True)
class TokenPlan:
    """Which texts of a column share a forward pass. It can be pickled, and knows no network.

    Attributes:
        tokenise: from texts, with their prompts, to ids.
        padding: how batches are filled up.
        budget: tokens of one forward pass, padding counted.
        prompt: put before each text.
        ahead: tokenise while batches are in use, for a device that runs by itself; a CPU has no
            time to spare.
    """

    tokenise: Tokenise
    padding: Padding
    budget: Budget
    prompt: str = ""
    ahead: bool = False

    def __call__(self, texts: pa.ChunkedArray) -> Iterator[Batch]:
        """The batches of a column, every row once: a function of its texts and the budget alone."""
        import pyarrow.compute as pc

        characters = pc.utf8_length(texts).to_numpy().astype(np.int64)
        classes = length_classes(characters)

        def work(rows: Int64Array) -> Ragged:
            return in_blocks(texts, rows, characters, self._with_prompt)

        done = (
            read_ahead(classes, work, lambda rows: int(characters[rows].sum()))
            if self.ahead and len(classes) > 1
            else ((rows, work(rows)) for rows in classes)
        )
        for rows, ids in done:
            for batch in self.padded(ids):
                yield batch._replace(rows=rows[batch.rows])

    def padded(self, texts: Ragged) -> Iterator[Batch]:
        """The batches of texts that are tokenised."""
        for rows in batches(texts.lengths, budget=self.budget, waste=WASTE):
            yield Batch(rows, *self.padding.pad(texts, rows))

    def _with_prompt(self, texts: Sequence[str]) -> Ragged:
        return self.tokenise([self.prompt + text for text in texts] if self.prompt else texts)


@dataclass(frozen=True)
class Engine:
    """A network with all that is needed to run it over many texts.

    Attributes:
        tokenise: from texts, with their prompts, to ids.
        forward: from ids and mask to vectors, see `lanes.Forward`.
        padding: how batches are filled up.
        lane: the device.
        budget: tokens of one forward pass; it is learned, and kept for the process.
        longest: tokens of a text, at most.
        count: told the real tokens of every batch that was encoded.
        told: what a result says of how texts were encoded.
    """

    tokenise: Tokenise
    forward: Forward
    padding: Padding
    lane: Lane
    budget: Budget
    longest: int = PROBE
    count: Callable[[int], None] = lambda _: None
    told: str = "engine"

    def source(self, prompt: str, budget: int | None = None) -> Source:
        """Vectors of a column's texts behind a prompt.

        Args:
            prompt: put before each text.
            budget: tokens of one forward pass, padding counted; None finds it.
        """
        engine = self if budget is None else replace(self, budget=Budget(budget))

        def vectors(texts: pa.ChunkedArray) -> Iterator[Encoded]:
            return engine.run(engine.plan(prompt)(texts))

        return vectors

    def plan(self, prompt: str = "") -> TokenPlan:
        """How columns are planned; an open budget is found first."""
        self.settle()
        return TokenPlan(
            self.tokenise, self.padding, self.budget, prompt, ahead=bool(self.lane.window)
        )

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of some texts, with their prompts, in their order.

        Args:
            texts: at least one; all are tokenised before the first is encoded.
        """
        plan = TokenPlan(self.tokenise, self.padding, self.budget)
        parts = list(self.run(plan.padded(self.tokenise(texts))))
        found = np.empty((len(texts), parts[0].vectors.shape[1]), dtype=np.float32)
        for rows, vectors in parts:
            found[rows] = vectors
        return found

    def run(self, made: Iterable[Batch]) -> Iterator[Encoded]:
        """Vectors of batches, in their order.

        While a window of batches is collected, the next one is already in the device's queue. A
        batch that does not fit on the device is run in halves.

        Raises:
            RuntimeError: a text alone does not fit on the device, or the network failed.
        """
        flying: deque[tuple[Batch, Collect]] = deque()
        for batch in made:
            flying.extend(self._submit(batch))
            while len(flying) > 2 * self.lane.window:
                for _ in range(self.lane.window or 1):
                    yield self._collect(*flying.popleft())
        while flying:
            yield self._collect(*flying.popleft())

    def settle(self) -> None:
        """Find the budget, if it is still open, by the memory that one batch of it takes."""
        if not self.budget.open:
            return
        self.budget.open = False
        width = min(PROBE, self.longest)
        rows = max(1, self.budget.tokens // width)
        ids = np.full((rows, width), self.padding.filler, dtype=np.int64)
        mask = np.ones_like(ids)
        if width > 1:
            # One place is padding, so that what a mask takes is measured too.
            mask[-1, 0 if self.padding.left else -1] = 0
        tried = self._submit(Batch(np.arange(rows), ids, mask))
        for _, collect in tried:
            collect()
        if len(tried) == 1:
            self.budget.grow(self.lane.headroom())

    def _submit(self, batch: Batch) -> list[tuple[Batch, Collect]]:
        alone, limit = len(batch.rows) == 1, self.budget.limit
        if alone or limit is None or batch.ids.size <= limit:
            try:
                return [(batch, self.lane.submit(self.forward, batch.ids, batch.mask))]
            except RuntimeError as error:
                if alone or not out_of_memory(error):
                    raise
            # Not in the handler: the error holds what the forward pass had made so far.
            self.lane.relieve()
            self.budget.shrink(batch.ids.size)
        return [part for half in batch.halves() for part in self._submit(half)]

    def _collect(self, batch: Batch, collect: Collect) -> Encoded:
        vectors = collect()
        self.count(batch.tokens)
        return Encoded(batch.rows, vectors)
