"""True classes and raters' errors together, without gold: Dawid and Skene's EM (1979).

Each rater has a confusion matrix, units have a hidden class, and raters err independently given
it. Offered as a second opinion beside the votes: where raters share errors, as language models do,
the model's one assumption fails and its confidence is too high.

The room refuses to call a maximum found what was cut short (`converged`), and never starts at
random: the votes are the start, so the same ratings give the same answer.

Source: Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using the EM
algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmedteb.errors import ScoreError
from cmedteb.metrics.ratings import MISSING, Ratings
from cmedteb.types import Float64Array, Int64Array

# Stands for 0 under the logarithm; no product of rates that are not 0 comes near it.
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What the model says.

    Attributes:
        posteriors: the probability of each class for each unit; shape (units, classes).
        prevalence: the share of each class; shape (classes,).
        confusions: how often a rater gives each category to units of a class; shape (raters,
            classes, categories). NaN where a rater rated no unit of the class.
        log_likelihood: of all ratings, in nats.
        iterations: how many steps of EM were made.
        converged: whether the posteriors came to rest before the last permitted step.
    """

    posteriors: Float64Array
    prevalence: Float64Array
    confusions: Float64Array
    log_likelihood: float
    iterations: int
    converged: bool

    @property
    def classes(self) -> Int64Array:
        """The likeliest class of each unit, a position in the categories; ties go to the lower."""
        return np.asarray(self.posteriors.argmax(axis=1))


def fit_dawid_skene(
    ratings: Ratings, *, max_iterations: int = 10_000, tolerance: float = 1e-6
) -> DawidSkene:
    """Fit the model; the classes are the categories of `ratings` (two after `at_least`).

    Missing ratings are left out of the likelihood. Units with equal rows of ratings are handled as
    one, so the number of units hardly matters.

    Degenerate cases: a unit without a rating gets the prevalence as posterior; one rater alone is
    taken at his word (nothing contradicts him); when all ratings are of one category that is the
    class of all units, and confusions of the others are NaN.

    Args:
        ratings: what was graded.
        max_iterations: of EM.
        tolerance: EM stops when no posterior moves by more than this.

    Raises:
        ScoreError: nothing is rated.
        ValueError: `max_iterations` or `tolerance` is not positive.
    """
    rows, unit_row, times = np.unique(
        ratings.codes, axis=0, return_inverse=True, return_counts=True
    )
    counts = (rows[:, :, None] == np.arange(len(ratings.categories))).astype(np.float64)
    rated = (rows != MISSING).any(axis=1)
    fit = fit_counts(
        counts[rated], times[rated], max_iterations=max_iterations, tolerance=tolerance
    )
    posteriors = np.tile(fit.prevalence, (len(rows), 1))
    posteriors[rated] = fit.posteriors
    return DawidSkene(
        posteriors=posteriors[unit_row.reshape(-1)],
        prevalence=fit.prevalence,
        confusions=fit.confusions,
        log_likelihood=fit.log_likelihood,
        iterations=fit.iterations,
        converged=fit.converged,
    )


def fit_counts(
    counts: Float64Array,
    times: NDArray[np.integer],
    *,
    max_iterations: int = 10_000,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """The same from counts, where a rater may have rated a unit more than once.

    Args:
        counts: how often each rater gave each category to a unit; shape (rows, raters, categories).
            Every row has a rating.
        times: how many units have this row; shape (rows,).
        max_iterations: of EM.
        tolerance: EM stops when no posterior moves by more than this.

    Returns:
        The fit; its posteriors are by row.

    Raises:
        ScoreError: there is no row, or a row without a rating.
        ValueError: `max_iterations` or `tolerance` is not positive.
    """
    if max_iterations < 1 or not tolerance > 0.0:
        raise ValueError(f"both must be positive: {max_iterations=}, {tolerance=}")
    votes = counts.sum(axis=1)
    if not len(votes) or not votes.sum(axis=1).all():
        raise ScoreError("Dawid and Skene's model needs ratings: nothing was rated.")
    posteriors = votes / votes.sum(axis=1, keepdims=True)
    converged, iterations, log_likelihood = False, 0, 0.0
    while not converged and iterations < max_iterations:
        prevalence, confusions = _maximise(posteriors, counts, times)
        updated, log_likelihood = _expect(prevalence, confusions, counts=counts, times=times)
        converged = bool(np.abs(updated - posteriors).max() <= tolerance)
        posteriors, iterations = updated, iterations + 1
    rated = confusions.sum(axis=2, keepdims=True) > 0.0
    return DawidSkene(
        posteriors=posteriors,
        prevalence=prevalence,
        confusions=np.where(rated, confusions, np.nan),
        log_likelihood=log_likelihood,
        iterations=iterations,
        converged=converged,
    )


def _maximise(
    posteriors: Float64Array, counts: Float64Array, times: NDArray[np.integer]
) -> tuple[Float64Array, Float64Array]:
    """Equations 2.3 and 2.4 of the paper: rates and shares, given the classes' probabilities."""
    weighted = posteriors * times[:, None]
    joint = np.tensordot(counts, weighted, axes=(0, 0)).swapaxes(1, 2)
    given = joint.sum(axis=2, keepdims=True)
    confusions = np.divide(joint, given, out=np.zeros_like(joint), where=given > 0.0)
    return weighted.sum(axis=0) / times.sum(), confusions


def _expect(
    prevalence: Float64Array,
    confusions: Float64Array,
    *,
    counts: Float64Array,
    times: NDArray[np.integer],
) -> tuple[Float64Array, float]:
    """Equation 2.5: the classes' probabilities, given rates and shares; and the log likelihood."""
    log_rates = np.log(np.maximum(confusions, _TINY))
    by_class = np.tensordot(counts, log_rates, axes=((1, 2), (0, 2)))
    joint = np.log(np.maximum(prevalence, _TINY)) + by_class
    top = joint.max(axis=1, keepdims=True)
    scaled = np.exp(joint - top)
    total = scaled.sum(axis=1, keepdims=True)
    return scaled / total, float(times @ (top + np.log(total))[:, 0])
