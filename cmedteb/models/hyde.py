"""HyDE: a query is encoded together with hypothetical documents that a language model wrote for it.

Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels" (2022), as AutoMIR runs it
for HyDE and SL-HyDE (Li et al. 2024): the query's vector is the mean of the L2-normalised vectors
of the query (query side, with its prompt) and of its documents (document side), and is not
normalised again. The documents' side of the index stays as it is.

A system that searches with words gets a longer query instead: the query five times, then its
documents (Wang et al., "Query2doc", 2023). What has no queries, or reads only a few tokens of
them, is refused. Never is a query without a document scored alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding import Encoded, batches
from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models.card import UNKNOWN, Family, ModelCard
from cmedteb.models.custom import facts_of
from cmedteb.models.hypothetical.source import open_hypotheses
from cmedteb.models.options import WRAPPING, ModelOptions
from cmedteb.models.protocols import (
    Composite,
    Encoder,
    ModelFacts,
    Reranker,
    Retriever,
    Role,
    Streaming,
    System,
    TaskAware,
    TaskContext,
)
from cmedteb.models.registry import Loader, load_model
from cmedteb.models.weights import Weights
from cmedteb.types import Candidates, Corpus, Float32Array, Queries, Run, TaskType, TextColumn

REPEATS = 5
MEAN = "mean of the normalised vectors of query and documents"
WORDS = f"the query {REPEATS} times, then the documents"
# These read a query's tokens, and were never run with a query of five repetitions.
NO_WORDS = {Family.MULTI_VECTOR, Family.SPARSE_ENCODER}


class Hypotheses(Protocol):
    """Where the hypothetical documents of queries come from."""

    @property
    def label(self) -> str:
        """What the system's name says of them."""
        ...

    @property
    def described(self) -> dict[str, Any]:
        """All of them that can move a score, known before any query."""
        ...

    @property
    def kept_as(self) -> dict[str, Any]:
        """What tells kept vectors made with them from any others."""
        ...

    def for_task(self, context: TaskContext) -> Self:
        """The same for the queries of this task."""
        ...

    def of(self, queries: Sequence[str]) -> list[tuple[str, ...]]:
        """The documents of each query, at least one."""
        ...


@dataclass(frozen=True)
class _WithHyde:
    """What both kinds share: a system, and documents for its queries."""

    inner: Any
    hypotheses: Hypotheses

    @property
    def tokens(self) -> int | None:
        """Tokens encoded so far; None where the inner system does not count."""
        return getattr(self.inner, "tokens", None)

    def for_task(self, context: TaskContext) -> Self:
        """The same with prompts for this task.

        Raises:
            UsageError: the task has no queries, or nobody says what they are.
        """
        if context.type is TaskType.STS:
            raise UsageError(
                f"{context.name or 'this task'} compares pairs of sentences, which have no queries "
                "that a document could be written for: leave it out with -t, or leave --hyde out"
            )
        inner = self.inner.for_task(context) if isinstance(self.inner, TaskAware) else self.inner
        return replace(self, inner=inner, hypotheses=self.hypotheses.for_task(context))

    def _facts(self, combined: str) -> ModelFacts:
        inner = facts_of(self.inner)
        described = {**self.hypotheses.described, "combined": combined}
        # A query needs the language model too, whose weights nobody has counted.
        parameters = {side: n for side, n in inner.parameters.items() if side != Role.QUERY}
        return replace(
            inner,
            name=f"{inner.name}+hyde-{self.hypotheses.label}",
            family=str(Family.HYDE),
            parameters=parameters,
            settings={**inner.settings, "hyde": described},
        )


@dataclass(frozen=True)
class HydeEncoder(_WithHyde):
    """An encoder whose query vectors are means over the query and its documents."""

    @property
    def facts(self) -> ModelFacts:
        """Those of the encoder, and where the documents come from."""
        inner = facts_of(self.inner)
        document = inner.side(Role.DOCUMENT)
        query = {"hyde": self.hypotheses.kept_as, "query": inner.side(Role.QUERY)}
        sides = {Role.DOCUMENT: document, Role.QUERY: {**query, "document": document}}
        return replace(self._facts(MEAN), sides=sides)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32; shorter than 1 as a rule.

        Raises:
            DataError: the file holds no document for a query.
            ModelError: the chat model gave none.
        """
        written = self.hypotheses.of(texts)
        queries = _unit(self.inner.encode_queries(texts))
        flat = [document for documents in written for document in documents]
        longest = max(map(len, texts), default=0)
        vectors = self._encode(flat, budget=len(texts) * longest)
        counts = np.array([len(documents) for documents in written])
        owners = np.repeat(np.arange(len(texts)), counts)
        np.add.at(queries, owners, vectors)
        mean: Float32Array = (queries / (counts + 1)[:, None]).astype(np.float32)
        return mean

    def encode_documents(self, texts: Sequence[str]) -> NDArray[Any]:
        """The encoder's own vectors."""
        vectors: NDArray[Any] = self.inner.encode_documents(texts)
        return vectors

    def _encode(self, documents: Sequence[str], *, budget: int) -> NDArray[Any]:
        """Normalised vectors of hypothetical documents.

        They are much longer than queries, so a batch of queries makes many batches of them.
        `budget` is the queries' own work, which is known to fit; one document always may.
        """
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        vectors: NDArray[Any] | None = None
        for rows in batches(lengths, budget=max(1, budget), cap=facts_of(self.inner).max_length):
            batch = _unit(self.inner.encode_documents([documents[row] for row in rows]))
            if vectors is None:
                vectors = np.empty((len(documents), batch.shape[1]))
            vectors[rows] = batch
        return np.empty((0, 0)) if vectors is None else vectors


