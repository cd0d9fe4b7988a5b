"""De-duplication for diversity, against a plain loop.

Run: pytest tests/annotations/triplets/test_diversity.py -q.
"""

from __future__ import annotations

import numpy as np
import pytest

from cmedteb.annotations.triplets import diversity
from cmedteb.annotations.triplets.diversity import Diversity, diverse
from cmedteb.errors import UsageError
from cmedteb.types import Float32Array


def clustered(texts: int, *, seed: int = 0) -> Float32Array:
    """Unit vectors around a few centres."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, 16))
    found = centres[rng.integers(12, size=texts)] + 0.35 * rng.standard_normal((texts, 16))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def one_by_one(vectors: Float32Array, how: Diversity, first: set[int]) -> list[int]:
    """The procedure as it is told: one text after the other."""
    index = sorted(first)
    for row in range(len(vectors)):
        if row not in first:
            near = sum(float(vectors[row] @ vectors[other]) > how.similarity for other in index)
            if near <= how.most:
                index.append(row)
    return sorted(index)


@pytest.mark.parametrize("most", [0, 3, 10])
@pytest.mark.parametrize("seeds", [0, 50])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, most: int, seeds: int) -> None:
    monkeypatch.setattr(diversity, "BLOCK", 37)
    monkeypatch.setattr(diversity, "INDEX_BLOCK", 23)
    vectors = clustered(400)
    how = Diversity(0.8, most, seeds=seeds, seed=7)
    first = set(np.random.default_rng(7).permutation(400)[:seeds].tolist())
    kept = np.flatnonzero(diverse(vectors, how)).tolist()
    assert kept == one_by_one(vectors, how, first)
    assert first <= set(kept)
    assert seeds < len(kept) < 400


def test_a_crowd_is_thinned_and_the_lonely_stay() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), [10, 1, 4], axis=0)
    kept = diverse(vectors, Diversity(0.9, 2, seeds=0))
    assert kept.tolist() == [True] * 3 + [False] * 7 + [True] + [True] * 3 + [False]


def test_more_seeds_than_texts_keep_everything() -> None:
    assert diverse(clustered(30), Diversity(0.1, 0, seeds=5000)).all()


def test_a_threshold_is_not_near() -> None:
    assert diverse(np.ones((3, 1), dtype=np.float32), Diversity(1.0, 0, seeds=1)).all()


@pytest.mark.parametrize("numbers", [(float("nan"), 1, 1), (0.5, -1, 1), (0.5, 1, -1)])
def test_numbers_that_mean_nothing(numbers: tuple[float, int, int]) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        Diversity(numbers[0], numbers[1], seeds=numbers[2])
