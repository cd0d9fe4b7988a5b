"""Intervals of agreement over queries. Run: pytest tests/metrics/test_agreement_intervals.py -q."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreement_support import plain, random_grades

from cmedteb.metrics import agreement as ag
from cmedteb.metrics.agreement_intervals import (
    Estimate,
    Statistic,
    chance_coefficients,
    estimate_over_groups,
    summarise_agreement,
)
from cmedteb.metrics.ratings import Ratings, count_tables
from cmedteb.metrics.resample import bootstrap_statistic
from cmedteb.types import Int64Array


def grouped(seed: int, *, groups: int = 12, **options: Any) -> Ratings:
    grades = random_grades(seed, **options)
    return plain(grades, range(5), np.arange(len(grades)) % groups)


def one(ratings: Ratings, statistic: Statistic, **options: Any) -> Estimate:
    (estimate,) = estimate_over_groups(ratings, {"it": statistic}, **{"seed": 0, **options})["it"]
    return estimate


@pytest.mark.parametrize("name", sorted(chance_coefficients()))
def test_equals_drawing_the_queries_with_all_their_units(name: str) -> None:
    """The same draws, but every sample is put together unit by unit and counted anew."""
    ratings, statistic = grouped(3, missing=0.2), chance_coefficients()[name]

    def of_sample(groups: Int64Array) -> float:
        rows = np.concatenate([np.flatnonzero(ratings.groups == group) for group in groups])
        codes = ratings.codes[rows]
        drawn = Ratings(codes, ratings.categories, ratings.raters, np.zeros(len(rows), int), 1)
        return float(statistic(count_tables(drawn).total()))

    ours = one(ratings, statistic, seed=7, resamples=60)
    naive = bootstrap_statistic(12, of_sample, seed=7, resamples=60)
    assert ours.interval == pytest.approx(naive, abs=1e-10)
    assert ours.value == pytest.approx(float(statistic(count_tables(ratings).total())))
    assert ours.undefined == 0


def test_units_of_a_query_that_repeat_each_other_do_not_narrow_the_interval() -> None:
    """Ten copies of each unit: honest by query, three times too sure by unit."""
    grades = random_grades(1, units=40)
    queries = np.arange(40)
    copied = plain(np.repeat(grades, 10, axis=0), range(5), np.repeat(queries, 10))
    as_units = plain(np.repeat(grades, 10, axis=0), range(5))

    def width(ratings: Ratings) -> float:
        low, high, _ = one(ratings, ag.fleiss_kappa).interval
        return high - low

    assert width(copied) == pytest.approx(width(plain(grades, range(5))), rel=1e-6)
    assert width(as_units) < 0.4 * width(copied)


def test_coverage() -> None:
    """Of 150 panels the interval holds the kappa of the panel that made them in about 95 %."""
    error, held = 0.1, 0
    truth_kappa = 1 - error * (1 - error) / 0.25
    for seed in range(150):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, (150, 1))
        grades = np.where(rng.random((150, 3)) < error, 1 - truth, truth)
        ratings = plain(grades, range(2), np.arange(150) // 3)
        low, high, _ = one(ratings, ag.fleiss_kappa, seed=seed, resamples=300).interval
        held += low <= truth_kappa <= high
    assert 0.88 <= held / 150 <= 0.99


def test_the_seed_decides_and_the_company_does_not() -> None:
    ratings = grouped(0)
    assert one(ratings, ag.fleiss_kappa, seed=4) == one(ratings, ag.fleiss_kappa, seed=4)
    assert one(ratings, ag.fleiss_kappa, seed=4) != one(ratings, ag.fleiss_kappa, seed=5)
    together = estimate_over_groups(ratings, chance_coefficients(), seed=4)
    assert together["fleiss_kappa"][0] == one(ratings, ag.fleiss_kappa, seed=4)


def test_blocks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = grouped(0)
    whole = one(ratings, ag.fleiss_kappa, resamples=400)
    monkeypatch.setattr("cmedteb.metrics._arrays._BLOCK_VALUES", 3000)
    assert one(ratings, ag.fleiss_kappa, resamples=400).interval == pytest.approx(whole.interval)


def test_samples_without_a_value_are_left_out_and_counted() -> None:
    """Of two queries one is of one category: a quarter of the samples draws it twice."""
    ratings = plain([[0, 0], [0, 1], [0, 0]], range(2), ["mixed", "mixed", "same"])
    estimate = one(ratings, ag.fleiss_kappa, resamples=2000)
    assert 0.2 < estimate.undefined / 2000 < 0.3
    assert not math.isnan(estimate.interval.low)
    assert one(ratings, ag.gwet_ac, resamples=2000).undefined == 0


def test_one_query_has_no_interval() -> None:
    estimate = one(plain(random_grades(0), range(5), np.zeros(60, int)), ag.fleiss_kappa)
    assert not math.isnan(estimate.value)
    assert np.isnan(estimate.interval[:2]).all()
    assert estimate.undefined == 0


def test_a_statistic_that_is_never_defined() -> None:
    estimate = one(plain([[1, 1], [1, 1]], range(2)), ag.fleiss_kappa, resamples=50)
    assert np.isnan([estimate.value, *estimate.interval[:2]]).all()
    assert estimate.undefined == 50


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}])
def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="resamples must be positive"):
        one(grouped(0), ag.fleiss_kappa, **wrong)


def test_summary() -> None:
    ratings = grouped(2, missing=0.3)
    summary = summarise_agreement(ratings, seed=0, resamples=200)
    given = (ratings.codes >= 0).sum(axis=1)
    assert (summary.units, summary.groups) == (60, 12)
    assert (summary.rated, summary.paired) == ((given >= 1).sum(), (given >= 2).sum())
    tables = count_tables(ratings).total()
    assert [e.value for e in summary.shares] == pytest.approx(ag.category_shares(tables))
    assert [e.value for e in summary.specific] == pytest.approx(ag.specific_agreement(tables))
    assert sorted(summary.coefficients) == sorted(chance_coefficients())
    for estimate in summary.coefficients.values():
        assert estimate.interval.low < estimate.value < estimate.interval.high


def test_summary_of_raters_and_pairs() -> None:
    ratings = grouped(2, missing=0.3)
    summary = summarise_agreement(ratings, seed=0, resamples=50)
    tables = count_tables(ratings).total()
    for rater, shares in zip(summary.raters, ag.rater_shares(tables), strict=True):
        assert rater.rated + rater.missing == 60
        assert [e.value for e in rater.shares] == pytest.approx(shares)
    assert [rater.name for rater in summary.raters] == ["rater 0", "rater 1", "rater 2"]
    expected = {
        "agreement": ag.pair_agreement(tables),
        "kappa": ag.cohen_kappa(tables),
        "kappa_linear": ag.cohen_kappa(tables, ag.Disagreement.LINEAR),
        "kappa_quadratic": ag.cohen_kappa(tables, ag.Disagreement.QUADRATIC),
    }
    for name, values in expected.items():
        assert [getattr(pair, name).value for pair in summary.pairs] == pytest.approx(values)
    assert [pair.units for pair in summary.pairs] == ag.pair_counts(tables).tolist()
    names = [(pair.first, pair.second) for pair in summary.pairs]
    assert names == [("rater 0", "rater 1"), ("rater 0", "rater 2"), ("rater 1", "rater 2")]


def test_summary_of_one_rater() -> None:
    summary = summarise_agreement(plain([[0], [1], [-1]], range(2)), seed=0, resamples=20)
    assert (summary.rated, summary.paired, summary.pairs) == (2, 0, ())
    assert all(math.isnan(e.value) for e in list(summary.coefficients.values())[2:])
    assert math.isnan(summary.coefficients["observed_agreement"].value)
    assert [e.value for e in summary.raters[0].shares] == [0.5, 0.5]


def test_summary_of_raters_without_overlap() -> None:
    ratings = plain([[0, -1], [-1, 1], [1, -1]], range(2))
    summary = summarise_agreement(ratings, seed=0, resamples=20)
    assert (summary.rated, summary.paired, summary.pairs[0].units) == (3, 0, 0)
    assert math.isnan(summary.pairs[0].kappa.value)
    assert summary.pairs[0].kappa.undefined == 20
