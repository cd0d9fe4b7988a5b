"""Correlations for STS. Run: pytest tests/metrics/test_correlation.py -q."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmedteb.errors import ScoreError
from cmedteb.metrics import pairwise_similarities, score_pairs
from cmedteb.types import Similarity

GOLD = np.array([0.0, 1.0, 2.0, 4.0])


def test_values_by_hand() -> None:
    """Centred: x is (-1.5, -.5, .5, 1.5), gold (-1.75, -.75, .25, 2.25); ranks are swapped once."""
    scores = score_pairs({"similarity": np.array([1.0, 2.0, 3.0, 4.0])}, GOLD)
    assert scores["pearson"] == pytest.approx(6.5 / math.sqrt(5 * 8.75), abs=1e-12)
    assert scores["spearman"] == pytest.approx(1.0, abs=1e-12)
    swapped = score_pairs({"similarity": np.array([2.0, 1.0, 3.0, 4.0])}, GOLD)
    assert swapped["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15), abs=1e-12)


def test_tied_values_share_their_mean_rank() -> None:
    scores = score_pairs({"similarity": np.array([1.0, 1.0, 2.0])}, np.array([1.0, 2.0, 3.0]))
    assert scores["spearman"] == pytest.approx(math.sqrt(3) / 2, abs=1e-12)


def test_keys_follow_what_is_given() -> None:
    similarity = dict.fromkeys(("similarity", "cosine", "manhattan", "euclidean"), GOLD * 2)
    assert set(score_pairs(similarity, GOLD)) == {
        prefix + name
        for prefix in ("", "cosine_", "manhattan_", "euclidean_")
        for name in ("pearson", "spearman")
    }
    assert set(score_pairs({"similarity": GOLD}, GOLD)) == {"pearson", "spearman"}


def test_a_distance_and_its_sign() -> None:
    scores = score_pairs({"similarity": GOLD, "euclidean": -GOLD}, GOLD)
    assert scores["euclidean_pearson"] == pytest.approx(-1.0)


@pytest.mark.parametrize("names", [(), ("cosine",), ("similarity", "jaccard")])
def test_unknown_or_missing_similarities(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="similarity"):
        score_pairs(dict.fromkeys(names, GOLD), GOLD)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -3e-9])
def test_a_constant_scorer_is_refused(constant: float) -> None:
    with pytest.raises(ScoreError, match="cosine: the model gives the same value"):
        score_pairs({"similarity": GOLD, "cosine": np.full(4, constant)}, GOLD)


def test_a_constant_with_rounding_noise_is_a_constant() -> None:
    """Without this, noise that happens to follow gold would score 1.0."""
    with pytest.raises(ScoreError, match="same value"):
        score_pairs({"similarity": 0.7 + GOLD * 1e-9}, GOLD)


def test_a_small_but_real_spread_counts() -> None:
    assert score_pairs({"similarity": 0.99 + GOLD * 1e-5}, GOLD)["pearson"] == pytest.approx(1.0)


def test_gold_without_variance() -> None:
    with pytest.raises(ScoreError, match="All 4 gold scores are 3"):
        score_pairs({"similarity": GOLD}, np.full(4, 3.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_name_the_pair(bad: float) -> None:
    broken = np.array([0.0, 1.0, bad, 4.0])
    with pytest.raises(ScoreError, match="similarity of pair 2"):
        score_pairs({"similarity": broken}, GOLD)
    with pytest.raises(ScoreError, match="gold score of pair 2"):
        score_pairs({"similarity": GOLD}, broken)


@pytest.mark.parametrize("pairs", [0, 1])
def test_fewer_than_two_pairs(pairs: int) -> None:
    with pytest.raises(ScoreError, match="at least two pairs"):
        score_pairs({"similarity": GOLD[:pairs]}, GOLD[:pairs])


def test_lengths_differ() -> None:
    with pytest.raises(ScoreError, match="4 gold scores"):
        score_pairs({"similarity": GOLD[:3]}, GOLD)


@pytest.mark.parametrize("similarity", list(Similarity))
def test_similarities_equal_scikit_learn_as_mteb_uses_it(similarity: Similarity) -> None:
    sklearn = pytest.importorskip("sklearn.metrics.pairwise")
    rng = np.random.default_rng(5)
    left, right = rng.normal(size=(2, 700, 1537)).astype(np.float32)
    found = pairwise_similarities(left, right, similarity)
    cosine = 1 - sklearn.paired_cosine_distances(left, right)
    np.testing.assert_allclose(found["cosine"], cosine, atol=1e-6)
    for name in ("manhattan", "euclidean"):
        distances = getattr(sklearn, f"paired_{name}_distances")(left, right)
        np.testing.assert_allclose(found[name], -distances, rtol=1e-6)
    own = found["cosine"] if similarity is Similarity.COSINE else (left * right).sum(axis=1)
    np.testing.assert_allclose(found["similarity"], own, atol=1e-3)


def test_similarities_by_hand() -> None:
    left = np.array([[3, 4], [1, 0]], np.float32)
    right = np.array([[4, 3], [0, 2]], np.float32)
    found = pairwise_similarities(left, right, Similarity.DOT)
    assert found["similarity"].tolist() == [24.0, 0.0]
    assert found["cosine"].tolist() == [0.96, 0.0]
    assert found["manhattan"].tolist() == [-2.0, -3.0]
    np.testing.assert_allclose(found["euclidean"], [-math.sqrt(2), -math.sqrt(5)])


def test_the_cosine_of_a_zero_vector_is_zero() -> None:
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    for left, right in ((zero, one), (one, zero), (zero, zero)):
        found = pairwise_similarities(left, right, Similarity.COSINE)
        assert found["cosine"].tolist() == found["similarity"].tolist() == [0.0]


def test_nan_in_a_vector_is_passed_on_to_be_refused() -> None:
    left, right = np.eye(4, dtype=np.float32), np.ones((4, 4), np.float32)
    left[1, 1] = np.nan
    found = pairwise_similarities(left, right, Similarity.COSINE)
    with pytest.raises(ScoreError, match="similarity of pair 1"):
        score_pairs(found, GOLD)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (6,)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match="cannot be compared"):
        pairwise_similarities(np.ones((3, 3), np.float32), np.ones(shape, np.float32), "dot")  # type: ignore[arg-type]
