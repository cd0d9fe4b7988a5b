"""Exact search on a GPU: documents are streamed to it in blocks, the best of each query stay there.

Products are float32 with TensorFloat-32 off, so scores are as exact as on the CPU; ties are
settled there as everywhere, by `keys`. The host waits once, for the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.search.keys import LAST
from cmedteb.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from torch import Tensor

    from cmedteb.search.collection import Collection

BLOCK_FLOATS = 2**26
BLOCK_SCORES = 2**25
# Queries whose best are held on the device at once.
BLOCK_QUERIES = 2**16
# Multiplications below which waking a device costs more than they do on the CPU.
WORTHWHILE = 2**33


def device_for(wanted: str, multiplications: int) -> str:
    """Where to search: `cpu`, or a CUDA device.

    Args:
        wanted: a device by name, or `auto`: a GPU where one is in use already (torch is loaded,
            and vectors were probably made there) and there is enough to do.
        multiplications: queries x documents x dimension.
    """
    if wanted.startswith("cuda"):
        return wanted
    torch = sys.modules.get("torch")
    if wanted != "auto" or multiplications < WORTHWHILE or torch is None:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_on_device(
    queries: Float32Array, collection: Collection, depth: int, *, device: str
) -> Int64Array | None:
    """Keys of the best different vectors for every query, best first.

    None where the device has no memory left, as when a large model fills it.

    Args:
        queries: as they are compared, shape (queries, dimension).
        collection: what is searched; all products with it are finite.
        depth: how many to keep.
        device: any that torch knows.
    """
    import torch

    found = np.empty((len(queries), min(depth, len(collection))), dtype=np.int64)
    try:
        with full_precision(), torch.inference_mode():
            for start in range(0, len(queries), BLOCK_QUERIES):
                some = slice(start, start + BLOCK_QUERIES)
                found[some] = _best(queries[some], collection, found.shape[1], device)
    except torch.OutOfMemoryError:
        return None
    return found


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 as float32, not as TensorFloat-32."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _best(queries: Float32Array, collection: Collection, k: int, device: str) -> Int64Array:
    import torch

    left = torch.from_numpy(queries).to(device)
    best = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
    for block in collection.blocks(max(1, BLOCK_FLOATS // max(1, queries.shape[1]))):
        right = _sent(block.vectors, device).T
        low = _sent(LAST - block.ties.astype(np.int64), device)
        height = max(1, BLOCK_SCORES // len(block.ties))
        kept = [
            _merged(best[start : start + height], left[start : start + height] @ right, low, k)
            for start in range(0, len(left), height)
        ]
        best = torch.cat(kept)
    found: Int64Array = best.sort(dim=1, descending=True).values.cpu().numpy()
    return found


def _sent(array: np.ndarray, device: str) -> Tensor:
    """An array on its way to the device, without waiting for it where the device is a GPU."""
    import torch

    here = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if device.startswith("cuda"):
        here = here.pin_memory()
    return here.to(device, non_blocking=True)


def _merged(best: Tensor, scores: Tensor, low: Tensor, k: int) -> Tensor:
    """The best of what was kept and of new scores; see `keys.rank_keys`."""
    import torch

    bits = (scores + 0.0).view(torch.int32)
    keys = (bits ^ ((bits >> 31) & int(LAST))).to(torch.int64)
    keys.bitwise_left_shift_(32).bitwise_or_(low)
    keys = keys.topk(min(k, keys.shape[1]), dim=1, sorted=False).values
    both = torch.cat([best, keys], dim=1)
    return both.topk(min(k, both.shape[1]), dim=1, sorted=False).values
