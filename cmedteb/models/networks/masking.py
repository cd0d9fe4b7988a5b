"""When a network is told which places of a batch are padding: as seldom as is proven to be safe.

A mask keeps attention from its fastest kernels, doubles the work of a decoder and copies the keys
of grouped heads. Batches are sorted by length, so that few places are padding (5 % at most), and
packing them away would gain little more; it needs kernels of CUDA alone, and is not done.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SEED = 0
TEXT, BEHIND = 24, 8


class Masking(StrEnum):
    """When the mask is given.

    A decoder whose text cannot see what stands behind it needs none, where padding stands behind.
    Code that a model brings along may want one always.
    """

    ALWAYS = "mask always"
    PADDED = "mask where padded"
    NEVER = "no mask"

    def divided(self, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The mask of a batch for all that reads states, and what the network is given of it.

        Args:
            ids: of the batch.
            mask: 1 at real tokens; None where every place is one.
        """
        whole = ids.new_ones(ids.shape) if mask is None else mask
        if self is Masking.ALWAYS:
            return whole, whole
        return whole, None if self is Masking.NEVER else mask


def masking_of(model: Any) -> Masking:  # noqa: ANN401  a network of transformers
    """What a network needs, found out with its own weights."""
    if not type(model).__module__.startswith("transformers."):
        return Masking.ALWAYS
    if getattr(model.config, "is_encoder_decoder", False):
        return Masking.PADDED
    return Masking.NEVER if looks_back_only(model) else Masking.PADDED


def looks_back_only(model: Any) -> bool:  # noqa: ANN401
    """Whether the states of a text are the same bits whatever stands behind it."""
    import torch

    words = getattr(model.get_input_embeddings(), "num_embeddings", 0)
    if not words:
        return False
    draw = torch.Generator().manual_seed(SEED)
    text, one, other = (
        torch.randint(0, words, (1, size), generator=draw) for size in (TEXT, BEHIND, BEHIND)
    )
    states = []
    with torch.inference_mode():
        for behind in (one, other):
            ids = torch.cat([text, behind], dim=1).to(model.device)
            found = getattr(model(input_ids=ids), "last_hidden_state", None)
            if found is None:
                return False
            states.append(found[:, :TEXT])
    return torch.equal(*states)


def engine_told(model: Any, masking: Masking, *, compiled: bool) -> str:  # noqa: ANN401
    """How the engine runs a network, such as `engine (sdpa, no mask)`."""
    attention = getattr(model.config, "_attn_implementation", None) or "own attention"
    return f"engine ({attention}, {masking}{', compiled' if compiled else ''})"
