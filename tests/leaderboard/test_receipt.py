"""Receipts as columns. Run: pytest tests/leaderboard/test_receipt.py -q.

Held against `results.receipts`, which reads line by line. Degenerate inputs: an empty file, a line
without entries, ids with colons, no line break at the end.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cmedteb.errors import DataError
from cmedteb.leaderboard.receipt import Columns, Keys, parse, repeated
from cmedteb.results.receipts import Table, read_table

HERE = Path("receipt")
TEXTS = [
    "q1\ta:1\tb:0.5\nq2\tb:2\n",
    "q1\ta:1\tb:0.5\nq2\tb:2",
    "q1\nq2\tb:-2.5e-3\n",
    "q1\ta:b:1\tc:2\n",
    "q1\ta:1_0\n",
    "q:1\td:1\n",
    'q1\t"a:1\tb":2\n',
    "q1\t\u836f:1\n",
    "q1\ta: 1\n",
    "q1\tNULL:1\tNA:2\n",
]


def as_table(columns: Columns) -> Table:
    keys, values = columns.key.to_pylist(), columns.value.tolist()
    return {
        one: dict(zip(keys[start:stop], values[start:stop], strict=True))
        for one, start, stop in zip(
            columns.ids, columns.offsets[:-1], columns.offsets[1:], strict=True
        )
    }


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_as_line_by_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert as_table(parse(path, text.encode())) == read_table(path)


def test_an_empty_receipt() -> None:
    columns = parse(HERE, b"")
    assert columns.ids == []
    assert len(columns.value) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"q1\ta:1\nq1\tb:1\n", "'q1' stands twice"),
        (b"q1\ta\n", "no finite number"),
        (b"q1\ta:x\n", "no key:number"),
        (b"q1\ta:\n", "no key:number"),
        (b"q1\ta:1\t\tb:2\n", "empty"),
        (b"q1\ta:nan\n", "'q1' is no finite number"),
        (b"q0\tz:1\nq1\ta:1\tb:-inf\n", "'q1' is no finite number"),
        (b"\xff\ta:1\n", "not UTF-8"),
        (b"q1\t\xff:1\n", "."),
    ],
)
def test_what_is_no_receipt(text: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        parse(HERE, text)


def test_a_document_twice_in_a_line() -> None:
    assert repeated(parse(HERE, b"q1\ta:1\tb:1\nq2\ta:1\n")) is None
    assert repeated(parse(HERE, b"q1\ta:1\tb:1\nq2\ta:1\tc:1\ta:0\n")) == "q2"
    assert repeated(parse(HERE, b"")) is None


def test_names_of_entries_follow_those_of_judged_documents() -> None:
    keys = Keys(["j0", "j1"], parse(HERE, b"q1\ta:1\tb:1\n").key)
    assert len(keys) == 4
    assert [keys[row] for row in range(4)] == list(keys) == ["j0", "j1", "a", "b"]


def test_many_digits_are_kept() -> None:
    value = np.float32(0.1234567891)
    columns = parse(HERE, f"q1\ta:{value:.9g}\n".encode())
    assert np.float32(columns.value[0]) == value
