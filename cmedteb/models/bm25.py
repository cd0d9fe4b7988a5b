"""BM25 for Chinese: the lexical baseline, as Lucene scores it.

Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), in the
variant of Lucene and Anserini: idf = ln(1 + (N - df + 0.5) / (df + 0.5)), no (k1 + 1) factor,
k1 = 0.9, b = 0.4; a query term counts as often as it occurs. Reranking scores exactly the given
candidates with the statistics of their corpus. Pairs (STS) are scored in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from cmedteb.errors import DataError
from cmedteb.models.card import ModelCard
from cmedteb.models.indexed import Indexed
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import ModelFacts
from cmedteb.models.registry import Loader
from cmedteb.models.tokenize import TOKENIZERS
from cmedteb.models.weights import Weights
from cmedteb.search import SparseIndex, SparseVectors, each_row, rerank_sparse, row_dots
from cmedteb.types import (
    Candidates,
    Corpus,
    Float64Array,
    Int32Array,
    Int64Array,
    Queries,
    Run,
    TextColumn,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Tokenize = Callable[[str], list[str]]
VERSION = "1"


@dataclass(frozen=True)
class Bm25Index:
    """Term weights of a collection: row = distinct text, column = term.

    Attributes:
        weights: float32, shape (texts, terms): idf x saturated term frequency.
        vocabulary: term -> column.
    """

    weights: csr_array
    vocabulary: dict[str, int]

    @classmethod
    def build(cls, tokens: Iterable[list[str]], *, copies: Int64Array, k1: float, b: float) -> Self:
        """Index a collection.

        Args:
            tokens: of each distinct text.
            copies: how many documents hold that text; shape (texts,). They all count in the
                document frequencies and in the mean length.
            k1: saturation of the term frequency.
            b: strength of the length normalisation.
        """
        vocabulary: dict[str, int] = {}
        counts = _count_terms(tokens, vocabulary, grow=True)
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        lengths = np.bincount(rows, weights=counts.data, minlength=counts.shape[0])
        containing = np.bincount(counts.indices, weights=copies[rows], minlength=counts.shape[1])
        idf = np.log1p((copies.sum() - containing + 0.5) / (containing + 0.5))
        mean = float(lengths @ copies) / max(int(copies.sum()), 1)
        norm = k1 * (1 - b + b * lengths / max(mean, 1e-9))
        weights = idf[counts.indices] * counts.data / (counts.data + norm[rows])
        counts.data = weights.astype(np.float32)
        return cls(weights=counts, vocabulary=vocabulary)

    def terms(self, tokens: Iterable[list[str]]) -> csr_array:
        """Term counts of queries over this vocabulary; unknown terms are dropped."""
        return _count_terms(tokens, self.vocabulary, grow=False)


def _count_terms(
    tokens: Iterable[list[str]], vocabulary: dict[str, int], *, grow: bool
) -> csr_array:
    """Counts of terms, shape (texts, terms); with `grow` new terms enter the vocabulary."""
    from scipy.sparse import csr_array

    columns: list[Int32Array] = []
    offsets = [0]
    for words in tokens:
        if grow:
            row = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
        else:
            row = [vocabulary[word] for word in words if word in vocabulary]
        columns.append(np.asarray(row, dtype=np.int32))
        offsets.append(offsets[-1] + len(row))
    indices = np.concatenate(columns) if columns else np.empty(0, dtype=np.int32)
    shape = (len(columns), max(1, len(vocabulary)))
    counts = csr_array(
        (np.ones(len(indices), dtype=np.float32), indices, np.asarray(offsets)), shape=shape
    )
    counts.sum_duplicates()
    return counts


@dataclass(frozen=True)
class Bm25:
    """BM25 as a retriever, a reranker and a scorer of pairs.

    Args:
        tokenizer: a name in `tokenize.TOKENIZERS`, or any function from text to tokens.
        k1: saturation of the term frequency.
        b: strength of the length normalisation.
        name: under which results are filed; of a card, its name.
    """

    tokenizer: str | Tokenize = "bigrams"
    k1: float = 0.9
    b: float = 0.4
    name: str = "bm25"

    @property
    def facts(self) -> ModelFacts:
        """Name, revision and every setting that moves a score."""
        name = self.tokenizer if isinstance(self.tokenizer, str) else repr(self.tokenizer)
        return ModelFacts(
            name=f"cmedteb/{self.name}",
            revision=VERSION,
            family="bm25",
            parameters={"query": 0, "document": 0},
            settings={"tokenizer": name, "k1": self.k1, "b": self.b},
            libraries=("rjieba",),
            reproducible=isinstance(self.tokenizer, str),
        )

    @property
    def _tokenize(self) -> Tokenize:
        return TOKENIZERS[self.tokenizer] if isinstance(self.tokenizer, str) else self.tokenizer

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        """The best `depth` documents of the corpus for each query."""
        return self.indexed(corpus).search(corpus, queries, depth)

    def indexed(self, corpus: Corpus) -> Indexed[SparseVectors]:
        """The same with the index of this corpus built."""
        index = self._index(corpus.texts)
        documents = SparseVectors(index.weights, corpus.texts.index)
        return Indexed(
            lambda queries: each_row(index.terms(map(self._tokenize, queries.texts))),
            SparseIndex(documents, corpus.ids).search,
        )

    def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
        """Exactly the given candidates, with the statistics of the whole corpus."""
        index = self._index(corpus.texts)
        terms = each_row(index.terms(map(self._tokenize, queries.texts)))
        documents = SparseVectors(index.weights, corpus.texts.index)
        return rerank_sparse(terms, documents, candidates, ids=corpus.ids)

    def score_collection(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        """Symmetric similarity of pairs: both directions over what each text scores with itself.

        With s(a, b) the BM25 score of query a for text b and all texts of the call as the
        collection: (s(a, b) + s(b, a)) / (s(a, a) + s(b, b)); 0 where no text has a term.
        """
        tokens = [self._tokenize(text) for text in (*left, *right)]
        copies = np.ones(len(tokens), dtype=np.int64)
        index = Bm25Index.build(tokens, copies=copies, k1=self.k1, b=self.b)
        terms, weights = index.terms(tokens), index.weights
        a, b = slice(0, len(left)), slice(len(left), None)
        across = row_dots(terms[a], weights[b]) + row_dots(terms[b], weights[a])
        itself = row_dots(terms[a], weights[a]) + row_dots(terms[b], weights[b])
        return np.divide(across, itself, out=np.zeros_like(across), where=itself > 0)

    def _index(self, texts: TextColumn) -> Bm25Index:
        """An index over the distinct texts whose statistics count every document."""
        copies = np.bincount(texts.index, minlength=texts.distinct).astype(np.int64)
        tokens = map(self._tokenize, texts.iter_distinct())
        return Bm25Index.build(tokens, copies=copies, k1=self.k1, b=self.b)


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> Bm25:
    """BM25 with the constants of a card.

    Raises:
        DataError: there is no such tokenizer.
    """
    del options, weights
    tokenizer = card.settings.get("tokenizer", Bm25.tokenizer)
    if tokenizer not in TOKENIZERS:
        raise DataError(
            f"the card of {card.name}: unknown tokenizer {tokenizer!r}; there is "
            f"{', '.join(TOKENIZERS)}"
        )
    return Bm25(**card.settings, name=card.name)


LOADER = Loader(load, settings=frozenset(field.name for field in fields(Bm25)) - {"name"})
