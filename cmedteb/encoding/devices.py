"""Devices and number types: what `auto` means here, and what is refused.

The type of the weights is always explicit, because libraries would silently take the one they
were saved in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmedteb.errors import NotAvailableError, UsageError

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def resolve_device(name: str) -> str:
    """A device that torch can use: `auto` is a GPU where there is one.

    Raises:
        UsageError: torch knows no such device.
        NotAvailableError: CUDA is asked for and there is none.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise UsageError(
            f"torch knows no device {name!r} here: choose auto, cpu, cuda, cuda:1, mps, ... (npu "
            "needs torch_npu)"
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise NotAvailableError(
            f"--device {name}: torch {torch.__version__} sees no CUDA device on this machine. "
            "Use --device cpu, or install a torch with CUDA."
        )
    return name


def resolve_dtype(wanted: str, device: str) -> str:
    """The full name of the weights' type; `auto` is bfloat16 on GPUs that have it, else float32.

    Raises:
        UsageError: no such type.
    """
    import torch

    if wanted == "auto":
        fast = device.startswith("cuda") and torch.cuda.is_bf16_supported()
        return "bfloat16" if fast else "float32"
    name = DTYPES.get(wanted, wanted)
    if name not in DTYPES.values():
        raise UsageError(f"unknown dtype {wanted!r}: choose auto, float32, bfloat16 or float16")
    return name


def device_name(device: torch.device) -> str:
    """What a result says of a device: a GPU's product name, else torch's word for it."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
