"""Vectors read a block at a time, and which of them are equal.

Run: pytest tests/search/test_sides.py -q.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cmedteb.search import sides as sides_module
from cmedteb.search.sides import Side, always_finite
from cmedteb.types import Float32Array, Int32Array, Similarity

BOTH = list(Similarity)


def drawn(rows: int, width: int = 24, *, seed: int) -> Float32Array:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def plain(vectors: Float32Array) -> list[int]:
    """For each row the first one of the same bytes."""
    seen: dict[bytes, int] = {}
    return [seen.setdefault(row.tobytes(), place) for place, row in enumerate(vectors)]


def repeated(rows: int, width: int, *, seed: int) -> Float32Array:
    draw = np.random.default_rng(seed)
    return drawn(rows, width, seed=seed)[draw.integers(0, rows, 3 * rows)]


def one_hot() -> Float32Array:
    """Rows that agree in the columns that keys are made of, though few are equal."""
    return np.eye(200, dtype=np.float32)[np.random.default_rng(1).integers(0, 200, 500)]


CASES: dict[str, Callable[[], Float32Array]] = {
    "all different": lambda: drawn(300, seed=2),
    "repeats": lambda: repeated(100, 24, seed=3),
    "one column": lambda: repeated(50, 1, seed=4),
    "three columns": lambda: repeated(50, 3, seed=5),
    "constant": lambda: np.tile(drawn(1, seed=6), (400, 1)),
    "one hot": one_hot,
    "zeros": lambda: np.zeros((5, 8), dtype=np.float32),
    "signs of zero": lambda: np.asarray([[0.0, 1], [-0.0, 1], [0.0, 1]], dtype=np.float32),
    "one row": lambda: drawn(1, seed=7),
    "none": lambda: np.empty((0, 4), dtype=np.float32),
}


@pytest.mark.parametrize("floats", [1, 100, 2**18])
@pytest.mark.parametrize("case", CASES)
def test_equal_vectors_are_found_bit_by_bit(
    monkeypatch: pytest.MonkeyPatch, case: str, floats: int
) -> None:
    monkeypatch.setattr(sides_module, "PART_FLOATS", floats)
    vectors = CASES[case]()
    found = Side.of(vectors, Similarity.DOT).first_equal()
    assert found.tolist() == plain(vectors)


def test_cosine_sees_what_is_equal_once_divided() -> None:
    vectors = drawn(40, seed=8)
    vectors[20:] = vectors[:20] * np.float32(4)
    assert Side.of(vectors, Similarity.COSINE).first_equal().tolist() == [*range(20)] * 2
    assert Side.of(vectors, Similarity.DOT).first_equal().tolist() == [*range(40)]


def test_keys_that_meet_by_chance_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sides_module, "_mixed", lambda columns: np.zeros(len(columns), dtype=np.uint64)
    )
    vectors = repeated(60, 16, seed=9)
    assert Side.of(vectors, Similarity.DOT).first_equal().tolist() == plain(vectors)


@pytest.mark.parametrize("similarity", BOTH)
def test_rows_are_ready_to_be_multiplied(similarity: Similarity) -> None:
    vectors = drawn(30, seed=10) * 3
    expected = vectors
    if similarity is Similarity.COSINE:
        expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    side, rows = Side.of(vectors, similarity), np.asarray([7, 3, 3], dtype=np.int32)
    np.testing.assert_array_equal(side.rows(slice(4, 9)), expected[4:9])
    np.testing.assert_array_equal(side.rows(rows), expected[rows])


def test_other_number_types_become_float32() -> None:
    half = drawn(9, seed=11).astype(np.float16)
    rows = Side.of(half, Similarity.DOT).rows(slice(0, 9))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, half)


@pytest.mark.parametrize("similarity", BOTH)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_noticed(similarity: Similarity, bad: float) -> None:
    good, spoilt = drawn(5, seed=12), drawn(5, seed=13)
    spoilt[3, 1] = bad
    right = Side.of(spoilt, similarity)
    assert always_finite(Side.of(good, similarity), Side.of(good, similarity))
    assert not always_finite(Side.of(good, similarity), right)
    assert not always_finite(right, Side.of(good, similarity))


def test_products_that_may_exceed_float32_are_noticed() -> None:
    large = np.full((2, 4), 1e18, dtype=np.float32)
    larger = np.full((2, 4), 1e20, dtype=np.float32)

    def finite(left: Float32Array, right: Float32Array, similarity: Similarity) -> bool:
        return always_finite(Side.of(left, similarity), Side.of(right, similarity))

    assert finite(large, large, Similarity.DOT)
    assert not finite(large, larger, Similarity.DOT)
    assert finite(large, large, Similarity.COSINE)


def test_first_equal_is_of_int32() -> None:
    found: Int32Array = Side.of(drawn(3, seed=14), Similarity.DOT).first_equal()
    assert found.dtype == np.int32
