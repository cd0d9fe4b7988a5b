"""Which texts share a forward pass: longest first, batches of about equal work.

A plan is a function of lengths and of the budget alone, and it is greedy from the longest text on:
what is left after any of its batches is planned as it would have been. So a run that was killed
and goes on makes the batches it would have made. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmedteb.errors import UsageError
from cmedteb.types import Int64Array

CPU_BUDGET = 4_096
GPU_BUDGET = 65_536
# Larger batches than that make no device faster.
MOST = 4 * GPU_BUDGET
# Tokenised while longer texts are being encoded: so many classes of lengths to a doubling.
CLASSES = 3
# Of the budget, what a batch holds before padding may end it.
PART = 8
SHORT = 16


def default_budget(device: str) -> int:
    """Tokens of one forward pass on a device, padding counted."""
    return CPU_BUDGET if device in {"cpu", "mps"} else GPU_BUDGET


@dataclass
class Budget:
    """Tokens of one forward pass, padding counted, as learned so far.

    Attributes:
        tokens: at most so many.
        open: whether more may be taken where there is room, which is measured once, before the
            first plan: a budget that grew later would give a run that goes on another plan.
        limit: more than so many did not fit, whoever planned them.
    """

    tokens: int
    open: bool = False
    limit: int | None = None

    def shrink(self, slots: int) -> None:
        """So many tokens did not fit on the device."""
        self.limit = max(1, slots // 2)
        self.tokens = min(self.tokens, self.limit)
        self.open = False

    def grow(self, times: float) -> None:
        """There is room for so many times as much; it is doubled as often as that allows."""
        while times >= 2 and 2 * self.tokens <= MOST:
            self.tokens, times = 2 * self.tokens, times / 2
        self.open = False


def open_budget(device: str) -> Budget:
    """What to start from on a device; a GPU's is open."""
    return Budget(default_budget(device), open=device.startswith("cuda"))


def batches(
    lengths: Int64Array,
    *,
    budget: int | Budget,
    cap: int | None = None,
    waste: float | None = None,
) -> Iterator[Int64Array]:
    """Rows grouped so that rows x longest length stays within the budget.

    Args:
        lengths: of each text, in tokens, or in characters where nobody has counted them (for
            Chinese close to tokens); shape (texts,).
        budget: the most of a batch, padding counted; a single longer text is a batch of its own.
            One that changes holds from the next batch on.
        cap: texts are cut at this length by the model, so none counts for more.
        waste: of what a batch holds, padding counted, in relation to what is real, so much at
            most; but a batch is not made smaller than a part of the budget for that.

    Yields:
        Row numbers, longest texts first; equal lengths keep their order.

    Raises:
        UsageError: the budget is not positive.
    """
    room = Budget(budget) if isinstance(budget, int) else budget
    if room.tokens < 1:
        raise UsageError(f"a batch must hold at least one token, not {room.tokens}")
    counted = np.maximum(lengths if cap is None else np.minimum(lengths, cap), 1)
    order = np.argsort(-counted, kind="stable")
    ordered, start = counted[order], 0
    while start < len(order):
        rows = max(1, room.tokens // int(ordered[start]))
        if waste is not None:
            rows = _dense(ordered[start : start + rows], room.tokens // PART, waste)
        yield order[start : start + rows]
        start += rows


def _dense(lengths: Int64Array, least: int, waste: float) -> int:
    """How many of these texts, longest first, to take: slots of `least`, then while it is dense.

    The more are taken, the larger is the share of padding.
    """
    slots = np.arange(1, len(lengths) + 1) * lengths[0]
    dense = int(np.count_nonzero(slots <= waste * np.cumsum(lengths)))
    return max(1, min(max(dense, -(-least // int(lengths[0]))), len(lengths)))


def length_classes(characters: Int64Array) -> list[Int64Array]:
    """Rows by classes of their length, longest first, in the order of the texts within a class.

    Texts are tokenised a class at a time, so that the device need not wait for all of them. Where
    classes end does not depend on the texts, so that a plan over the texts that are left is the
    rest of the plan over all.

    Args:
        characters: of each text, shape (texts,).
    """
    kept = np.maximum(characters, SHORT)
    classes = np.floor(CLASSES * np.log2(kept)).astype(np.int64)
    order = np.argsort(-classes, kind="stable")
    edges = np.flatnonzero(np.diff(classes[order])) + 1
    return [rows for rows in np.split(order, edges) if len(rows)]
