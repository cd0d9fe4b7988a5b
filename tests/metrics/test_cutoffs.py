"""Measures from ranks and grades. Run: pytest tests/metrics/test_cutoffs.py -q."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmedteb.metrics.cutoffs import MEASURES, Found, Relevant, at_cutoffs, place_in_run


def test_place_in_run() -> None:
    assert place_in_run(np.array([5, 5, 7, 7, 7, 9])).tolist() == [0, 1, 0, 1, 2, 0]
    assert place_in_run(np.empty(0, dtype=np.int64)).tolist() == []


def test_values_by_hand() -> None:
    """Query 0: grades 1 and 3 at ranks 2 and 3 of three relevant; query 1: nothing found."""
    relevant = Relevant(np.array([1, 0, 0, 0]), np.array([2, 1, 3, 1]))
    found = Found(np.array([0, 0]), np.array([2, 3]), np.array([1, 3]))
    values = at_cutoffs(found, relevant, queries=3, cutoffs=[2, 10])
    assert list(values) == [f"{name}_at_{k}" for name in MEASURES for k in (2, 10)]
    first = {key: column[0] for key, column in values.items()}
    ideal = 3 + 1 / math.log2(3)
    assert first["ndcg_at_2"] == pytest.approx(1 / math.log2(3) / ideal, abs=1e-15)
    assert first["ndcg_at_10"] == pytest.approx((1 / math.log2(3) + 1.5) / (ideal + 0.5), abs=1e-15)
    assert first["map_at_2"] == pytest.approx(1 / 2 / 3)
    assert first["map_at_10"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert (first["recall_at_2"], first["recall_at_10"]) == (1 / 3, 2 / 3)
    assert (first["precision_at_2"], first["precision_at_10"]) == (1 / 2, 2 / 10)
    assert (first["hit_rate_at_2"], first["mrr_at_2"], first["mrr_at_10"]) == (1.0, 0.5, 0.5)
    for column in values.values():
        assert column.shape == (3,)
        assert column[1:].tolist() == [0.0, 0.0]
