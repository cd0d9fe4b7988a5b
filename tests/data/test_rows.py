"""Readers of jsonl, json, tsv and parquet (run: `pytest tests/data/test_rows.py`).

Degenerate inputs: a byte order mark, blank lines, CRLF, a .json file that is jsonl in truth, a
ragged tsv, an unknown suffix, extra and null columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmedteb.data.rows import Field, read_batches, suffix_of
from cmedteb.errors import DataError

Write = Callable[[Path, Any], None]
FIELDS = {"id": Field(("_id", "id")), "text": Field(("text",)), "t": Field(("title",), True)}
ROWS = [{"id": "1", "text": "a", "doc": "gold"}, {"id": "2", "text": "\u5934\u75db", "doc": "x"}]


def read(path: Path, **more: Any) -> list[tuple[object, ...]]:
    return [
        row
        for batch in read_batches(path, FIELDS, **more)
        for row in zip(batch.numbers, *batch.columns.values(), strict=True)
    ]


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.tsv", "a.tsv.gz", "a.json", "a.json.gz"]
)
def test_every_format_gives_the_same_rows(tmp_path: Path, write_one: Write, name: str) -> None:
    content: Any = ROWS
    if ".tsv" in name:
        content = "id\ttext\tdoc\n" + "".join(f"{r['id']}\t{r['text']}\t{r['doc']}\n" for r in ROWS)
    elif ".json" in name and "jsonl" not in name:
        content = json.dumps(ROWS, indent=1)
    write_one(tmp_path / name, content)
    assert [row[1:] for row in read(tmp_path / name)] == [
        ("1", "a", None),
        ("2", "\u5934\u75db", None),
    ]


def test_byte_order_mark_blank_lines_and_crlf_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "a"}\r\n\r\n{"id": "2", "text": "b"}')
    assert read(path) == [(1, "1", "a", None), (3, "2", "b", None)]


def test_a_json_file_may_hold_one_object_a_line(tmp_path: Path, write_one: Write) -> None:
    write_one(tmp_path / "a.json", ROWS)
    assert [row[1] for row in read(tmp_path / "a.json")] == ["1", "2"]


def test_batches_are_small(tmp_path: Path, write_one: Write) -> None:
    write_one(tmp_path / "a.parquet", ROWS * 5)
    sizes = [len(b.numbers) for b in read_batches(tmp_path / "a.parquet", FIELDS, batch_rows=4)]
    assert sizes == [4, 4, 2]


def test_ragged_tsv_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("id\ttext\n1\ta\tb\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2 has 3 cells, its header 2"):
        read(tmp_path / "a.tsv")
    (tmp_path / "a.csv").write_text("id,text\n", encoding="utf-8")
    with pytest.raises(DataError, match="no known format"):
        read(tmp_path / "a.csv")


def test_suffixes() -> None:
    names = ["a.jsonl.gz", "b.tsv", "c.gz", "d.test.parquet", "e"]
    assert [suffix_of(Path(name)) for name in names] == [".jsonl.gz", ".tsv", "", ".parquet", ""]
