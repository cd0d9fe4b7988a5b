"""A receipt as columns: the same grammar as `results.receipts`, read in one sweep.

A board of a hundred models reads a hundred million entries, so no line is taken apart in Python:
numpy finds the lines and pyarrow parses all entries at once. What they cannot read the same way
(ids with colons, numbers that only Python knows) goes the slow way. An id that stands twice, an
entry without a number, and a number that is not finite raise DataError. Whether a document stands
twice in a line is not looked at here: `repeated` does, where a stranger's receipt is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.errors import DataError
from cmedteb.types import Float64Array, Int64Array

if TYPE_CHECKING:
    import pyarrow as pa

_TAB, _LINE, _RETURN, _COLON = b"\t\n\r:"


@dataclass(frozen=True)
class Columns:
    """A receipt: entries `offsets[row]:offsets[row + 1]` belong to `ids[row]`.

    Attributes:
        ids: of the queries or pairs; each once.
        offsets: shape (ids + 1,).
        key: for each entry its document, or the name of its similarity; an arrow array of strings.
        value: for each entry its finite number, shape (entries,).
    """

    ids: list[str]
    offsets: Int64Array
    key: pa.Array
    value: Float64Array

    def row_of_entry(self) -> Int64Array:
        """For each entry the row it belongs to."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.offsets))


class Keys(Sequence[str]):
    """Names of documents: those that are judged, then every entry of a receipt for itself."""

    def __init__(self, judged: Sequence[str], entries: pa.Array) -> None:
        self.judged = judged
        self.entries = entries

    def __len__(self) -> int:
        return len(self.judged) + len(self.entries)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401  an index, or a slice nobody asks for
        row = int(index)
        known = len(self.judged)
        return self.judged[row] if row < known else str(self.entries[row - known].as_py())

    def __iter__(self) -> Iterator[str]:
        yield from self.judged
        yield from self.entries.to_pylist()


def parse(path: Path, content: bytes) -> Columns:
    """Take a receipt's text apart; `path` is for messages.

    Raises:
        DataError: not UTF-8, an id twice, or an entry that is no `key:number`.
    """
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    text = np.frombuffer(whole, dtype=np.uint8)
    breaks = np.flatnonzero(text <= _LINE)
    breaks = breaks[text[breaks] >= _TAB]
    ends = np.flatnonzero(text[breaks] == _LINE)
    # How many breaks, and of these how many tabs, stand before each line and after the last.
    before = np.concatenate([[0], ends + 1])
    offsets = before - np.arange(len(before))
    starts = np.concatenate([[0], breaks[ends] + 1])[:-1].tolist()
    spans = list(zip(starts, breaks[before[:-1]].tolist(), strict=True))
    ids = _ids(path, whole, spans)
    lines = text.copy()
    lines[breaks] = _LINE
    for start, stop in spans:
        lines[start:stop] = _LINE
    key, value = _entries(path, lines, int(offsets[-1]))
    good = np.isfinite(value)
    if not good.all():
        row = int(np.searchsorted(offsets, int(np.argmin(good)), side="right")) - 1
        raise DataError(f"{path}: a value of {ids[row][:80]!r} is no finite number")
    return Columns(ids, offsets.astype(np.int64), key, value)


def repeated(columns: Columns) -> str | None:
    """An id whose line names a document twice; None where there is none."""
    codes = columns.key.dictionary_encode().indices.to_numpy().astype(np.int64)
    row = columns.row_of_entry()
    order = np.lexsort((codes, row))
    same = (np.diff(codes[order]) == 0) & (np.diff(row[order]) == 0)
    return columns.ids[int(row[order][int(np.argmax(same))])] if same.any() else None


def _ids(path: Path, whole: bytes, spans: list[tuple[int, int]]) -> list[str]:
    try:
        ids = [whole[start:stop].decode("utf-8") for start, stop in spans]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error})") from error
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise DataError(f"{path}: {twice[:80]!r} stands twice")
    return ids


def _entries(path: Path, text: np.ndarray[Any, Any], count: int) -> tuple[pa.Array, Float64Array]:
    import pyarrow as pa

    if not count:
        return pa.array([], pa.string()), np.zeros(0)
    if np.count_nonzero(text == _COLON) == count and not (text == _RETURN).any():
        try:
            return _quick(text, count)
        except pa.ArrowInvalid:
            pass
    return _slow(path, text, count)


def _quick(text: np.ndarray[Any, Any], count: int) -> tuple[pa.Array, Float64Array]:
    """Entries as rows of a table with `:` between its two columns; blank lines are left out."""
    import pyarrow as pa
    from pyarrow import csv

    table = csv.read_csv(
        pa.BufferReader(pa.py_buffer(text)),
        read_options=csv.ReadOptions(
            column_names=["key", "value"], use_threads=False, block_size=len(text) + 1
        ),
        parse_options=csv.ParseOptions(delimiter=":", quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types={"key": pa.string(), "value": pa.float64()},
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    if len(table) != count:
        raise pa.ArrowInvalid("an entry is empty")
    return table.column("key").combine_chunks(), table.column("value").to_numpy()


def _slow(path: Path, text: np.ndarray[Any, Any], count: int) -> tuple[pa.Array, Float64Array]:
    """Entry by entry: what stands before the last colon is the key."""
    import pyarrow as pa

    key, value = [], []
    try:
        for entry in filter(None, text.tobytes().decode("utf-8").split("\n")):
            name, colon, number = entry.rpartition(":")
            key.append(name)
            value.append(float(number) if colon else np.nan)
    except ValueError as error:
        raise DataError(f"{path}: an entry is no key:number ({str(error)[:120]})") from error
    if len(key) != count:
        raise DataError(f"{path}: an entry is empty")
    return pa.array(key, pa.string()), np.asarray(value, dtype=np.float64)
