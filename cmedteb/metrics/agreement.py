"""How far raters agree, beyond chance: Fleiss, Cohen, Randolph, Gwet and Krippendorff.

Every coefficient here is 1 - observed disagreement / disagreement expected by chance; they differ
in what is called chance, in how much a near miss counts (`Disagreement`), and in how units with
missing ratings weigh. All are functions of `Tables`, vectorised over its leading axes, so the same
line gives the value, each query's, or 2,000 bootstrap replicates'. Intervals: agreement_intervals.

The room does not read a high coefficient as right labels: raters who share an error agree on it.
Where a coefficient has no value (0 / 0: nobody rated together, or all gave one category) it is
NaN, never 0 or 1; each docstring says when.

Sources: Fleiss (1971), Measuring nominal scale agreement among many raters; Cohen (1968), Weighted
kappa; Cicchetti and Feinstein (1990), High agreement but low kappa: II; Randolph (2005),
Free-marginal multirater kappa; Gwet (2008), Computing inter-rater reliability and its variance in
the presence of high agreement; Gwet (2014), Handbook of inter-rater reliability, 4th edition;
Krippendorff (2011), Computing Krippendorff's alpha-reliability.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from cmedteb.metrics.ratings import Tables
from cmedteb.types import Float64Array


class Disagreement(StrEnum):
    """How far apart two categories are: 0 on the diagonal, 1 at most."""

    NOMINAL = "nominal"
    LINEAR = "linear"
    QUADRATIC = "quadratic"
    ORDINAL = "ordinal"


class Level(StrEnum):
    """The level of measurement of Krippendorff's alpha."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"


def disagreement_matrix(
    categories: tuple[int, ...], kind: Disagreement = Disagreement.NOMINAL
) -> Float64Array:
    """1 - weight for each two categories (Cohen 1968; Gwet 2014, section 3.5).

    Linear and quadratic use the distance of the grades themselves (1, 2, 4 is not 1, 2, 3);
    ordinal uses positions: pairs of categories within the range from k to l, over all pairs.

    Args:
        categories: two grades or more, rising.
        kind: which weights.

    Returns:
        Shape (categories, categories).
    """
    if kind is Disagreement.NOMINAL:
        return np.asarray(1.0 - np.eye(len(categories)))
    if kind is Disagreement.ORDINAL:
        steps = np.arange(len(categories))
        width = np.abs(steps[:, None] - steps) + 1.0
        distance = width * (width - 1.0) / 2.0
    else:
        values = np.array(categories, dtype=np.float64)
        distance = np.abs(values[:, None] - values) ** (1 if kind is Disagreement.LINEAR else 2)
    return np.asarray(distance / distance.max())


def category_shares(tables: Tables) -> Float64Array:
    """The share of each category; for two categories the second is the prevalence of positives.

    The mean over rated units of the unit's own shares, as in the kappas' chance term: a unit with
    one rating weighs as much as a unit with three. NaN if nothing is rated.

    Returns:
        Shape (..., categories).
    """
    return _over(tables.shares, tables.shares.sum(axis=-1, keepdims=True))


def rater_shares(tables: Tables) -> Float64Array:
    """The share of each category in a rater's own ratings: the positive rate, for two categories.

    NaN for a rater who rated nothing.

    Returns:
        Shape (..., raters, categories).
    """
    return _over(tables.marginals, tables.marginals.sum(axis=-1, keepdims=True))


