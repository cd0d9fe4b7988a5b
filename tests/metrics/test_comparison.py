"""Paired comparison and Holm's correction. Run: pytest tests/metrics/test_comparison.py -q."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cmedteb.errors import ScoreError
from cmedteb.metrics import holm, paired_difference, paired_pearson_difference
from cmedteb.types import Float64Array


def two_systems(size: int, effect: float, seed: int = 0) -> tuple[Float64Array, Float64Array]:
    rng = np.random.default_rng(seed)
    b = rng.normal(size=size)
    return b + effect + rng.normal(size=size), b


def sign_flip_p(differences: Float64Array) -> float:
    """Every assignment of signs, one after another."""
    observed = abs(differences.sum())
    sums = [
        abs(float(np.dot(signs, differences)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return float(np.mean(np.array(sums) >= observed - 1e-9))


def swap_p(a: Float64Array, b: Float64Array, gold: Float64Array) -> float:
    """Every swap of the standardised similarities, one after another."""
    a, b = stats.zscore(a), stats.zscore(b)

    def difference(mask: Float64Array) -> float:
        r_a = stats.pearsonr(np.where(mask, b, a), gold).statistic
        return abs(float(r_a - stats.pearsonr(np.where(mask, a, b), gold).statistic))

    observed = difference(np.zeros(len(gold)))
    masks = itertools.product((0.0, 1.0), repeat=len(gold))
    found = [difference(np.array(mask)) for mask in masks]
    return sum(value >= observed - 1e-9 for value in found) / len(found)


def test_values_by_hand() -> None:
    """Differences 1, 0, -0.5, 1: of the eight sign patterns of the three, four reach 1.5."""
    result = paired_difference(np.array([1, 0.5, 0, 1]), np.array([0, 0.5, 0.5, 0]), seed=0)
    assert (result.mean_a, result.mean_b, result.difference) == (0.625, 0.25, 0.375)
    assert (result.wins, result.ties, result.losses) == (2, 1, 1)
    # |+-1 +-0.5 +-1|: 2.5 and 1.5, each with both signs, are at least 1.5; the 0.5s are not.
    assert result.p_permutation == 4 / 8


@pytest.mark.parametrize("size", [2, 5, 9, 12])
@pytest.mark.parametrize("seed", range(3))
def test_few_queries_are_enumerated(size: int, seed: int) -> None:
    a, b = two_systems(size, 0.5, seed)
    for resamples in (1, 100):
        result = paired_difference(a, b, seed=seed, resamples=resamples)
        assert result.p_permutation == sign_flip_p(a - b)


def test_enumeration_counts_equal_sums_despite_rounding() -> None:
    """Differences 0.1, 0.2 and -0.3: four patterns tie with the observed sum of about 0."""
    result = paired_difference(np.array([0.1, 0.2, 0.0]), np.array([0.0, 0.0, 0.3]), seed=0)
    assert result.p_permutation == 1.0


def test_sampling_agrees_with_enumeration_and_scipy() -> None:
    a, b = two_systems(16, 0.4, 3)
    result = paired_difference(a, b, seed=1, resamples=20_000)
    assert result.p_permutation == pytest.approx(sign_flip_p(a - b), abs=0.01)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert result.p_permutation == pytest.approx(theirs.pvalue, abs=0.015)


def test_a_sampled_p_is_never_zero() -> None:
    a, b = two_systems(200, 5.0)
    assert paired_difference(a, b, seed=0, resamples=999).p_permutation == 1 / 1000


def test_under_the_null_hypothesis_p_is_uniform() -> None:
    p_values = []
    for seed in range(300):
        a, b = np.random.default_rng(seed).normal(size=(2, 30))
        p_values.append(paired_difference(a, b, seed=seed, resamples=400).p_permutation)
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.09)


def test_the_interval_is_of_the_difference() -> None:
    a, b = two_systems(400, 0.3)
    result = paired_difference(a, b, seed=0)
    half = 1.96 * (a - b).std() / math.sqrt(400)
    expected = (result.difference - half, result.difference + half)
    assert result.interval[:2] == pytest.approx(expected, abs=0.1 * half)


def test_exchanging_the_systems_changes_the_sign_only() -> None:
    a, b = two_systems(40, 0.3)
    there, back = paired_difference(a, b, seed=0), paired_difference(b, a, seed=0)
    assert back.difference == -there.difference
    assert back.p_permutation == there.p_permutation
    assert (back.wins, back.losses) == (there.losses, there.wins)


def test_the_seed_decides() -> None:
    a, b = two_systems(40, 0.3)
    assert paired_difference(a, b, seed=3) == paired_difference(a, b, seed=3)
    assert paired_difference(a, b, seed=3) != paired_difference(a, b, seed=4)


def test_equal_systems() -> None:
    a = np.random.default_rng(0).uniform(size=30)
    result = paired_difference(a, a.copy(), seed=0)
    assert result.p_permutation == 1.0
    assert result.interval[:2] == (0.0, 0.0)
    assert (result.wins, result.ties, result.losses) == (0, 30, 0)


def test_one_query() -> None:
    result = paired_difference(np.array([1.0]), np.array([0.0]), seed=0)
    assert result.p_permutation == 1.0
    assert math.isnan(result.interval.low)


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [([], [], "a: expected"), ([1.0], [1.0, 2.0], "lengths: a 1, b 2"), ([1.0], [np.nan], "b: ")],
)
def test_columns_that_cannot_be_compared(a: list[float], b: list[float], problem: str) -> None:
    with pytest.raises(ScoreError, match=problem):
        paired_difference(np.array(a), np.array(b), seed=0)


class TestPearsonDifference:
    """Two noisy copies of gold, on different scales."""

    def systems(self, size: int, noise_b: float = 1.0) -> tuple[Float64Array, ...]:
        rng = np.random.default_rng(size)
        gold = rng.normal(size=size)
        a = gold + rng.normal(size=size)
        return a, 1000 + 50 * (gold + noise_b * rng.normal(size=size)), gold

    def test_values(self) -> None:
        a, b, gold = self.systems(100)
        result = paired_pearson_difference(a, b, gold, seed=0, resamples=100)
        r_a, r_b = stats.pearsonr(a, gold).statistic, stats.pearsonr(b, gold).statistic
        found = (result.mean_a, result.mean_b, result.difference)
        assert found == pytest.approx((r_a, r_b, r_a - r_b), abs=1e-12)
        assert result.wins + result.ties + result.losses == 100

    @pytest.mark.parametrize("size", [4, 7])
    def test_few_pairs_are_enumerated(self, size: int) -> None:
        a, b, gold = self.systems(size)
        result = paired_pearson_difference(a, b, gold, seed=0, resamples=50)
        assert result.p_permutation == pytest.approx(swap_p(a, b, gold), abs=1e-12)

    def test_the_interval_equals_scipys(self) -> None:
        a, b, gold = self.systems(200, noise_b=2.0)

        def difference(x: Float64Array, y: Float64Array, z: Float64Array, axis: int = -1) -> Any:
            r_x = stats.pearsonr(x, z, axis=axis).statistic
            return r_x - stats.pearsonr(y, z, axis=axis).statistic

        theirs = stats.bootstrap(
            (a, b, gold),
            difference,
            n_resamples=4000,
            method="percentile",
            paired=True,
            vectorized=True,
            rng=1,
        ).confidence_interval
        ours = paired_pearson_difference(a, b, gold, seed=2, resamples=4000).interval
        width = theirs.high - theirs.low
        assert ours[:2] == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)

    def test_a_clear_difference_and_none(self) -> None:
        a, b, gold = self.systems(300, noise_b=8.0)
        assert paired_pearson_difference(a, b, gold, seed=0, resamples=499).p_permutation == 1 / 500
        same = paired_pearson_difference(a, 3 * a + 1, gold, seed=0, resamples=99)
        assert same.p_permutation == 1.0
        assert same.difference == pytest.approx(0.0, abs=1e-12)

    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_a_constant_column_is_refused(self, which: int) -> None:
        columns = list(self.systems(10))
        columns[which] = np.ones(10)
        with pytest.raises(ScoreError, match=f"{('a', 'b', 'gold')[which]}: all 10 values are 1"):
            paired_pearson_difference(*columns, seed=0)


def test_holm_by_hand() -> None:
    """Holm's steps for 0.01, 0.03, 0.04 are 0.03, 0.06 and 0.04, which may not fall below 0.06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06], abs=1e-15)
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_holm_takes_probabilities_only(bad: float) -> None:
    with pytest.raises(ScoreError, match="between 0 and 1"):
        holm([0.5, bad])
