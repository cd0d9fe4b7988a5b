"""Sentence pairs (run: `pytest tests/data/test_sentences.py`).

Degenerate inputs: scores written as strings, repeated sentences, a limit inside constant gold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Load = Callable[..., Any]
ROWS = [
    {"sentence1": " a", "sentence2": "b ", "score": 0},
    {"sentence1": "b ", "sentence2": " a", "score": "0", "split": "test"},
    {"sentence1": " a", "sentence2": "c", "score": 2.5},
]


def test_sentences_stay_as_they_are(make: Load, sts: Load) -> None:
    pairs = sts(make({"pairs.jsonl": ROWS}, bare=True)).pairs
    assert pairs.ids.to_pylist() == ["p00000", "p00001", "p00002"]
    assert (list(pairs.left), list(pairs.right)) == ([" a", "b ", " a"], ["b ", " a", "c"])
    assert pairs.scores.tolist() == [0.0, 0.0, 2.5]
    assert (pairs.scores.dtype, pairs.left.distinct) == ("float64", 2)


def test_a_limit_keeps_the_first_pairs_and_variance_is_judged_on_all(make: Load, sts: Load) -> None:
    pairs = sts(make({"pairs.jsonl": ROWS}, bare=True), limit=2).pairs
    assert (len(pairs), len(pairs.left), len(pairs.right), len(pairs.ids)) == (2, 2, 2, 2)


def test_an_official_set_may_have_empty_sentences(make: Load, sts: Load) -> None:
    rows = [*ROWS, {"sentence1": None, "sentence2": "d", "score": 1}]
    data = sts(make({"pairs.jsonl": rows}, bare=True), lenient=True)
    assert data.pairs.left[3] == ""
    assert data.provenance.warnings == {"empty_sentences": 1}
