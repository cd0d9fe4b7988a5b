"""One transformers network with its tokenizer, run as its card says: texts in, vectors out.

Nothing is left to the library's defaults: the weights' type, the side of the padding, positions,
and whether tokens see those behind them. No language-model head is loaded and no cache is kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding.devices import resolve_device, resolve_dtype
from cmedteb.encoding.engine import Engine, Padding
from cmedteb.encoding.lanes import lane_to
from cmedteb.encoding.plan import Budget, open_budget
from cmedteb.errors import DataError, UsageError
from cmedteb.models.networks.compiled import compile_network
from cmedteb.models.networks.loading import (
    need_libraries,
    refuse_empty_tokenizer,
    refuse_made_up_weights,
    told_plainly,
)
from cmedteb.models.networks.masking import Masking, engine_told, masking_of
from cmedteb.models.networks.pooling import Pooling, finish, pool
from cmedteb.models.networks.token_ids import PaddingSide, TokenIds, token_ids
from cmedteb.models.options import ModelOptions
from cmedteb.models.weights import Weights
from cmedteb.types import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

# What tokenizers that know no maximum length say instead of one is far above this.
NO_LENGTH = 10**9


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How vectors are made of token states, as a card says it.

    Attributes:
        pooling: which states make the vector.
        normalise: scale vectors to length 1, at their full width.
        width: then keep so many numbers of each; None keeps all.
        append_eos: see to it that `last_token` closes every text.
        last_token: what closes a text; "" is nothing, None the tokenizer's end of sequence.
        padding_side: None is the tokenizer's own.
        causal: whether tokens see only those before them; None is the model's own.
        max_length: in tokens; None is the model's own.
    """

    pooling: Pooling
    normalise: bool = False
    width: int | None = None
    append_eos: bool = False
    last_token: str | None = None
    padding_side: PaddingSide | None = None
    causal: bool | None = None
    max_length: int | None = None


@dataclass
class Counter:
    """Counts real tokens."""

    tokens: int = 0

    def add(self, tokens: int) -> None:
        """So many more."""
        self.tokens += tokens


