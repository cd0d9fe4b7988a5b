"""Sparse encoders of sentence-transformers: SPLADE, inference-free SPLADE, CSR.

A text becomes weights of some columns: words of a vocabulary, or learned features. Formal et al.,
"SPLADE v2" (2021); Geng et al., "Towards Competitive Search Relevance for Inference-Free Learned
Sparse Retrievers" (2024), whose queries are looked up and not computed; Wen et al., "Beyond
Matryoshka" (2025). Such a model searches by itself, over sparse vectors from start to end: a
document is dense only within its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.encoding import batches, default_budget
from cmedteb.errors import DataError, ScoreError, UsageError
from cmedteb.models.card import Family, ModelCard
from cmedteb.models.indexed import Indexed
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
from cmedteb.models.sbert.load import Loaded, Settings, open_library
from cmedteb.models.weights import Weights, of_tower
from cmedteb.search import SparseIndex, SparseVectors, rerank_sparse, row_dots, unit_rows
from cmedteb.types import (
    Candidates,
    Corpus,
    Float64Array,
    Int64Array,
    Queries,
    Run,
    Similarity,
    TaskType,
    TextColumn,
)

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array
    from sentence_transformers import SparseEncoder as Model

# Characters of one forward pass, and the most values of its widest matrix (tokens x vocabulary).
# Values of the logits of one forward pass, which have a column for each of the vocabulary.
CPU_VALUES = 2**27
GPU_VALUES = 2**30


@dataclass
class IndexSize:
    """How large the last index was; None before any search."""

    bytes_per_document: float | None = None


@dataclass(frozen=True)
class SparseEncoder:
    """A loaded model, bound to its prompts for one kind of task; loaded, to those of retrieval.

    Attributes:
        loaded: the model.
        bound: its routes and prompts.
        pair_sides: which side encodes the left and the right text of a pair; None where nobody
            says.
        size: of the last index.
        budget: characters of a forward pass, padding counted; None chooses by device.
    """

    loaded: Loaded
    bound: Bound
    pair_sides: tuple[Role, Role] | None = (Role.QUERY, Role.DOCUMENT)
    size: IndexSize = field(default_factory=IndexSize)
    budget: int | None = None

    def with_budget(self, budget: int) -> SparseEncoder:
        """The same model with so many characters a forward pass."""
        return replace(self, budget=budget)

    @property
    def model(self) -> Model:
        """The library's own object."""
        model: Model = self.loaded.model
        return model

    @property
    def facts(self) -> ModelFacts:
        """What the model is, read from the model itself."""
        limit = self.model.max_active_dims
        settings = {} if limit is None else {"max_active_dims": limit}
        return facts_of_library(
            self.loaded, self.bound, family=Family.SPARSE_ENCODER, settings=settings
        )

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, padding not counted."""
        return self.loaded.counter.tokens

    @property
    def bytes_per_document(self) -> float | None:
        """Mean size of a document in the last index, in bytes."""
        return self.size.bytes_per_document

    def for_task(self, context: TaskContext) -> SparseEncoder:
        """The same model with the prompts that this kind of task takes."""
        bound = bind(self.loaded, context)
        ranking = (Role.QUERY, Role.DOCUMENT)
        sides = bound.sts_sides if context.type is TaskType.STS else ranking
        return replace(self, bound=bound, pair_sides=sides)

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the corpus for each query."""
        return self.indexed(corpus).search(corpus, queries, depth)

    def indexed(self, corpus: Corpus) -> Indexed[SparseVectors]:
        """The same with the documents of this corpus encoded."""
        return Indexed(self._asked, SparseIndex(self._documents(corpus), corpus.ids).search)

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates of each query, ordered."""
        documents = self._documents(corpus)
        return rerank_sparse(self._asked(queries), documents, candidates, ids=corpus.ids)

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        """The similarity of the two vectors of each pair; shape (len(left),).

        Raises:
            UsageError: the two sides are two encoders and nobody says which reads which sentence.
        """
        if self.pair_sides is None:
            raise UsageError(
                f"{self.facts.name} encodes queries and documents by different ways: say which "
                "reads the first and which the second sentence of a pair, with --sts-sides "
                "query,document or sts_sides on its card"
            )
        first, second = self.pair_sides
        return row_dots(self._rows(left, first), self._rows(right, second))

    def _documents(self, corpus: Corpus) -> SparseVectors:
        values = self._column(corpus.texts, Role.DOCUMENT)
        documents = SparseVectors(values, np.asarray(corpus.texts.index))
        self.size.bytes_per_document = documents.bytes_each
        return documents

    def _asked(self, queries: Queries) -> SparseVectors:
        values = self._column(queries.texts, Role.QUERY)
        return SparseVectors(values, np.asarray(queries.texts.index))

    def _column(self, texts: TextColumn, role: Role) -> csr_array:
        """Vectors of the distinct texts of a column."""
        import pyarrow.compute as pc

        lengths = pc.utf8_length(texts.values).to_numpy().astype(np.int64)
        plan = list(batches(lengths, budget=self._budget, cap=self.facts.max_length))
        parts = [self.encode(texts.values.take(rows).to_pylist(), role) for rows in plan]
        return _in_order(parts, plan)

    def _rows(self, texts: Sequence[str], role: Role) -> csr_array:
        """Vectors of some texts, of which equal ones are encoded once."""
        place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        lengths = np.array([len(text) for text in place], dtype=np.int64)
        distinct = list(place)
        plan = list(batches(lengths, budget=self._budget, cap=self.facts.max_length))
        parts = [self.encode([distinct[row] for row in rows], role) for rows in plan]
        return _in_order(parts, plan)[[place[text] for text in texts]]

    @property
    def _budget(self) -> int:
        """Characters of one forward pass, as many as its logits leave room for."""
        device = self.loaded.model.device.type
        values = CPU_VALUES if device in {"cpu", "mps"} else GPU_VALUES
        budget = self.budget or default_budget(device)
        return max(1, min(budget, values // (self.facts.dimension or 1)))

    def encode(self, texts: Sequence[str], role: Role) -> csr_array:
        """Vectors of one batch, in float32; shape (len(texts), columns).

        Raises:
            ScoreError: a weight is not finite.
        """
        vectors: Any = self.model.encode(
            list(texts),
            prompt=self.bound.prompt(role),
            batch_size=max(1, len(texts)),
            show_progress_bar=False,
            convert_to_sparse_tensor=False,
            save_to_cpu=False,
            task=self.bound.routes[role].task,
        )
        found = _compressed(vectors)
        if not np.isfinite(found.data).all():
            raise ScoreError(
                f"{self.loaded.weights.name} gave NaN or infinity for one of {len(texts)} texts, "
                f"the first of which starts with {texts[0][:40]!r}. Try --dtype float32."
            )
        return unit_rows(found) if self.facts.similarity is Similarity.COSINE else found


def _compressed(vectors: torch.Tensor) -> csr_array:
    """The weights of a batch that are not zero, in float32."""
    from scipy.sparse import csr_array

    rows, columns = vectors.nonzero(as_tuple=True)
    weights = vectors[rows, columns].float().cpu().numpy()
    counts = np.bincount(rows.cpu().numpy(), minlength=len(vectors))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    indices = columns.cpu().numpy().astype(np.int32)
    return csr_array((weights, indices, offsets), shape=tuple(vectors.shape))


def _in_order(parts: list[csr_array], plan: list[Int64Array]) -> csr_array:
    """The rows of all batches, each at the place that the plan took it from."""
    from scipy.sparse import csr_array, vstack

    if not parts:
        return csr_array((0, 1), dtype=np.float32)
    place = np.argsort(np.concatenate(plan))
    return csr_array(vstack(parts, format="csr"))[place]


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> SparseEncoder:
    """The model that a card describes, or whose weights are given.

    Raises:
        DataError: the card's `max_active_dims` is no number above 0.
    """
    limit = card.settings.get("max_active_dims")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise DataError(
            f"the card of {card.name}: max_active_dims is how many columns a vector keeps, a "
            f"number above 0, not {limit!r}"
        )
    settings = Settings.of(card, options)
    loaded = open_library(
        weights or of_tower(card, options, whose=card.name),
        settings,
        family=Family.SPARSE_ENCODER,
    )
    if limit is not None:
        loaded.model.max_active_dims = limit
    system = SparseEncoder(loaded, bind_to_none(loaded))
    refuse_other_dimension(loaded, system.bound)
    return system


LOADER = Loader(
    load,
    options=frozenset({"max_length", "query_prompt", "document_prompt", "sts_sides"}),
    settings=frozenset({"max_active_dims", "tasks"}),
)
