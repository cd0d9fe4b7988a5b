"""Coefficients of agreement against other implementations, definitions and degenerate input.

Run: pytest tests/metrics/test_agreement.py -q. statsmodels, scikit-learn and krippendorff are in
the group of development dependencies; a test is skipped where its own is not installed.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from agreement_support import from_confusion, names, plain, random_grades

from cmedteb.metrics import agreement as ag
from cmedteb.metrics.agreement import Disagreement, Level
from cmedteb.metrics.ratings import Ratings, Tables, count_tables, rater_pairs

SEEDS = range(6)
KINDS = list(Disagreement)


def totals(ratings: Ratings) -> Tables:
    return count_tables(ratings).total()


def weight(a: int, b: int, kind: Disagreement, q: int) -> float:
    """Agreement weights written out for equidistant grades 0 to q - 1 (Gwet 2014, section 3.5)."""
    gap = abs(a - b)
    match kind:
        case Disagreement.NOMINAL:
            return float(gap == 0)
        case Disagreement.LINEAR:
            return 1 - gap / (q - 1)
        case Disagreement.QUADRATIC:
            return 1 - (gap / (q - 1)) ** 2
        case Disagreement.ORDINAL:
            return 1 - math.comb(gap + 1, 2) / math.comb(q, 2)


def by_definition(grades: Any, kind: Disagreement, q: int) -> dict[str, float]:
    """Unit by unit and pair by pair, as the handbook words it."""
    agreements, shares = [], []
    for row in grades:
        given = [int(g) for g in row if g >= 0]
        if given:
            shares.append([given.count(k) / len(given) for k in range(q)])
        pairs = [(i, j) for i in range(len(given)) for j in range(len(given)) if i != j]
        if pairs:
            found = [weight(given[i], given[j], kind, q) for i, j in pairs]
            agreements.append(sum(found) / len(found))
    po, p = float(np.mean(agreements)), np.mean(shares, axis=0)
    every = [[weight(k, m, kind, q) for m in range(q)] for k in range(q)]
    chance = {
        "fleiss": float(p @ every @ p),
        "randolph": float(np.mean(every)),
        "gwet": float(np.sum(every) / (q * (q - 1)) * np.sum(p * (1 - p))),
    }
    return {"po": po, **{name: (po - pe) / (1 - pe) for name, pe in chance.items()}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("seed", SEEDS)
def test_coefficients_equal_their_definitions(
    seed: int, missing: float, kind: Disagreement
) -> None:
    grades = random_grades(seed, units=25, raters=4, missing=missing)
    tables = totals(plain(grades, range(5)))
    expected = by_definition(grades, kind, 5)
    ours = {
        "po": ag.observed_agreement(tables, kind),
        "fleiss": ag.fleiss_kappa(tables, kind),
        "randolph": ag.randolph_kappa(tables, kind),
        "gwet": ag.gwet_ac(tables, kind),
    }
    assert {name: float(value) for name, value in ours.items()} == pytest.approx(expected)
    po, kappa = expected["po"], expected["fleiss"]
    pe = float(ag.expected_agreement(tables, kind))
    assert (po - pe) / (1 - pe) == pytest.approx(kappa)


@pytest.mark.parametrize("seed", SEEDS)
def test_fleiss_and_randolph_equal_statsmodels(seed: int) -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    grades = random_grades(seed, raters=3 + seed, k=2 + seed % 4)
    counts, _ = inter_rater.aggregate_raters(grades, n_cat=2 + seed % 4)
    tables = totals(plain(grades, range(2 + seed % 4)))
    assert ag.fleiss_kappa(tables) == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-12)
    randolph = inter_rater.fleiss_kappa(counts, method="randolph")
    assert ag.randolph_kappa(tables) == pytest.approx(randolph, abs=1e-12)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("seed", SEEDS)
def test_cohen_equals_scikit_learn_over_the_units_both_rated(
    seed: int, weights: str | None
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    grades = random_grades(seed, raters=3, missing=0.2)
    ours = ag.cohen_kappa(totals(plain(grades, range(5))), Disagreement(weights or "nominal"))
    for kappa, (a, b) in zip(ours, rater_pairs(3), strict=True):
        both = (grades[:, a] >= 0) & (grades[:, b] >= 0)
        theirs = metrics.cohen_kappa_score(
            grades[both, a], grades[both, b], weights=weights, labels=range(5)
        )
        assert kappa == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
@pytest.mark.parametrize("seed", SEEDS)
def test_weights_follow_the_grades_as_in_statsmodels(seed: int, kind: str) -> None:
    """Grades 1, 2, 5 are not 1, 2, 3: scikit-learn would take them so."""
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    grades = np.array([1, 2, 5])[random_grades(seed, raters=2, k=3)]
    tables = totals(plain(grades, (1, 2, 5)))
    values = np.array([1.0, 2.0, 5.0])
    distance = np.abs(values[:, None] - values) ** (1 if kind == "linear" else 2)
    theirs = inter_rater.cohens_kappa(tables.confusions[0], weights=distance, return_results=False)
    assert ag.cohen_kappa(tables, Disagreement(kind))[0] == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("seed", SEEDS)
def test_alpha_equals_krippendorff(seed: int, level: Level) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    values = np.array([1, 2, 3, 5, 9, -1])
    grades = values[random_grades(seed, raters=4, missing=0.35)]
    theirs = krippendorff.alpha(
        reliability_data=np.where(grades < 0, np.nan, grades).T,
        level_of_measurement=level.value,
        value_domain=[1.0, 2.0, 3.0, 5.0, 9.0],
    )
    tables = totals(plain(grades, (1, 2, 3, 5, 9)))
    assert ag.krippendorff_alpha(tables, level) == pytest.approx(theirs, abs=1e-12)


def test_two_categories_make_all_weights_equal() -> None:
    tables = totals(plain(random_grades(0, k=2, missing=0.2), range(2)))
    for coefficient in (ag.fleiss_kappa, ag.gwet_ac, ag.randolph_kappa):
        assert len({round(float(coefficient(tables, kind)), 12) for kind in KINDS}) == 1
    assert len({round(float(ag.krippendorff_alpha(tables, level)), 12) for level in Level}) == 1


def test_specific_agreement_by_hand() -> None:
    """Of two raters' 2x2 table a, b, c, d: 2a / (2a + b + c) and 2d / (2d + b + c)."""
    tables = totals(from_confusion([[130, 56], [9, 5]]))
    assert ag.specific_agreement(tables) == pytest.approx([260 / 325, 10 / 75])


