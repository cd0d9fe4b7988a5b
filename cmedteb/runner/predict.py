"""What a system returns for a task's data: a run for rankings, similarities for pairs.

It asks the system for the best it offers: a composite ranks with its parts, a retriever and a
reranker rank by themselves, an encoder's vectors go through `encoding` and `search`, a pair scorer
scores pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from cmedteb.encoding import (
    Encoded,
    Gathered,
    VectorStore,
    default_budget,
    encode_distinct,
    planned,
    score_distinct,
)
from cmedteb.errors import ModelError, UsageError
from cmedteb.metrics import pairwise_similarities
from cmedteb.models import (
    Batching,
    CollectionScorer,
    Composite,
    Encoder,
    Engined,
    ModelFacts,
    Narrowing,
    PairsByPart,
    PairScorer,
    Reranker,
    Retriever,
    Role,
    Streaming,
    System,
)
from cmedteb.models.custom import facts_of
from cmedteb.runner.observer import Observer
from cmedteb.runner.record import Work, major_versions
from cmedteb.runner.timing import Phases
from cmedteb.search import (
    SearchMethod,
    Vectors,
    bytes_per_document,
    quantized_pairs,
    rank_scored,
    rerank_quantized,
    rerank_vectors,
    search_approximately,
    search_quantized,
    search_vectors,
    tie_ranks,
)
from cmedteb.types import (
    Candidates,
    Float32Array,
    Float64Array,
    Int32Array,
    Pairs,
    RankingData,
    Run,
    Similarity,
    Storage,
    TextColumn,
)

if TYPE_CHECKING:
    import pyarrow as pa

FOREIGN_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _Comparison(TypedDict):
    """How two sides of vectors are compared, for every search alike."""

    ids: pa.ChunkedArray
    similarity: Similarity


@dataclass
class Predictor:
    """A system at work on one task.

    Attributes:
        system: already bound to the task.
        facts: what it is.
        batch_tokens: tokens of one forward pass, padding counted; None chooses by device.
        vectors: the folder of the vector store; None keeps nothing.
        phases: the clock of the task.
        observer: told of progress.
        part_of: the composite that this system is a part of.
        method: how a corpus of dense vectors is searched.
    """

    system: System
    facts: ModelFacts
    batch_tokens: int | None
    vectors: Path | None
    phases: Phases
    observer: Observer
    part_of: ModelFacts | None = None
    method: SearchMethod = SearchMethod.EXACT
    work: Work = field(default_factory=Work)

    @property
    def budget(self) -> int:
        """Tokens of one forward pass."""
        return self.batch_tokens or default_budget(self.facts.device)

    def rank(self, data: RankingData, *, depth: int) -> Run:
        """The run: the whole corpus to `depth`, or exactly the candidates where there are any.

        Raises:
            UsageError: the system cannot rank this.
            ModelError: the system failed.
            ScoreError: it returned vectors or scores that are no finite numbers.
        """
        system = self.system
        if isinstance(system, Composite):
            with model_failures(self.facts):
                return system.rank_with(self._rank_part, data, depth)
        if data.candidates is None and isinstance(system, Retriever):
            with self._phase("search"), model_failures(self.facts):
                run = system.search(data.corpus, data.queries, depth)
                return self._as_measured(run)
        if data.candidates is not None and isinstance(system, Reranker):
            with self._phase("rerank"), model_failures(self.facts):
                run = system.rerank(data.corpus, data.queries, data.candidates)
                return self._as_measured(run)
        if isinstance(system, Encoder):
            return self._rank_vectors(data, depth)
        if isinstance(system, PairScorer) and data.candidates is not None:
            return self._rank_pairs(system, data, data.candidates)
        raise UsageError(
            f"{self.facts.name} orders given documents and cannot search a corpus. Say what finds "
            "them: --first-stage bm25 (or any other model)."
        )

    def similarities(self, pairs: Pairs) -> dict[str, Float64Array]:
        """Similarities of every pair by name; `similarity` is the model's own.

        Raises:
            UsageError: the system has no similarity of pairs.
            ModelError: the system failed.
        """
        if isinstance(self.system, PairsByPart):
            return self._at_work(self.system.for_pairs).similarities(pairs)
        if isinstance(self.system, CollectionScorer):
            rows = np.arange(len(pairs))
            with self._phase("score pairs"), model_failures(self.facts):
                scores = self.system.score_collection(pairs.left.take(rows), pairs.right.take(rows))
                return {"similarity": np.asarray(scores, dtype=np.float64)}
        if isinstance(self.system, PairScorer):
            found = self._score_pairs(
                self.system, pairs.left, pairs.left.index, pairs.right, pairs.right.index
            )
            return {"similarity": found.astype(np.float64)}
        if not isinstance(self.system, Encoder):
            raise UsageError(
                f"{self.facts.name} ranks documents and has no similarity of two sentences: leave "
                "sentence pairs out with -t"
            )
        first, second = _sides(self.facts)
        left = self._encode(first, pairs.left, "encode sentence 1")
        right = self._encode(second, pairs.right, "encode sentence 2")
        similarity = self.facts.similarity or Similarity.COSINE
        with self._phase("search"):
            if self.facts.storage is not Storage.FLOAT32 and not self.facts.rescore:
                codes = quantized_pairs(
                    left, right, similarity=similarity, storage=self.facts.storage
                )
                left, right = Vectors(codes.left, left.index), Vectors(codes.right, right.index)
            return pairwise_similarities(
                left.values[left.index], right.values[right.index], similarity
            )

    def _rank_part(self, part: System, data: RankingData, depth: int) -> Run:
        """Rank with a part of a composite; what it does counts as the composite's work."""
        return self._at_work(part).rank(data, depth=depth)

    def _at_work(self, part: System) -> Predictor:
        part = batched(part, self.batch_tokens)
        return replace(self, system=part, facts=facts_of(part), part_of=self.facts)

    def _as_measured(self, run: Run) -> Run:
        """Note what a system that searches by itself says of its index."""
        self._note_storage(getattr(self.system, "bytes_per_document", None))
        return run

    def _rank_vectors(self, data: RankingData, depth: int) -> Run:
        texts = data.corpus.texts
        if data.candidates is not None:
            texts = texts.only(data.candidates.docs)
        documents = self._encode(Role.DOCUMENT, texts, "encode documents")
        queries = self._encode(Role.QUERY, data.queries.texts, "encode queries")
        how: _Comparison = {
            "ids": data.corpus.ids,
            "similarity": self.facts.similarity or Similarity.COSINE,
        }
        self._note_storage(bytes_per_document(self.facts.storage, documents.values.shape[1]))
        with self._phase("search"):
            if self.facts.storage is not Storage.FLOAT32:
                return self._rank_codes(queries, documents, data, depth, how)
            if data.candidates is None:
                return self._search(queries, documents, depth, how)
            return rerank_vectors(queries, documents, data.candidates, **how)

    def _search(self, queries: Vectors, documents: Vectors, depth: int, how: _Comparison) -> Run:
        device = "cpu" if self.facts.device == "cpu" else "auto"
        if self.method is SearchMethod.EXACT:
            return search_vectors(queries, documents, depth=depth, device=device, **how)
        found = search_approximately(
            queries, documents, depth=depth, method=self.method, device=device, **how
        )
        self.work.approximate = found.record
        return found.run

    def _rank_codes(
        self,
        queries: Vectors,
        documents: Vectors,
        data: RankingData,
        depth: int,
        how: _Comparison,
    ) -> Run:
        storage, rescore = self.facts.storage, self.facts.rescore
        if data.candidates is None:
            return search_quantized(
                queries, documents, depth=depth, storage=storage, rescore=rescore, **how
            )
        return rerank_quantized(
            queries, documents, data.candidates, storage=storage, rescore=rescore, **how
        )

    def _rank_pairs(self, scorer: PairScorer, data: RankingData, candidates: Candidates) -> Run:
        query = np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))
        scores = self._score_pairs(
            scorer,
            data.queries.texts,
            data.queries.texts.index[query],
            data.corpus.texts,
            data.corpus.texts.index[candidates.docs],
        )
        return rank_scored(candidates, scores, tie_ranks(data.corpus.ids))

    def _score_pairs(
        self,
        scorer: PairScorer,
        left: TextColumn,
        left_rows: Int32Array,
        right: TextColumn,
        right_rows: Int32Array,
    ) -> Float32Array:
        with self._phase("score pairs", units=len(left_rows)), model_failures(self.facts):
            scores = score_distinct(
                scorer.score_pairs,
                left,
                left_rows,
                right,
                right_rows,
                budget=self.budget,
                cap=self.facts.max_length,
                on_batch=self.observer.advanced,
            )
        self.work.encoded += len(np.unique(np.stack([left_rows, right_rows]), axis=1).T)
        return scores

    def _encode(self, role: Role, texts: TextColumn, phase: str) -> Vectors:
        with self._phase(phase, units=texts.distinct), model_failures(self.facts):
            found = self._gather(role, texts)
        self.work.encoded += found.encoded
        self.work.reused += found.reused
        return Vectors(found.vectors, texts.index)

    def _gather(self, role: Role, texts: TextColumn) -> Gathered:
        system = self.system
        if isinstance(system, Narrowing):
            whole = replace(self, system=system.inner, facts=facts_of(system.inner))
            found = whole._gather(role, texts)
            return found._replace(vectors=system.narrowed(found.vectors))
        store = None
        if self.vectors is not None and self.facts.reproducible and self.facts.keep:
            libraries = major_versions(self.facts.libraries)
            side = {**self.facts.side(role), "libraries": libraries}
            store = VectorStore(self.vectors, side)
        return encode_distinct(
            partial(self._from_system, role), texts, on_batch=self.observer.advanced, store=store
        )

    def _from_system(self, role: Role, texts: pa.ChunkedArray) -> Iterator[Encoded]:
        """Vectors that nobody kept; an engine may try its device before it gives the first."""
        system = self.system
        if isinstance(system, Streaming):
            return system.stream(texts.to_pylist(), role)
        if isinstance(system, Engined):
            return system.source(role, self.batch_tokens)(texts)
        if not isinstance(system, Encoder):
            raise UsageError(f"{self.facts.name} has no vectors")
        encode = system.encode_queries if role is Role.QUERY else system.encode_documents
        return planned(encode, budget=self.budget, cap=self.facts.max_length)(texts)

    def _note_storage(self, size: float | None) -> None:
        if size is not None:
            self.work.bytes_per_document = (self.work.bytes_per_document or 0.0) + size

    @contextmanager
    def _phase(self, name: str, units: int | None = None) -> Iterator[None]:
        named = name if self.part_of is None else f"{self.facts.name}: {name}"
        self.observer.phase_started(named, units=units)
        with self.phases.measured(named):
            yield


def batched(system: System, budget: int | None) -> System:
    """A system that makes its batches by itself, told how large they may be."""
    if budget is None or not isinstance(system, Batching):
        return system
    told: System = system.with_budget(budget)
    return told


def _sides(facts: ModelFacts) -> tuple[Role, Role]:
    if facts.sts_sides is None:
        raise UsageError(
            f"{facts.name} has two encoders, and nobody says which of them encodes which sentence "
            "of a pair. Say it: --sts-sides query,document (or query,query, document,document)."
        )
    return facts.sts_sides


@contextmanager
def model_failures(facts: ModelFacts) -> Iterator[None]:
    """Turn what foreign code raises into an error that names the model."""
    try:
        yield
    except FOREIGN_FAILURES as error:
        hint = " Try a smaller --batch-tokens." if "memory" in str(error).lower() else ""
        told = f"{type(error).__name__}: {error}".rstrip(". ")
        raise ModelError(f"{facts.name} failed: {told}.{hint}") from error
