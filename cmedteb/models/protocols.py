"""What a system must offer to be evaluated. Protocols, not base classes: bring your own object.

An `Encoder` gives vectors and cmedteb searches; a `Retriever` searches by itself, a `Reranker`
orders given candidates by itself, a `PairScorer` scores given pairs, and a `Composite` is made of
other systems. The least that works is an object with `encode_queries` and `encode_documents`.
Query and document side are two methods everywhere, because asymmetric encoders are the normal
case here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from cmedteb.encoding import Encoded
from cmedteb.encoding.pipeline import Source
from cmedteb.encoding.workers import Split
from cmedteb.types import (
    Candidates,
    Corpus,
    Float64Array,
    Queries,
    QueryForm,
    RankingData,
    Run,
    Similarity,
    Storage,
    TaskType,
)

# Parts of the identity that say what becomes of vectors once they are there.
NO_VECTOR = {"similarity", "storage"}


class Role(StrEnum):
    """The side a text stands on."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a model may know of the task it is about to be scored on.

    Attributes:
        name: of the task.
        type: of the task.
        instruction: what the task says it asks for, in a sentence.
        query_form: what its queries are: a question, a title or a text.
    """

    name: str
    type: TaskType
    instruction: str | None = None
    query_form: QueryForm | None = None


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
        sts_sides: which side encodes sentence 1 and sentence 2; None where nobody says, and
            then sentence pairs cannot be scored.
        storage: how document vectors are stored.
        rescore: whether the best are scored again with the vectors before quantisation.
        settings: anything else that moves a score.
        sides: what makes the vectors of each side, where the sides are models of their own; by
            default it is all of `identity` but the other side's prompt.
        keep: whether vectors are worth keeping; False where making them is as cheap as reading.
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
    sts_sides: tuple[Role, Role] | None = (Role.QUERY, Role.QUERY)
    storage: Storage = Storage.FLOAT32
    rescore: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    sides: dict[Role, dict[str, Any]] = field(default_factory=dict)
    keep: bool = True
    libraries: tuple[str, ...] = ()
    device: str = "cpu"
    reproducible: bool = True

    @property
    def identity(self) -> dict[str, Any]:
        """Everything of the system that can move a score, as plain values."""
        return {
            "model": self.name,
            "revision": self.revision,
            "family": self.family,
            "similarity": self.similarity,
            "prompts": dict(sorted(self.prompts.items())),
            "pooling": self.pooling,
            "max_length": self.max_length,
            "dtype": self.dtype,
            "dimension": self.dimension,
            "storage": f"{self.storage}+rescore" if self.rescore else str(self.storage),
            "settings": self.settings,
        }

    def side(self, role: Role) -> dict[str, Any]:
        """Everything that can move the vectors of one side, before they are cut or quantised.

        Two sides with the same value give the same vectors.
        """
        if role in self.sides:
            return self.sides[role]
        moved = {key: self.identity[key] for key in self.identity if key not in NO_VECTOR}
        return {**moved, "prompts": self.prompts.get(role, "")}


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
class Streaming(Protocol):
    """An encoder that is asked for a whole column at once and gives vectors as they come."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts, in any order; every row exactly once."""
        ...


@runtime_checkable
class Engined(Protocol):
    """An encoder that reads a whole column of texts in the order and batches that suit it."""

    def source(self, role: Role, budget: int | None = None) -> Source:
        """What gives the vectors of a column of texts, in any order.

        Args:
            role: the side that the texts stand on.
            budget: tokens of one forward pass, padding counted; None lets it find them.
        """
        ...


@runtime_checkable
class Splittable(Protocol):
    """An encoder that knows a better plan than by characters."""

    def split(self, role: Role, budget: int | None = None) -> Split:
        """A side in two halves.

        Args:
            role: the side that the texts stand on.
            budget: of one forward pass, padding counted; None lets it find it.
        """
        ...


@runtime_checkable
class Narrowing(Protocol):
    """An encoder whose vectors are cut from those of another, which are the ones to keep."""

    @property
    def inner(self) -> Encoder:
        """The encoder of the whole vectors."""
        ...

    def narrowed(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """What is left of whole vectors, shape (n, dimension)."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Searches a corpus by itself: BM25, late interaction."""

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the whole corpus for each query."""
        ...


@runtime_checkable
class Indexing(Protocol):
    """A retriever that can build its index before it is asked."""

    def indexed(self, corpus: Corpus) -> Retriever:
        """The same system, which no longer indexes this corpus when it searches it."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Orders given candidates by itself."""

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates of each query, ordered."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Scores given pairs of texts: the higher, the more alike. A score depends on its pair alone.

    On reranking sets the left text is the query and the right one the document.
    """

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> NDArray[Any]:
        """One score a pair, shape (len(left),)."""
        ...


@runtime_checkable
class CollectionScorer(Protocol):
    """Scores pairs of texts with statistics over all of them."""

    def score_collection(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        """One score a pair, shape (len(left),)."""
        ...


Rank = Callable[["System", RankingData, int], Run]


@runtime_checkable
class Composite(Protocol):
    """A system made of others, which the runner ranks with for it: fusion, two stages."""

    @property
    def parts(self) -> tuple[System, ...]:
        """The systems that it is made of."""
        ...

    def rank_with(self, rank: Rank, data: RankingData, depth: int) -> Run:
        """Its own run, by means of its parts' runs.

        Args:
            rank: ranks one part over such data to such a depth (candidates are always complete).
            data: of the task.
            depth: how many documents to keep for each query.
        """
        ...


@runtime_checkable
class PairsByPart(Protocol):
    """A composite whose similarity of two sentences is that of one of its parts."""

    @property
    def for_pairs(self) -> System:
        """The part that scores sentence pairs."""
        ...


@runtime_checkable
class Described(Protocol):
    """A system that states its facts; every system of cmedteb's own does."""

    @property
    def facts(self) -> ModelFacts:
        """What it is."""
        ...


@runtime_checkable
class Batching(Protocol):
    """A system that makes its batches by itself."""

    def with_budget(self, budget: int) -> Any:  # noqa: ANN401  the same kind of system
        """The same system with so many characters of one forward pass, padding counted."""
        ...


@runtime_checkable
class TaskAware(Protocol):
    """A system whose prompts depend on the task."""

    def for_task(self, context: TaskContext) -> Any:  # noqa: ANN401  the bound system is any of the above
        """The same system with its prompts for this task."""
        ...


System = Encoder | Retriever | Reranker | PairScorer | CollectionScorer | Composite