def test_specific_agreement_of_three_raters() -> None:
    """Grades 0 0 1 and 1 1 1: ordered pairs with a 0 first are 4, of which 2 agree; 1: 6 of 8."""
    tables = totals(plain([[0, 0, 1], [1, 1, 1]], range(2)))
    assert ag.specific_agreement(tables) == pytest.approx([2 / 4, 6 / 8])


def test_shares_weigh_units_and_rates_weigh_ratings() -> None:
    tables = totals(plain([[0, 0, 0], [1, -1, -1]], range(2)))
    assert ag.category_shares(tables) == pytest.approx([0.5, 0.5])
    assert ag.rater_shares(tables)[:, 1] == pytest.approx([0.5, 0.0, 0.0])


def test_an_empty_category_counts() -> None:
    """Two grades in use are not two grades to choose from: chance is smaller among five."""
    grades = random_grades(0, k=2)
    of_two, of_five = (totals(plain(grades, range(k))) for k in (2, 5))
    assert ag.fleiss_kappa(of_two) == pytest.approx(ag.fleiss_kappa(of_five))
    assert ag.randolph_kappa(of_two) < ag.randolph_kappa(of_five) - 0.1
    assert ag.gwet_ac(of_two) < ag.gwet_ac(of_five) - 0.1


def test_a_lenient_rater_moves_the_rates_and_not_the_order_of_the_columns() -> None:
    grades = random_grades(3)
    tables, turned = totals(plain(grades, range(5))), totals(plain(grades[:, ::-1], range(5)))
    assert ag.fleiss_kappa(tables) == pytest.approx(float(ag.fleiss_kappa(turned)))
    assert ag.rater_shares(tables) == pytest.approx(ag.rater_shares(turned)[::-1])


def test_leading_axes_are_kept() -> None:
    by_group = count_tables(plain(random_grades(0), range(5), np.arange(60) % 4))
    assert ag.fleiss_kappa(by_group).shape == (4,)
    assert ag.krippendorff_alpha(by_group).shape == (4,)
    assert ag.cohen_kappa(by_group).shape == (4, 3)
    assert ag.specific_agreement(by_group).shape == (4, 5)
    assert ag.rater_shares(by_group).shape == (4, 3, 5)
    rows = np.arange(60) % 4 == 2
    alone = totals(plain(random_grades(0)[rows], range(5)))
    assert ag.krippendorff_alpha(by_group)[2] == pytest.approx(float(ag.krippendorff_alpha(alone)))


