"""What a system must offer to be evaluated. Protocols, not base classes: bring your own object.

An `Encoder` gives vectors and cmedteb searches; a `Retriever` searches by itself; a `PairScorer`
scores given pairs. The least that works is an object with `encode_queries` and
`encode_documents`. Query and document side are two methods everywhere, because asymmetric
encoders are the normal case here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from cmedteb.types import Candidates, Corpus, Float64Array, Queries, Run, Similarity, TaskType


class Role(StrEnum):
    """The side a text stands on."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a model may know of the task it is about to be scored on."""

    name: str
    type: TaskType
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """All of a system that can move a score, and what a reader wants to know about it.

    Attributes:
        name: as results are filed, `org/model`.
        revision: a commit, a hash of the weights, or the version of a built-in system.
        family: which file of `cmedteb.models` runs it.
        similarity: how its vectors are compared; None where it has no vectors.
        prompts: the text put before each side (`query`, `document`; "" is none).
        pooling: how token states become one vector, in the model's own words.
        max_length: in tokens; longer texts are cut.
        dtype: of the weights while encoding.
        dimension: of the vectors compared.
        parameters: weights per side, counted.
        sts_sides: which side encodes sentence 1 and sentence 2.
        settings: anything else that moves a score.
        libraries: distributions whose major version can move a score.
        device: where it runs; recorded, but not part of the fingerprint.
        reproducible: False where the object cannot say what it is, so that no result of an
            earlier run may stand for it.
    """

    name: str
    revision: str
    family: str
    similarity: Similarity | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    pooling: str | None = None
    max_length: int | None = None
    dtype: str | None = None
    dimension: int | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    sts_sides: tuple[Role, Role] = (Role.QUERY, Role.QUERY)
    settings: dict[str, Any] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    device: str = "cpu"
    reproducible: bool = True


@runtime_checkable
class Encoder(Protocol):
    """Maps texts to vectors, one method a side; rows of the result follow the texts."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[Any]:
        """Vectors of queries, shape (len(texts), dimension)."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> NDArray[Any]:
        """Vectors of documents, shape (len(texts), dimension)."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Ranks documents by itself: BM25, late interaction, fusion."""

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the whole corpus for each query."""
        ...

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates of each query, ordered."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Scores given pairs of texts: the higher, the more alike."""

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        """One score a pair, shape (len(left),)."""
        ...


@runtime_checkable
class Described(Protocol):
    """A system that states its facts; every system of cmedteb's own does."""

    @property
    def facts(self) -> ModelFacts:
        """What it is."""
        ...


@runtime_checkable
class TaskAware(Protocol):
    """A system whose prompts depend on the task."""

    def for_task(self, context: TaskContext) -> Any:  # noqa: ANN401  the bound system is any of the above
        """The same system with its prompts for this task."""
        ...


System = Encoder | Retriever | PairScorer
