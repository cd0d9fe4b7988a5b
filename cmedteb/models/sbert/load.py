"""Loads the models of sentence-transformers, dense and sparse alike.

What a card or a flag says is applied here or refused, never ignored. The weights' type is always
explicit: transformers 5 would silently take the type they were saved in. Nothing that was not
trained is made up: a model of another kind is not converted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cmedteb.encoding.devices import resolve_device, resolve_dtype
from cmedteb.encoding.plan import CPU_BUDGET, Budget, open_budget
from cmedteb.errors import DataError
from cmedteb.models.card import Family, Instructions, ModelCard, Prompts, known
from cmedteb.models.networks.loading import need_libraries, refuse_empty_tokenizer, told_plainly
from cmedteb.models.networks.masking import Masking, masking_of
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import Role
from cmedteb.models.sbert.routes import (
    ALIASES,
    Route,
    align_types,
    cut_at,
    refuse_other_pooling,
    routes_of,
)
from cmedteb.models.weights import SAVED_AS, Weights
from cmedteb.types import Similarity, TaskType

if TYPE_CHECKING:
    import torch

CLASSES = {
    Family.SENTENCE_TRANSFORMER: "SentenceTransformer",
    Family.SPARSE_ENCODER: "SparseEncoder",
}
# The side that encodes a sentence, and `sts` for both sides of sentence pairs.
TASKS = ("query", "document", "sts")


@dataclass(frozen=True)
class Settings:
    """How to load and run a model; None or "auto" leaves it to the model or the machine.

    Attributes:
        device: see `encoding.devices.resolve_device`.
        dtype: see `encoding.devices.resolve_dtype`.
        compile: compile the networks, see `networks.compiled`.
        max_length: cut texts at so many tokens.
        similarity: how vectors are compared.
        flags: prompts that the user gave.
        card: prompts of the card.
        instructions: what the card's prompts are filled with.
        trust_remote_code: let the model's own code run.
        pooling: what the card says of it; made so where the weights come without any.
        dimension: what the card says of it.
        sts_sides: which side encodes sentence 1 and sentence 2.
        tasks: what the library is told for `query`, `document` and `sts` (both sides of sentence
            pairs): the name of a route, or of an adapter.
    """

    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    max_length: int | None = None
    similarity: Similarity | None = None
    flags: Prompts = field(default_factory=Prompts)
    card: Prompts = field(default_factory=Prompts)
    instructions: Instructions = field(default_factory=Instructions)
    trust_remote_code: bool = False
    pooling: str | None = None
    dimension: int | None = None
    sts_sides: tuple[Role, Role] | None = None
    tasks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, card: ModelCard, options: ModelOptions) -> Settings:
        """What a card and the command line say.

        Raises:
            DataError: the card's setting `tasks` is no table of names.
        """
        sides = known(card.sts_sides)
        return cls(
            device=options.device,
            dtype=options.dtype,
            compile=options.compile,
            max_length=options.max_length or known(card.max_length),
            similarity=known(card.similarity),
            flags=Prompts(query=options.query_prompt, document=options.document_prompt),
            card=card.prompts,
            instructions=card.instructions,
            trust_remote_code=options.trust_remote_code,
            pooling=known(card.pooling),
            dimension=known(card.dimension),
            sts_sides=options.sts_sides or (sides and (Role(sides[0]), Role(sides[1]))),
            tasks=_tasks(card),
        )


def _tasks(card: ModelCard) -> dict[str, str]:
    told: Any = card.settings.get("tasks", {})
    valid = isinstance(told, dict) and set(told) <= set(TASKS)
    if not valid or not all(isinstance(name, str) for name in told.values()):
        raise DataError(
            f"the card of {card.name}: [settings.tasks] says what to tell the model for "
            f"{', '.join(TASKS)}, each in one name; it holds {told!r}"
        )
    return dict(told)


@dataclass
class TokenCounter:
    """Counts the real tokens that pass through a model, without making a device wait.

    Attributes:
        counted: tokens, as far as they are known.
        waiting: a count that lies on a device until somebody asks.
    """

    counted: int = 0
    waiting: torch.Tensor | None = None

    @property
    def tokens(self) -> int:
        """So far."""
        waiting, self.waiting = self.waiting, None
        self.counted += 0 if waiting is None else int(waiting)
        return self.counted

    def add(self, tokens: int) -> None:
        """So many more, which somebody else has counted."""
        self.counted += tokens

    def __call__(self, _module: object, inputs: tuple[Any, ...]) -> None:
        """A torch forward pre-hook. Static embeddings have no mask, because they pad nothing."""
        features = inputs[0] if inputs else {}
        if (mask := features.get("attention_mask")) is not None:
            found = mask.sum()
            self.waiting = found if self.waiting is None else self.waiting + found
        elif (ids := features.get("input_ids")) is not None:
            self.counted += int(ids.numel())


@dataclass(frozen=True)
class Loaded:
    """A model of the library, and how it was asked to run.

    Attributes:
        model: the library's own object.
        weights: where it was read from.
        settings: how it was asked to run.
        budget: tokens of one forward pass, as learned so far.
        counter: of tokens.
        kept: what was found out about a side and its prompt, for families to keep.
        maskings: when networks are given a mask, by the module that holds one.
    """

    model: Any
    weights: Weights
    settings: Settings
    budget: Budget = field(default_factory=lambda: Budget(CPU_BUDGET))
    counter: TokenCounter = field(default_factory=TokenCounter)
    kept: dict[tuple[str, str], Any] = field(default_factory=dict)
    maskings: dict[int, Masking] = field(default_factory=dict)

    def masking(self, first: Any) -> Masking:  # noqa: ANN401  a Transformer of the library
        """When the network of a module is given a mask, found out once."""
        if id(first) not in self.maskings:
            self.maskings[id(first)] = masking_of(first.model)
            # What may be said to a module over the features of a batch.
            first.forward_kwargs = {*first.forward_kwargs, "attention_mask"}
        return self.maskings[id(first)]

    def routes(self, task: TaskType) -> dict[Role, Route]:
        """The way of each side's texts; both go the same where the card names one for pairs.

        Raises:
            UsageError: a side has no route.
        """
        tasks = self.settings.tasks
        told = {role: tasks[role] for role in Role if role in tasks}
        if task is TaskType.STS and "sts" in tasks:
            told = dict.fromkeys(Role, tasks["sts"])
        return routes_of(self.model, told, whose=self.weights.name)


def open_library(weights: Weights, settings: Settings, *, family: Family) -> Loaded:
    """Load a model folder.

    Raises:
        MissingExtraError: sentence-transformers or torch is not installed.
        NotAvailableError: the folder is no model that sentence-transformers can load, or the
            device is not there.
        UsageError: it needs --trust-remote-code, an unknown device or type was asked for, or a
            side has no route.
        DataError: it was saved as a model of another family, or pools otherwise than its card
            says.
    """
    need_libraries("sentence_transformers", "torch")
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = resolve_device(settings.device)
    dtype: torch.dtype = getattr(torch, resolve_dtype(settings.dtype, device))
    model = _open(weights, settings, family, (device, dtype))
    loaded = Loaded(model, weights, settings, open_budget(device))
    routes = loaded.routes(TaskType.RETRIEVAL)
    for route in routes.values():
        tokenizer = getattr(route.modules[0], "tokenizer", None)
        if hasattr(tokenizer, "all_special_tokens"):
            refuse_empty_tokenizer(tokenizer, weights)
        if settings.max_length is not None:
            cut_at(route, settings.max_length, whose=weights.name)
    tables = torch.float32 if settings.dtype == "auto" else dtype
    align_types(routes, dtype, tables=tables)
    if settings.pooling is not None:
        refuse_other_pooling(routes, settings.pooling, whose=weights.name)
    loaded.model.register_forward_pre_hook(loaded.counter)
    return loaded


def _open(
    weights: Weights, settings: Settings, family: Family, place: tuple[str, torch.dtype]
) -> Any:  # noqa: ANN401  a class of the library
    import sentence_transformers

    device, dtype = place
    with told_plainly(weights, library="sentence-transformers", device=device):
        _refuse_other_kind(weights, family)
        try:
            model = getattr(sentence_transformers, CLASSES[family])(
                str(weights.folder),
                device=device,
                trust_remote_code=settings.trust_remote_code,
                local_files_only=weights.offline,
                model_kwargs={"dtype": dtype},
            )
        except (AttributeError, LookupError, TypeError) as error:
            # What the library says of a file that lacks a key, or holds another kind of value.
            raise ValueError(f"{type(error).__name__}: {error}") from error
    _pool_as_the_card_says(model, weights, settings)
    return model


def _refuse_other_kind(weights: Weights, family: Family) -> None:
    """The library would turn a model of another kind into this one, with layers drawn at random."""
    if not (weights.folder / "modules.json").is_file():
        found = _json(weights, "config.json").get("architectures") or ["no architecture"]
        if family is Family.SPARSE_ENCODER and not str(found[0]).endswith("ForMaskedLM"):
            raise DataError(
                f"{weights.name} is a bare {found[0]}: only a masked language model is a sparse "
                "encoder as it is. Check the family on its card."
            )
        return
    kind = _json(weights, "config_sentence_transformers.json").get("model_type")
    saved = SAVED_AS.get(kind or "SentenceTransformer", family)
    if saved is not family:
        raise DataError(
            f"{weights.name} was saved as {kind or 'a dense model'}, which {saved} runs; its card "
            f"says family = {str(family)!r}"
        )


def _json(weights: Weights, name: str) -> dict[str, Any]:
    path = weights.folder / name
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _pool_as_the_card_says(model: Any, weights: Weights, settings: Settings) -> None:  # noqa: ANN401
    """Weights that come without modules do not say how they pool; the library would guess."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    mode = ALIASES.get(settings.pooling or "", settings.pooling)
    bare = not (weights.folder / "modules.json").is_file()
    if bare and mode in Pooling.POOLING_MODES and isinstance(model[-1], Pooling):
        model[-1] = Pooling(model[-1].embedding_dimension, pooling_mode=mode)
