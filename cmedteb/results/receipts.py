"""Receipts: what a model returned, and what it was judged by, so that scores can be recomputed.

Both are one grammar, gzip'd: a line a query (or pair), tab-separated, `id<TAB>key:value...`.
For ranking, key is a document id and value its score, best first; for STS, key is the name of a
similarity. Judgements have grades (or `gold`) as values. Ids and numbers only, never a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from cmedteb.errors import DataError
from cmedteb.results.files import read_gzip, write_gzip
from cmedteb.types import Float64Array, Pairs, Run

Table = dict[str, dict[str, float]]


def run_lines(
    run: Run, *, query_ids: Sequence[str], doc_ids: Sequence[str], depth: int | None
) -> Iterator[str]:
    """A run as receipt lines, cut at `depth`; scores keep all digits of a float32."""
    for query, query_id in enumerate(query_ids):
        start, stop = int(run.offsets[query]), int(run.offsets[query + 1])
        if depth is not None:
            stop = min(stop, start + depth)
        entries: list[object] = [None] * (2 * (stop - start))
        entries[::2] = [doc_ids[doc] for doc in run.docs[start:stop].tolist()]
        entries[1::2] = run.scores[start:stop].tolist()
        yield query_id + "\t%s:%.9g" * (stop - start) % tuple(entries)


def similarity_lines(
    similarity: Mapping[str, Float64Array], *, pair_ids: Sequence[str]
) -> Iterator[str]:
    """Similarities of pairs as receipt lines."""
    names = sorted(similarity)
    for row, pair_id in enumerate(pair_ids):
        yield "\t".join([pair_id, *(f"{name}:{float(similarity[name][row])!r}" for name in names)])


def gold_lines(pairs: Pairs) -> Iterator[str]:
    """Gold scores of pairs as lines."""
    for pair_id, gold in zip(pairs.ids.to_pylist(), pairs.scores.tolist(), strict=True):
        yield f"{pair_id}\tgold:{gold!r}"


def grade_lines(table: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Judgements as lines, sorted by query id and document id: equal sets give equal lines."""
    for query in sorted(table):
        row = table[query]
        yield "\t".join([query, *(f"{doc}:{row[doc]}" for doc in sorted(row))])


def content_hash(lines: Iterable[str]) -> str:
    """sha256 of lines, each ended by a newline."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def write_table(path: Path, lines: Iterable[str]) -> str:
    """Write a receipt or a judgement file atomically; returns the sha256 of the file."""
    return write_gzip(path, lines)


def read_table(path: Path) -> Table:
    """Read a receipt or a judgement file: id -> key -> value.

    Raises:
        DataError: a line is malformed, an id stands twice, or a value is no finite number.
    """
    table: Table = {}
    for number, line in enumerate(read_gzip(path), start=1):
        identifier, *entries = line.split("\t")
        if identifier in table:
            raise DataError(f"{path}: line {number}: {identifier!r} stands twice")
        row = dict(map(_entry, entries))
        if len(row) < len(entries):
            raise DataError(f"{path}: line {number}: {identifier!r} names a key twice")
        if not all(map(np.isfinite, row.values())):
            raise DataError(f"{path}: line {number}: a value of {identifier!r} is no finite number")
        table[identifier] = row
    return table


def _entry(text: str) -> tuple[str, float]:
    key, colon, value = text.rpartition(":")
    try:
        return key, float(value) if colon else float("nan")
    except ValueError:
        return key, float("nan")
