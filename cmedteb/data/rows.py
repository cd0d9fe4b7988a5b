"""Reads tables row by row in batches: jsonl, json, tsv (each also .gz) and parquet.

A reader asks for fields and the names each may have; other columns are never looked at, so what a
set carries beside (CMIRB's queries carry their gold passage) cannot leak into a text. Errors name
the file and the line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from cmedteb.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BATCH_ROWS = 1024
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".tsv", ".tsv.gz", ".json", ".json.gz")
BOM = b"\xef\xbb\xbf"


class Field(NamedTuple):
    """A column that is wanted: the names it may have, in order of preference.

    Attributes:
        names: see above.
        optional: whether it may be missing.
        is_id: whether whole numbers stand for their digits, and nothing for no value.
    """

    names: tuple[str, ...]
    optional: bool = False
    is_id: bool = False


Fields = Mapping[str, Field]
Chosen = dict[str, str | None]


class Batch(NamedTuple):
    """Some thousand rows as columns.

    Attributes:
        path: the file.
        unit: what `numbers` count, "line" or "row" (from 1).
        numbers: the line or row of each.
        columns: for each wanted field the values; None where an optional one is not there.
    """

    path: Path
    unit: str
    numbers: list[int]
    columns: dict[str, list[Any]]

    def at(self, row: int) -> str:
        """Where a row stands, for a message."""
        return f"{self.path} {self.unit} {self.numbers[row]}"


def suffix_of(path: Path) -> str:
    """The format's suffix, with `.gz` where it is compressed; empty if it is none of ours."""
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.endswith(s)), "")


def read_batches(
    path: Path, fields: Fields, *, batch_rows: int = BATCH_ROWS, after: int = 0
) -> Iterator[Batch]:
    """Read the wanted fields of a table.

    Args:
        path: a file with one of `SUFFIXES`.
        fields: what is wanted, by the name it shall have in `Batch.columns`.
        batch_rows: rows a batch.
        after: lines of jsonl, or rows of parquet, that are passed over.

    Raises:
        DataError: unreadable file, invalid JSON or UTF-8, or a missing column (with its line).
    """
    suffix = suffix_of(path)
    if suffix == ".parquet":
        yield from _read_parquet(path, fields, batch_rows, after)
        return
    base = suffix.removesuffix(".gz")
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]]] = {
        ".jsonl": partial(_json_lines, after=after),
        ".json": _json_rows,
        ".tsv": _tsv_rows,
    }
    if base not in readers:
        raise DataError(f"{path} is in no known format; use one of {', '.join(SUFFIXES)}.")
    rows = readers[base](path)
    while chunk := list(islice(rows, batch_rows)):
        numbers = [number for number, _ in chunk]
        columns = {
            wanted: [_pick(row, field, path, number) for number, row in chunk]
            for wanted, field in fields.items()
        }
        yield Batch(path, "line", numbers, columns)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file (.gz or not) with their numbers; blank lines are left out.

    Raises:
        DataError: not UTF-8, or a damaged gzip file.
    """
    number = 0
    with open_binary(path) as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                line = raw.removeprefix(BOM) if number == 1 else raw
                if line.strip():
                    yield number, line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} line {number} is not UTF-8 (byte {error.start + 1}: {error.reason}). "
                "Convert the file to UTF-8, for example with iconv."
            ) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path} is a damaged gzip file, readable up to line {number} ({error}). "
                "Copy or download it again."
            ) from error


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacking `.gz`."""
    if path.name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _pick(row: Mapping[str, Any], field: Field, path: Path, number: int) -> object:
    for name in field.names:
        if name in row:
            return row[name]
    if field.optional:
        return None
    raise DataError(
        f"{path} line {number} has no {_either(field.names)}; found: {_found(row)}. "
        "Add or rename the column."
    )


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(repr(name) for name in names)


def _found(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _json_lines(path: Path, after: int = 0) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in read_lines(path):
        if number <= after:
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path} line {number} is not valid JSON: {error.msg} at column {error.colno}. "
                "Each line must be one JSON object."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path} line {number} is a JSON {type(row).__name__}, not an object.")
        yield number, row


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """A .json file: one list of objects, or in truth one object a line."""
    with open_binary(path) as stream:
        head = stream.read(64).removeprefix(BOM).lstrip()
    if not head.startswith(b"["):
        yield from _json_lines(path)
        return
    text = "\n".join(line for _, line in read_lines(path))
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is not valid JSON: {error.msg} near line {error.lineno}."
        ) from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path} item {number} is a JSON {type(row).__name__}, not an object.")
        yield number, row


def _tsv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """A .tsv file with a header; cells are taken as they are, without quoting."""
    lines = read_lines(path)
    _, first = next(lines, (0, ""))
    header = first.split("\t")
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise DataError(
                f"{path} line {number} has {len(cells)} cells, its header {len(header)}. "
                "Remove tabs inside a cell, or use jsonl."
            )
        yield number, dict(zip(header, cells, strict=True))


@contextmanager
def open_parquet(path: Path, fields: Fields) -> Iterator[tuple[pq.ParquetFile, Chosen]]:
    """Open a parquet file, and say by which name it has each of the fields.

    Raises:
        DataError: the file is damaged, a column is missing, or a text is no UTF-8.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            found = file.schema_arrow.names
            yield file, {wanted: _column(path, field, found) for wanted, field in fields.items()}
    except UnicodeDecodeError as error:
        raise DataError(f"{path} holds text that is not UTF-8 ({error.reason}).") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}.") from error


def _read_parquet(path: Path, fields: Fields, batch_rows: int, after: int) -> Iterator[Batch]:
    with open_parquet(path, fields) as (file, chosen):
        names = sorted({name for name in chosen.values() if name is not None})
        start = 1
        for whole in file.iter_batches(batch_size=batch_rows, columns=names, use_threads=False):
            passed = min(max(0, after + 1 - start), whole.num_rows)
            part, start = whole.slice(passed), start + passed
            if not part.num_rows:
                continue
            numbers = list(range(start, start + part.num_rows))
            columns = {
                wanted: [None] * part.num_rows if name is None else part[name].to_pylist()
                for wanted, name in chosen.items()
            }
            yield Batch(path, "row", numbers, columns)
            start += part.num_rows


def _column(path: Path, field: Field, found: list[str]) -> str | None:
    name = next((name for name in field.names if name in found), None)
    if name is None and not field.optional:
        raise DataError(
            f"{path} has no column {_either(field.names)}; found: {_found(found)}. "
            "Add or rename the column."
        )
    return name
