"""Any dense sentence-transformers model, run as its own configuration says.

Prompts, similarity, pooling and maximum length come from the model unless a card or a flag says
otherwise, and what was used is stated in the facts. Each side is encoded as such, so that a model
with a `Router` takes the way of that side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding import default_budget
from cmedteb.encoding.engine import Engine
from cmedteb.encoding.pipeline import Source
from cmedteb.encoding.workers import Split, split_engine, split_texts
from cmedteb.models.card import Family, ModelCard
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.sbert.binding import (
    Bound,
    bind,
    bind_to_none,
    facts_of_library,
    refuse_other_dimension,
)
from cmedteb.models.sbert.fast import Plain, compile_networks, engine_of
from cmedteb.models.sbert.load import Loaded, Settings, open_library
from cmedteb.models.weights import Weights, of_tower
from cmedteb.types import Float32Array

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer as Model


@dataclass(frozen=True)
class SentenceTransformer:
    """A loaded model, bound to its prompts for one kind of task; loaded, to those of retrieval."""

    loaded: Loaded
    bound: Bound

    @property
    def model(self) -> Model:
        """The library's own object."""
        model: Model = self.loaded.model
        return model

    @property
    def facts(self) -> ModelFacts:
        """What the model is, read from the model itself."""
        return facts_of_library(
            self.loaded, self.bound, family=Family.SENTENCE_TRANSFORMER, cut=self.model.truncate_dim
        )

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, padding not counted."""
        return self.loaded.counter.tokens

    def for_task(self, context: TaskContext) -> SentenceTransformer:
        """The same model with the prompts that this kind of task takes."""
        return replace(self, bound=bind(self.loaded, context))

    @property
    def path(self) -> str:
        """How texts are encoded; by side where they differ.

        `engine` and how attention is computed, or `plain: ` and why the library's own loop runs.
        """
        query, document = (self._path(role) for role in (Role.QUERY, Role.DOCUMENT))
        return query if query == document else f"query: {query}; document: {document}"

    def source(self, role: Role, budget: int | None = None) -> Source:
        """Vectors of a column, see `protocols.Engined`."""
        return self.split(role, budget).source

    def split(self, role: Role, budget: int | None = None) -> Split:
        """A side in two halves, see `protocols.Splittable`."""
        engine = self._engine(role)
        if isinstance(engine, Engine):
            return split_engine(engine, self.bound.prompt(role), budget=budget)
        return split_texts(
            lambda texts: self._plain(texts, role),
            budget=budget or default_budget(self.model.device.type) * engine.scale,
            cap=self.bound.routes[role].max_length,
        )

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._encode(texts, Role.DOCUMENT)

    def _encode(self, texts: Sequence[str], role: Role) -> Float32Array:
        engine = self._engine(role)
        if not texts:
            return np.empty((0, self.facts.dimension or 0), dtype=np.float32)
        if not isinstance(engine, Engine):
            return self._plain(texts, role)
        prompt = self.bound.prompt(role)
        return engine.encode([prompt + text for text in texts])

    def _engine(self, role: Role) -> Engine | Plain:
        route, prompt = self.bound.routes[role], self.bound.prompt(role)
        kept = self.loaded.kept
        if (route.task, prompt) not in kept:
            kept[route.task, prompt] = engine_of(self.loaded, route, prompt)
        found: Engine | Plain = kept[route.task, prompt]
        return found

    def _path(self, role: Role) -> str:
        engine = self._engine(role)
        if isinstance(engine, Plain):
            return f"plain: {engine.reason}"
        return engine.told

    def _plain(self, texts: Sequence[str], role: Role) -> Float32Array:
        vectors: Any = self.model.encode(
            list(texts),
            prompt=self.bound.prompt(role),
            batch_size=max(1, len(texts)),
            show_progress_bar=False,
            convert_to_tensor=True,
            task=self.bound.routes[role].task,
        )
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def load(
    card: ModelCard, options: ModelOptions, weights: Weights | None = None
) -> SentenceTransformer:
    """The model that a card describes, or whose weights are given."""
    settings = Settings.of(card, options)
    return open_model(weights or of_tower(card, options, whose=card.name), settings)


def open_model(weights: Weights, settings: Settings) -> SentenceTransformer:
    """Load a model folder, see `library.open_library`."""
    loaded = open_library(weights, settings, family=Family.SENTENCE_TRANSFORMER)
    system = SentenceTransformer(loaded, bind_to_none(loaded))
    refuse_other_dimension(loaded, system.bound, system.model.truncate_dim)
    if settings.compile:
        compile_networks(loaded)
    return system


LOADER = Loader(
    load,
    options=frozenset({"compile", "max_length", "query_prompt", "document_prompt", "sts_sides"}),
    settings=frozenset({"tasks"}),
)
