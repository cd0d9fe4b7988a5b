"""Tables as Arrow columns: the same texts, and the same words about what is wrong, as row by row.

Run: `pytest tests/data/test_stretches.py`. Every file is read twice, the second time with the
readers of rows alone. Odd: a byte order mark, blank lines, CRLF, escapes, half a surrogate pair,
repeated ids and keys, extra columns, nulls, numbers, other spaces, a damaged gzip file.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmedteb.data import stretches, texts
from cmedteb.data.check import Findings
from cmedteb.data.rows import Batch, Fields, read_batches
from cmedteb.data.stretches import Stretch, read_stretches
from cmedteb.errors import DataError

PLAIN = [{"_id": f"d{row}", "text": f"text {row} \u5934\u75db"} for row in range(40)]
GOOD = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in PLAIN)
ESCAPED = "".join(json.dumps(row) + "\n" for row in PLAIN)


def line(**row: Any) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


# Name -> (content, whether some of it is read as columns).
FILES: dict[str, tuple[str | bytes, bool]] = {
    "good": (GOOD, True),
    "escapes": (ESCAPED + line(_id="e", text="\U0001f600"), True),
    "no newline at the end": (GOOD.rstrip("\n"), True),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), True),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + GOOD.encode(), False),
    "CRLF": (GOOD.replace("\n", "\r\n"), True),
    "blank line": (GOOD + "\n" + line(_id="x", text="t"), True),
    "white space line": (GOOD + " \t\n" + line(_id="x", text="t"), True),
    "blank line first": ("\n" + GOOD, False),
    "indented": ("  " + GOOD, False),
    "titles": (
        line(_id="a", title="T", text="x") + line(_id="b", title="", text=" y ") + GOOD,
        True,
    ),
    "title and no text": (line(_id="a", title="T", text=None) + GOOD, False),
    "blank title": (
        line(_id="a", title="  ", text="x") + line(_id="b", title=None, text="x"),
        True,
    ),
    "number for a title": (line(_id="a", title=3, text="x"), False),
    "id and _id": (line(_id="a", id="b", text="x") + line(_id="c", text="y"), True),
    "id alone": (line(id="b", text="x") + line(id="c", text="y"), True),
    "_id null beside id": (line(_id=None, id="b", text="x"), False),
    "now id, now _id": (line(id="b", text="x") + line(_id="c", text="y"), False),
    "extra keys": (line(_id="a", text="x", more={"text": 1, "_id": [2]}) + GOOD, True),
    "dates are texts": (line(_id="2020-01-01", text="2020-01-01T00:00:00Z"), True),
    "numbers as ids": (line(_id=7, text="x") + line(_id="8", text="y"), False),
    "key twice": ('{"_id": "a", "_id": "b", "text": "x"}\n', False),
    "spaces in an id": (line(_id="\u3000a b\u00a0", text="x"), True),
    "no text": (GOOD + line(_id="e", text="\u3000 \u0085") + line(_id="f", text=""), True),
    "null text": (GOOD + line(_id="e", text=None), True),
    "null id": (GOOD + line(_id=None, text="x"), True),
    "empty id": (
        line(_id=" ", text="x") + line(_id="a\tb", text="y") + line(_id="a\nb", text="z"),
        True,
    ),
    "repeated id": (GOOD + line(_id="d3", text="other"), True),
    "same row twice": (GOOD + line(**PLAIN[3]), True),
    "same text": (GOOD + line(_id="x", text=PLAIN[3]["text"]), True),
    "number for a text": (GOOD + line(_id="x", text=5), True),
    "missing text": (GOOD + line(_id="x", body="t"), True),
    "half a surrogate pair": (GOOD + '{"_id": "x", "text": "a\\ud800"}\n', True),
    "other half": (GOOD + '{"_id": "x", "text": "a\\udc00b"}\n', True),
    "not JSON": (GOOD + '{"_id": "x", "text": "a",}\n', True),
    "cut": (GOOD + '{"_id": "x", "te', True),
    "two objects in a line": (GOOD + '{"_id": "x", "text": "a"}{"_id": "y", "text": "b"}\n', True),
    "an object over two lines": (GOOD + '{"_id": "x",\n"text": "a"}\n', True),
    "a list": (GOOD + '["x"]\n', True),
    "not UTF-8": (GOOD.encode() + b'{"_id": "x", "text": "\xff"}\n', True),
    "not UTF-8 in another column": (b'{"_id": "x", "text": "a", "m": "\xff"}\n', False),
    "NaN beside": (GOOD + '{"_id": "x", "text": "a", "n": NaN}\n', True),
    "a control character": (GOOD + '{"_id": "x", "text": "a\x01"}\n', True),
    "nothing": ("", False),
}


def rows_alone(path: Path, fields: Fields) -> Iterator[Batch]:
    yield from read_batches(path, fields)


def outcome(path: Path, *, documents: bool, lenient: bool) -> tuple[object, ...]:
    """What a reader of texts makes of a file: its columns and counts, or its error."""
    findings = Findings("Set", lenient=lenient)
    read = texts.read_corpus if documents else texts.read_queries
    try:
        found = read([path], findings)
    except DataError as error:
        return (str(error),)
    values = found.texts.values.to_pylist()
    return found.ids.to_pylist(), values, found.texts.index.tolist(), findings.counts()


def check_same(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    for documents in (True, False):
        for lenient in (True, False):
            fast = outcome(path, documents=documents, lenient=lenient)
            with monkeypatch.context() as patch:
                patch.setattr(texts, "read_stretches", rows_alone)
                assert fast == outcome(path, documents=documents, lenient=lenient)


def any_columns(path: Path) -> bool:
    """Whether anything comes as columns, an error included that comes before the first row."""
    fields = {"id": texts.ID, "text": texts.TEXT, "title": texts.TITLE}
    try:
        return any(isinstance(part, Stretch) for part in read_stretches(path, fields))
    except DataError:
        return False


@pytest.mark.parametrize("block", [200, 1 << 18])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("name", FILES)
def test_lines_are_read_as_row_by_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, suffix: str, block: int
) -> None:
    monkeypatch.setattr(stretches, "BLOCK_BYTES", block)
    content, columns = FILES[name]
    raw = content.encode() if isinstance(content, str) else content
    path = tmp_path / f"corpus{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix.endswith(".gz") else raw)
    check_same(monkeypatch, path)
    if block == 200:
        assert any_columns(path) == columns


@pytest.mark.parametrize("damage", [slice(None, -12), slice(60, None)])
def test_a_damaged_gzip_file_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: slice
) -> None:
    rows = [{"_id": f"d{row}", "text": str(hash((row, 1)))} for row in range(20_000)]
    raw = gzip.compress("".join(map(json.dumps, rows)).replace("}{", "}\n{").encode())
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(raw[damage])
    check_same(monkeypatch, path)


TABLES: dict[str, Callable[[], tuple[pa.Table, bool]]] = {
    "strings": lambda: (pa.table({"_id": ["a", "b"], "text": ["x", "y"]}), True),
    "large strings": lambda: (
        pa.table({"_id": pa.array(["a", "b"], pa.large_string()), "text": ["x", None]}),
        True,
    ),
    "dictionaries": lambda: (
        pa.table({"_id": ["a", "b"], "text": pa.array(["x", "x"]).dictionary_encode()}),
        True,
    ),
    "string views": lambda: (
        pa.table({"_id": ["a", "b"], "text": pa.array(["x", "y"], pa.string_view())}),
        True,
    ),
    "whole numbers": lambda: (pa.table({"_id": [7, -8], "text": ["x", "y"]}), True),
    "null among ids": lambda: (pa.table({"_id": ["a", None], "text": ["x", "y"]}), False),
    "null among numbers": lambda: (pa.table({"_id": [1, None], "text": ["x", "y"]}), False),
    "broken numbers": lambda: (pa.table({"_id": [1.5, 2.0], "text": ["x", "y"]}), False),
    "numbers for texts": lambda: (pa.table({"_id": ["a", "b"], "text": [1, 2]}), False),
    "bytes": lambda: (pa.table({"_id": ["a", "b"], "text": [b"x", b"y"]}), False),
    "no text": lambda: (pa.table({"_id": ["a", "b"], "text": ["", "y"]}), True),
    "titles": lambda: (
        pa.table({"_id": ["a", "b"], "title": [None, " T "], "text": [" x ", None]}),
        True,
    ),
    "no column": lambda: (pa.table({"_id": ["a"], "body": ["x"]}), False),
    "no row": lambda: (
        pa.table({"_id": pa.array([], pa.string()), "text": pa.array([], pa.string())}),
        False,
    ),
    "not UTF-8": lambda: (
        pa.table(
            {
                "_id": ["a", "b"],
                "text": pa.Array.from_buffers(pa.string(), 2, pa.array([b"x", b"\xff"]).buffers()),
            }
        ),
        False,
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_parquet_is_read_as_row_by_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    table, columns = TABLES[name]()
    pq.write_table(table, tmp_path / "corpus.parquet")
    check_same(monkeypatch, tmp_path / "corpus.parquet")
    assert any_columns(tmp_path / "corpus.parquet") == columns


def test_an_odd_row_in_the_middle_of_parquet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Columns before it, rows from there on, none twice and none left out."""
    monkeypatch.setattr(stretches, "STRETCH_ROWS", 10)
    names = [f"d{row}" for row in range(95)]
    table = pa.table({"_id": names, "text": [f"t {row % 9}" for row in range(95)]})
    pq.write_table(table, tmp_path / "corpus.parquet")
    odd = {**dict.fromkeys(range(95), False), 42: True}
    real = stretches._strings

    def strings(column: pa.Array, *, is_id: bool) -> pa.StringArray | None:
        return None if "d42" in column.to_pylist() and odd[42] else real(column, is_id=is_id)

    monkeypatch.setattr(stretches, "_strings", strings)
    check_same(monkeypatch, tmp_path / "corpus.parquet")
    fields = {"id": texts.ID, "text": texts.TEXT}
    kinds = [type(part) for part in read_stretches(tmp_path / "corpus.parquet", fields)]
    assert kinds == [Stretch] * 4 + [Batch]