@dataclass(frozen=True)
class StreamingHydeEncoder(HydeEncoder):
    """The same around an encoder that gives vectors as they come."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts, in any order; every row exactly once."""
        if role is Role.DOCUMENT:
            yield from self.inner.stream(texts, role)
            return
        written = self.hypotheses.of(texts)
        flat = [document for documents in written for document in documents]
        owners = np.repeat(np.arange(len(texts)), [len(documents) for documents in written])
        missing = np.bincount(owners, minlength=len(texts))
        shares = 1.0 / (missing + 1)
        sums: NDArray[Any] | None = None
        for rows, vectors in self.inner.stream(texts, Role.QUERY):
            if sums is None:
                sums = np.zeros((len(texts), vectors.shape[1]))
            sums[rows] += _unit(vectors)
        for rows, vectors in self.inner.stream(flat, Role.DOCUMENT):
            touched = owners[rows]
            if sums is None:
                continue
            np.add.at(sums, touched, _unit(vectors))
            np.subtract.at(missing, touched, 1)
            done = np.unique(touched)
            done = done[missing[done] == 0]
            means = (sums[done] * shares[done, None]).astype(np.float32)
            yield Encoded(done.astype(np.int64), means)


@dataclass(frozen=True)
class HydeWords(_WithHyde):
    """A system that searches with words, asked with the query and its documents."""

    @property
    def facts(self) -> ModelFacts:
        """Those of the inner system, and where the documents come from."""
        return self._facts(WORDS)

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the corpus for each longer query."""
        found: Run = self.inner.search(corpus, self._longer(queries), depth)
        return found

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates, ordered for each longer query."""
        found: Run = self.inner.rerank(corpus, self._longer(queries), candidates)
        return found

    def _longer(self, queries: Queries) -> Queries:
        import pyarrow as pa

        texts = list(queries.texts.iter_distinct())
        written = self.hypotheses.of(texts)
        longer = [
            " ".join([*[text] * REPEATS, *documents])
            for text, documents in zip(texts, written, strict=True)
        ]
        values = pa.chunked_array([pa.array(longer, pa.large_string())])
        return Queries(queries.ids, TextColumn(values, queries.texts.index))


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Rows of length 1, in float64; a row of zeros stays one."""
    found = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    unit: NDArray[Any] = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
    return unit


def with_hyde(system: System, options: ModelOptions) -> System:
    """The system with hypothetical documents, as `options.hyde` says where they come from.

    Raises:
        UsageError: the system has no queries that documents would help, or the options do not go
            together.
        DataError: the file of documents is not as it should be.
        NotAvailableError: the chat model cannot be asked.
    """
    if isinstance(system, (HydeEncoder, HydeWords)) or options.hyde is None:
        return system
    return _wrapped(system, options, generator=None)


def _wrapped(system: System, options: ModelOptions, generator: str | None) -> System:
    facts = facts_of(system)
    searches = isinstance(system, Retriever)
    words = searches and isinstance(system, Reranker) and facts.family not in NO_WORDS
    encodes = isinstance(system, Encoder) and not searches
    if isinstance(system, Composite) or not (words or encodes):
        raise UsageError(
            f"{facts.name} takes no hypothetical documents: they are for encoders with one vector "
            "a text and for systems that search with words. Leave --hyde out; to fuse or rerank "
            "such a system, give it a card of its own (family = 'hyde')."
        )
    hypotheses = open_hypotheses(options, generator=generator)
    if words:
        return HydeWords(system, hypotheses)
    kind = StreamingHydeEncoder if isinstance(system, Streaming) else HydeEncoder
    return kind(system, hypotheses)


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> System:
    """The encoder that a card names, with documents of its generator.

    Raises:
        NotAvailableError: neither `--hyde` nor the card says where the documents are.
        DataError: the card names no encoder.
    """
    del weights
    encoder, generator = card.settings.get("encoder"), card.settings.get("generator")
    if not isinstance(encoder, str):
        raise DataError(
            f"the card of {card.name} names no encoder: [settings] encoder = 'org/name'"
        )
    if encoder == UNKNOWN:
        raise NotAvailableError(
            f"the weights of {card.name}'s encoder are not known to be published. With an encoder "
            "of your own: -m ENCODER --hyde FILE|MODEL"
        )
    hyde = options.hyde or card.settings.get("generations")
    if hyde is None:
        raise NotAvailableError(
            f"{card.name} needs hypothetical documents{_by(generator)}: give their file (--hyde "
            "FILE), or a chat model that writes them (--hyde MODEL --hyde-base URL)"
        )
    names = frozenset(option.name for option in fields(ModelOptions))
    inner = load_model(encoder, options.only(names - WRAPPING))
    return _wrapped(inner, replace(options, hyde=str(hyde)), generator)


def _by(generator: str | None) -> str:
    return f" by {generator}" if generator else ""


LOADER = Loader(
    load,
    options=frozenset(option.name for option in fields(ModelOptions)),
    settings=frozenset({"encoder", "generator", "generations"}),
)
