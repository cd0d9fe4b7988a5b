"""Embedders that are told their task: LLM embedders with a last-token vector, and plain towers.

Qwen3-Embedding, gte-Qwen2, BMRetriever, and each side of CARE: one network that transformers
loads, with prompts that may hold an instruction. What a card says is done and nothing else: a bare
folder has no card, and goes to sentence-transformers, which reads the folder's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmedteb.encoding.devices import device_name
from cmedteb.encoding.pipeline import Source
from cmedteb.encoding.workers import Split, split_engine
from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import Instructions, ModelCard, Prompts, known
from cmedteb.models.networks.network import Network, Recipe, open_network
from cmedteb.models.networks.pooling import Pooling, described
from cmedteb.models.networks.stated import Stated, stated_by
from cmedteb.models.options import ModelOptions
from cmedteb.models.prompts import choose_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.weights import Weights, of_tower
from cmedteb.types import Float32Array, Similarity, TaskType

LIBRARIES = ("transformers", "tokenizers", "torch")


class Settings(BaseModel):
    """What `[settings]` of a card of this family may say.

    Attributes:
        normalize: scale vectors to length 1, at their full width.
        truncate_dim: then keep so many numbers of each, and do not scale again.
        append_eos: see to it that `last_token` closes every text, after the text was cut.
        last_token: the token that closes every text; "" where none does. Where the last token is
            pooled and this is absent, it is the tokenizer's end of sequence.
        padding_side: where short texts are filled up; it moves no score.
        causal: false where every token sees all others (gte-Qwen2-7B); absent, the model's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    normalize: bool = False
    truncate_dim: Annotated[int, Field(ge=1)] | None = None
    append_eos: bool = False
    last_token: str | None = None
    padding_side: Literal["left", "right"] | None = None
    causal: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Where prompts come from.

    Attributes:
        flags: what the user said.
        card: what the card says.
        instructions: of the card, by kind of task.
        stated: what the model's own configuration says.
    """

    flags: Prompts = field(default_factory=Prompts)
    card: Prompts = field(default_factory=Prompts)
    instructions: Instructions = field(default_factory=Instructions)
    stated: Stated = field(default_factory=Stated)

    def prompts(self, context: TaskContext) -> dict[Role, str]:
        """The prompt of each side for one task, see `choose_prompts`."""
        return choose_prompts(
            context,
            flags=self.flags,
            card=self.card,
            instructions=self.instructions,
            own=self.stated.prompts,
            default=self.stated.default,
        )

    @property
    def unfilled(self) -> dict[str, str]:
        """The card's prompts for retrieval as they stand there, by side."""
        sides = {Role.QUERY: self.card.query, Role.DOCUMENT: self.card.document}
        return {str(role): prompt or "" for role, prompt in sides.items()}


