"""What a system returns for a task's data: a run for rankings, similarities for pairs.

It asks the system for the best it offers: an encoder's vectors go through `encoding` and
`search`, a retriever ranks by itself, a pair scorer scores pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding import encode_distinct
from cmedteb.errors import ModelError, UsageError
from cmedteb.metrics import pairwise_similarities
from cmedteb.models import Encoder, ModelFacts, PairScorer, Retriever, Role, System
from cmedteb.runner.observer import Observer
from cmedteb.runner.timing import Phases
from cmedteb.search import Vectors, rerank_vectors, search_vectors
from cmedteb.types import Float64Array, Pairs, RankingData, Run, Similarity, TextColumn

CPU_BUDGET = 4_096
GPU_BUDGET = 65_536
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


@dataclass
class Predictor:
    """A system at work on one task; counts what it encoded.

    Attributes:
        system: already bound to the task.
        facts: what it is.
        batch_tokens: tokens of one forward pass, padding counted; None chooses by device.
        phases: the clock of the task.
        observer: told of progress.
        texts_encoded: distinct texts that went through the encoder.
    """

    system: System
    facts: ModelFacts
    batch_tokens: int | None
    phases: Phases
    observer: Observer
    texts_encoded: int = field(default=0, init=False)

    @property
    def budget(self) -> int:
        """Tokens of one forward pass."""
        auto = CPU_BUDGET if self.facts.device in {"cpu", "mps"} else GPU_BUDGET
        return self.batch_tokens or auto

    def rank(self, data: RankingData, *, depth: int) -> Run:
        """The run: the whole corpus to `depth`, or exactly the candidates where there are any.

        Raises:
            UsageError: the system can neither encode nor search.
            ModelError: the system failed.
            ScoreError: it returned vectors or scores that are no finite numbers.
        """
        if isinstance(self.system, Retriever):
            with self._phase("search"), _model_failures(self.facts):
                if data.candidates is None:
                    return self.system.search(data.corpus, data.queries, depth)
                return self.system.rerank(data.corpus, data.queries, data.candidates)
        encoder = self._encoder("ranking")
        documents = self._encode(encoder.encode_documents, data.corpus.texts, "encode documents")
        queries = self._encode(encoder.encode_queries, data.queries.texts, "encode queries")
        similarity = self.facts.similarity or Similarity.COSINE
        with self._phase("search"):
            if data.candidates is None:
                return search_vectors(
                    queries, documents, ids=data.corpus.ids, similarity=similarity, depth=depth
                )
            return rerank_vectors(
                queries, documents, data.candidates, ids=data.corpus.ids, similarity=similarity
            )

    def similarities(self, pairs: Pairs) -> dict[str, Float64Array]:
        """Similarities of every pair by name; `similarity` is the model's own.

        Raises:
            UsageError: the system can neither encode nor score pairs.
            ModelError: the system failed.
        """
        rows = np.arange(len(pairs))
        if isinstance(self.system, PairScorer):
            with self._phase("score pairs"), _model_failures(self.facts):
                scores = self.system.score_pairs(pairs.left.take(rows), pairs.right.take(rows))
                return {"similarity": np.asarray(scores, dtype=np.float64)}
        encoder = self._encoder("pairs")
        sides = {Role.QUERY: encoder.encode_queries, Role.DOCUMENT: encoder.encode_documents}
        first, second = self.facts.sts_sides
        left = self._encode(sides[first], pairs.left, "encode sentence 1")
        right = self._encode(sides[second], pairs.right, "encode sentence 2")
        with self._phase("search"):
            return pairwise_similarities(
                left.values[left.index],
                right.values[right.index],
                self.facts.similarity or Similarity.COSINE,
            )

    def _encoder(self, what: str) -> Encoder:
        if not isinstance(self.system, Encoder):
            raise UsageError(
                f"{self.facts.name} offers no method for {what}: it cannot do this task"
            )
        return self.system

    def _encode(
        self, encode: Callable[[Sequence[str]], NDArray[Any]], texts: TextColumn, phase: str
    ) -> Vectors:
        with self._phase(phase, units=texts.distinct), _model_failures(self.facts):
            values = encode_distinct(
                encode,
                texts,
                budget=self.budget,
                cap=self.facts.max_length,
                on_batch=self.observer.advanced,
            )
        self.texts_encoded += texts.distinct
        return Vectors(values, texts.index)

    @contextmanager
    def _phase(self, name: str, units: int | None = None) -> Iterator[None]:
        self.observer.phase_started(name, units=units)
        with self.phases.measured(name):
            yield


@contextmanager
def _model_failures(facts: ModelFacts) -> Iterator[None]:
    """Turn what foreign code raises into an error that names the model."""
    try:
        yield
    except FOREIGN_FAILURES as error:
        hint = " Try a smaller --batch-tokens." if "memory" in str(error).lower() else ""
        told = f"{type(error).__name__}: {error}".rstrip(". ")
        raise ModelError(f"{facts.name} failed: {told}.{hint}") from error
