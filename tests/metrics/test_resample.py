"""Bootstrap intervals. Run: pytest tests/metrics/test_resample.py -q."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cmedteb.errors import ScoreError
from cmedteb.metrics import (
    bootstrap_mean,
    bootstrap_pearson,
    bootstrap_spearman,
    bootstrap_statistic,
)
from cmedteb.metrics._arrays import row_midranks, row_pearson
from cmedteb.types import Float64Array, Int64Array


def pairs(size: int, seed: int = 0) -> tuple[Float64Array, Float64Array]:
    """Gold on a five-point scale, so with many ties, and a noisy similarity."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 5, size).astype(np.float64)
    return gold + rng.normal(size=size), gold


def test_mean_equals_scipys_percentile_interval() -> None:
    values = np.random.default_rng(1).beta(0.5, 0.5, 300)
    ours = bootstrap_mean(values, seed=2, resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=3
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert ours.level == 0.95


def test_coverage_of_the_mean() -> None:
    """Of 400 samples of 60, about 95 % of the intervals hold the true mean (0.5)."""
    rng = np.random.default_rng(11)
    held = 0
    for seed in range(400):
        low, high, _ = bootstrap_mean(rng.uniform(size=60), seed=seed, resamples=1000)
        held += low <= 0.5 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_coverage_follows_the_level() -> None:
    rng = np.random.default_rng(12)
    held = 0
    for seed in range(400):
        low, high, _ = bootstrap_mean(rng.normal(size=60), seed=seed, resamples=1000, level=0.5)
        held += low <= 0.0 <= high
    assert 0.42 <= held / 400 <= 0.57


def test_the_seed_decides() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = bootstrap_mean(values, seed=4, resamples=1001)
    monkeypatch.setattr("cmedteb.metrics._arrays._BLOCK_VALUES", 350)
    assert bootstrap_mean(values, seed=4, resamples=1001) == pytest.approx(whole, abs=1e-14)


def test_one_query_has_no_interval() -> None:
    low, high, level = bootstrap_mean(np.array([0.5]), seed=0)
    assert math.isnan(low)
    assert math.isnan(high)
    assert level == 0.95
    assert math.isnan(bootstrap_statistic(1, float, seed=0).low)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3])
def test_equal_values_have_a_width_of_exactly_zero(constant: float) -> None:
    low, high, _ = bootstrap_mean(np.full(7, constant), seed=0)
    assert low == high == constant


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0], [[1.0], [2.0]]])
def test_values_that_cannot_be_resampled(values: list[float]) -> None:
    with pytest.raises(ScoreError, match="values"):
        bootstrap_mean(np.array(values), seed=0)
    with pytest.raises(ScoreError, match="nothing to resample"):
        bootstrap_statistic(0, float, seed=0)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="resamples must be positive"):
        bootstrap_mean(np.array([0.0, 1.0]), seed=0, **wrong)  # type: ignore[arg-type]


def test_pearson_equals_the_general_way() -> None:
    x, gold = pairs(80)

    def r(rows: Int64Array) -> float:
        return float(stats.pearsonr(x[rows], gold[rows]).statistic)

    fast = bootstrap_pearson(x, gold, seed=6, resamples=500)
    assert fast == pytest.approx(bootstrap_statistic(80, r, seed=6, resamples=500), abs=1e-12)


def test_spearman_equals_the_general_way() -> None:
    x, gold = pairs(80)

    def rho(rows: Int64Array) -> float:
        return float(stats.spearmanr(x[rows], gold[rows]).statistic)

    fast = bootstrap_spearman(x, gold, seed=6, resamples=500)
    assert fast == pytest.approx(bootstrap_statistic(80, rho, seed=6, resamples=500), abs=1e-12)


def test_pearson_equals_scipys_percentile_interval() -> None:
    x, gold = pairs(200)

    def r(a: Float64Array, b: Float64Array, axis: int = -1) -> Float64Array:
        return np.asarray(stats.pearsonr(a, b, axis=axis).statistic)

    theirs = stats.bootstrap(
        (x, gold), r, n_resamples=5000, method="percentile", paired=True, vectorized=True, rng=8
    ).confidence_interval
    ours = bootstrap_pearson(x, gold, seed=9, resamples=5000)
    width = theirs.high - theirs.low
    assert ours[:2] == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def test_samples_without_variance_are_left_out() -> None:
    """With two pairs half the samples draw one pair twice; the others have r = 1."""
    interval = bootstrap_pearson(np.array([0.0, 1.0]), np.array([0.0, 2.0]), seed=0)
    assert interval[:2] == pytest.approx((1.0, 1.0))


def test_a_statistic_that_is_never_defined_has_no_interval() -> None:
    assert math.isnan(bootstrap_statistic(5, lambda _: math.nan, seed=0, resamples=10).low)


def test_correlation_of_a_constant_is_refused() -> None:
    for bootstrap in (bootstrap_pearson, bootstrap_spearman):
        with pytest.raises(ScoreError, match="y: all 3 values are 2"):
            bootstrap(np.arange(3.0), np.full(3, 2.0), seed=0)
        with pytest.raises(ScoreError, match="lengths: x 3, y 2"):
            bootstrap(np.arange(3.0), np.arange(2.0), seed=0)


def test_row_midranks_equal_scipys() -> None:
    levels = np.random.default_rng(2).integers(0, 6, (20, 15))
    np.testing.assert_array_equal(row_midranks(levels), stats.rankdata(levels, axis=1))


def test_row_pearson_equals_scipys_and_knows_no_r_of_a_constant() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 6, 15))
    np.testing.assert_allclose(row_pearson(x, y), stats.pearsonr(x, y, axis=1).statistic)
    x[3] = 0.1
    assert np.isnan(row_pearson(x, y)).tolist() == [False] * 3 + [True] + [False] * 2
