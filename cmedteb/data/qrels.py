"""Reads judgements: BEIR and TREC text files, and tables with query, document and grade columns.

Ids become rows of the corpus and of the queries. A judgement of a document that is not in the
corpus is kept (it counts in the denominators, as in trec_eval), one of an unknown query is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.data.check import Findings, Oddity, check_grade, check_id
from cmedteb.data.columns import StringBuilder
from cmedteb.data.rows import Field, read_batches, read_lines, suffix_of
from cmedteb.errors import DataError
from cmedteb.types import Int32Array, Int64Array, Qrels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

QUERY = Field(("query-id", "query_id", "qid", "q_id"))
DOCUMENT = Field(("corpus-id", "corpus_id", "pid", "p_id", "docid", "doc_id"))
GRADE = Field(("score", "grade", "relevance", "rel", "label"))


class Judgements(NamedTuple):
    """Judgements as rows: query row, document row (beyond the corpus: absent), grade."""

    queries: Int32Array
    docs: Int32Array
    grades: Int32Array
    absent: tuple[str, ...]


class _Row(NamedTuple):
    query: object
    doc: object
    grade: object
    where: str


def read_judgements(
    paths: Sequence[Path],
    *,
    corpus_ids: pa.ChunkedArray,
    query_ids: pa.ChunkedArray,
    findings: Findings,
) -> Judgements:
    """Read qrels and resolve their ids.

    Args:
        paths: the files, in order.
        corpus_ids: ids of the corpus, by row.
        query_ids: ids of the queries, by row.
        findings: where oddities are noted.

    Raises:
        DataError: a bad id or grade, an unknown id, contradicting judgements, none at all.
    """
    queries, docs = StringBuilder(), StringBuilder()
    grades: list[int] = []
    for path in paths:
        for row in _rows(path):
            _take(row, queries, docs, grades, findings)
    findings.settle()
    where = ", ".join(str(path) for path in paths)
    if not grades:
        raise DataError(f"{where}: there is no judgement in it.")
    found = _resolve(queries.finish(), docs.finish(), grades, corpus_ids, query_ids, findings)
    if not (found.grades > 0).any():
        raise DataError(
            f"{where}: no judgement is positive (all grades are 0 or less), so every score would "
            "be 0. Relevant documents have a grade of 1 or more."
        )
    findings.settle()
    return found


def collapse(found: Judgements, findings: Findings, query_ids: pa.ChunkedArray) -> Judgements:
    """Order judgements by query and document row, one each; the highest grade of repeats stays."""
    order = np.lexsort((-found.grades, found.docs, found.queries))
    queries, docs, grades = found.queries[order], found.docs[order], found.grades[order]
    repeat = np.zeros(len(order), dtype=bool)
    repeat[1:] = (queries[1:] == queries[:-1]) & (docs[1:] == docs[:-1])
    if repeat.any():
        first = np.maximum.accumulate(np.where(repeat, 0, np.arange(len(order))))
        differs = repeat & (grades != grades[first])
        for row in np.flatnonzero(differs):
            example = f"query {query_ids[int(queries[row])].as_py()!r}"
            pair = f"{example} (grades {grades[first[row]]} and {grades[row]})"
            findings.note(Oddity.CONFLICTING_JUDGEMENTS, pair)
        if same := int(repeat.sum() - differs.sum()):
            findings.note(Oddity.DUPLICATE_JUDGEMENTS, "", times=same)
    kept = ~repeat
    return Judgements(queries[kept], docs[kept], grades[kept], found.absent)


def to_qrels(found: Judgements, rows: Int32Array, *, documents: int) -> Qrels:
    """Judgements of the chosen query rows as compressed sparse rows, in the order of `rows`.

    Args:
        found: collapsed judgements, ordered by query row.
        rows: the query rows that are kept, ascending.
        documents: how many documents the corpus has.
    """
    starts = np.searchsorted(found.queries, rows, side="left")
    ends = np.searchsorted(found.queries, rows, side="right")
    entries = gather(starts, ends)
    docs = found.docs[entries]
    beyond = np.unique(docs[docs >= documents])
    absent = tuple(found.absent[int(doc) - documents] for doc in beyond)
    docs = np.where(docs < documents, docs, documents + np.searchsorted(beyond, docs))
    return Qrels(
        to_offsets(ends - starts), docs.astype(np.int32), found.grades[entries].copy(), absent
    )


def to_offsets(lengths: Int64Array) -> Int64Array:
    """Offsets of ragged rows with these lengths; shape (rows + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def gather(starts: Int64Array, ends: Int64Array) -> Int64Array:
    """The positions `starts[i]:ends[i]` of all i, one after another."""
    lengths = ends - starts
    shift = np.repeat(starts - to_offsets(lengths)[:-1], lengths)
    return np.asarray(shift + np.arange(len(shift)), dtype=np.int64)


def _take(
    row: _Row,
    queries: StringBuilder,
    docs: StringBuilder,
    grades: list[int],
    findings: Findings,
) -> None:
    query, doc, grade = check_id(row.query), check_id(row.doc), check_grade(row.grade)
    if query is None or doc is None:
        findings.note(Oddity.BAD_IDS, f"{row.where}: {row.query!r}, {row.doc!r}")
    elif grade is None:
        findings.note(Oddity.BAD_GRADES, f"{row.where}: {row.grade!r}")
    else:
        queries.extend([query.encode()])
        docs.extend([doc.encode()])
        grades.append(grade)


def _rows(path: Path) -> Iterator[_Row]:
    if suffix_of(path).removesuffix(".gz") == ".tsv":
        yield from _text_rows(path)
        return
    for batch in read_batches(path, {"query": QUERY, "doc": DOCUMENT, "grade": GRADE}):
        columns = (batch.columns["query"], batch.columns["doc"], batch.columns["grade"])
        for row, (query, doc, grade) in enumerate(zip(*columns, strict=True)):
            yield _Row(query, doc, grade, batch.at(row))


def _text_rows(path: Path) -> Iterator[_Row]:
    """Lines of three columns, or TREC's four (query, iteration, document, grade)."""
    first = True
    for number, line in read_lines(path):
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) == 4:
            del cells[1]
        if len(cells) != 3:
            raise DataError(
                f"{path} line {number} has {len(cells)} columns; qrels have three (query-id, "
                "corpus-id, score, separated by tabs) or TREC's four."
            )
        query, doc, grade = (cell.strip() for cell in cells)
        if not (first and _is_header(query, grade)):
            yield _Row(query, doc, grade, f"{path} line {number}")
        first = False


