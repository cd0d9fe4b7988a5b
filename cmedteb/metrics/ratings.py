"""Who graded what: the table that every statistic of agreement starts from.

`Ratings` holds units (query and document pairs) x raters, with missing grades, the whole set of
categories and the group (query) of each unit. `count_tables` boils it down to counts for each
group, from which all coefficients follow; a bootstrap over groups then only adds rows.

The room refuses (ScoreError) what would silently change a statistic: a grade outside the stated
categories, categories inferred from the data (empty ones would vanish), a missing grade read as
the lowest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmedteb.errors import ScoreError
from cmedteb.types import Float64Array, Int32Array, Int64Array

MISSING = -1


@dataclass(frozen=True, slots=True)
class Ratings:
    """Grades by several raters; make it with `Ratings.of`.

    Attributes:
        codes: shape (units, raters), positions in `categories`; -1 is missing.
        categories: the grades that could be given, rising, whether or not they were.
        raters: a name for each column.
        groups: the group of each unit, 0 to `group_count` - 1; shape (units,).
        group_count: how many groups there are; every one has a unit.
    """

    codes: Int32Array
    categories: tuple[int, ...]
    raters: tuple[str, ...]
    groups: Int64Array
    group_count: int

    @classmethod
    def of(
        cls,
        grades: ArrayLike,
        *,
        categories: Sequence[int],
        raters: Sequence[str],
        groups: ArrayLike,
    ) -> Ratings:
        """Check grades and take them in.

        Args:
            grades: integers, shape (units, raters); -1, or a masked entry, is missing.
            categories: every grade that could be given, not only those that were; at least two,
                not negative, in any order.
            raters: a different name for each column.
            groups: what the units share that makes them depend on each other: the query's id or
                row, one for each unit; integers or strings. `range(units)` says they share nothing.

        Raises:
            ScoreError: there is no unit or no rater, shapes do not fit, a name or category is
                given twice, or a grade is not in `categories`.
        """
        values = _checked_categories(categories)
        names = tuple(raters)
        table = _grade_table(grades)
        _check_shape(table, names)
        labels = np.asarray(groups)
        if labels.shape != (len(table),):
            raise ScoreError(
                f"groups: expected one for each of {len(table)} units, got {labels.shape}."
            )
        distinct, index = np.unique(labels, return_inverse=True)
        return cls(
            codes=_positions(table, values, names),
            categories=tuple(values.tolist()),
            raters=names,
            groups=index.astype(np.int64),
            group_count=len(distinct),
        )

    def at_least(self, threshold: int) -> Ratings:
        """The same ratings in two categories: 0 below `threshold`, 1 from there on.

        Raises:
            ScoreError: the threshold leaves no category on one side.
        """
        if not self.categories[0] < threshold <= self.categories[-1]:
            raise ScoreError(
                f"A threshold of {threshold} does not divide the categories {self.categories}: "
                f"choose one above {self.categories[0]} and at most {self.categories[-1]}."
            )
        positive = (np.array(self.categories)[self.codes] >= threshold).astype(np.int32)
        codes = np.where(self.codes == MISSING, np.int32(MISSING), positive)
        return Ratings(codes, (0, 1), self.raters, self.groups, self.group_count)

    def select(self, raters: Sequence[str]) -> Ratings:
        """The same units with these raters alone, in this order.

        Raises:
            ScoreError: a name is unknown or given twice, or there is none.
        """
        unknown = sorted(set(raters) - set(self.raters))
        if unknown or not raters or len(set(raters)) != len(raters):
            raise ScoreError(
                f"Raters must be different names out of {list(self.raters)}; got {list(raters)}."
            )
        columns = [self.raters.index(name) for name in raters]
        codes = self.codes[:, columns]
        return Ratings(codes, self.categories, tuple(raters), self.groups, self.group_count)


class Tables(NamedTuple):
    """Sums over units from which every coefficient follows; "..." is (groups,), (samples,) or ().

    With c(i, k) the number of raters who gave unit i category k, and n(i) their sum over k:

    Attributes:
        categories: the grades, as in `Ratings`.
        shares: sums of c(i, k) / n(i) over units with a rating; shape (..., categories).
        pairs: sums of c(i, k) * (c(i, l) - [k = l]) / (n(i) * (n(i) - 1)) over units with two
            ratings or more: each unit weighs 1; shape (..., categories, categories).
        coincidences: the same over n(i) - 1 alone: each rating weighs 1 (Krippendorff 2011).
        marginals: how often each rater gave each category; shape (..., raters, categories).
        confusions: for each pair of raters (0, 1), (0, 2), ..., (1, 2), ..., how often the first
            gave k and the second l; shape (..., rater pairs, categories, categories).
    """

    categories: tuple[int, ...]
    shares: Float64Array
    pairs: Float64Array
    coincidences: Float64Array
    marginals: Float64Array
    confusions: Float64Array

    def total(self) -> Tables:
        """The tables of all groups together, without the axis of groups."""
        return Tables(self.categories, *(table.sum(axis=0) for table in self[1:]))

    def weighted(self, weights: Float64Array) -> Tables:
        """The tables of samples; `weights`: how often each group is drawn, (samples, groups)."""
        return Tables(
            self.categories,
            *(
                (weights @ table.reshape(len(table), -1)).reshape(len(weights), *table.shape[1:])
                for table in self[1:]
            ),
        )


def rater_pairs(raters: int) -> list[tuple[int, int]]:
    """The pairs of raters in the order of `Tables.confusions`."""
    return [(a, b) for a in range(raters) for b in range(a + 1, raters)]


def count_tables(ratings: Ratings) -> Tables:
    """The tables of each group; leading axis (groups,). One rater gives no pairs, and zeros."""
    codes, groups, k = ratings.codes, ratings.groups, len(ratings.categories)
    count = ratings.group_count
    rated = (codes != MISSING).sum(axis=1).astype(np.float64)
    several = np.maximum(rated, 2.0)
    shares = np.zeros((count, k))
    marginals = np.zeros((count, codes.shape[1], k))
    for rater in range(codes.shape[1]):
        given = codes[:, rater] != MISSING
        cells = (groups[given] * k + codes[given, rater],)
        shares += _summed(cells[0], (count, k), 1.0 / rated[given])
        marginals[:, rater] = _summed(cells[0], (count, k))
    by_pair = rater_pairs(codes.shape[1])
    pairs, coincidences = np.zeros((2, count, k, k))
    confusions = np.zeros((count, len(by_pair), k, k))
    for position, (a, b) in enumerate(by_pair):
        both = (codes[:, a] != MISSING) & (codes[:, b] != MISSING)
        cells_ab = (groups[both] * k + codes[both, a]) * k + codes[both, b]
        n, shape = several[both], (count, k, k)
        confusions[:, position] = _summed(cells_ab, shape)
        pairs += _summed(cells_ab, shape, 1.0 / (n * (n - 1.0)))
        coincidences += _summed(cells_ab, shape, 1.0 / (n - 1.0))
    return Tables(
        ratings.categories,
        shares,
        _both_ways(pairs),
        _both_ways(coincidences),
        marginals,
        confusions,
    )


def _summed(
    cells: NDArray[np.integer], shape: tuple[int, ...], weights: Float64Array | None = None
) -> Float64Array:
    summed = np.bincount(cells, weights=weights, minlength=int(np.prod(shape)))
    return summed.astype(np.float64).reshape(shape)


def _both_ways(tables: Float64Array) -> Float64Array:
    return np.asarray(tables + tables.swapaxes(-1, -2))


def _checked_categories(categories: Sequence[int]) -> Int64Array:
    values = np.asarray(categories)
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iu" or values.min() < 0:
        raise ScoreError(
            f"categories: state two grades or more, integers from 0 on; got {list(categories)}."
        )
    distinct = np.unique(values).astype(np.int64)
    if len(distinct) != len(values):
        raise ScoreError(f"categories: a grade stands there twice: {list(categories)}.")
    return distinct


def _grade_table(grades: ArrayLike) -> Int64Array:
    given, hidden = np.asarray(np.ma.getdata(grades)), np.asarray(np.ma.getmask(grades))
    if given.size and given.dtype.kind not in "biu":
        raise ScoreError(
            f"grades: expected integers, got {given.dtype}; a missing grade is -1 or masked."
        )
    return np.where(hidden, np.int64(MISSING), given.astype(np.int64))


def _check_shape(table: Int64Array, names: tuple[str, ...]) -> None:
    if table.ndim != 2 or not table.size:
        raise ScoreError(
            f"grades: expected units x raters, at least one of each; got shape {table.shape}."
        )
    if len(names) != table.shape[1] or len(set(names)) != len(names):
        raise ScoreError(
            f"raters: expected {table.shape[1]} different names, one a column; got {list(names)}."
        )


def _positions(table: Int64Array, values: Int64Array, names: tuple[str, ...]) -> Int32Array:
    found = np.minimum(np.searchsorted(values, table), len(values) - 1)
    missing = table == MISSING
    wrong = ~missing & (values[found] != table)
    if wrong.any():
        unit, rater = np.argwhere(wrong)[0]
        raise ScoreError(
            f"grades: unit {unit} (counted from 0) has {table[unit, rater]} by {names[rater]!r}, "
            f"which is not one of {values.tolist()}; a missing grade is -1 or masked."
        )
    return np.where(missing, MISSING, found).astype(np.int32)
