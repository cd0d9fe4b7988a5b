"""What families that run on transformers share when weights are loaded: faults told one way.

Libraries fail in many ways on a damaged folder, and in silence on some: weights that a checkpoint
lacks are made up at random, a tokenizer without its files knows no word. Both are refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cmedteb.errors import MissingExtraError, NotAvailableError, UsageError
from cmedteb.models.weights import Weights

# Made at random where a checkpoint lacks it, and read by no pooling of ours.
UNREAD = ("pooler.",)


def need_libraries(*names: str) -> None:
    """Refuse to go on without a library.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise MissingExtraError(error.name or name, "models") from error


@contextmanager
def told_plainly(weights: Weights, *, library: str, device: str) -> Iterator[None]:
    """Turn what a library raises while it loads weights into an error that says what to do.

    Raises:
        UsageError: the model needs --trust-remote-code.
        NotAvailableError: the folder is no model that the library can load.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (ImportError, OSError, RuntimeError, SafetensorError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise UsageError(
                f"{weights.name} carries code of its own. Read it, then allow it with "
                "--trust-remote-code."
            ) from error
        raise NotAvailableError(
            f"{library} cannot load {weights.name} from {weights.folder} on {device}: {error}"
        ) from error


def refuse_made_up_weights(missing: Collection[str], weights: Weights) -> None:
    """Refuse a network some of whose weights the checkpoint does not hold.

    Args:
        missing: names of the weights that the library made up.
        weights: of the model.

    Raises:
        NotAvailableError: there are any but those that no pooling reads.
    """
    if lacking := sorted(name for name in missing if not name.startswith(UNREAD)):
        raise NotAvailableError(
            f"{weights.name}: the files in {weights.folder} lack {len(lacking)} weights of the "
            f"network that config.json describes ({lacking[0]}, ...), and random ones would stand "
            "in for them. Take the folder of the whole model (an adapter must be merged first)."
        )


def refuse_empty_tokenizer(tokenizer: Any, weights: Weights) -> None:  # noqa: ANN401
    """Refuse a tokenizer to which every word is unknown, as transformers makes without its files.

    Raises:
        NotAvailableError: it holds nothing but special tokens.
    """
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise NotAvailableError(
            f"{weights.name} has no tokenizer in {weights.folder}: all texts would look alike. "
            "Save the tokenizer beside the weights."
        )
