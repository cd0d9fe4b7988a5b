"""Cross-encoders: rerankers that read the query and the document together.

Any sequence classifier, and the language models that sentence-transformers runs as rerankers (the
logits of a yes and a no token behind a filled template). A score is what the model's configuration
makes of its logits, and the facts say which: a sigmoid keeps the order but not the correlation.
A model whose scores would mean nothing (no trained head, a template that drops the texts, answer
tokens that it does not know) is refused before anything is scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding.devices import device_name, resolve_device, resolve_dtype
from cmedteb.errors import DataError
from cmedteb.models.card import Instructions, ModelCard, Prompts, known
from cmedteb.models.cross_encoder_checks import (
    agree_on_padding,
    check_labels,
    check_template,
    refuse_untrained_head,
    refuse_untrusted_activation,
    take_answers,
)
from cmedteb.models.networks.loading import need_libraries, refuse_empty_tokenizer, told_plainly
from cmedteb.models.networks.stated import stated_by
from cmedteb.models.options import ModelOptions
from cmedteb.models.prompts import choose_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.sbert.load import TokenCounter
from cmedteb.models.weights import Weights, of_tower
from cmedteb.types import Float32Array, TaskType

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder as Model

LIBRARIES = ("sentence-transformers", "transformers", "tokenizers", "torch")
ACTIVATIONS = {"sigmoid": "Sigmoid", "identity": "Identity"}
# What tokenizers without a limit of their own say instead of None is a number of this size.
NO_LIMIT = 10**9
TEXT_CUT = "the longer text's end, token by token, until the pair fits"
TEMPLATE_CUT = "the end of the filled template, whose last fixed tokens are put back"


@dataclass(frozen=True)
class Settings:
    """How to load and run the model; None or "auto" leaves it to the model or the machine.

    Attributes:
        activation: what makes a score of a logit, a key of `ACTIVATIONS`.
        label: of a model with several labels, the one whose log-probability is the score.
        template: the Jinja template that a language model's `query`, `document` and `system`
            (the prompt) are filled into.
        answers: the tokens whose logits make a language model's score, yes and no; no is None
            where the logit of yes is the score.
    """

    device: str = "auto"
    dtype: str = "auto"
    max_length: int | None = None
    activation: str | None = None
    label: int | None = None
    template: str | None = None
    answers: tuple[str, str | None] | None = None
    flags: Prompts = field(default_factory=Prompts)
    card: Prompts = field(default_factory=Prompts)
    instructions: Instructions = field(default_factory=Instructions)
    trust_remote_code: bool = False


@dataclass(frozen=True)
class CrossEncoder:
    """A loaded model, bound to its prompt for one kind of task; loaded, to that of retrieval."""

    model: Model
    weights: Weights
    settings: Settings
    parameters: int
    counter: TokenCounter = field(default_factory=TokenCounter)
    prompts: Mapping[Role, str] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        """What the model is, read from the model itself.

        All of its weights work while a query waits, and none before: `parameters` counts them
        under `query`.
        """
        length = self.model.max_seq_length
        return ModelFacts(
            name=self.weights.name,
            revision=self.weights.revision,
            family="cross-encoder",
            prompts={str(Role.QUERY): self.prompts.get(Role.QUERY, "")},
            max_length=length if length is not None and length < NO_LIMIT else None,
            dtype=str(self.model.dtype).removeprefix("torch."),
            parameters={"query": self.parameters, "document": 0},
            sts_sides=(Role.QUERY, Role.DOCUMENT),
            settings=_stated_settings(self.model, self.settings),
            libraries=LIBRARIES,
            device=device_name(self.model.device),
        )

    @property
    def tokens(self) -> int:
        """Tokens read so far, padding not counted."""
        return self.counter.tokens

    def for_task(self, context: TaskContext) -> CrossEncoder:
        """The same model with the prompt that this kind of task takes."""
        own = stated_by(self.weights.folder)
        chosen = choose_prompts(
            context,
            flags=self.settings.flags,
            card=self.settings.card,
            instructions=self.settings.instructions,
            own=own.prompts,
            default=own.default,
        )
        return replace(self, prompts=chosen)

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float32Array:
        """Scores of shape (len(left),), in float32; one forward pass over all pairs.

        The prompt stands before the left text, or is the system message of a template.
        """
        if not len(left):
            return np.empty(0, dtype=np.float32)
        scores = self.model.predict(
            list(zip(left, right, strict=True)),
            prompt=self.prompts.get(Role.QUERY, ""),
            batch_size=len(left),
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        chosen = _of_label(scores, self.model, self.settings.label)
        return np.asarray(chosen.float().cpu().numpy(), dtype=np.float32)


def _of_label(scores: torch.Tensor, model: Model, label: int | None) -> torch.Tensor:
    if label is None:
        return scores
    plain = type(model.activation_fn).__name__ == ACTIVATIONS["identity"]
    return (scores.log_softmax(dim=1) if plain else scores)[:, label]


def _stated_settings(model: Model, settings: Settings) -> dict[str, Any]:
    """What moves a score beside weights, prompt, length and type."""
    stated: dict[str, Any] = {
        "activation": type(model.activation_fn).__name__,
        "cut": TEMPLATE_CUT if "message" in model.modalities else TEXT_CUT,
    }
    if settings.label is not None:
        stated["label"] = settings.label
    if settings.template is not None:
        stated["template"] = settings.template
    if settings.answers is not None:
        stated["answers"] = list(settings.answers)
    return stated


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> CrossEncoder:
    """The reranker that a card describes, or whose weights are given."""
    settings = Settings(
        device=options.device,
        dtype=options.dtype,
        max_length=options.max_length or known(card.max_length),
        **_own_settings(card),
        flags=Prompts(query=options.query_prompt),
        card=card.prompts,
        instructions=card.instructions,
        trust_remote_code=options.trust_remote_code,
    )
    return open_model(weights or of_tower(card, options, whose=card.name), settings)


def _own_settings(card: ModelCard) -> dict[str, Any]:
    """The card's own settings.

    Raises:
        DataError: a value that none can be, or a prompt for documents.
    """
    found = dict(card.settings)
    for name in ("activation", "template", "yes", "no"):
        if not isinstance(found.get(name, ""), str):
            raise DataError(f"the card of {card.name}: {name} must be a text, not {found[name]!r}")
    if (activation := found.get("activation")) not in {None, *ACTIVATIONS}:
        raise DataError(
            f"the card of {card.name}: unknown activation {activation!r}; there is "
            f"{', '.join(ACTIVATIONS)}"
        )
    label = found.get("label", 0)
    if not isinstance(label, int) or isinstance(label, bool) or label < 0:
        raise DataError(f"the card of {card.name}: label must be a number from 0, not {label!r}")
    if found.get("template", "").endswith("\n"):
        raise DataError(
            f"the card of {card.name}: Jinja drops the line break that template ends with; leave "
            "it out, or write it as {{ '\\n' }}"
        )
    if "no" in found and "yes" not in found:
        raise DataError(f"the card of {card.name}: a no token without a yes token")
    if card.prompts.document:
        raise DataError(
            f"the card of {card.name}: a cross-encoder reads both texts as one and has no prompt "
            "for documents; put it into the query's"
        )
    answers = (found["yes"], found.get("no")) if "yes" in found else None
    own = {name: found.get(name) for name in ("activation", "label", "template")}
    return {**own, "answers": answers}


def open_model(weights: Weights, settings: Settings) -> CrossEncoder:
    """Load a model folder.

    Raises:
        MissingExtraError: sentence-transformers or torch is not installed.
        NotAvailableError: the folder is no reranker that sentence-transformers can load, or the
            device is not there.
        UsageError: it needs --trust-remote-code, a label or a template, or an unknown device or
            type was asked for.
    """
    need_libraries("torch", "sentence_transformers")
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    refuse_untrained_head(weights)
    if settings.activation is None and not settings.trust_remote_code:
        refuse_untrusted_activation(weights)
    model = _open(weights, settings, resolve_device(settings.device))
    if settings.max_length is not None:
        model.max_seq_length = settings.max_length
    take_answers(model, weights, settings.answers)
    check_template(model, weights)
    check_labels(model, weights, settings.label)
    agree_on_padding(model, weights)
    loaded = CrossEncoder(
        model=model,
        weights=weights,
        settings=settings,
        parameters=sum(weight.numel() for weight in model.parameters()),
    )
    model.register_forward_pre_hook(loaded.counter)
    return loaded.for_task(TaskContext(name="", type=TaskType.RETRIEVAL))


def _open(weights: Weights, settings: Settings, device: str) -> Model:
    import torch
    from sentence_transformers import CrossEncoder as Model

    dtype = getattr(torch, resolve_dtype(settings.dtype, device))
    activation = ACTIVATIONS.get(settings.activation or "")
    template = {} if settings.template is None else {"chat_template": settings.template}
    with told_plainly(weights, library="sentence-transformers", device=device):
        model: Model = Model(
            str(weights.folder),
            device=device,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=weights.offline,
            model_kwargs={"dtype": dtype},
            processor_kwargs=template,
            activation_fn=getattr(torch.nn, activation)() if activation else None,
        )
    refuse_empty_tokenizer(model.tokenizer, weights)
    return model


LOADER = Loader(
    load,
    options=frozenset({"max_length", "query_prompt"}),
    settings=frozenset({"activation", "label", "template", "yes", "no"}),
)
