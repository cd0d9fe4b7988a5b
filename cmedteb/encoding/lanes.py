"""How a batch gets onto a device and its vectors back: at once, or in a queue that runs ahead.

On CUDA nothing waits: ids go over from pinned memory, the forward pass is put in the stream's
queue, and its vectors come back into pinned memory. Who collects them waits for the event behind
them, when the device already has later batches to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cmedteb.types import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

# Batches of one window: two of them are in flight.
WINDOW = 8
# Of the device's memory, what the largest batch may be expected to take.
ROOM = 0.7

# From ids, and the mask unless every place is a token, to vectors.
Forward = Callable[["Tensor", "Tensor | None"], "Tensor"]
Collect = Callable[[], Float32Array]
Ids = NDArray[np.int64]


class Lane(Protocol):
    """A device and the way there.

    Attributes:
        window: batches that are collected together; 0 where a batch is done when it is submitted.
    """

    window: int

    def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
        """Start a forward pass.

        Args:
            forward: from ids and mask on the device to vectors, shape (texts, dimension); where
                nothing is padded there is no mask, for a device would have to be asked what it
                says, and waited for.
            ids: padded, shape (texts, tokens).
            mask: 1 at real tokens.

        Returns:
            What waits for the vectors.
        """
        ...

    def headroom(self) -> float:
        """How many times as large a batch as the largest so far would fit as well."""
        ...

    def relieve(self) -> None:
        """Give back what is held but not in use, after memory ran out."""
        ...


@dataclass
class AtOnce:
    """A device that is done with a batch before the next one: a CPU, and any that is not CUDA."""

    device: Any
    window: int = 0

    def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
        """Run the forward pass."""
        import torch

        with torch.inference_mode():
            there = torch.from_numpy(ids).to(self.device)
            told = None if mask.all() else torch.from_numpy(mask).to(self.device)
            vectors = forward(there, told).float().cpu().numpy()
        return lambda: vectors

    def headroom(self) -> float:
        """None is needed: more tokens make no CPU faster."""
        return 1.0

    def relieve(self) -> None:
        """Nothing is held."""


@dataclass
class Stream:
    """A CUDA device."""

    device: Any
    window: int = WINDOW

    def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
        """Put the copies and the forward pass in the queue of the current stream."""
        import torch

        with torch.inference_mode(), torch.cuda.device(self.device):
            there = self._sent(ids)
            told = None if mask.all() else self._sent(mask)
            vectors = forward(there, told).float()
            back = torch.empty(vectors.shape, dtype=torch.float32, pin_memory=True)
            back.copy_(vectors, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()

        def collect() -> Float32Array:
            done.synchronize()
            # A copy, so that the pinned memory is free for the next batch.
            return np.array(back.numpy(), dtype=np.float32)

        return collect

    def _sent(self, part: Ids) -> Tensor:
        import torch

        return torch.from_numpy(part).pin_memory().to(self.device, non_blocking=True)

    def headroom(self) -> float:
        """By what that batch took beside what stays, which is the weights."""
        import torch

        free, _ = torch.cuda.mem_get_info(self.device)
        stays = torch.cuda.memory_allocated(self.device)
        usable = ROOM * (free + torch.cuda.memory_reserved(self.device)) - stays
        return usable / max(1, torch.cuda.max_memory_allocated(self.device) - stays)

    def relieve(self) -> None:
        """Let go of cached blocks, which may be of the wrong size."""
        import torch

        torch.cuda.empty_cache()


def lane_to(device: Any) -> Lane:  # noqa: ANN401  a torch.device
    """The way to a device."""
    return Stream(device) if device.type == "cuda" else AtOnce(device)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that memory ran out, in any of its ways."""
    told = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or any(
        sign in told for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )
