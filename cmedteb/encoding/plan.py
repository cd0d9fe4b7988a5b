"""Which texts share a forward pass: longest first, batches of about equal work.

Lengths are counted in characters, which for Chinese is close to (and for subword tokenisers
above) the number of tokens. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cmedteb.errors import UsageError
from cmedteb.types import Int64Array

CPU_BUDGET = 4_096
GPU_BUDGET = 65_536


def default_budget(device: str) -> int:
    """Characters of one forward pass on a device, padding counted."""
    return CPU_BUDGET if device in {"cpu", "mps"} else GPU_BUDGET


def batches(lengths: Int64Array, *, budget: int, cap: int | None = None) -> Iterator[Int64Array]:
    """Rows grouped so that rows x longest length stays within the budget.

    Args:
        lengths: of each text, in characters; shape (texts,).
        budget: the most characters of a batch, padding counted; a single longer text is a batch
            of its own.
        cap: texts are cut at this length by the model, so none counts for more.

    Yields:
        Row numbers, longest texts first; equal lengths keep their order, so the plan is a
        function of the lengths alone.

    Raises:
        UsageError: the budget is not positive.
    """
    if budget < 1:
        raise UsageError(f"a batch must hold at least one token, not {budget}")
    counted = np.maximum(lengths if cap is None else np.minimum(lengths, cap), 1)
    order = np.argsort(-counted, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, budget // int(counted[order[start]]))
        yield order[start : start + rows]
        start += rows
