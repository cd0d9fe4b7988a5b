"""Loads a corpus, queries and sentences from tables into columns.

The text of a document is `(title + " " + text).strip()` if it has a title, else `text.strip()`,
as in mteb, so that scores are equal; queries and sentences are taken exactly as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.data.check import Findings, Oddity, check_id
from cmedteb.data.columns import StringBuilder, TextBuilder, all_different
from cmedteb.data.rows import Batch, Field
from cmedteb.data.stretches import Stretch, read_stretches
from cmedteb.errors import DataError
from cmedteb.types import Corpus, Int32Array, Int64Array, Queries, TextColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

ID = Field(("_id", "id"), is_id=True)
TEXT = Field(("text",))
TITLE = Field(("title",), optional=True)


class _Column(NamedTuple):
    ids: pa.ChunkedArray
    texts: TextColumn


def read_corpus(paths: Sequence[Path], findings: Findings) -> Corpus:
    """Read documents.

    Args:
        paths: the files, in order.
        findings: where oddities are noted.

    Raises:
        DataError: no documents, a bad or repeated id, an empty text (see `check.RULES`).
    """
    column = _read(paths, findings, documents=True)
    return Corpus(column.ids, column.texts)


def read_queries(paths: Sequence[Path], findings: Findings) -> Queries:
    """Read queries; arguments and errors as for `read_corpus`."""
    column = _read(paths, findings, documents=False)
    return Queries(column.ids, column.texts)


def encode_text(value: object, where: str) -> bytes:
    """A text as UTF-8; None becomes empty.

    Raises:
        DataError: it is no string, or holds half a surrogate pair.
    """
    if value is None:
        return b""
    if not isinstance(value, str):
        raise DataError(f"{where}: a text is {_kind(value)}, not a string.")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: a text holds half a surrogate pair (character {error.start + 1}), which is "
            "no Unicode text. Correct the \\u escapes there."
        ) from error


def select_rows(column: TextColumn, ids: pa.ChunkedArray, rows: Int32Array) -> _Column:
    """Some rows of a column, without texts that none of them has."""
    import pyarrow as pa

    used, index = np.unique(column.index[rows], return_inverse=True)
    values = column.values
    if len(used) < len(values):
        values = values.take(pa.array(used))
    return _Column(ids.take(pa.array(rows)), TextColumn(values, index.astype(np.int32)))


def _read(paths: Sequence[Path], findings: Findings, *, documents: bool) -> _Column:
    empty = Oddity.EMPTY_DOCUMENTS if documents else Oddity.EMPTY_QUERIES
    fields = {"id": ID, "text": TEXT} | ({"title": TITLE} if documents else {})
    ids, texts = StringBuilder(), TextBuilder()
    for path in paths:
        for part in read_stretches(path, fields):
            if isinstance(part, Stretch):
                names, column = _names(part, findings), _column(part, documents=documents)
                for row in blank_rows(column).tolist():
                    findings.note(empty, f"{part.at(row)} (id {names[row].as_py()!r})")
                ids.extend_column(names)
                texts.extend_column(column)
                continue
            raws = _documents(part) if documents else _queries(part)
            identifiers = [_id(part, row, findings) for row in range(len(raws))]
            for row, raw in enumerate(raws):
                if not raw.decode().strip():
                    findings.note(empty, f"{part.at(row)} (id {identifiers[row].decode()!r})")
            ids.extend(identifiers)
            texts.extend(raws)
    if not len(ids):
        raise DataError(f"{', '.join(str(path) for path in paths)}: there is no row in it.")
    findings.settle()
    return _without_duplicates(_Column(ids.finish(), texts.finish()), findings, str(paths[0]))


def _names(part: Stretch, findings: Findings) -> pa.StringArray:
    """The ids of a stretch; what cannot be one is noted and becomes empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = part.columns["id"]
    broken = pc.match_substring_regex(names, "[\t\n\r]").to_numpy(zero_copy_only=False)
    broken[blank_rows(names)] = True
    if not broken.any():
        return names
    for row in np.flatnonzero(broken).tolist():
        findings.note(Oddity.BAD_IDS, f"{part.at(row)}: {names[row].as_py()!r}")
    return pc.if_else(pa.array(broken), "", names)


def _column(part: Stretch, *, documents: bool) -> pa.StringArray:
    """The texts of a stretch, without nulls; see `_join`."""
    import pyarrow.compute as pc

    text = pc.fill_null(part.columns["text"], "")
    if not documents:
        return text
    title = part.columns.get("title")
    if title is not None and title.null_count < len(title):
        title = pc.fill_null(title, "")
        joined = pc.binary_join_element_wise(title, text, " ")
        text = pc.if_else(pc.equal(title, ""), text, joined)
    return pc.utf8_trim_whitespace(text)


def blank_rows(column: pa.StringArray) -> Int64Array:
    """The rows of a column that hold nothing but white space."""
    import pyarrow.compute as pc

    trimmed = pc.binary_length(pc.utf8_trim_whitespace(column))
    return np.flatnonzero(trimmed.to_numpy(zero_copy_only=False) == 0)


def _documents(batch: Batch) -> list[bytes]:
    raws = []
    columns = zip(batch.columns["title"], batch.columns["text"], strict=True)
    for row, (title, text) in enumerate(columns):
        raws.append(encode_text(_join(title, text), batch.at(row)))
    return raws


def _join(title: object, text: object) -> object:
    """A document's text; something that is no string is passed on to be refused."""
    if isinstance(title, str) and title and (text is None or isinstance(text, str)):
        return f"{title} {text or ''}".strip()
    if title is not None and not isinstance(title, str):
        return title
    return text.strip() if isinstance(text, str) else text


def _queries(batch: Batch) -> list[bytes]:
    return [encode_text(text, batch.at(row)) for row, text in enumerate(batch.columns["text"])]


def _id(batch: Batch, row: int, findings: Findings) -> bytes:
    value = batch.columns["id"][row]
    name = check_id(value)
    if name is None:
        findings.note(Oddity.BAD_IDS, f"{batch.at(row)}: {value!r}")
        return b""
    return encode_text(name, batch.at(row))


def _kind(value: object) -> str:
    return {"int": "a number", "float": "a number", "bool": "true or false"}.get(
        type(value).__name__, f"a {type(value).__name__}"
    )


def _without_duplicates(column: _Column, findings: Findings, where: str) -> _Column:
    """The first row of each id; a second text under one id is never let pass."""
    if all_different(column.ids):
        return column
    first: dict[str, int] = {}
    kept = []
    for row, name in enumerate(column.ids.to_pylist()):
        if (earlier := first.setdefault(name, row)) == row:
            kept.append(row)
        elif column.texts.index[earlier] == column.texts.index[row]:
            findings.note(Oddity.DUPLICATE_IDS, f"{name!r} in {where}")
        else:
            findings.note(Oddity.CONFLICTING_IDS, f"{name!r} in {where}")
    findings.settle()
    return select_rows(column.texts, column.ids, np.array(kept, dtype=np.int32))
