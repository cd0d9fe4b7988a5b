"""Compiles a network for its device: fewer and larger kernels, for a start that takes minutes.

It is never done unasked: sums are ordered anew, so that vectors differ in their last bits, and it
pays on large corpora alone.
"""

from __future__ import annotations

from typing import Any

from cmedteb.errors import NotAvailableError

TEXTS, TOKENS = 3, 17


def compile_network(model: Any, *, whose: str) -> None:  # noqa: ANN401  a torch module
    """Let `model.forward` run compiled, for texts of any length; try it on one batch.

    Raises:
        NotAvailableError: it cannot be compiled here.
    """
    import torch

    plain = model.forward
    ids = torch.ones((TEXTS, TOKENS), dtype=torch.long, device=model.device)
    try:
        model.forward = torch.compile(plain, dynamic=True)
        with torch.inference_mode():
            model.forward(input_ids=ids, attention_mask=torch.ones_like(ids))
    except RuntimeError as error:
        model.forward = plain
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise NotAvailableError(
            f"--compile: torch {torch.__version__} cannot compile {whose} on {model.device}: "
            f"{told}. It takes a C++ compiler on a CPU and Triton on a GPU. Install what is "
            "missing, or leave --compile out."
        ) from error
