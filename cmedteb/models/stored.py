"""An encoder whose vectors are cut or coarser than they were: how documents are stored.

Cutting (Matryoshka representations, Kusupati et al. 2022) keeps the first N dimensions of every
vector of both sides. They are not normalised again: cosine divides by the length of what is left,
dot compares what is left as it is. Quantisation is stated here and done by `search.quantized`,
which needs all document vectors for the ranges of int8. What searches or scores by itself stores
no such vectors and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding import Encoded
from cmedteb.errors import UsageError
from cmedteb.models.custom import facts_of
from cmedteb.models.options import ModelOptions
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
from cmedteb.search.codes import refuse_broken_bytes
from cmedteb.types import Storage


@dataclass(frozen=True)
class Stored:
    """An encoder with cut vectors, or with quantised documents, or both.

    Attributes:
        inner: what encodes.
        kept: the first so many dimensions; None keeps all.
        storage: how document vectors are stored.
        rescore: whether the best are scored again with the vectors before quantisation.
    """

    inner: Encoder
    kept: int | None = None
    storage: Storage = Storage.FLOAT32
    rescore: bool = False

    @property
    def facts(self) -> ModelFacts:
        """Those of the encoder, under a name that says what was done: `x+dim256+int8-rescored`."""
        inner = facts_of(self.inner)
        suffix = "" if self.kept is None else f"+dim{self.kept}"
        if self.storage is not Storage.FLOAT32:
            suffix += f"+{self.storage}" + ("-rescored" if self.rescore else "")
        return replace(
            inner,
            name=f"{inner.name}{suffix}",
            dimension=self.kept or inner.dimension,
            storage=self.storage,
            rescore=self.rescore,
            sides={role: inner.side(role) for role in Role},
        )

    @property
    def tokens(self) -> int | None:
        """Tokens encoded so far; None where the encoder does not count."""
        return getattr(self.inner, "tokens", None)

    def for_task(self, context: TaskContext) -> Stored:
        """The same with the encoder's prompts for this task."""
        if not isinstance(self.inner, TaskAware):
            return self
        return replace(self, inner=self.inner.for_task(context))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[Any]:
        """Vectors of shape (len(texts), dimension)."""
        return self.narrowed(self.inner.encode_queries(texts))

    def encode_documents(self, texts: Sequence[str]) -> NDArray[Any]:
        """Vectors of shape (len(texts), dimension), not quantised."""
        return self.narrowed(self.inner.encode_documents(texts))

    def narrowed(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """The first dimensions; what is no matrix stays as it is, for `encoding` to refuse."""
        found = np.asarray(vectors)
        if self.kept is None or found.ndim != 2:
            return found
        if self.kept > found.shape[1]:
            raise _wider(self.kept, found.shape[1], facts_of(self.inner).name)
        return found[:, : self.kept]


@dataclass(frozen=True)
class StreamingStored(Stored):
    """The same around an encoder that gives vectors as they come."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts, in any order; every row exactly once."""
        inner: Any = self.inner
        for rows, vectors in inner.stream(texts, role):
            yield Encoded(rows, self.narrowed(vectors))


def with_storage(system: System, options: ModelOptions) -> Stored:
    """The encoder with `truncate_dim`, `quantize` and `rescore` of the options.

    Raises:
        UsageError: the system is no encoder, its vectors have fewer dimensions than are to be
            kept, or the options do not go together.
    """
    facts = facts_of(system)
    if not isinstance(system, Encoder) or isinstance(system, (Retriever, Reranker, Composite)):
        raise UsageError(
            f"{facts.name} does not give one vector a text that cmedteb stores and searches, so "
            "there is nothing to cut or to quantise: leave --truncate-dim and --quantize out"
        )
    storage, kept = _storage(options), options.truncate_dim
    if kept is not None and kept < 1:
        raise UsageError(f"--truncate-dim keeps at least one dimension, not {kept}")
    if kept is not None and facts.dimension is not None and kept > facts.dimension:
        raise _wider(kept, facts.dimension, facts.name)
    dimension = kept or facts.dimension
    if storage is Storage.BINARY and dimension is not None:
        refuse_broken_bytes(dimension)
    kind = StreamingStored if isinstance(system, Streaming) else Stored
    return kind(inner=system, kept=kept, storage=storage, rescore=options.rescore)


def _storage(options: ModelOptions) -> Storage:
    if options.quantize is None:
        if options.rescore:
            raise UsageError(
                "--rescore scores the best again with the vectors before quantisation, and "
                "nothing is quantised: add --quantize int8 or binary, or leave it out"
            )
        return Storage.FLOAT32
    coarse = [str(storage) for storage in Storage if storage is not Storage.FLOAT32]
    if options.quantize not in coarse:
        raise UsageError(f"--quantize is {' or '.join(coarse)}, not {options.quantize!r}")
    return Storage(options.quantize)


def _wider(kept: int, dimension: int, name: str) -> UsageError:
    return UsageError(
        f"--truncate-dim {kept}: the vectors of {name} have {dimension} dimensions. Keep at most "
        "as many."
    )
