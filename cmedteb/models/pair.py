"""Two encoders as the two sides of one model: a small one for queries, a large one for documents.

CARE's scheme, and any other: the sides may have other tokenizers, pooling, prompts, lengths and
sizes, and come from one card, or from any two models that `-m` takes. What they must share is the
space of their vectors: one width and one similarity, checked before any text is encoded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cmedteb.encoding import Encoded, Source, default_budget
from cmedteb.encoding.plan import batches
from cmedteb.encoding.workers import Split, split_texts
from cmedteb.errors import DataError, ScoreError, UsageError
from cmedteb.models.card import UNKNOWN, Family, ModelCard, Prompts, Tower, known
from cmedteb.models.custom import facts_of
from cmedteb.models.options import COMMON, OF_PARTS, ModelOptions
from cmedteb.models.protocols import (
    Encoder,
    ModelFacts,
    Role,
    Splittable,
    Streaming,
    System,
    TaskAware,
    TaskContext,
)
from cmedteb.models.registry import PREFIXES, Loader, find_card, load_card, load_model
from cmedteb.models.weights import HUB_ID, Weights
from cmedteb.types import Float32Array, Similarity

OWN_PROMPT = {Role.QUERY: "query_prompt", Role.DOCUMENT: "document_prompt"}
# Characters a batch, for a side that does not stream beside one that does.
STREAM_BUDGET = 4_096


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two encoders, each for its side.

    Attributes:
        query: what encodes queries.
        document: what encodes documents; the same object where one model has both sides.
        name: as results are filed.
        similarity: how vectors of the two sides are compared.
        sts_sides: which side encodes sentence 1 and sentence 2; None where nobody says.
    """

    query: Encoder
    document: Encoder
    name: str
    similarity: Similarity
    sts_sides: tuple[Role, Role] | None = None

    @property
    def facts(self) -> ModelFacts:
        """What the two sides are, and how they are compared."""
        query, document = facts_of(self.query), facts_of(self.document)
        lengths = [length for length in (query.max_length, document.max_length) if length]
        return ModelFacts(
            name=self.name,
            revision=_revision(query, document),
            family="pair",
            similarity=self.similarity,
            prompts={
                "query": query.prompts.get("query", ""),
                "document": document.prompts.get("document", ""),
            },
            pooling=_both(query.pooling, document.pooling),
            max_length=max(lengths) if len(lengths) == len(Role) else None,
            dtype=_both(query.dtype, document.dtype),
            dimension=query.dimension or document.dimension,
            parameters=_parameters(query, document),
            sts_sides=self.sts_sides,
            settings={"query": query.identity, "document": document.identity},
            sides={
                Role.QUERY: query.side(Role.QUERY),
                Role.DOCUMENT: document.side(Role.DOCUMENT),
            },
            libraries=tuple(sorted({*query.libraries, *document.libraries})),
            device=document.device,
            reproducible=query.reproducible and document.reproducible,
        )

    @property
    def path(self) -> str | None:
        """How each side encodes, where a side says so; see `SentenceTransformer.path`."""
        query, document = (getattr(side, "path", None) for side in (self.query, self.document))
        return query if query == document else f"query: {query}; document: {document}"

    @property
    def tokens(self) -> int:
        """Tokens that both sides encoded so far, padding not counted."""
        sides = {id(side): side for side in (self.query, self.document)}
        return sum(getattr(side, "tokens", 0) for side in sides.values())

    def for_task(self, context: TaskContext) -> Pair:
        """The same pair with each side bound to the task."""
        query = _bound(self.query, context)
        same = self.document is self.query
        return replace(
            self, query=query, document=query if same else _bound(self.document, context)
        )

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors by the query side, shape (len(texts), dimension)."""
        vectors = np.asarray(self.query.encode_queries(texts), dtype=np.float32)
        return self._checked(vectors, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors by the document side, shape (len(texts), dimension)."""
        vectors = np.asarray(self.document.encode_documents(texts), dtype=np.float32)
        return self._checked(vectors, Role.DOCUMENT)

    def source(self, role: Role, budget: int | None = None) -> Source:
        """Vectors of one side's texts: by that side's own engine, where it has one."""
        return self.split(role, budget).source

    def split(self, role: Role, budget: int | None = None) -> Split:
        """A side in two halves: as its encoder splits it, else by characters."""
        side = self.query if role is Role.QUERY else self.document
        if isinstance(side, Splittable):
            plan, run = side.split(role, budget)
            return Split(
                plan, lambda made: (Encoded(at, self._checked(v, role)) for at, v in run(made))
            )
        facts = facts_of(side)
        encode = self.encode_queries if role is Role.QUERY else self.encode_documents
        room = budget or default_budget(facts.device)
        return split_texts(encode, budget=room, cap=facts.max_length)

    def _checked(self, vectors: Float32Array, role: Role) -> Float32Array:
        """For a side that states no width before it has encoded something."""
        other = facts_of(self.query if role is Role.DOCUMENT else self.document)
        if other.dimension is not None and vectors.shape[1:] != (other.dimension,):
            raise ScoreError(
                f"{self.name}: the {role} side gives an array of shape {vectors.shape}, and "
                f"{other.name} on the other side vectors of {other.dimension} dimensions: they "
                "share no space"
            )
        return vectors


