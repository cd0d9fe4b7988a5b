"""Reads what is to be reranked: rows {query, positive[], negative[]}, or lists of candidate ids.

Neither an id nor an order may give the label away: documents of rows are named by a hash of their
text, and candidates always stand in order of document id, so a scorer that gives all the same
score gets chance level.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.data.check import Findings, Oddity, check_id
from cmedteb.data.columns import StringBuilder, TextBuilder, all_different
from cmedteb.data.qrels import QUERY, Judgements, lookup, to_offsets
from cmedteb.data.rows import Batch, Field, read_batches
from cmedteb.data.texts import encode_text
from cmedteb.errors import DataError
from cmedteb.types import Candidates, Corpus, Int32Array, Int64Array, Queries, TextColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

ROW_FIELDS = {"query": Field(("query",)), "positive": Field(("positive",))} | {
    "negative": Field(("negative",))
}
TOP_RANKED_FIELDS = {"query": QUERY, "docs": Field(("corpus-ids", "corpus_ids"))}


class Rows(NamedTuple):
    """A reranking set as it comes out of rows: all its queries, judged and not."""

    corpus: Corpus
    queries: Queries
    judgements: Judgements
    candidates: Candidates


class _Lists(NamedTuple):
    """Ragged rows while they are read: entries, and the length of each row."""

    docs: list[Int32Array]
    grades: list[Int32Array]
    lengths: list[int]


def read_rows(paths: Sequence[Path], findings: Findings) -> Rows:
    """Read rows {query, positive, negative} into one pooled corpus.

    A text that is positive and negative of one query counts as positive; repeats in a query
    collapse. Queries are named q00000, q00001, ... in file order.

    Raises:
        DataError: empty texts or candidate lists, no rows, or no positives.
    """
    queries, texts = TextBuilder(), TextBuilder()
    lists = _Lists([], [], [])
    for path in paths:
        for batch in read_batches(path, ROW_FIELDS, batch_rows=256):
            _read_queries(batch, queries, findings)
            for row in range(len(batch.numbers)):
                docs, grades = _read_documents(batch, row, texts, findings)
                lists.docs.append(docs)
                lists.grades.append(grades)
                lists.lengths.append(len(docs))
    where = ", ".join(str(path) for path in paths)
    if not lists.lengths:
        raise DataError(f"{where}: there is no row in it.")
    findings.settle()
    return _assemble(queries.finish(), texts.finish(), lists, where)


def read_top_ranked(
    paths: Sequence[Path],
    *,
    corpus_ids: pa.ChunkedArray,
    query_ids: pa.ChunkedArray,
    findings: Findings,
) -> Candidates:
    """Read candidate lists {query-id, corpus-ids} for the queries given; others are left out.

    Raises:
        DataError: bad ids, candidates that are not in the corpus, or unknown queries.
    """
    names, docs, lengths = StringBuilder(), StringBuilder(), list[int]()
    for path in paths:
        for batch in read_batches(path, TOP_RANKED_FIELDS, batch_rows=256):
            for row in range(len(batch.numbers)):
                query, listed = _read_ids(batch, row, findings)
                names.extend([query.encode()])
                docs.extend([name.encode() for name in listed])
                lengths.append(len(listed))
    findings.settle()
    queries, doc_names = names.finish(), docs.finish()
    query_rows, doc_rows = lookup(queries, query_ids), lookup(doc_names, corpus_ids)
    for at in np.flatnonzero(query_rows < 0):
        findings.note(Oddity.ABSENT_QUERIES, f"query {queries[int(at)].as_py()!r}")
    for at in np.flatnonzero(doc_rows < 0):
        findings.note(Oddity.ABSENT_CANDIDATES, f"document {doc_names[int(at)].as_py()!r}")
    findings.settle()
    owners = np.repeat(query_rows, lengths).astype(np.int32)
    known = owners >= 0
    return _group(owners[known], doc_rows[known], corpus_ids, len(query_ids), findings)


def order_by_id(offsets: Int64Array, docs: Int32Array, corpus_ids: pa.ChunkedArray) -> Int32Array:
    """The entries of every row, ordered by document id."""
    import pyarrow.compute as pc

    rank = np.empty(len(corpus_ids), dtype=np.int32)
    rank[pc.sort_indices(corpus_ids).to_numpy()] = np.arange(len(corpus_ids), dtype=np.int32)
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return docs[np.lexsort((rank[docs], owners))]


def _assemble(queries: TextColumn, texts: TextColumn, lists: _Lists, where: str) -> Rows:
    lengths = np.array(lists.lengths, dtype=np.int64)
    docs, grades = np.concatenate(lists.docs), np.concatenate(lists.grades)
    if not (grades > 0).any():
        raise DataError(f"{where}: no row has a positive text, so every score would be 0.")
    corpus_ids = _hashed_ids(texts, where)
    query_ids = StringBuilder()
    query_ids.extend(f"q{row:05d}".encode() for row in range(len(lengths)))
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    order = np.lexsort((docs, owners))
    offsets = to_offsets(lengths)
    distinct = TextColumn(texts.values, np.arange(texts.distinct, dtype=np.int32))
    return Rows(
        Corpus(corpus_ids, distinct),
        Queries(query_ids.finish(), queries),
        Judgements(owners, docs[order], grades[order], ()),
        Candidates(offsets, order_by_id(offsets, docs, corpus_ids)),
    )


def _hashed_ids(texts: TextColumn, where: str) -> pa.ChunkedArray:
    """An id for every distinct text: the first 16 hex digits of its SHA-256."""
    ids = StringBuilder()
    ids.extend(
        hashlib.sha256(value.as_py().encode()).hexdigest()[:16].encode() for value in texts.values
    )
    column = ids.finish()
    if not all_different(column):
        raise DataError(
            f"{where}: two different texts have the same 64-bit hash. Give this set ids of its "
            "own: corpus.jsonl, queries.jsonl, qrels.tsv and top_ranked.jsonl."
        )
    return column


def _read_queries(batch: Batch, queries: TextBuilder, findings: Findings) -> None:
    values = batch.columns["query"]
    raws = [encode_text(value, batch.at(row)) for row, value in enumerate(values)]
    for row, raw in enumerate(raws):
        if not raw.decode().strip():
            findings.note(Oddity.EMPTY_QUERIES, batch.at(row))
    queries.extend(raws)


def _read_documents(
    batch: Batch, row: int, texts: TextBuilder, findings: Findings
) -> tuple[Int32Array, Int32Array]:
    """The distinct documents of one row, and their grades: 1 if positive anywhere, else 0."""
    where = batch.at(row)
    positive = _texts(batch.columns["positive"][row], "positive", where, findings)
    negative = _texts(batch.columns["negative"][row], "negative", where, findings)
    if not positive and not negative:
        findings.note(Oddity.EMPTY_CANDIDATES, where)
    if repeats := len(positive) + len(negative) - len(set(positive)) - len(set(negative)):
        findings.note(Oddity.REPEATED_CANDIDATES, where, times=repeats)
    if both := len(set(positive) & set(negative)):
        findings.note(Oddity.BOTH_LABELS, where, times=both)
    distinct = list(dict.fromkeys(positive + negative))
    relevant = set(positive)
    grades = np.array([raw in relevant for raw in distinct], dtype=np.int32)
    return texts.extend(distinct), grades


def _texts(values: object, name: str, where: str, findings: Findings) -> list[bytes]:
    if not isinstance(values, list):
        raise DataError(f"{where}: {name!r} is no list of texts but {type(values).__name__}.")
    raws = [
        encode_text(value.strip() if isinstance(value, str) else value, f"{where} ({name})")
        for value in values
    ]
    for raw in raws:
        if not raw:
            findings.note(Oddity.EMPTY_DOCUMENTS, f"{where} ({name})")
    return raws


def _read_ids(batch: Batch, row: int, findings: Findings) -> tuple[str, list[str]]:
    where = batch.at(row)
    listed = batch.columns["docs"][row]
    if not isinstance(listed, list):
        raise DataError(f"{where}: 'corpus-ids' is no list of ids but {type(listed).__name__}.")
    query = check_id(batch.columns["query"][row])
    names = [check_id(value) for value in listed]
    if query is None or None in names:
        findings.note(Oddity.BAD_IDS, where)
    return query or "", [name for name in names if name is not None]


def _group(
    owners: Int32Array,
    docs: Int32Array,
    corpus_ids: pa.ChunkedArray,
    queries: int,
    findings: Findings,
) -> Candidates:
    """Candidates by query row, each once, in order of document id."""
    pairs = np.unique(np.stack([owners, docs], axis=1), axis=0)
    if repeats := len(owners) - len(pairs):
        findings.note(Oddity.REPEATED_CANDIDATES, "", times=repeats)
    offsets = to_offsets(np.bincount(pairs[:, 0], minlength=queries).astype(np.int64))
    return Candidates(offsets, order_by_id(offsets, pairs[:, 1].copy(), corpus_ids))
