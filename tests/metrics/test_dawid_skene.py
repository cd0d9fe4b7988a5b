"""Dawid and Skene's EM. Run: pytest tests/metrics/test_dawid_skene.py -q."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreement_support import plain, random_grades

from cmedteb.errors import ScoreError
from cmedteb.metrics.dawid_skene import fit_counts, fit_dawid_skene
from cmedteb.types import Float64Array

# Dawid and Skene (1979), table 1: 45 patients. Observer 1 three times, then observers 2 to 5.
ANAESTHETISTS = (
    "1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 "
    "2223343 1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 "
    "2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 "
    "2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 "
    "2222222"
)


def literal_em(grades: Any, k: int, steps: int) -> tuple[Float64Array, Float64Array]:
    """EM with loops and probabilities, as the paper words it; posteriors and prevalence."""
    units = [[(r, int(g)) for r, g in enumerate(row) if g >= 0] for row in grades]
    t = np.array([[sum(g == j for _, g in unit) / len(unit) for j in range(k)] for unit in units])
    for _ in range(steps):
        prevalence = t.mean(axis=0)
        rates = np.zeros((len(grades[0]), k, k))
        for i, unit in enumerate(units):
            for r, g in unit:
                rates[r, :, g] += t[i]
        rates /= np.maximum(rates.sum(axis=2, keepdims=True), 1e-12)
        for i, unit in enumerate(units):
            t[i] = prevalence * np.prod([rates[r, :, g] for r, g in unit], axis=0)
        t /= t.sum(axis=1, keepdims=True)
    return t, prevalence


def simulated(seed: int, *, units: int, missing: float) -> tuple[Any, Any, Any]:
    """Grades by four raters with the given confusions, and the truth."""
    rng = np.random.default_rng(seed)
    confusions = np.array(
        [[[0.9, 0.08, 0.02], [0.1, 0.8, 0.1], [0.02, 0.08, 0.9]]] * 3
        + [[[0.5, 0.4, 0.1], [0.1, 0.5, 0.4], [0.1, 0.1, 0.8]]]
    )
    truth = rng.choice(3, size=units, p=[0.6, 0.3, 0.1])
    drawn = rng.random((units, 4, 1)) > np.cumsum(confusions, axis=2)[:, truth].swapaxes(0, 1)
    grades = np.minimum(drawn.sum(axis=2), 2)
    return np.where(rng.random((units, 4)) < missing, -1, grades), truth, confusions


def test_the_anaesthetists_of_the_paper() -> None:
    """As often reproduced: shares .40 .42 .11 .07, and observer 1's rates for classes 1 and 2."""
    counts = np.zeros((45, 5, 4))
    for patient, grades in enumerate(ANAESTHETISTS.split()):
        for position, grade in enumerate(grades):
            counts[patient, max(0, position - 2), int(grade) - 1] += 1
    fit = fit_counts(counts, np.ones(45, dtype=int))
    assert fit.converged
    assert fit.prevalence == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=5e-3)
    assert fit.confusions[0, 0] == pytest.approx([0.89, 0.11, 0.0, 0.0], abs=6e-3)
    assert fit.confusions[0, 1] == pytest.approx([0.07, 0.88, 0.05, 0.0], abs=6e-3)
    assert (fit.posteriors.max(axis=1) > 0.9).mean() > 0.85


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_equals_the_literal_algorithm(k: int, missing: float) -> None:
    grades = random_grades(1, units=50, raters=4, k=k, missing=missing)
    grades[:, 0] = np.maximum(grades[:, 0], 0)
    fit = fit_dawid_skene(plain(grades, range(k)), max_iterations=25, tolerance=1e-300)
    posteriors, prevalence = literal_em(grades.tolist(), k, 25)
    np.testing.assert_allclose(fit.posteriors, posteriors, atol=1e-9)
    np.testing.assert_allclose(fit.prevalence, prevalence, atol=1e-9)
    assert fit.iterations == 25


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_finds_the_truth_of_its_own_model(missing: float) -> None:
    grades, truth, confusions = simulated(0, units=6000, missing=missing)
    fit = fit_dawid_skene(plain(grades, range(3)))
    assert fit.converged
    assert fit.prevalence == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    np.testing.assert_allclose(fit.confusions, confusions, atol=0.06)
    votes = (grades[:, :, None] == np.arange(3)).sum(axis=1)
    found, by_vote = (fit.classes == truth).mean(), (votes.argmax(axis=1) == truth).mean()
    assert found > by_vote
    assert found == pytest.approx(fit.posteriors.max(axis=1).mean(), abs=0.02)