@dataclass(frozen=True, kw_only=True)
class StreamingPair(Pair):
    """A pair one of whose sides gives vectors as they come."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts; a side that does not stream gives them batch by batch."""
        side = self.query if role is Role.QUERY else self.document
        if isinstance(side, Streaming):
            for rows, vectors in side.stream(texts, role):
                yield Encoded(rows, self._checked(vectors, role))
            return
        encode = self.encode_queries if role is Role.QUERY else self.encode_documents
        lengths = np.asarray([len(text) for text in texts], dtype=np.int64)
        cap = facts_of(side).max_length
        for rows in batches(lengths, budget=STREAM_BUDGET, cap=cap):
            yield Encoded(rows, encode([texts[row] for row in rows]))


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> Pair:
    """The pair that a card describes, or that two models make.

    Raises:
        UsageError: only one of two models is given; a side is no encoder; the sides share no
            space.
        DataError: a side of the card is wrong.
        NotAvailableError: the files of a side cannot be had.
    """
    del weights
    if card.query is None:
        query, document, name = _of_options(options)
    else:
        query, document, name = _of_card(card, options)
    _refuse_widths(facts_of(query), facts_of(document))
    kind = (
        StreamingPair if isinstance(query, Streaming) or isinstance(document, Streaming) else Pair
    )
    stated = known(card.sts_sides)
    return kind(
        query=query,
        document=document,
        name=name,
        similarity=_similarity(card, facts_of(query), facts_of(document)),
        sts_sides=options.sts_sides or ((Role(stated[0]), Role(stated[1])) if stated else None),
    )


def _of_options(options: ModelOptions) -> tuple[Encoder, Encoder, str]:
    asked, kept = options.query_model, options.document_model
    if asked is None or kept is None:
        raise UsageError("two encoders make a pair: give both --query-model and --document-model")
    if asked == kept:
        query = document = _encoder(load_model(asked, _passed(options, _family(asked), *Role)))
    else:
        query = _encoder(load_model(asked, _passed(options, _family(asked), Role.QUERY)))
        document = _encoder(load_model(kept, _passed(options, _family(kept), Role.DOCUMENT)))
    names = (facts_of(side).name.rpartition("/")[2] for side in (query, document))
    return query, document, f"pair/{'--'.join(names)}"


def _of_card(card: ModelCard, options: ModelOptions) -> tuple[Encoder, Encoder, str]:
    first = _placed(card.query, options.query_model)
    second = _placed(card.document, options.document_model)
    if first == second:
        query = document = _tower(card, first, options, *Role)
    else:
        query = _tower(card, first, options, Role.QUERY)
        document = _tower(card, second, options, Role.DOCUMENT)
    placed = options.query_model or options.document_model
    own = card.hf is not None and HUB_ID.match(card.hf) and not placed
    return query, document, str(card.hf) if own else f"pair/{card.name}"


