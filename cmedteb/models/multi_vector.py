"""Late interaction: one vector a token, compared by MaxSim (ColBERT and its kin).

sentence-transformers' MultiVectorEncoder runs the model as its own configuration says: prompts or
marker tokens, query expansion with [MASK], skipped punctuation, projection, normalisation, and
MaxSim or its mean; checkpoints of PyLate and of Stanford's ColBERT load too. Search is exact over
all tokens: there is no index that prunes. Documents are encoded and scored in blocks, so a corpus
need not fit into memory. Sentence pairs are scored in one direction: MaxSim sums over the tokens of
the query side, which is sentence 1 unless a card or `--sts-sides` turns it round. A network without
a projection of its own is refused, because a random one would be made up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.encoding import batches, default_budget
from cmedteb.encoding.devices import device_name
from cmedteb.errors import DataError, ScoreError, UsageError
from cmedteb.models.card import Instructions, ModelCard, Prompts, known
from cmedteb.models.indexed import Indexed
from cmedteb.models.late_interaction import (
    Settings,
    expansion_of,
    length_of,
    open_encoder,
    set_lengths,
)
from cmedteb.models.options import ModelOptions
from cmedteb.models.prompts import choose_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.sbert.load import TokenCounter
from cmedteb.models.weights import Weights, of_tower
from cmedteb.search import Block, TokenVectors, rerank_tokens, score_listed, search_tokens
from cmedteb.types import (
    Candidates,
    Corpus,
    Float32Array,
    Int32Array,
    Int64Array,
    Queries,
    Run,
    TaskType,
    TextColumn,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from sentence_transformers import MultiVectorEncoder as Model
    from torch import Tensor

LIBRARIES = ("sentence-transformers", "transformers", "tokenizers", "torch")
# Bytes of document vectors that are scored at once; twice as many are held while a block is made.
BLOCK_BYTES = 2**29
# Characters of a forward pass where nobody says.
SIDES = (Role.QUERY, Role.DOCUMENT)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Where prompts come from: the user, the card, and the card's instructions."""

    flags: Prompts = field(default_factory=Prompts)
    card: Prompts = field(default_factory=Prompts)
    instructions: Instructions = field(default_factory=Instructions)


@dataclass
class Tally:
    """What the documents of the last ranking took: how many texts, how many bytes of vectors."""

    texts: int = 0
    nbytes: int = 0


