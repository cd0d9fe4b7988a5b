"""Experts' verdicts weighted back to the pool. Run: pytest tests/metrics/test_stratified.py -q."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cmedteb.errors import ScoreError
from cmedteb.metrics.stratified import (
    StratifiedSample,
    estimate_from_strata,
    stratum_rates,
    wilson_proportion,
)

# Panel 0, expert 0; panel 0, expert 1; panel 1, expert 0; panel 1, expert 1.
Cells = tuple[int, int, int, int]


def sample_of(strata: dict[str, tuple[int, Cells]]) -> StratifiedSample:
    names, panel, expert = [], [], []
    for name, (_, cells) in strata.items():
        for cell, count in enumerate(cells):
            names += [name] * count
            panel += [cell // 2] * count
            expert += [cell % 2] * count
    population = {name: size for name, (size, _) in strata.items()}
    return StratifiedSample.of(names, panel=panel, expert=expert, population=population)


POOL: dict[str, tuple[int, Cells]] = {
    "unanimous positive": (1000, (0, 0, 10, 90)),
    "two of three": (500, (60, 40, 0, 0)),
    "unanimous negative": (8500, (95, 5, 0, 0)),
}


def test_values_by_hand() -> None:
    """True positives 900, rejected 100, missed 200 + 425, negatives 300 + 8,075, of 10,000."""
    found = estimate_from_strata(sample_of(POOL), seed=0, resamples=50)
    values = {name: estimate.value for name, estimate in found.items()}
    share = (900 + 8375) / 10_000
    chance = (1000 * 1525 + 9000 * 8475) / 10_000**2
    assert values == pytest.approx(
        {
            "expert_agreement": share,
            "cohen_kappa": (share - chance) / (1 - chance),
            "confirmation_rate": 0.9,
            "false_omission_rate": 625 / 9000,
            "sensitivity": 900 / 1525,
            "specificity": 8375 / 8475,
            "prevalence": 0.1525,
        }
    )


def test_an_unweighted_mean_would_say_something_else() -> None:
    sample = sample_of(POOL)
    raw = np.trace(sample.counts.sum(axis=0)) / sample.sampled.sum()
    weighted = estimate_from_strata(sample, seed=0, resamples=50)["expert_agreement"].value
    assert raw == pytest.approx(245 / 300)
    assert weighted == pytest.approx(0.9275)


def test_the_spread_is_cochrans() -> None:
    """Variance of a stratified mean: sum of W^2 (1 - n / N) p (1 - p) / (n - 1)."""
    sample = sample_of(POOL)
    variance = 0.0
    for size, p in ((1000, 0.9), (500, 0.6), (8500, 0.95)):
        variance += (size / 10_000) ** 2 * (1 - 100 / size) * p * (1 - p) / 99
    estimate = estimate_from_strata(sample, seed=1, resamples=20_000)["expert_agreement"]
    half = 1.96 * math.sqrt(variance)
    expected = (estimate.value - half, estimate.value + half)
    assert estimate.interval[:2] == pytest.approx(expected, abs=0.12 * half)


def test_coverage() -> None:
    """Samples of one pool, 40 from each stratum: about 95 % of the intervals hold its value."""
    rng = np.random.default_rng(0)
    strata = {"a": (400, 0.8), "b": (1600, 0.4)}
    labels = {name: rng.random(size) < p for name, (size, p) in strata.items()}
    truth = sum(int(positive.sum()) for positive in labels.values()) / 2000
    held = 0
    for seed in range(200):
        drawn = {name: rng.choice(positive, 40, replace=False) for name, positive in labels.items()}
        sample = StratifiedSample.of(
            ["a"] * 40 + ["b"] * 40,
            panel=np.ones(80, dtype=bool),
            expert=np.concatenate([drawn["a"], drawn["b"]]),
            population={"a": 400, "b": 1600},
        )
        found = estimate_from_strata(sample, seed=seed, resamples=400)
        low, high, _ = found["confirmation_rate"].interval
        held += low <= truth <= high
    assert 0.89 <= held / 200 <= 0.99


def test_a_stratum_graded_whole_adds_no_uncertainty() -> None:
    sample = sample_of({"a": (10, (5, 0, 0, 5)), "b": (4, (1, 1, 1, 1))})
    for estimate in estimate_from_strata(sample, seed=0, resamples=50).values():
        assert estimate.interval[:2] == pytest.approx((estimate.value, estimate.value))


def test_the_seed_decides() -> None:
    sample = sample_of(POOL)
    assert estimate_from_strata(sample, seed=1) == estimate_from_strata(sample, seed=1)
    assert estimate_from_strata(sample, seed=1) != estimate_from_strata(sample, seed=2)


def test_part_of_the_pool() -> None:
    decided = sample_of(POOL).only(["unanimous negative", "unanimous positive"])
    assert decided.names == ("unanimous negative", "unanimous positive")
    value = estimate_from_strata(decided, seed=0, resamples=10)["sensitivity"].value
    assert value == pytest.approx(900 / 1325)
    for wrong in ([], ["four of three"]):
        with pytest.raises(ScoreError, match="Strata must be among"):
            decided.only(wrong)


def test_ratios_over_nothing_are_no_number() -> None:
    found = estimate_from_strata(sample_of({"a": (50, (8, 0, 0, 0))}), seed=0, resamples=30)
    for name in ("confirmation_rate", "sensitivity", "cohen_kappa"):
        assert math.isnan(found[name].value)
        assert found[name].undefined == 30
    assert found["specificity"].value == 1.0


def test_samples_that_miss_the_only_positive_keep_its_ratio() -> None:
    """One of five graded is positive: four drawn miss it in 41 % of the samples.

    The correction for a finite pool leaves a trace of the sample's own table, so none is NaN.
    """
    strata: dict[str, tuple[int, Cells]] = {"a": (10**6, (4, 0, 0, 1)), "b": (9, (5, 0, 0, 0))}
    found = estimate_from_strata(sample_of(strata), seed=0, resamples=100)["sensitivity"]
    assert found.undefined == 0
    assert found.interval[:2] == pytest.approx((1.0, 1.0))


def test_one_sampled_pair_shows_no_variance() -> None:
    lonely: dict[str, tuple[int, Cells]] = {"a": (50, (4, 0, 0, 4)), "b": (7, (0, 0, 0, 1))}
    found = estimate_from_strata(sample_of(lonely), seed=0)
    assert found["prevalence"].value == pytest.approx((25 + 7) / 57)
    assert np.isnan(found["prevalence"].interval[:2]).all()
    whole = estimate_from_strata(sample_of({**lonely, "b": (1, (0, 0, 0, 1))}), seed=0)
    assert not math.isnan(whole["prevalence"].interval.low)


def test_strata_without_a_pair_in_the_pool_are_left_out() -> None:
    sample = StratifiedSample.of(["a"], panel=[1], expert=[1], population={"a": 3, "b": 0})
    assert sample.names == ("a",)


@pytest.mark.parametrize(
    ("strata", "changed", "problem"),
    [
        ([], {"panel": np.zeros(0, int), "expert": np.zeros(0, int)}, "nothing was sampled"),
        (["a", "c"], {}, r"unknown: \['c'\]"),
        (["a", "a"], {}, "Stratum 'b' has 9 pairs and none was sampled"),
        (["a", "b"], {"panel": [1]}, "lengths: 2, 1, 2"),
        (["a", "b"], {"expert": [1, 2]}, "expert: expected false or true"),
        (["a", "b"], {"expert": [1.0, 0.0]}, "expert: expected false or true"),
        (["a", "b"], {"population": {"a": 5, "b": 0}}, "has 0 pairs but 1 were sampled"),
    ],
)
def test_what_is_refused(strata: list[str], changed: dict[str, Any], problem: str) -> None:
    given = {"panel": [1, 0], "expert": [1, 0], "population": {"a": 5, "b": 9}, **changed}
    with pytest.raises(ScoreError, match=problem):
        StratifiedSample.of(strata, **given)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 1.0}])
def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="resamples must be positive"):
        estimate_from_strata(sample_of(POOL), seed=0, **wrong)  # type: ignore[arg-type]


def test_rates_of_each_stratum() -> None:
    rates = {rate.name: rate for rate in stratum_rates(sample_of(POOL))}
    assert rates["two of three"].agreement[::2] == (0.6, 60)
    assert rates["two of three"].positive == wilson_proportion(40, 100)
    assert rates["unanimous negative"].population == 8500


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    [
        (0.92, 100, 85.0, 95.9),
        (0.92, 500, 89.3, 94.1),
        (0.92, 1000, 90.2, 93.5),
        (0.933, 5000, 92.6, 94.0),
    ],
)
def test_wilson_of_the_shares_that_the_paper_reports(
    share: float, trials: int, low: float, high: float
) -> None:
    found = wilson_proportion(round(share * trials), trials)
    assert (100 * found.interval.low, 100 * found.interval.high) == pytest.approx(
        (low, high), abs=0.051
    )


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("successes", [0, 1, 7, 19, 20])
def test_wilson_equals_statsmodels(successes: int, level: float) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.proportion_confint(successes, 20, alpha=1 - level, method="wilson")
    found = wilson_proportion(successes, 20, level=level)
    assert found.interval[:2] == pytest.approx(theirs, abs=1e-12)
    assert (found.value, found.successes, found.trials) == (successes / 20, successes, 20)


def test_wilson_of_none_and_all_touches_the_end() -> None:
    assert wilson_proportion(0, 3).interval.low == 0.0
    assert wilson_proportion(3, 3).interval.high == 1.0


def test_wilson_of_no_trial() -> None:
    found = wilson_proportion(0, 0)
    assert np.isnan([found.value, *found.interval[:2]]).all()


@pytest.mark.parametrize("wrong", [(-1, 3), (4, 3), (0, -1)])
def test_wilson_of_impossible_counts(wrong: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= trials"):
        wilson_proportion(*wrong)
    with pytest.raises(ValueError, match="0 < level < 1"):
        wilson_proportion(1, 2, level=1.0)
