"""What goes into a statistic of agreement. Run: pytest tests/metrics/test_ratings.py -q."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement_support import names, plain, random_grades

from cmedteb.errors import ScoreError
from cmedteb.metrics.ratings import Ratings, count_tables, rater_pairs


def of(grades: Any, **changed: Any) -> Ratings:
    given = {"categories": (1, 2, 3), "raters": ("a", "b"), "groups": ["q1", "q2"], **changed}
    return Ratings.of(grades, **given)


def test_grades_become_positions_and_groups_numbers() -> None:
    ratings = of([[1, 3], [-1, 2]], groups=["q9", "q1"])
    assert ratings.codes.tolist() == [[0, 2], [-1, 1]]
    assert ratings.groups.tolist() == [1, 0]
    assert ratings.group_count == 2


def test_categories_may_come_in_any_order() -> None:
    assert of([[1, 3], [2, 2]], categories=[3, 1, 2]).categories == (1, 2, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_masked_grades_are_missing(dtype: type) -> None:
    grades = np.ma.array([[1, 3], [7, 2]], mask=[[False, False], [True, False]], dtype=dtype)
    assert of(grades).codes.tolist() == [[0, 2], [-1, 1]]


def test_a_masked_minus_one_and_a_plain_one_are_both_missing() -> None:
    grades = np.ma.array([[-1, 3], [-1, 2]], mask=[[False, False], [True, False]])
    assert of(grades).codes.tolist() == [[-1, 2], [-1, 1]]


@pytest.mark.parametrize(
    ("grades", "changed", "problem"),
    [
        ([], {"groups": []}, "at least one of each; got shape"),
        (np.zeros((0, 2), dtype=int), {"groups": []}, r"got shape \(0, 2\)"),
        (np.zeros((2, 0), dtype=int), {"raters": ()}, r"got shape \(2, 0\)"),
        ([1, 2], {}, "expected units x raters"),
        ([[1, 4], [1, 1]], {}, "unit 0 .* has 4 by 'b', which is not one of"),
        ([[1, 2], [0, 1]], {}, "unit 1 .* has 0 by 'a'"),
        ([[1.0, 2.0], [1.0, np.nan]], {}, "expected integers, got float64"),
        ([[1, 2], [1, 1]], {"raters": ("a", "a")}, "2 different names"),
        ([[1, 2], [1, 1]], {"raters": ("a",)}, "2 different names"),
        ([[1, 2], [1, 1]], {"groups": ["q1"]}, "one for each of 2 units"),
        ([[1, 2], [1, 1]], {"categories": (1,)}, "two grades or more"),
        ([[1, 2], [1, 1]], {"categories": (-1, 1, 2)}, "two grades or more"),
        ([[1, 2], [1, 1]], {"categories": (1, 2, 2)}, "stands there twice"),
        ([[1, 2], [1, 1]], {"categories": (1, 1.5, 2)}, "integers from 0"),
    ],
)
def test_what_is_refused(grades: Any, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScoreError, match=problem):
        of(grades, **changed)


def test_binary_at_a_threshold_keeps_missing_missing() -> None:
    binary = of([[1, 3], [-1, 2]]).at_least(2)
    assert binary.codes.tolist() == [[0, 1], [-1, 1]]
    assert binary.categories == (0, 1)


@pytest.mark.parametrize("threshold", [0, 1, 4])
def test_a_threshold_must_divide(threshold: int) -> None:
    with pytest.raises(ScoreError, match="choose one above 1 and at most 3"):
        of([[1, 3], [1, 2]]).at_least(threshold)


def test_select_raters() -> None:
    ratings = plain([[0, 1, 2], [2, 1, 0]], range(3))
    assert ratings.select(["rater 2", "rater 0"]).codes.tolist() == [[2, 0], [0, 2]]
    for wrong in ([], ["rater 0", "rater 0"], ["nobody"]):
        with pytest.raises(ScoreError, match="different names out of"):
            ratings.select(wrong)


def test_tables_by_hand() -> None:
    """Unit 0: grades 0, 0, 1. Unit 1: 1 and one missing, another 1. Unit 2: one rating."""
    tables = count_tables(plain([[0, 0, 1], [1, -1, 1], [-1, 0, -1]], range(2), [0, 0, 1]))
    np.testing.assert_allclose(tables.shares, [[2 / 3, 1 / 3 + 1], [1, 0]])
    np.testing.assert_allclose(tables.pairs[0], [[2 / 6, 2 / 6], [2 / 6, 1]])
    np.testing.assert_allclose(tables.coincidences[0], [[1, 1], [1, 2]])
    assert not tables.pairs[1].any()
    assert tables.marginals[0].tolist() == [[1, 1], [1, 0], [0, 2]]
    assert tables.confusions[0, 1].tolist() == [[0, 1], [0, 1]]
    assert rater_pairs(3) == [(0, 1), (0, 2), (1, 2)]


def test_groups_add_up() -> None:
    grades = random_grades(0, units=40, raters=4, missing=0.3)
    in_groups = count_tables(plain(grades, range(5), np.arange(40) % 7))
    alone = count_tables(plain(grades, range(5)))
    for ours, theirs in zip(in_groups.total()[1:], alone.total()[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_weighted_tables_are_those_of_repeated_units() -> None:
    grades, groups = random_grades(1, units=20, missing=0.2), np.arange(20) % 3
    weights = np.array([[2.0, 0.0, 1.0]])
    rows = np.concatenate([np.flatnonzero(groups == g) for g in (0, 0, 2)])
    drawn = count_tables(plain(grades[rows], range(5))).total()
    weighted = count_tables(plain(grades, range(5), groups)).weighted(weights)
    for ours, theirs in zip(weighted[1:], drawn[1:], strict=True):
        np.testing.assert_allclose(ours[0], theirs, atol=1e-12)


def test_one_rater_has_no_pairs() -> None:
    tables = count_tables(plain([[0], [1]], range(2)))
    assert tables.confusions.shape == (2, 0, 2, 2)
    assert not tables.pairs.any()
    assert names(1) == ["rater 0"]
