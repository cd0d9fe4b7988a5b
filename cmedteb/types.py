"""The values that flow between the rooms: columnar, immutable, without behaviour of their own.

Texts and ids are Arrow columns; judgements, candidates and runs are ragged arrays (compressed
sparse rows) whose rows are queries and whose entries are rows of the corpus. No dictionaries of
dictionaries: a run of 4,000 queries to depth 1,000 is three arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


class TaskType(StrEnum):
    """What a task asks of a model."""

    RETRIEVAL = "retrieval"
    RERANKING = "reranking"
    STS = "sts"


class QueryForm(StrEnum):
    """What the queries of a task are (AutoMIR's Q2P, T2P and P2P)."""

    QUESTION = "question"
    TITLE = "title"
    TEXT = "text"


class Similarity(StrEnum):
    """How two vectors of a model are compared; each model states its own."""

    DOT = "dot"
    COSINE = "cosine"


class Storage(StrEnum):
    """How document vectors are stored."""

    FLOAT32 = "float32"
    INT8 = "int8"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts in which every distinct text is held once.

    Attributes:
        values: the distinct texts, in order of first appearance.
        index: for each row, the position of its text in `values`; shape (rows,).
    """

    values: pa.ChunkedArray
    index: Int32Array

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> str:
        return str(self.values[int(self.index[row])].as_py())

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The texts of these rows, in this order."""
        return list(self.values.take(self.index[np.asarray(rows, dtype=np.int64)]).to_pylist())

    def iter_distinct(self) -> Iterator[str]:
        """The distinct texts in order, one chunk in memory at a time."""
        for chunk in self.values.chunks:
            yield from chunk.to_pylist()

    def only(self, rows: NDArray[np.integer]) -> TextColumn:
        """The same column with the texts of these rows alone; other rows have none (-1)."""
        used = np.unique(self.index[np.asarray(rows, dtype=np.int64)])
        place = np.full(len(self.values), -1, dtype=np.int32)
        place[used] = np.arange(len(used), dtype=np.int32)
        return TextColumn(self.values.take(used), place[self.index])

    @property
    def distinct(self) -> int:
        """How many different texts there are."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents: `ids` (unique strings) beside their texts, row by row."""

    ids: pa.ChunkedArray
    texts: TextColumn

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries: `ids` (unique strings) beside their texts, row by row."""

    ids: pa.ChunkedArray
    texts: TextColumn

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Qrels:
    """Relevance judgements: entries `offsets[q]:offsets[q + 1]` belong to query row q.

    Attributes:
        offsets: shape (queries + 1,).
        docs: corpus rows; a value >= len(corpus) stands for `absent[value - len(corpus)]`.
        grades: integer grades; > 0 is relevant, 0 is judged and not relevant.
        absent: ids that are judged but not in the corpus (some official sets have them); they
            count in the denominators, as in trec_eval.
    """

    offsets: Int64Array
    docs: Int32Array
    grades: Int32Array
    absent: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is to be reranked: entries `offsets[q]:offsets[q + 1]` of `docs` are query q's rows."""

    offsets: Int64Array
    docs: Int32Array

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Run:
    """What a system returned: entries `offsets[q]:offsets[q + 1]` belong to query row q.

    Entries stand in trec_eval's order: score (compared as float32) descending, then document id
    descending as a string.
    """

    offsets: Int64Array
    docs: Int32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs with a gold similarity each (any scale), for STS."""

    ids: pa.ChunkedArray
    left: TextColumn
    right: TextColumn
    scores: Float64Array

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where data came from, what exactly was loaded, and what was odd about it.

    Attributes:
        revision: the pinned revision of the source, or "local".
        content_hash: sha256 over ids, texts, judgements and candidates as loaded.
        warnings: known oddities of an official set, counted by name.
    """

    revision: str
    content_hash: str
    warnings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankingData:
    """A retrieval set; with `candidates` a reranking set. Queries are those that are judged."""

    corpus: Corpus
    queries: Queries
    qrels: Qrels
    provenance: Provenance
    candidates: Candidates | None = None


@dataclass(frozen=True, slots=True)
class PairData:
    """An STS set."""

    pairs: Pairs
    provenance: Provenance