@dataclass(frozen=True, kw_only=True)
class Instruct:
    """A loaded tower, bound to its prompts for one task; loaded, to those of retrieval.

    A tower whose prompts need an instruction that its card does not have is bound by `for_task`
    only, and encodes nothing before.
    """

    network: Network
    similarity: Similarity
    voice: Voice = field(default_factory=Voice)
    sts_sides: tuple[Role, Role] = (Role.QUERY, Role.QUERY)
    subfolder: str | None = None
    bound: Mapping[Role, str] | None = None

    @property
    def facts(self) -> ModelFacts:
        """What the tower is."""
        network, recipe = self.network, self.network.recipe
        told = self.voice.unfilled if self.bound is None else self.bound
        return ModelFacts(
            name=network.weights.name,
            revision=network.weights.revision,
            family="instruct",
            similarity=self.similarity,
            prompts={str(role): prompt for role, prompt in told.items()},
            pooling=described(recipe.pooling, normalise=recipe.normalise, width=recipe.width),
            max_length=network.ids.max_length,
            dtype=str(network.model.dtype).removeprefix("torch."),
            dimension=network.dimension,
            parameters={"query": network.parameters, "document": network.parameters},
            sts_sides=self.sts_sides,
            settings=self._settings,
            libraries=LIBRARIES,
            device=device_name(network.model.device),
        )

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, padding not counted."""
        return self.network.counter.tokens

    @property
    def path(self) -> str:
        """That the engine encodes, and how attention is computed."""
        return self.network.engine.told

    def for_task(self, context: TaskContext) -> Instruct:
        """The same tower with the prompts that this task takes.

        Raises:
            UsageError: a prompt needs an instruction that nobody gives, or leaves no room for a
                text.
        """
        return self.speaking(self.voice.prompts(context))

    def speaking(self, prompts: Mapping[Role, str]) -> Instruct:
        """The same tower with these prompts."""
        for prompt in sorted(set(prompts.values())):
            self.network.ids.check_prompt(prompt)
        return replace(self, bound=prompts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.DOCUMENT)

    def source(self, role: Role, budget: int | None = None) -> Source:
        """Vectors of a column, see `protocols.Engined`."""
        return self.split(role, budget).source

    def split(self, role: Role, budget: int | None = None) -> Split:
        """A side in two halves, see `protocols.Splittable`."""
        return split_engine(self.network.engine, self._prompt(role), budget=budget)

    def _encode(self, texts: Sequence[str], role: Role) -> Float32Array:
        prompt = self._prompt(role)
        return self.network.encode([prompt + text for text in texts])

    def _prompt(self, role: Role) -> str:
        if self.bound is None:
            raise UsageError(
                f"{self.network.weights.name}: its prompt {self.voice.card.query!r} needs an "
                "instruction, and its card has none: bind it to a task with for_task, or say the "
                "prompt with --query-prompt"
            )
        return self.bound.get(role, "")

    @property
    def _settings(self) -> dict[str, Any]:
        ids, recipe = self.network.ids, self.network.recipe
        settings = {
            "last_token": ids.closing,
            "append_eos": recipe.append_eos,
            "causal": recipe.causal,
            "compile": self.network.compiled or None,
            "subfolder": self.subfolder,
            "trust_remote_code": self.network.foreign_code or None,
        }
        return {name: value for name, value in settings.items() if value is not None}


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> Instruct:
    """The tower that a card describes.

    Raises:
        DataError: the card lacks its pooling or its similarity, or has a setting wrong.
        UsageError, NotAvailableError, ModelError: see `open_network`.
    """
    recipe = _recipe(card, options)
    weights = weights or of_tower(card, options, whose=card.name)
    stated = stated_by(weights.folder)
    similarity = known(card.similarity) or stated.similarity
    if similarity is None:
        raise DataError(
            f"the card of {card.name} states no similarity, nor does the model's configuration: "
            'write similarity = "dot" or "cosine" as its authors compare vectors'
        )
    sides = known(card.sts_sides) or (Role.QUERY, Role.QUERY)
    tower = Instruct(
        network=open_network(weights, recipe, options),
        similarity=similarity,
        voice=Voice(
            flags=Prompts(query=options.query_prompt, document=options.document_prompt),
            card=card.prompts,
            instructions=card.instructions,
            stated=stated,
        ),
        sts_sides=(Role(sides[0]), Role(sides[1])),
        subfolder=card.subfolder,
    )
    try:
        prompts = tower.voice.prompts(TaskContext(name="", type=TaskType.RETRIEVAL))
    except UsageError:
        # Its prompts wait for the instruction of a task.
        return tower
    return tower.speaking(prompts)


def _recipe(card: ModelCard, options: ModelOptions) -> Recipe:
    if card.pooling not in set(Pooling):
        raise DataError(
            f"the card of {card.name}: pooling is {card.pooling!r}, and must be one of "
            f"{', '.join(Pooling)}: which token states make the vector"
        )
    try:
        settings = Settings.model_validate(card.settings)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise DataError(f"the card of {card.name}: [settings] is wrong: {faults}") from error
    return Recipe(
        pooling=Pooling(card.pooling),
        normalise=settings.normalize,
        width=settings.truncate_dim,
        append_eos=settings.append_eos,
        last_token=settings.last_token,
        padding_side=settings.padding_side,
        causal=settings.causal,
        max_length=options.max_length or known(card.max_length),
    )


LOADER = Loader(
    load,
    options=frozenset({"compile", "max_length", "query_prompt", "document_prompt"}),
    settings=frozenset(Settings.model_fields),
)
