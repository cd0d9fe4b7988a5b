"""Whole batches of the one global plan, grouped into what a worker takes at a time.

Which texts share a forward pass is decided before, so how batches are grouped, who takes them and
in which order they come back cannot change a vector. Everything is lazy: a plan may tokenise as it
goes, and a corpus is not copied into the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cmedteb.types import Int64Array

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_TEXTS = 2_000
CHUNK_WORK = 524_288
# So many chunks a worker at least, where there are enough texts: the last ones even out.
ROUNDS = 8


class Planned(NamedTuple):
    """Texts that share a forward pass.

    Attributes:
        rows: of the column.
        work: characters or tokens, padding counted.
        content: what the worker is given: texts, or their ids.
    """

    rows: Int64Array
    work: int
    content: Any


Plan = Callable[["pa.ChunkedArray"], Iterable[Planned]]


@dataclass(slots=True, eq=False)
class Chunk:
    """Batches that travel together, and how many workers they killed."""

    batches: list[Planned]
    deaths: int = 0

    @property
    def rows(self) -> Int64Array:
        """All rows, batch after batch."""
        rows = [batch.rows for batch in self.batches]
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def chunks(
    planned: Iterable[Planned], *, texts: int, workers: int, most: int = CHUNK_TEXTS
) -> Iterator[Chunk]:
    """The batches of a plan in its order, so the longest first.

    Args:
        planned: every row once.
        texts: of the whole column.
        workers: among which they are shared.
        most: texts of a chunk; a larger batch is a chunk of its own. What a dying worker loses is
            bounded by work as well.
    """
    most = min(most, max(1, texts // (ROUNDS * workers)))
    held, rows, work = Chunk([]), 0, 0
    for batch in planned:
        full = rows + len(batch.rows) > most or work + batch.work > CHUNK_WORK
        if held.batches and full:
            yield held
            held, rows, work = Chunk([]), 0, 0
        held.batches.append(batch)
        rows, work = rows + len(batch.rows), work + batch.work
    if held.batches:
        yield held
