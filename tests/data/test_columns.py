"""Lean columns: chunks, segments and the digest index (run: `pytest tests/data/test_columns.py`).

Degenerate inputs: no rows, empty strings, strings larger than a segment, chunk limits.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from cmedteb.data import columns
from cmedteb.data.columns import DigestIndex, StringBuilder, TextBuilder, all_different, digest


def test_strings_come_back_across_segments_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "SEGMENT_BYTES", 64)
    monkeypatch.setattr(columns, "CHUNK_BYTES", 1000)
    words = ["", "a", "x" * 200, "\u5934\u75db" * 30, "y" * 1500] * 4
    builder = StringBuilder()
    builder.extend(word.encode() for word in words)
    assert len(builder) == len(words)
    column = builder.finish()
    assert column.to_pylist() == words
    assert column.num_chunks > 4
    column.validate(full=True)


def test_nothing_makes_an_empty_column() -> None:
    assert StringBuilder().finish().to_pylist() == []
    assert len(TextBuilder().finish()) == 0


def test_a_column_is_one_chunk_so_that_taking_rows_copies_nothing() -> None:
    builder = StringBuilder()
    for start in range(0, 10_000, 100):
        builder.extend(f"{row}".encode() for row in range(start, start + 100))
    assert builder.finish().num_chunks == 1


def test_the_digest_index_agrees_with_a_dictionary() -> None:
    draw, index, known = random.Random(3), DigestIndex(), dict[int, int]()
    for _ in range(60):
        batch = [draw.randrange(4000) for _ in range(draw.randrange(1, 200))]
        keys = np.array([digest(str(value).encode()) for value in batch], dtype="S16")
        placed = index.place(keys)
        expected = [known.setdefault(value, len(known)) for value in batch]
        assert placed.positions.tolist() == expected
    assert len(index._runs) < 16


def test_repeated_strings_are_noticed() -> None:
    builder = StringBuilder()
    builder.extend(f"{row % 9999}".encode() for row in range(10_000))
    assert not all_different(builder.finish())
    builder.extend(f"{row}".encode() for row in range(10_000))
    assert all_different(builder.finish())
