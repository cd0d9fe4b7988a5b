"""Ratings to test agreement with: from count tables, at random, and with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cmedteb.metrics.ratings import Ratings


def names(count: int) -> list[str]:
    return [f"rater {i}" for i in range(count)]


def plain(grades: Any, categories: Sequence[int], groups: Any = None) -> Ratings:
    """Ratings whose raters have no names of interest, each unit in a group of its own."""
    table = np.asarray(grades)
    groups = np.arange(len(table)) if groups is None else groups
    return Ratings.of(table, categories=categories, raters=names(table.shape[1]), groups=groups)


def from_counts(counts: Any) -> Ratings:
    """Units x categories -> units x raters; who gave which grade is made up."""
    counts = np.asarray(counts)
    raters = int(counts.sum(axis=1).max())
    rows = [np.repeat(np.arange(len(row)), row).tolist() for row in counts]
    padded = [row + [-1] * (raters - len(row)) for row in rows]
    return plain(padded, range(counts.shape[1]))


def from_confusion(confusion: Any) -> Ratings:
    """The units of a table of two raters."""
    confusion = np.asarray(confusion)
    pairs = np.argwhere(np.ones_like(confusion))
    return plain(np.repeat(pairs, confusion.ravel(), axis=0), range(len(confusion)))


def random_grades(
    seed: int, *, units: int = 60, raters: int = 3, k: int = 5, missing: float = 0.0
) -> Any:
    """Grades 0 to k - 1 that agree more than by chance, some missing (-1)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, size=(units, 1))
    noise = rng.integers(0, k, size=(units, raters))
    grades = np.where(rng.random((units, raters)) < 0.6, truth, noise)
    return np.where(rng.random((units, raters)) < missing, -1, grades)