@dataclass(frozen=True)
class MultiVector:
    """A loaded model, bound to its prompts for one kind of task; loaded, to those of retrieval.

    Attributes:
        model: of sentence-transformers.
        weights: where it was read from.
        voice: where its prompts come from.
        sides: which side encodes sentence 1 and which sentence 2.
        block_bytes: see `BLOCK_BYTES`; moves no ranking.
        budget: characters of a forward pass, padding counted; None chooses by device.
        prompts: put before each side.
    """

    model: Model
    weights: Weights
    voice: Voice = field(default_factory=Voice)
    sides: tuple[Role, Role] = SIDES
    block_bytes: int = BLOCK_BYTES
    budget: int | None = None
    prompts: Mapping[Role, str] = field(default_factory=dict)
    counter: TokenCounter = field(default_factory=TokenCounter)
    tally: Tally = field(default_factory=Tally)

    def with_budget(self, budget: int) -> MultiVector:
        """The same model with so many characters a forward pass."""
        return replace(self, budget=budget)

    @property
    def facts(self) -> ModelFacts:
        """What the model is, read from the model itself; `dimension` is that of a token."""
        parameters = sum(weight.numel() for weight in self.model.parameters())
        return ModelFacts(
            name=self.weights.name,
            revision=self.weights.revision,
            family="multi-vector",
            prompts={str(role): prompt for role, prompt in self.prompts.items()},
            pooling=" > ".join(type(module).__name__ for module in list(self.model)[1:]) or None,
            max_length=length_of(self.model, Role.DOCUMENT),
            dtype=str(self.model.dtype).removeprefix("torch."),
            dimension=self.model.get_embedding_dimension(),
            parameters={"query": parameters, "document": parameters},
            sts_sides=self.sides,
            settings={
                "similarity": self.model.similarity_fn_name,
                "query_length": length_of(self.model, Role.QUERY),
                "query_expansion": expansion_of(self.model),
            },
            libraries=LIBRARIES,
            device=device_name(self.model.device),
        )

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, padding not counted."""
        return self.counter.tokens

    @property
    def bytes_per_document(self) -> float | None:
        """Mean bytes of the token vectors of a distinct document in the last ranking."""
        return self.tally.nbytes / self.tally.texts if self.tally.texts else None

    def for_task(self, context: TaskContext) -> MultiVector:
        """The same model with the prompts that this kind of task takes.

        The two sides differ on sentence pairs too: unless a prompt for them is stated, each
        sentence takes the prompt of the side that encodes it.
        """
        voice = self.voice
        own = {name: text for name, text in self.model.prompts.items() if text is not None}
        instructions = voice.instructions
        if context.type is TaskType.STS and voice.card.sts is None and "STS" not in own:
            context = replace(context, type=TaskType.RETRIEVAL)
            instructions = instructions.model_copy(update={"retrieval": instructions.sts})
        chosen = choose_prompts(
            context,
            flags=voice.flags,
            card=voice.card,
            instructions=instructions,
            own=own,
            default=None,
        )
        return replace(self, prompts=chosen, tally=Tally())

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the whole corpus for each query."""
        texts = corpus.texts
        blocks = self._blocks(texts.values, texts.index, np.arange(texts.distinct))
        return self._find(corpus, blocks, queries, depth)

    def indexed(self, corpus: Corpus) -> Indexed[Queries]:
        """The same with the documents of this corpus encoded and held, all of them."""
        texts = corpus.texts
        blocks = list(self._blocks(texts.values, texts.index, np.arange(texts.distinct)))
        return Indexed(lambda queries: queries, partial(self._find, corpus, blocks))

    def _find(self, corpus: Corpus, blocks: Iterable[Block], queries: Queries, depth: int) -> Run:
        return search_tokens(
            self._all(queries.texts.values, Role.QUERY),
            queries.texts.index,
            iter(blocks),
            ids=corpus.ids,
            depth=depth,
            mean=self._mean,
        )

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates of each query; only their texts are encoded."""
        texts = corpus.texts
        wanted = np.unique(texts.index[candidates.docs]).astype(np.int64)
        return rerank_tokens(
            self._all(queries.texts.values, Role.QUERY),
            queries.texts.index,
            self._blocks(texts.values, texts.index, wanted),
            candidates,
            ids=corpus.ids,
            mean=self._mean,
        )

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float32Array:
        """MaxSim of the query side of each pair with its document side; shape (len(left),).

        Raises:
            ScoreError: a text of the document side has no token that counts.
        """
        asked, found = (right, left) if self.sides[0] is Role.DOCUMENT else (left, right)
        queries, documents = _distinct(asked), _distinct(found)
        rows = np.arange(len(documents.values), dtype=np.int32)
        scores = score_listed(
            self._all(queries.values, Role.QUERY),
            self._refusing_empty(self._blocks(documents.values, rows, rows.astype(np.int64))),
            queries.index,
            documents.index,
            documents=len(rows),
            mean=self._mean,
        )
        self.tally.texts = self.tally.nbytes = 0
        return scores

    @property
    def _mean(self) -> bool:
        return str(self.model.similarity_fn_name) == "meanmaxsim"

    def _all(self, texts: pa.ChunkedArray, role: Role) -> TokenVectors:
        """The vectors of all texts, in their order."""
        import torch

        places: list[Int64Array] = []
        found: list[Tensor] = []
        for rows, vectors in self._encoded(texts, np.arange(len(texts)), role):
            places.append(rows)
            found += vectors
        if not found:
            width = self.model.get_embedding_dimension() or 0
            return TokenVectors(torch.empty((0, width)), np.zeros(1, dtype=np.int64))
        return TokenVectors.of([found[i] for i in np.argsort(np.concatenate(places))])

    def _blocks(
        self, texts: pa.ChunkedArray, index: Int32Array, wanted: Int64Array
    ) -> Iterator[Block]:
        """The wanted texts, longest first, with all documents that hold them.

        Args:
            texts: the distinct ones.
            index: for each document the position of its text.
            wanted: positions of texts.
        """
        self.tally.texts = self.tally.nbytes = 0
        places: list[Int64Array] = []
        found: list[Tensor] = []
        size = 0
        for rows, vectors in self._encoded(texts, wanted, Role.DOCUMENT):
            places.append(rows)
            found += vectors
            size += sum(each.numel() * each.element_size() for each in vectors)
            if size >= self.block_bytes:
                yield self._block(places, found, index, len(texts))
                size = 0
        if found:
            yield self._block(places, found, index, len(texts))

    def _block(
        self, places: list[Int64Array], found: list[Tensor], index: Int32Array, texts: int
    ) -> Block:
        """A block of what was collected; the lists are emptied."""
        place = np.full(texts, -1, dtype=np.int32)
        place[np.concatenate(places)] = np.arange(len(found), dtype=np.int32)
        vectors = TokenVectors.of(found)
        places.clear()
        found.clear()
        self.tally.texts += len(vectors)
        self.tally.nbytes += vectors.nbytes
        rows = np.flatnonzero(place[index] >= 0).astype(np.int32)
        return Block(vectors, rows, place[index[rows]])

    def _refusing_empty(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            if not block.vectors.lengths.all():
                raise ScoreError(
                    f"{self.weights.name} leaves no token of a sentence to compare (all are "
                    "skipped), so this pair has no similarity. Leave the pair out."
                )
            yield block
            del block  # before the next one is made

    def _encoded(
        self, texts: pa.ChunkedArray, wanted: Int64Array, role: Role
    ) -> Iterator[tuple[Int64Array, list[Tensor]]]:
        """Positions and token vectors of the wanted texts, a batch of like lengths at a time."""
        import pyarrow.compute as pc

        lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)[wanted]
        if role is Role.QUERY and (expansion := expansion_of(self.model)):
            lengths = np.maximum(lengths, expansion["length"])
        budget = self.budget or default_budget(self.model.device.type)
        for some in batches(lengths, budget=budget, cap=length_of(self.model, role)):
            rows = wanted[some]
            vectors = self.model.encode(
                texts.take(rows).to_pylist(),
                prompt=self.prompts.get(role, ""),
                batch_size=len(rows),
                show_progress_bar=False,
                task=str(role),
            )
            yield rows, vectors


def _distinct(texts: Sequence[str]) -> TextColumn:
    """A column of these texts."""
    import pyarrow as pa

    column = pa.array(texts, pa.large_string()).dictionary_encode()
    return TextColumn(pa.chunked_array([column.dictionary]), column.indices.to_numpy())


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> MultiVector:
    """The model that a card describes, or whose weights are given.

    Raises:
        MissingExtraError: sentence-transformers or torch is not installed.
        NotAvailableError: the folder is no model that it can load, or was not trained for late
            interaction.
        UsageError: it needs --trust-remote-code; an unknown device, type or pair of sides.
        DataError: the card is not what the model is, or its settings are not valid.
    """
    settings, sides = Settings.of(card), _sides(card, options)
    weights = weights or of_tower(card, options, whose=card.name)
    model = open_encoder(weights, settings, options)
    set_lengths(
        model,
        documents=options.max_length or known(card.max_length),
        queries=settings.query_length,
    )
    _refuse_other_dimension(model, card)
    voice = Voice(
        flags=Prompts(query=options.query_prompt, document=options.document_prompt),
        card=card.prompts,
        instructions=card.instructions,
    )
    loaded = MultiVector(model=model, weights=weights, voice=voice, sides=sides)
    model.register_forward_pre_hook(loaded.counter)
    return loaded.for_task(TaskContext(name="", type=TaskType.RETRIEVAL))


def _sides(card: ModelCard, options: ModelOptions) -> tuple[Role, Role]:
    stated = options.sts_sides or known(card.sts_sides) or SIDES
    first, second = (Role(side) for side in stated)
    if first is second:
        raise UsageError(
            f"{card.name} compares the tokens of a query with those of a document: say which "
            "sentence is which, --sts-sides query,document or document,query"
        )
    return first, second


def _refuse_other_dimension(model: Model, card: ModelCard) -> None:
    stated, found = known(card.dimension), model.get_embedding_dimension()
    if stated is not None and stated != found:
        raise DataError(
            f"the card of {card.name}: dimension = {stated}, but the model that was loaded makes "
            f"token vectors of {found}. Correct the card, or check that these are its weights."
        )


LOADER = Loader(
    load,
    options=frozenset({"max_length", "query_prompt", "document_prompt", "sts_sides"}),
    settings=frozenset(Settings.model_fields),
)
