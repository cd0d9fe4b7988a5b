"""What a model of mteb's registry is: read from its entry, and over it from the loaded network.

Nothing here imports mteb; entries and wrappers are taken as they come from `mteb_model`. What a
wrapper keeps to itself (the prompts of one that is neither sentence-transformers' nor an
instruction wrapper) is left out of the facts, not guessed.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cmedteb.encoding.devices import device_name
from cmedteb.models.protocols import ModelFacts, Role
from cmedteb.types import Similarity

if TYPE_CHECKING:
    import torch

LIBRARIES = ("mteb", "sentence-transformers", "transformers", "tokenizers", "torch")
# As sentence-transformers looks for the prompt of a side.
PROMPT_NAMES = {Role.QUERY: ("query",), Role.DOCUMENT: ("document", "passage", "corpus")}
SIZELESS = 10**9


def facts_from(model: Any, meta: Any, similarity: Similarity | None) -> ModelFacts:  # noqa: ANN401
    """What the registry says, and over it what the loaded network itself says."""
    network = _network(model)
    size = meta.n_parameters
    dimension = meta.embed_dim if isinstance(meta.embed_dim, int) else None
    length, dtype, device = length_of(meta), None, "cpu"
    if network is not None:
        weights = list(network.parameters())
        size = sum(weight.numel() for weight in weights)
        length = _sane(getattr(network, "max_seq_length", None)) or length
        width: Any = getattr(network, "get_embedding_dimension", None)
        if similarity is not None and width is not None:
            dimension = width() or dimension
        if weights:
            dtype = str(weights[0].dtype).removeprefix("torch.")
            device = device_name(weights[0].device)
    sides = () if size is None else (size, 0 if meta.is_cross_encoder else size)
    return ModelFacts(
        name=re.sub(r"[^\w./+-]", "-", f"{meta.name}+mteb"),
        revision=meta.revision or "unversioned",
        family="mteb",
        similarity=similarity,
        max_length=length,
        dtype=dtype,
        dimension=dimension,
        parameters=dict(zip(map(str, Role), sides, strict=False)),
        sts_sides=(Role.QUERY, Role.DOCUMENT) if meta.is_cross_encoder else (Role.QUERY,) * 2,
        settings={
            "mteb": version("mteb"),
            "loader": _plain(meta.loader),
            "loader_settings": _plain(meta.loader_kwargs),
        },
        libraries=LIBRARIES,
        device=device,
        reproducible=meta.revision is not None,
    )


def _network(model: Any) -> torch.nn.Module | None:  # noqa: ANN401  mteb's object
    """The network inside mteb's wrapper, where it lies in the usual place."""
    import torch

    inner = getattr(model, "model", None)
    return inner if isinstance(inner, torch.nn.Module) else None


def length_of(meta: Any) -> int | None:  # noqa: ANN401  an entry of the registry
    """The most tokens of a text; None where the entry says nothing or that there is no limit."""
    return _sane(meta.max_tokens)


def _sane(length: float | None) -> int | None:
    """A limit in tokens; libraries write infinity or a huge number where there is none."""
    if length is None or not math.isfinite(length) or not 0 < length < SIZELESS:
        return None
    return int(length)


def _plain(value: Any) -> Any:  # noqa: ANN401  settings of any loader
    """Settings as plain values that are equal when the settings are."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    value = getattr(value, "func", value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return str(value) if type(value).__module__ == "torch" else type(value).__qualname__


def prompts_of(model: Any, task: Any, sides: Mapping[Role, Any]) -> dict[str, str]:  # noqa: ANN401
    """The text before each side, where the wrapper decides it in a way that can be asked.

    Args:
        model: mteb's wrapper.
        task: mteb's metadata of the task.
        sides: mteb's word for each side; None for sentence pairs.
    """
    template = getattr(model, "instruction_template", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if template is not None and hasattr(model, "get_task_instruction"):
            prompts = {str(role): model.get_task_instruction(task, sides[role]) for role in sides}
            if sides[Role.DOCUMENT] and not getattr(model, "apply_instruction_to_passages", True):
                prompts[str(Role.DOCUMENT)] = ""
            return prompts
        if hasattr(model, "model_prompts") and hasattr(_network(model), "prompts"):
            return {str(role): _prompt(model, task, role, sides[role]) for role in sides}
    return {}


def _prompt(model: Any, task: Any, role: Role, side: Any) -> str:  # noqa: ANN401
    """The wrapper's choice; where it makes none, that of sentence-transformers."""
    own: dict[str, str | None] = model.model.prompts
    stated: dict[str, str] = model.model_prompts or {}
    name = model.get_prompt_name(task, side)
    if name in stated:
        return stated[name]
    names = [*(PROMPT_NAMES[role] if side is not None else ()), model.model.default_prompt_name]
    return next((own[name] or "" for name in names if name in own), "")


def runs_own_code(meta: Any) -> bool:  # noqa: ANN401  an entry of the registry
    """Whether mteb would let code that lies beside the weights run: its settings or its loader."""
    loader = getattr(meta.loader, "func", meta.loader)
    try:
        source = inspect.getsource(loader) if loader is not None else ""
    except (OSError, TypeError):
        source = ""
    return _trusts(meta.loader_kwargs) or "trust_remote_code=True" in source.replace(" ", "")


def _trusts(settings: Any) -> bool:  # noqa: ANN401  nested keyword arguments
    if not isinstance(settings, dict):
        return False
    return bool(settings.get("trust_remote_code")) or any(map(_trusts, settings.values()))