def _placed(tower: Tower | None, folder: str | None) -> Tower:
    """A card's tower with its weights in a folder, where the caller says so."""
    if tower is None:
        raise UsageError("the card of a pair needs both tables, [query] and [document]")
    if folder is None:
        return tower
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UsageError(
            f"{folder} is no folder. With the card of a pair, --query-model and --document-model "
            "say where its two encoders lie."
        )
    where = {"hf": str(path.resolve()), "subfolder": None, "revision": UNKNOWN}
    return tower.model_copy(update=where)


def _tower(card: ModelCard, tower: Tower, options: ModelOptions, *roles: Role) -> Encoder:
    """One side of a card's pair, loaded as a model of its own."""
    if tower.family is Family.PAIR:
        raise DataError(f"the card of {card.name}: a side of a pair cannot be a pair")
    prompts = {role: getattr(card.prompts, role) for role in roles}
    fields = {name: getattr(tower, name) for name in Tower.model_fields}
    if tower.hf in {None, card.hf}:
        # The sides lie in the pair's own repository, at the revision that was asked for.
        fields["hf"] = card.hf
        fields["revision"] = known(card.revision) or tower.revision
    side = ModelCard(
        **fields,
        name="-".join([card.name, *roles]),
        title=card.title,
        similarity=card.similarity,
        prompts=Prompts(**prompts, sts=card.prompts.sts),
        instructions=card.instructions,
    )
    return _encoder(load_card(side, _passed(options, tower.family, *roles)))


def _passed(options: ModelOptions, family: Family | None, *roles: Role) -> ModelOptions:
    """What of the pair's options concerns a side: its own prompt, not the other side's."""
    own = {"compile", "max_length", *(OWN_PROMPT[role] for role in roles)}
    return options.only(COMMON | own | (OF_PARTS if family is Family.API else set()))


def _family(spec: str) -> Family | None:
    prefix, _, name = spec.partition(":")
    if name and prefix in PREFIXES:
        return PREFIXES[prefix][0]
    card = find_card(spec)
    return None if card is None else card.family


def _encoder(system: System) -> Encoder:
    if not isinstance(system, Encoder):
        raise UsageError(
            f"{facts_of(system).name} does not make one vector of a text, so it cannot "
            "be a side of a pair"
        )
    return system


def _bound(side: Encoder, context: TaskContext) -> Encoder:
    bound: Encoder = side.for_task(context) if isinstance(side, TaskAware) else side
    return bound


def _refuse_widths(query: ModelFacts, document: ModelFacts) -> None:
    widths = {query.dimension, document.dimension} - {None}
    if len(widths) > 1:
        raise UsageError(
            f"the sides share no vector space: {query.name} gives queries {query.dimension} "
            f"dimensions, {document.name} gives documents {document.dimension}. Take two models "
            "trained for each other; where one is cut to the other's width, a card says so "
            "(truncate_dim in [document.settings])."
        )


def _similarity(card: ModelCard, query: ModelFacts, document: ModelFacts) -> Similarity:
    stated = known(card.similarity)
    if stated is not None:
        return stated
    if query.similarity is not None and query.similarity is document.similarity:
        return query.similarity
    raise UsageError(
        f"{query.name} compares vectors by {query.similarity}, {document.name} by "
        f'{document.similarity}. Write a card for the pair with similarity = "dot" or "cosine".'
    )


def _revision(query: ModelFacts, document: ModelFacts) -> str:
    """The revision that the sides share, else a hash over both."""
    sides = [(side.name, side.revision) for side in (query, document)]
    if sides[0] == sides[1]:
        return query.revision
    told = json.dumps(sides, ensure_ascii=False).encode()
    return f"sha256-{hashlib.sha256(told).hexdigest()[:16]}"


def _parameters(query: ModelFacts, document: ModelFacts) -> dict[str, int]:
    counted = {"query": query.parameters, "document": document.parameters}
    return {role: sides[role] for role, sides in counted.items() if role in sides}


def _both(query: Any, document: Any) -> str | None:  # noqa: ANN401  any fact
    """One value where the sides agree, else both, the query's first."""
    return query if query == document else f"{query} | {document}"


LOADER = Loader(
    load,
    options=frozenset(
        {
            "compile",
            "max_length",
            "query_prompt",
            "document_prompt",
            "query_model",
            "document_model",
            "sts_sides",
        }
    )
    | OF_PARTS,
)
