"""The pool: which pairs are judged.

For each query the union of what systems returned up to a depth (Sparck Jones and van Rijsbergen
1975), and all that is judged relevant, for judgements can be wrong in both directions. A reranking
set pools its candidates. Documents of one query with the same text are one pair. Where a pair came
from is kept, so that the pool without any of its systems can be computed.

Order and ids depend on the data and the choices alone. The room refuses a pool without pairs, and
texts that are no longer those that were pooled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.annotations.records import Pair
from cmedteb.annotations.systems import Returned
from cmedteb.annotations.texts import text_hash
from cmedteb.errors import DataError, UsageError
from cmedteb.types import Int32Array, Int64Array, RankingData, TextColumn

DEPTH = 50
CUT = 2000


class _Entries(NamedTuple):
    """One row for each reason why a document is in the pool; `system` is -1 for judgements."""

    query: Int64Array
    doc: Int64Array
    system: Int64Array
    rank: Int64Array

    def only(self, rows: NDArray[np.bool_]) -> _Entries:
        """Some of them."""
        return _Entries(*(column[rows] for column in self))


def build_pool(
    data: RankingData,
    returned: Sequence[Returned],
    *,
    depth: int = DEPTH,
    cut_chars: int | None = CUT,
    queries: Int32Array | None = None,
) -> tuple[Pair, ...]:
    """Pool the pairs that are to be judged, sorted by query id and document id.

    Args:
        data: the data set; with candidates, all of them are in the pool.
        returned: by the systems that are pooled, each name once.
        depth: how many documents of each system and query.
        cut_chars: what judges see of a document at most; None is all.
        queries: rows of the queries to pool, from `choose_queries`; None is all of them.

    Raises:
        UsageError: two systems have one name, a depth or a cut below 1, or nothing to pool.
    """
    names = [one.system.name for one in returned]
    if len(set(names)) < len(names):
        raise UsageError(f"two of the pooled systems have one name: {', '.join(sorted(names))}")
    if depth < 1 or (cut_chars is not None and cut_chars < 1):
        raise UsageError("the depth of the pool and the cut of documents are 1 or more.")
    wanted = np.arange(len(data.queries), dtype=np.int32) if queries is None else queries
    entries = _collect(data, returned, wanted, depth=depth)
    if not len(entries.query):
        raise UsageError("the pool is empty: no system returned anything, and nothing is judged.")
    pairs = _Pairs(data, names, cut_chars).of(entries)
    return tuple(sorted(pairs, key=lambda pair: (pair.query_id, pair.doc_id)))


def choose_queries(
    data: RankingData, *, sample: int | None = None, exclude: Sequence[str] = (), seed: int = 42
) -> Int32Array:
    """Rows of the queries to pool, ascending.

    Args:
        data: the data set.
        sample: how many to draw without replacement; None is all that are not excluded.
        exclude: ids of queries to leave out.
        seed: of the draw, which is by rank of a hash, so a larger sample holds a smaller one.

    Raises:
        UsageError: an excluded id is unknown, no query is left, or a sample below 1.
    """
    ids = data.queries.ids.to_pylist()
    unknown = sorted(set(exclude) - set(ids))
    if unknown:
        raise UsageError(f"the data set has no query {unknown[0]!r}, which is to be excluded.")
    if sample is not None and sample < 1:
        raise UsageError(f"a sample of {sample} queries leaves nothing to judge; give 1 or more.")
    left = set(ids) - set(exclude)
    rows = [row for row, name in enumerate(ids) if name in left]
    rows.sort(key=lambda row: hashlib.sha256(f"queries\0{seed}\0{ids[row]}".encode()).digest())
    chosen = sorted(rows[:sample])
    if not chosen:
        raise UsageError("every query of the data set is excluded: there is nothing to judge.")
    return np.asarray(chosen, dtype=np.int32)


def pair_id(query_id: str, query_hash: str, document_hash: str, cut: int | None) -> str:
    """The id of a pair: 16 hex digits of a sha256."""
    told = "\0".join((query_id, query_hash, document_hash, "" if cut is None else str(cut)))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def pair_texts(data: RankingData, pairs: Sequence[Pair]) -> dict[str, str]:
    """Hash -> text, of the queries and documents of pairs.

    Raises:
        DataError: a pair's query or document is not in the data set, or has another text there.
    """
    sides = (
        ("query", data.queries, {pair.query_id: pair.query_hash for pair in pairs}),
        ("document", data.corpus, {pair.doc_id: pair.document_hash for pair in pairs}),
    )
    texts: dict[str, str] = {}
    for what, column, wanted in sides:
        rows = {name: row for row, name in enumerate(column.ids.to_pylist()) if name in wanted}
        for name, digest in wanted.items():
            if name not in rows:
                raise DataError(f"the data set has no {what} {name!r}, which was pooled: {_OTHER}")
            text = texts.get(digest)
            if text is None or text != column.texts[rows[name]]:
                text = column.texts[rows[name]]
                if text_hash(text) != digest:
                    raise DataError(f"the text of {what} {name!r} is not the one pooled: {_OTHER}")
                texts[digest] = text
    return texts


_OTHER = "load the revision of the data set that the pool was made from, or plan anew."


def _collect(
    data: RankingData, returned: Sequence[Returned], wanted: Int32Array, *, depth: int
) -> _Entries:
    judged = _entries(wanted, data.qrels.offsets, data.qrels.docs, system=-1)
    relevant = _take(data.qrels.grades, data.qrels.offsets, wanted) > 0
    parts = [judged.only(relevant & (judged.doc < len(data.corpus)))]
    if data.candidates is not None:
        listed = data.candidates
        parts.append(_entries(wanted, listed.offsets, listed.docs, system=-1))
    for number, one in enumerate(returned):
        part = _entries(wanted, one.offsets, one.docs, system=number)
        parts.append(part.only(part.rank <= depth))
    return _Entries(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _entries(wanted: Int32Array, offsets: Int64Array, docs: Int32Array, *, system: int) -> _Entries:
    lengths = (offsets[1:] - offsets[:-1])[wanted]
    query = np.repeat(wanted.astype(np.int64), lengths)
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    rank = np.arange(len(query), dtype=np.int64) - begins + 1
    doc = _take(docs, offsets, wanted).astype(np.int64)
    return _Entries(query, doc, np.full(len(query), system, dtype=np.int64), rank)


def _take(values: Int32Array, offsets: Int64Array, wanted: Int32Array) -> Int32Array:
    """The entries of these queries, one query after the other."""
    spans = [np.arange(offsets[row], offsets[row + 1]) for row in wanted.tolist()]
    return values[np.concatenate(spans)] if spans else values[:0]


class _Pairs:
    """Makes pairs of entries; each text is hashed once."""

    def __init__(self, data: RankingData, names: Sequence[str], cut: int | None) -> None:
        self._data = data
        self._names = names
        self._cut = cut
        self._query_ids = data.queries.ids.to_pylist()
        self._doc_ids = data.corpus.ids.to_pylist()
        self._hashes: dict[int, tuple[str, int]] = {}

    def of(self, entries: _Entries) -> Iterator[Pair]:
        """One pair for each query and text."""
        text = self._data.corpus.texts.index[entries.doc]
        order = np.lexsort((entries.rank, entries.system, text, entries.query))
        query, text = entries.query[order], text[order]
        fresh = np.flatnonzero((np.diff(query) != 0) | (np.diff(text) != 0)) + 1
        bounds = [0, *fresh.tolist(), len(order)]
        columns = [column[order].tolist() for column in entries]
        grades: tuple[int, Mapping[int, int]] = (-1, {})
        for start, stop in pairwise(bounds):
            row = columns[0][start]
            if grades[0] != row:
                grades = row, self._grades(row)
            docs, systems, ranks = (column[start:stop] for column in columns[1:])
            yield self._pair(row, docs, _best(systems, ranks, self._names), grades[1])

    def _pair(
        self, query: int, docs: list[int], ranks: dict[str, int], grades: Mapping[int, int]
    ) -> Pair:
        twins = sorted({self._doc_ids[doc] for doc in docs})
        known = [grades[doc] for doc in set(docs) if doc in grades]
        query_hash = self._query_hash(query)
        document_hash, length = self._document(docs[0])
        cut = self._cut if self._cut is not None and length > self._cut else None
        name = self._query_ids[query]
        return Pair(
            pair_id=pair_id(name, query_hash, document_hash, cut),
            query_id=name,
            doc_id=twins[0],
            original=max(known, default=None),
            twins=tuple(twins[1:]),
            ranks=ranks,
            query_hash=query_hash,
            document_hash=document_hash,
            cut=cut,
        )

    def _grades(self, query: int) -> dict[int, int]:
        qrels = self._data.qrels
        span = slice(int(qrels.offsets[query]), int(qrels.offsets[query + 1]))
        return dict(zip(qrels.docs[span].tolist(), qrels.grades[span].tolist(), strict=True))

    def _query_hash(self, query: int) -> str:
        return self._hashed(self._data.queries.texts, query, -1 - query)[0]

    def _document(self, doc: int) -> tuple[str, int]:
        """Hash and length of a document's text."""
        texts = self._data.corpus.texts
        return self._hashed(texts, doc, int(texts.index[doc]))

    def _hashed(self, texts: TextColumn, row: int, key: int) -> tuple[str, int]:
        found = self._hashes.get(key)
        if found is None:
            text = texts[row]
            found = self._hashes[key] = text_hash(text), len(text)
        return found


def _best(systems: list[int], ranks: list[int], names: Sequence[str]) -> dict[str, int]:
    """System -> best rank; entries are sorted by system and rank."""
    best: dict[str, int] = {}
    for system, rank in zip(systems, ranks, strict=True):
        if system >= 0:
            best.setdefault(names[system], rank)
    return best
