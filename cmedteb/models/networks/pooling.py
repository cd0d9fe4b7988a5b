"""From token states to one vector a text: pooling, then length, then width.

Which side a batch was padded on makes no difference here: places are found by the mask. It reads
the last layer only, so no other layer's states need to be kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Pooling(StrEnum):
    """Which states of the last layer make the vector."""

    CLS = "cls"
    MEAN = "mean"
    LAST = "last"


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector a text, in float32.

    Args:
        states: of the last layer, shape (texts, tokens, width).
        mask: 1 at real tokens, shape (texts, tokens); each row has at least one.
        pooling: the first real token, the last one, or the mean of all.

    Returns:
        Shape (texts, width).
    """
    import torch

    rows = torch.arange(len(states), device=states.device)
    if pooling is Pooling.CLS:
        return states[rows, mask.argmax(dim=1)].float()
    if pooling is Pooling.LAST:
        last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
        return states[rows, last].float()
    weights = mask.unsqueeze(-1).to(torch.float32)
    return (states.float() * weights).sum(dim=1) / weights.sum(dim=1)


def finish(vectors: Tensor, *, normalise: bool, width: int | None) -> Tensor:
    """Scale vectors to length 1 at their full width, then keep their first numbers.

    In this order, and without scaling again: vectors that were cut have lengths of their own, so
    that dot product and cosine differ (CARE's `inference/asymmetric.py` scores so, by dot).

    Args:
        vectors: shape (texts, dimension).
        normalise: whether they are scaled.
        width: how many numbers of each are kept; None keeps all.
    """
    import torch

    scaled = torch.nn.functional.normalize(vectors, dim=-1) if normalise else vectors
    return scaled if width is None else scaled[:, :width]


def described(pooling: Pooling, *, normalise: bool, width: int | None) -> str:
    """The steps in words, such as `last > normalize > first 768`."""
    steps = [str(pooling)]
    if normalise:
        steps.append("normalize")
    if width is not None:
        steps.append(f"first {width}")
    return " > ".join(steps)