@dataclass(frozen=True)
class Network:
    """A loaded network.

    Attributes:
        model: of transformers, without a head.
        ids: its tokenizer, with its rules.
        recipe: how vectors are made.
        weights: where they were read from.
        dimension: of the vectors as they are returned.
        parameters: weights that were read, counted.
        places_positions: whether its positions must be told where texts are padded on the left.
        budget: tokens of one forward pass, as learned so far.
        masking: when the network is given the mask.
        compiled: whether it was compiled for its device.
        counter: of the tokens that went through.
    """

    model: Any
    ids: TokenIds
    recipe: Recipe
    weights: Weights
    dimension: int
    parameters: int
    places_positions: bool
    budget: Budget
    masking: Masking = Masking.ALWAYS
    compiled: bool = False
    counter: Counter = field(default_factory=Counter)

    @property
    def foreign_code(self) -> bool:
        """Whether the model's own code runs, not that of transformers."""
        return not type(self.model).__module__.startswith("transformers.")

    @cached_property
    def engine(self) -> Engine:
        """What runs it over many texts."""
        return Engine(
            tokenise=self.ids.together,
            forward=self._vectors,
            padding=Padding(self.ids.filler, left=self._left),
            lane=lane_to(self.model.device),
            budget=self.budget,
            longest=self.ids.max_length,
            count=self.counter.add,
            told=engine_told(self.model, self.masking, compiled=self.compiled),
        )

    @property
    def _left(self) -> bool:
        """Which side is padded: behind the text, where that frees the network from the mask."""
        return self.ids.left and self.masking is not Masking.NEVER

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of texts, shape (len(texts), dimension).

        Args:
            texts: with their prompts.

        Raises:
            ModelError: a text does not end as the recipe says.
        """
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return self.engine.encode(texts)

    def _vectors(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        mask, told = self.masking.divided(ids, mask)
        places = {}
        if self.places_positions and self._left:
            places["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        found = self.model(input_ids=ids, attention_mask=told, **places).last_hidden_state
        vectors = pool(found, mask, self.recipe.pooling)
        return finish(vectors, normalise=self.recipe.normalise, width=self.recipe.width)


def open_network(weights: Weights, recipe: Recipe, options: ModelOptions) -> Network:
    """Load a network and check that its tokenizer keeps to the recipe.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        NotAvailableError: the folder is no such model, or the device is not there.
        UsageError: it needs --trust-remote-code; an unknown device or type; no room for a text.
        DataError: the card asks for what the model does not have.
        ModelError: its texts do not end with the token that is pooled.
    """
    need_libraries("torch", "transformers", "safetensors")
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = resolve_device(options.device)
    with told_plainly(weights, library="transformers", device=device):
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, **_trust(weights, options))
    refuse_empty_tokenizer(tokenizer, weights)
    model, parameters = _open_model(weights, recipe, options, device)
    width = model.config.get_text_config().hidden_size
    if recipe.width is not None and recipe.width > width:
        raise DataError(
            f"the card of {weights.name}: truncate_dim = {recipe.width}, and the model's vectors "
            f"have {width} dimensions"
        )
    ids = token_ids(
        tokenizer,
        max_length=_max_length(recipe, tokenizer, model.config, whose=weights.name),
        last_token=recipe.last_token,
        closed=recipe.pooling is Pooling.LAST,
        append=recipe.append_eos,
        padding_side=recipe.padding_side,
        whose=weights.name,
    )
    masking, left = masking_of(model), ids.left and _counts_from_zero(model)
    if options.compile:
        compile_network(model, whose=weights.name)
    return Network(
        model=model,
        ids=ids,
        recipe=recipe,
        weights=weights,
        dimension=recipe.width or width,
        parameters=parameters,
        places_positions=left,
        budget=open_budget(device),
        masking=masking,
        compiled=options.compile,
    )


def _open_model(
    weights: Weights, recipe: Recipe, options: ModelOptions, device: str
) -> tuple[Any, int]:
    """The network on its device, and how many of its weights were read."""
    import torch
    from transformers import AutoConfig, AutoModel

    dtype = getattr(torch, resolve_dtype(options.dtype, device))
    trust = _trust(weights, options)
    with told_plainly(weights, library="transformers", device=device):
        config = AutoConfig.from_pretrained(weights.folder, **trust)
        config.use_cache = False
        if recipe.causal is not None:
            config.is_causal = recipe.causal
        model, report = AutoModel.from_pretrained(
            weights.folder, config=config, dtype=dtype, output_loading_info=True, **trust
        )
        refuse_made_up_weights(report["missing_keys"], weights)
        model = model.to(device).eval()
    read = (
        weight.numel()
        for name, weight in model.named_parameters()
        if name not in report["missing_keys"]
    )
    return model, sum(read)


def _trust(weights: Weights, options: ModelOptions) -> dict[str, bool]:
    return {
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": weights.offline,
    }


def _counts_from_zero(model: Any) -> bool:  # noqa: ANN401
    """Whether positions are counted from the first place of a batch, padding or not.

    RoBERTa and its kin find the padding in the ids by themselves, and count from another number.
    """
    by_ids = any(
        hasattr(module, "create_position_ids_from_inputs_embeds") for module in model.modules()
    )
    return "position_ids" in inspect.signature(model.forward).parameters and not by_ids


def _max_length(recipe: Recipe, tokenizer: Any, config: Any, *, whose: str) -> int:  # noqa: ANN401
    places: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    asked = recipe.max_length
    if asked is not None:
        if places is not None and asked > places:
            raise UsageError(
                f"{whose} has positions for {places} tokens: it cannot read texts of {asked}"
            )
        return asked
    stated: list[int | None] = [tokenizer.model_max_length, places]
    lengths = [length for length in stated if length is not None and length < NO_LENGTH]
    if not lengths:
        raise UsageError(f"{whose} states no maximum length: say it with --max-length")
    return min(lengths)
