"""Reads tables a stretch of rows at a time as Arrow columns, where that gives what rows would.

A stretch that is odd in any way (a blank line, a number for a text, half a surrogate pair, text
that is no UTF-8, ...) is not judged here: it and what follows in the file is read row by row
(`rows`), which knows every message. Nothing is taken that the readers of rows would refuse or would
read otherwise.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmedteb.data.rows import (
    BOM,
    Batch,
    Fields,
    open_binary,
    open_parquet,
    read_batches,
    suffix_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 18
STRETCH_ROWS = 1024


class Stretch(NamedTuple):
    """Some thousand rows as Arrow columns of strings.

    Attributes:
        path: the file.
        unit: what `first` counts, "line" or "row" (from 1).
        first: the line or row of the first; the others follow without a gap.
        columns: for each wanted field its values; an optional one that is nowhere is left out. An
            id is never null, another value may be.
    """

    path: Path
    unit: str
    first: int
    columns: dict[str, pa.StringArray]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return max(map(len, self.columns.values()))

    def at(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path} {self.unit} {self.first + row}"


def read_stretches(path: Path, fields: Fields) -> Iterator[Stretch | Batch]:
    """The rows of a table, in order: as Arrow columns, or where that is not safe as rows.

    Args:
        path: a file with one of `rows.SUFFIXES`.
        fields: what is wanted; each is to be a string.

    Raises:
        DataError: as `rows.read_batches`.
    """
    suffix, done = suffix_of(path), 0
    readers = {".parquet": _parquet, ".jsonl": _json_lines, ".jsonl.gz": _json_lines}
    if suffix in readers:
        for stretch in readers[suffix](path, fields):
            yield stretch
            done += stretch.rows
    yield from read_batches(path, fields, after=done)


def _json_lines(path: Path, fields: Fields) -> Iterator[Stretch]:
    """Stretches up to the first that is odd."""
    first = 1
    for block in _blocks(path):
        raw = block.removeprefix(BOM) if first == 1 else block
        columns = _parsed(raw, fields)
        if columns is None:
            return
        yield Stretch(path, "line", first, columns)
        first += _lines(raw)


def _blocks(path: Path) -> Iterator[bytes]:
    """A file in pieces that end with a line; what a damaged one holds behind the damage is left."""
    rest = b""
    with open_binary(path) as stream:
        try:
            while piece := stream.read(BLOCK_BYTES):
                head, newline, tail = piece.rpartition(b"\n")
                if newline:
                    yield rest + head + newline
                    rest = tail
                else:
                    rest += piece
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return
    if rest:
        yield rest


def _lines(raw: bytes) -> int:
    return raw.count(b"\n") + (not raw.endswith(b"\n"))


def _parsed(raw: bytes, fields: Fields) -> dict[str, pa.StringArray] | None:
    """The columns of whole lines; None if they are not surely one object each."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    lines = _lines(raw)
    opened = raw.startswith(b"{") + raw.count(b"\n{")
    closed = raw.count(b"}\n") + raw.count(b"}\r\n") + raw.endswith(b"}")
    names = [name for field in fields.values() for name in field.names]
    try:
        raw.decode()
        if opened != lines or closed != lines:
            return None
        table = arrow_json.read_json(
            pa.BufferReader(raw),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(raw) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=pa.schema([(name, pa.string()) for name in names]),
                unexpected_field_behavior="ignore",
            ),
        )
        if len(table) != lines:
            return None
        return _chosen(table, raw, fields)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None


def _chosen(table: pa.Table, raw: bytes, fields: Fields) -> dict[str, pa.StringArray] | None:
    """One column a field, by the first of its names; None where rows may differ in that."""
    columns: dict[str, pa.StringArray] = {}
    for wanted, field in fields.items():
        there = [name for name in field.names if f'"{name}"'.encode() in raw]
        if not there:
            if not field.optional:
                return None
            continue
        column = table[there[0]].combine_chunks()
        # A null may be a value, or a row without it that has the next name.
        if column.null_count and not (field.optional and len(there) == 1):
            return None
        column.validate(full=True)
        columns[wanted] = column
    return columns


def _parquet(path: Path, fields: Fields) -> Iterator[Stretch]:
    """Stretches up to the first that is odd."""
    first = 1
    with open_parquet(path, fields) as (file, chosen):
        names = sorted({name for name in chosen.values() if name is not None})
        for part in file.iter_batches(batch_size=STRETCH_ROWS, columns=names, use_threads=False):
            columns = {
                wanted: _strings(part[name], is_id=fields[wanted].is_id)
                for wanted, name in chosen.items()
                if name is not None
            }
            if None in columns.values():
                return
            yield Stretch(path, "row", first, columns)
            first += part.num_rows


def _strings(column: pa.Array, *, is_id: bool) -> pa.StringArray | None:
    """A column as strings; None if it holds something else, or what is no UTF-8."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if is_id and column.null_count:
        return None
    if not any(fits(kind) for fits in strings) and not (is_id and pa.types.is_integer(kind)):
        return None
    try:
        found = column.cast(pa.string())
        found.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return found