def test_three_equal_judges_in_two_classes_are_the_majority() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((3000, 1)) < 0.22
    grades = np.where(rng.random((3000, 3)) < 0.1, ~truth, truth).astype(int)
    fit = fit_dawid_skene(plain(grades, range(2)))
    assert fit.classes.tolist() == (grades.sum(axis=1) >= 2).astype(int).tolist()


def test_the_likelihood_rises() -> None:
    ratings = plain(random_grades(4, missing=0.2), range(5))
    found = [
        fit_dawid_skene(ratings, max_iterations=n, tolerance=1e-300).log_likelihood
        for n in (1, 2, 5, 20, 100)
    ]
    assert found == sorted(found)
    assert found[0] < found[-1] < 0.0


def test_convergence_is_reported() -> None:
    ratings = plain(random_grades(4), range(5))
    short = fit_dawid_skene(ratings, max_iterations=2)
    assert (short.iterations, short.converged) == (2, False)
    full = fit_dawid_skene(ratings)
    assert full.converged
    assert 2 < full.iterations < 10_000


def test_the_same_answer_in_any_order_and_every_time() -> None:
    grades = random_grades(6, units=80, missing=0.2)
    order = np.random.default_rng(0).permutation(80)
    fit, again = (fit_dawid_skene(plain(grades, range(5)), tolerance=1e-4) for _ in range(2))
    np.testing.assert_array_equal(fit.posteriors, again.posteriors)
    shuffled = fit_dawid_skene(plain(grades[order], range(5)), tolerance=1e-4)
    np.testing.assert_array_equal(shuffled.posteriors, fit.posteriors[order])


def test_a_unit_without_a_rating_gets_the_prevalence() -> None:
    grades = random_grades(2, units=30)
    alone = fit_dawid_skene(plain(grades, range(5)))
    fit = fit_dawid_skene(plain([*grades, [-1, -1, -1]], range(5)))
    np.testing.assert_array_equal(fit.posteriors[:-1], alone.posteriors)
    np.testing.assert_array_equal(fit.posteriors[-1], alone.prevalence)


def test_one_category_only() -> None:
    fit = fit_dawid_skene(plain([[2, 2], [2, -1]], range(4)))
    assert fit.converged
    assert fit.prevalence.tolist() == [0, 0, 1, 0]
    assert fit.classes.tolist() == [2, 2]
    assert fit.confusions[:, 2].tolist() == [[0, 0, 1, 0]] * 2
    assert np.isnan(fit.confusions[:, [0, 1, 3]]).all()
    assert fit.log_likelihood == pytest.approx(0.0)


def test_one_rater_is_believed() -> None:
    fit = fit_dawid_skene(plain([[0], [1], [1], [-1]], range(2)))
    np.testing.assert_allclose(fit.posteriors[:3], [[1, 0], [0, 1], [0, 1]], atol=1e-12)
    assert fit.posteriors[3] == pytest.approx([1 / 3, 2 / 3])


def test_a_rater_who_rated_nothing_has_no_errors_and_no_say() -> None:
    grades = random_grades(3, raters=3)
    silent = np.column_stack([grades, np.full(len(grades), -1)])
    fit = fit_dawid_skene(plain(silent, range(5)))
    assert np.isnan(fit.confusions[3]).all()
    expected = fit_dawid_skene(plain(grades, range(5)))
    np.testing.assert_allclose(fit.posteriors, expected.posteriors, atol=1e-12)


def test_raters_without_overlap_are_each_believed() -> None:
    fit = fit_dawid_skene(plain([[0, -1], [1, -1], [-1, 1], [-1, 0]], range(2)))
    assert fit.classes.tolist() == [0, 1, 1, 0]


def test_nothing_rated_is_refused() -> None:
    with pytest.raises(ScoreError, match="nothing was rated"):
        fit_dawid_skene(plain([[-1, -1]], range(2)))


@pytest.mark.parametrize(
    "wrong", [{"max_iterations": 0}, {"tolerance": 0.0}, {"tolerance": math.nan}]
)
def test_arguments_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        fit_dawid_skene(plain([[0, 1]], range(2)), **wrong)