def coefficients(tables: Tables) -> dict[str, float]:
    return {
        "po": float(ag.observed_agreement(tables)),
        "fleiss": float(ag.fleiss_kappa(tables)),
        "randolph": float(ag.randolph_kappa(tables)),
        "gwet": float(ag.gwet_ac(tables)),
        **{level.value: float(ag.krippendorff_alpha(tables, level)) for level in Level},
    }


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.mark.parametrize("raters", [2, 3, 6])
def test_one_category_only(raters: int) -> None:
    """Nothing to be corrected for chance: kappa and alpha are 0 / 0; AC1 and Randolph are 1."""
    found = coefficients(totals(plain(np.full((7, raters), 3), range(5))))
    assert (found["po"], found["randolph"], found["gwet"]) == (1.0, 1.0, 1.0)
    for name in ("fleiss", *Level):
        assert math.isnan(found[name]), name


def test_two_raters_with_one_and_the_same_grade_have_no_cohen() -> None:
    assert np.isnan(ag.cohen_kappa(totals(plain([[1, 1], [1, 1]], range(3))))).all()


def test_a_constant_rater_beside_one_who_varies_agrees_by_chance() -> None:
    assert ag.cohen_kappa(totals(plain([[1, 1], [1, 0], [1, 1]], range(2)))) == pytest.approx([0.0])


def test_one_rater_has_shares_and_nothing_else() -> None:
    tables = totals(plain([[0], [1], [1], [-1]], range(2)))
    assert all(math.isnan(value) for value in coefficients(tables).values())
    assert np.isnan(ag.specific_agreement(tables)).all()
    assert ag.cohen_kappa(tables).shape == (0,)
    assert ag.rater_shares(tables)[0] == pytest.approx([1 / 3, 2 / 3])
    assert ag.category_shares(tables) == pytest.approx([1 / 3, 2 / 3])


def test_raters_without_overlap() -> None:
    tables = totals(plain([[0, -1], [-1, 1], [1, -1]], range(2)))
    assert all(math.isnan(value) for value in coefficients(tables).values())
    assert np.isnan([*ag.cohen_kappa(tables), *ag.pair_agreement(tables)]).all()
    assert ag.pair_counts(tables).tolist() == [0.0]
    assert ag.category_shares(tables) == pytest.approx([1 / 3, 2 / 3])


def test_nothing_rated() -> None:
    tables = totals(plain([[-1, -1]], range(2)))
    assert all(math.isnan(value) for value in coefficients(tables).values())
    assert math.isnan(ag.expected_agreement(tables))
    assert np.isnan([ag.category_shares(tables), *ag.rater_shares(tables)]).all()


def test_a_pair_without_overlap_leaves_the_others_alone() -> None:
    grades = [[0, 0, -1], [1, 1, -1], [-1, 1, 1], [-1, 0, 0]]
    kappas = ag.cohen_kappa(totals(plain(grades, range(2))))
    assert kappas.tolist()[::2] == [1.0, 1.0]
    assert math.isnan(kappas[1])


def test_units_with_one_rating_change_chance_and_not_agreement() -> None:
    some = random_grades(5, units=20)
    lonely = np.array([[4, -1, -1]] * 10)
    few, all_units = totals(plain(some, range(5))), totals(plain([*some, *lonely], range(5)))
    assert ag.observed_agreement(few) == pytest.approx(float(ag.observed_agreement(all_units)))
    assert ag.krippendorff_alpha(few) == pytest.approx(float(ag.krippendorff_alpha(all_units)))
    assert ag.expected_agreement(few) != pytest.approx(float(ag.expected_agreement(all_units)))


def test_perfect_agreement_is_exactly_one() -> None:
    grades = np.repeat(np.arange(5), 3)[:, None].repeat(7, axis=1)
    assert set(coefficients(totals(plain(grades, range(5)))).values()) == {1.0}


def test_names_are_of_no_interest() -> None:
    grades = random_grades(2)
    other = Ratings.of(grades, categories=range(5), raters=["z", "y", "x"], groups=range(60))
    assert coefficients(totals(other)) == coefficients(totals(plain(grades, range(5))))
    assert names(2) == ["rater 0", "rater 1"]
