"""Vectors that are too many for memory. Run: pytest tests/encoding/store/test_matrix.py -q."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from builders import strings

from cmedteb.encoding import VectorStore, encode_distinct, planned
from cmedteb.encoding.store import matrix
from cmedteb.encoding.store.matrix import memory, new_matrix
from cmedteb.errors import CmedtebError
from cmedteb.models.stored import Stored
from cmedteb.types import Float32Array, TextColumn

SIDE = {"model": "a"}
TEXTS = [f"text {number}" for number in range(40)]


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little memory that a matrix of 40 x 4 is too large for it."""
    monkeypatch.setattr(matrix, "memory", lambda: 40 * 4 * 4)


def column() -> TextColumn:
    return TextColumn(strings(TEXTS), np.arange(len(TEXTS), dtype=np.int32))


def encode(texts: Sequence[str]) -> Float32Array:
    """A row is a function of its text alone."""
    numbers = [[hash_of(text, place) for place in range(4)] for text in texts]
    return np.array(numbers, dtype=np.float32)


def hash_of(text: str, place: int) -> float:
    return float(sum(text.encode()) * (place + 3) % 17 + int(text.split()[1]))


def encoded(root: Path) -> Float32Array:
    store = VectorStore(root, SIDE)
    return encode_distinct(planned(encode, budget=50), column(), store=store).vectors


def test_a_matrix_that_fits_is_in_memory(tmp_path: Path) -> None:
    assert not isinstance(new_matrix(3, 4, tmp_path), np.memmap)
    assert 2**20 < memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_control_group_may_allow_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [tmp_path / name for name in ("none", "unlimited", "limited")]
    limits[1].write_text("max\n")
    limits[2].write_text("1048576\n")
    monkeypatch.setattr(matrix, "LIMITS", tuple(map(str, limits)))
    assert memory() == 2**20


@pytest.mark.usefixtures("little")
def test_a_large_one_is_on_the_disk_and_leaves_no_file(tmp_path: Path) -> None:
    found = new_matrix(41, 4, tmp_path)
    assert isinstance(found, np.memmap)
    assert found.shape == (41, 4)
    found[7] = 5
    assert found[7].tolist() == [5, 5, 5, 5]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("little")
def test_encoding_and_reading_back_are_the_same_on_the_disk(tmp_path: Path) -> None:
    fresh = encoded(tmp_path)
    assert isinstance(fresh, np.memmap)
    again = encoded(tmp_path)
    assert isinstance(again, np.memmap)
    for found in (fresh, again):
        np.testing.assert_array_equal(found, encode(TEXTS))
    assert {path.name for path in tmp_path.iterdir()} == {
        ".locks",
        VectorStore(tmp_path, SIDE).folder.name,
    }


@pytest.mark.usefixtures("little")
def test_a_full_disk_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CmedtebError, match=r"No space left on device.*--vectors none"):
        encoded(tmp_path)


def test_what_is_cut_is_not_copied(tmp_path: Path) -> None:
    whole = np.memmap(tmp_path / "file", dtype=np.float32, mode="w+", shape=(5, 4))
    assert np.shares_memory(Stored(None, kept=2).narrowed(whole), whole)  # type: ignore[arg-type]


def test_vectors_beyond_memory_are_encoded_and_searched(tmp_path: Path) -> None:
    """100 MiB of vectors, by a process that may not add 100 MiB of memory of its own."""
    program = Path(__file__).with_name("beyond_memory.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["first", "True", "again", "True"]
