"""Runs a sentence-transformers model by the engine, where that is proven to be the same.

The library prepares texts in many ways (chat templates, query expansion, packed sequences, lengths
by task). So its own features of a few probe texts are compared with the engine's, number by
number: where they are equal the engine takes over, and the model's modules run as they are; where
not, the library's `encode` does, and `Plain` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding.engine import Engine, Padding
from cmedteb.encoding.lanes import lane_to
from cmedteb.encoding.tokens import Ragged, RustTokens, probes
from cmedteb.errors import UsageError
from cmedteb.models.networks.compiled import compile_network
from cmedteb.models.networks.masking import Masking, engine_told
from cmedteb.models.sbert.load import Loaded
from cmedteb.models.sbert.routes import Route, is_table
from cmedteb.types import TaskType

if TYPE_CHECKING:
    from torch import Tensor

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
# Of the features, what is one value for all texts of a side.
SHARED = {"modality", "prompt_length", "task"}

# A lookup table does so little for a token that its batches may be much larger.
TABLE = 64


@dataclass(frozen=True)
class Plain:
    """Why the engine does not run a side of a model.

    Attributes:
        reason: in a few words.
        scale: how many times the usual budget it takes for a forward pass that is worth its call.
    """

    reason: str
    scale: int = 1


def engine_of(loaded: Loaded, route: Route, prompt: str) -> Engine | Plain:
    """The engine for a side of a model.

    Args:
        loaded: the model.
        route: of the side.
        prompt: of the side; the engine is given texts with it.
    """
    from sentence_transformers.base.modules import Transformer

    first = route.modules[0]
    if type(first) is not Transformer:
        return Plain(
            f"{type(first).__name__} reads texts by itself", scale=TABLE if is_table(first) else 1
        )
    tokens = RustTokens.of(first.tokenizer, route.max_length)
    if tokens is None:
        return Plain(f"{type(first.tokenizer).__name__} wraps no Rust tokenizer")
    filler = first.tokenizer.pad_token_id
    padding = Padding(0 if filler is None else filler, left=first.tokenizer.padding_side == "left")
    texts = probes(route.max_length)
    theirs = loaded.model.preprocess(texts, prompt=prompt, task=route.task)
    ours = tokens([prompt + text for text in texts])
    if difference := _difference(theirs, ours, padding):
        return Plain(difference)
    extra = {name: theirs[name] for name in sorted(SHARED & set(theirs))}
    masking = loaded.masking(first)
    if masking is Masking.NEVER:
        padding = replace(padding, left=False)
    return Engine(
        tokenise=tokens,
        forward=_Forward(loaded.model, route.task, extra, TYPES in theirs, masking),
        padding=padding,
        lane=lane_to(loaded.model.device),
        budget=loaded.budget,
        longest=route.max_length or Engine.longest,
        count=loaded.counter.add,
        told=engine_told(first.model, masking, compiled=loaded.settings.compile),
    )


def compile_networks(loaded: Loaded) -> None:
    """Compile the network of each side.

    Raises:
        UsageError: there is none.
        NotAvailableError: one cannot be compiled here.
    """
    from sentence_transformers.base.modules import Transformer

    sides = loaded.routes(TaskType.RETRIEVAL).values()
    networks = {id(first): first for first in (side.modules[0] for side in sides)}
    found = [first for first in networks.values() if type(first) is Transformer]
    if not found:
        raise UsageError(
            f"--compile: {loaded.weights.name} has no network of transformers: leave it out"
        )
    for first in found:
        # What is to be found out about a network is asked of it as it was saved.
        loaded.masking(first)
        compile_network(first.model, whose=loaded.weights.name)


def _difference(theirs: Mapping[str, Any], ours: Ragged, padding: Padding) -> str | None:
    """What the library does with texts that the engine does not; None where nothing."""
    if other := sorted(set(theirs) - {IDS, MASK, TYPES} - SHARED):
        return f"the library adds {', '.join(other)} to texts"
    if missing := sorted({IDS, MASK} - set(theirs)):
        return f"the library makes no {' and no '.join(missing)}"
    ids, mask = padding.pad(ours, np.arange(len(ours.lengths)))
    for name, made in ((IDS, ids), (MASK, mask), (TYPES, np.zeros_like(ids))):
        if name in theirs and not np.array_equal(theirs[name].numpy(), made):
            return f"the library makes other {name}"
    return None


@dataclass(frozen=True)
class _Forward:
    """From ids and mask to vectors, through the model's own modules.

    Attributes:
        model: of the library.
        task: what it is told to find the way.
        extra: features that are the same for all texts.
        types: whether it takes token types, which are all zero.
        masking: when the network is given the mask; the modules behind it always have it.
    """

    model: Any
    task: str
    extra: Mapping[str, Any]
    types: bool
    masking: Masking

    def __call__(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors, cut where the model's configuration says so."""
        import torch

        mask, told = self.masking.divided(ids, mask)
        features = {IDS: ids, MASK: mask, **self.extra}
        if self.types:
            features[TYPES] = torch.zeros_like(ids)
        # Not by a call of the model, whose hook would count tokens that may have to run again.
        found = self.model.forward(features, task=self.task, **{MASK: told})
        vectors: Tensor = found["sentence_embedding"]
        cut = self.model.truncate_dim
        return vectors if cut is None else vectors[..., :cut]