def _is_header(query: str, grade: str) -> bool:
    return check_grade(grade) is None and (
        query.lower() in QUERY.names or grade.lower() in GRADE.names
    )


def _resolve(
    queries: pa.ChunkedArray,
    docs: pa.ChunkedArray,
    grades: list[int],
    corpus_ids: pa.ChunkedArray,
    query_ids: pa.ChunkedArray,
    findings: Findings,
) -> Judgements:
    query_rows = lookup(queries, query_ids)
    doc_rows = lookup(docs, corpus_ids)
    for row in np.flatnonzero(query_rows < 0):
        findings.note(Oddity.ABSENT_QUERIES, f"query {queries[int(row)].as_py()!r}")
    known = query_rows >= 0
    missing = np.flatnonzero(known & (doc_rows < 0))
    names = [str(docs[int(row)].as_py()) for row in missing]
    absent = tuple(sorted(set(names)))
    place = {name: len(corpus_ids) + at for at, name in enumerate(absent)}
    for row, name in zip(missing, names, strict=True):
        doc_rows[row] = place[name]
        query = queries[int(row)].as_py()
        findings.note(Oddity.ABSENT_DOCUMENTS, f"document {name!r} of query {query!r}")
    values = np.array(grades, dtype=np.int32)
    found = Judgements(query_rows[known], doc_rows[known], values[known], absent)
    return collapse(found, findings, query_ids)


def lookup(names: pa.ChunkedArray, ids: pa.ChunkedArray) -> Int32Array:
    """The row of each name in `ids`, -1 where it is not there."""
    import pyarrow.compute as pc

    rows = pc.fill_null(pc.index_in(names, value_set=ids), -1)
    return np.array(rows.to_numpy(), dtype=np.int32)
