"""Any sentence-transformers model, run as its own configuration says.

Prompts, similarity, pooling and maximum length come from the model unless a card or a flag says
otherwise, and what was used is stated in the facts. The weights' type is always explicit:
transformers 5 would silently take the type they were saved in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding.devices import device_name, resolve_device, resolve_dtype
from cmedteb.errors import MissingExtraError, NotAvailableError, UsageError
from cmedteb.models.card import Prompts
from cmedteb.models.prompts import choose_prompts, stated_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.weights import Weights
from cmedteb.types import Float32Array, Similarity, TaskType

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer as Model

LIBRARIES = ("sentence-transformers", "transformers", "tokenizers", "torch")


@dataclass(frozen=True)
class Settings:
    """How to load and run the model; None or "auto" leaves it to the model or the machine."""

    device: str = "auto"
    dtype: str = "auto"
    max_length: int | None = None
    similarity: Similarity | None = None
    flags: Prompts = field(default_factory=Prompts)
    card: Prompts = field(default_factory=Prompts)
    trust_remote_code: bool = False


@dataclass
class TokenCounter:
    """Counts the real tokens that pass through a model's forward."""

    tokens: int = 0

    def __call__(self, _module: object, inputs: tuple[Any, ...]) -> None:
        """A torch forward pre-hook."""
        mask = inputs[0].get("attention_mask") if inputs else None
        if mask is not None:
            self.tokens += int(mask.sum())


@dataclass(frozen=True)
class SentenceTransformer:
    """A loaded model, bound to its prompts for one kind of task; loaded, to those of retrieval."""

    model: Model
    weights: Weights
    settings: Settings
    counter: TokenCounter = field(default_factory=TokenCounter)
    prompts: Mapping[Role, str] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        """What the model is, read from the model itself."""
        parameters = sum(weight.numel() for weight in self.model.parameters())
        return ModelFacts(
            name=self.weights.name,
            revision=self.weights.revision,
            family="sentence-transformer",
            similarity=_similarity(self.model, self.settings),
            prompts={str(role): prompt for role, prompt in self.prompts.items()},
            pooling=_pooling(self.model),
            max_length=self.model.max_seq_length,
            dtype=str(self.model.dtype).removeprefix("torch."),
            dimension=self.model.get_embedding_dimension(),
            parameters={"query": parameters, "document": parameters},
            libraries=LIBRARIES,
            device=device_name(self.model.device),
        )

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, padding not counted."""
        return self.counter.tokens

    def for_task(self, context: TaskContext) -> SentenceTransformer:
        """The same model with the prompts that this kind of task takes."""
        own = stated_prompts(self.model, self.weights.folder)
        chosen = choose_prompts(
            context.type,
            flags=self.settings.flags,
            card=self.settings.card,
            own=own,
            default=own.get(self.model.default_prompt_name or ""),
        )
        return replace(self, prompts=chosen)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.DOCUMENT)

    def _encode(self, texts: Sequence[str], role: Role) -> Float32Array:
        vectors = self.model.encode(
            list(texts),
            prompt=self.prompts.get(role, ""),
            batch_size=max(1, len(texts)),
            show_progress_bar=False,
            convert_to_tensor=True,
            task=str(role),
        )
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def load(weights: Weights, settings: Settings) -> SentenceTransformer:
    """Load a model folder.

    Raises:
        MissingExtraError: sentence-transformers or torch is not installed.
        NotAvailableError: the folder is no model that sentence-transformers can load, or the
            device is not there.
        UsageError: it needs --trust-remote-code, or an unknown device or type was asked for.
    """
    try:
        import sentence_transformers  # noqa: F401  only whether it is there
        import torch  # noqa: F401
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(error.name or "sentence-transformers", "models") from error
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = resolve_device(settings.device)
    model = _open(weights, settings, device)
    if settings.max_length is not None:
        model.max_seq_length = settings.max_length
    loaded = SentenceTransformer(model=model, weights=weights, settings=settings)
    model.register_forward_pre_hook(loaded.counter)
    return loaded.for_task(TaskContext(name="", type=TaskType.RETRIEVAL))


def _open(weights: Weights, settings: Settings, device: str) -> Model:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer as Model

    dtype = getattr(torch, resolve_dtype(settings.dtype, device))
    try:
        model = Model(
            str(weights.folder),
            device=device,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=weights.offline,
            model_kwargs={"dtype": dtype},
        )
    except (ImportError, OSError, RuntimeError, SafetensorError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise UsageError(
                f"{weights.name} carries code of its own. Read it, then allow it with "
                "--trust-remote-code."
            ) from error
        raise NotAvailableError(
            f"sentence-transformers cannot load {weights.name} from {weights.folder} on {device}: "
            f"{error}"
        ) from error
    _refuse_empty_tokenizer(model, weights)
    return model


def _refuse_empty_tokenizer(model: Model, weights: Weights) -> None:
    """Without its files transformers makes a tokenizer to which every word is unknown."""
    tokenizer = getattr(model, "tokenizer", None)
    special = getattr(tokenizer, "all_special_tokens", None)
    if tokenizer is not None and special is not None and len(tokenizer) <= len(special):
        raise NotAvailableError(
            f"{weights.name} has no tokenizer in {weights.folder}: all texts would look alike. "
            "Save the tokenizer beside the weights."
        )


def _similarity(model: Model, settings: Settings) -> Similarity:
    name = settings.similarity or model.similarity_fn_name
    try:
        return Similarity(name)
    except ValueError as error:
        raise UsageError(
            f"the model compares vectors by {name!r}; cmedteb scores dot and cosine only"
        ) from error


def _pooling(model: Model) -> str:
    """The modules after the transformer with their modes, such as `mean > Normalize`."""
    steps = [
        str(mode) if (mode := getattr(module, "pooling_mode", None)) else type(module).__name__
        for module in model
    ]
    return " > ".join(steps[1:] or steps)