def observed_agreement(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Po: how often two raters of a unit agree, averaged over units (Fleiss 1971).

    Units with fewer than two ratings are left out. NaN if there is no other, as with one rater.

    Returns:
        Shape (...).
    """
    return 1.0 - _observed(tables, disagreement_matrix(tables.categories, kind))


def expected_agreement(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Pe of Fleiss' kappa: agreement of two ratings drawn from the category shares.

    NaN if nothing is rated.

    Returns:
        Shape (...).
    """
    shares, weights = category_shares(tables), disagreement_matrix(tables.categories, kind)
    return 1.0 - _both_sides(shares, weights, shares)


def specific_agreement(tables: Tables) -> Float64Array:
    """For each category: when one rater gave it, how often a second one did.

    For two categories these are negative and positive agreement (Cicchetti and Feinstein 1990),
    over all pairs of ratings. NaN for a category that no rating in a pair has.

    Returns:
        Shape (..., categories).
    """
    together = tables.confusions.sum(axis=-3)
    ratings = together.sum(axis=-1) + together.sum(axis=-2)
    return _over(2.0 * np.diagonal(together, axis1=-2, axis2=-1), ratings)


def fleiss_kappa(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Fleiss' kappa (1971), for any number of ratings a unit and any weights (Gwet 2014).

    Units with one rating count in the category shares only, units without any not at all, as in
    Gwet's irrCAC. NaN if no unit has two ratings, or all ratings are of one category.

    Returns:
        Shape (...).
    """
    weights, shares = disagreement_matrix(tables.categories, kind), category_shares(tables)
    return _corrected(_observed(tables, weights), _both_sides(shares, weights, shares))


def randolph_kappa(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Free-marginal kappa (Randolph 2005): chance is a uniform choice among the categories.

    Brennan and Prediger's coefficient for several raters. 1 if all ratings are of one category;
    NaN if no unit has two ratings.

    Returns:
        Shape (...).
    """
    weights = disagreement_matrix(tables.categories, kind)
    return _corrected(_observed(tables, weights), np.asarray(weights.mean()))


def gwet_ac(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Gwet's AC1 (2008), and AC2 with other weights (2014): kappa that survives skewed shares.

    Chance agreement is T / (q (q - 1)) * sum of p(k) (1 - p(k)), T being the sum of all weights
    and q the number of categories. 1 if all ratings are of one category; NaN if no unit has two
    ratings.

    Returns:
        Shape (...).
    """
    weights, shares = disagreement_matrix(tables.categories, kind), category_shares(tables)
    q = len(tables.categories)
    scale = (1.0 - weights).sum() / (q * (q - 1.0))
    chance = scale * (shares * (1.0 - shares)).sum(axis=-1)
    return _corrected(_observed(tables, weights), 1.0 - chance)


def krippendorff_alpha(tables: Tables, level: Level = Level.ORDINAL) -> Float64Array:
    """Krippendorff's alpha (2011) from the coincidence matrix; units with one rating are left out.

    Distances: nominal 0 or 1; interval the squared difference of the grades; ordinal the squared
    difference of the categories' midranks among all paired ratings. NaN if no unit has two
    ratings, or all paired ratings are of one category.

    Returns:
        Shape (...).
    """
    found = tables.coincidences
    by_category = found.sum(axis=-1)
    if level is Level.ORDINAL:
        midranks = np.cumsum(by_category, axis=-1) - by_category / 2.0
        distances = (midranks[..., :, None] - midranks[..., None, :]) ** 2
    elif level is Level.INTERVAL:
        values = np.array(tables.categories, dtype=np.float64)
        distances = (values[:, None] - values) ** 2
    else:
        distances = disagreement_matrix(tables.categories)
    observed = (found * distances).sum(axis=(-2, -1))
    chance = (by_category[..., :, None] * by_category[..., None, :] * distances).sum(axis=(-2, -1))
    return _corrected(observed * (by_category.sum(axis=-1) - 1.0), chance)


def pair_counts(tables: Tables) -> Float64Array:
    """How many units each pair of raters both rated; shape (..., rater pairs)."""
    return np.asarray(tables.confusions.sum(axis=(-2, -1)))


def pair_agreement(tables: Tables) -> Float64Array:
    """How often each pair of raters agrees; NaN without a unit that both rated.

    Returns:
        Shape (..., rater pairs).
    """
    apart = (tables.confusions * disagreement_matrix(tables.categories)).sum(axis=(-2, -1))
    return 1.0 - _over(apart, pair_counts(tables))


def cohen_kappa(tables: Tables, kind: Disagreement = Disagreement.NOMINAL) -> Float64Array:
    """Cohen's kappa (1960; weighted 1968) of each pair of raters, over the units both rated.

    See `confusion_kappa` for where it is NaN.

    Returns:
        Shape (..., rater pairs), in the order of `ratings.rater_pairs`.
    """
    return confusion_kappa(tables.confusions, disagreement_matrix(tables.categories, kind))


def confusion_kappa(confusion: Float64Array, disagreement: Float64Array) -> Float64Array:
    """Cohen's kappa of a table of two raters, counts or shares.

    NaN if the table is empty, or both raters gave one and the same category throughout.

    Args:
        confusion: shape (..., categories, categories).
        disagreement: from `disagreement_matrix`.

    Returns:
        Shape (...).
    """
    total = confusion.sum(axis=(-2, -1))
    first = _over(confusion.sum(axis=-1), total[..., None])
    second = _over(confusion.sum(axis=-2), total[..., None])
    apart = _over((confusion * disagreement).sum(axis=(-2, -1)), total)
    return _corrected(apart, _both_sides(first, disagreement, second))


def _observed(tables: Tables, disagreement: Float64Array) -> Float64Array:
    return _over((tables.pairs * disagreement).sum(axis=(-2, -1)), tables.pairs.sum(axis=(-2, -1)))


def _both_sides(
    left: Float64Array, disagreement: Float64Array, right: Float64Array
) -> Float64Array:
    return np.asarray(((left @ disagreement) * right).sum(axis=-1))


def _corrected(observed: Float64Array, chance: Float64Array) -> Float64Array:
    return 1.0 - _over(observed, chance)


def _over(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    """The ratio; NaN where the denominator is 0 (exactly so: products of counts and zeros)."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    ratio = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=np.asarray(denominator) != 0.0)
    return ratio
