"""From pairs of texts to scores, checked on the way.

Run: pytest tests/encoding/test_pairs.py -q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders import strings, text_column

from cmedteb.encoding import score_distinct
from cmedteb.errors import ScoreError, UsageError
from cmedteb.types import Float32Array, TextColumn

LEFT = ["bb", "a", "bb", "", "a", "bb"]
RIGHT = ["x", "yyyy", "x", "zz", "yyyy", "yyyy"]
DISTINCT = {("bb", "x"), ("a", "yyyy"), ("", "zz"), ("bb", "yyyy")}


def weigh(left: Sequence[str], right: Sequence[str]) -> Float32Array:
    """A score that tells each pair, and its sides, apart."""
    both = zip(left, right, strict=True)
    return np.asarray(
        [3 * sum(map(ord, a)) - 2 * sum(map(ord, b)) + len(a) / 7 for a, b in both],
        dtype=np.float32,
    )


def score(
    scorer: Callable[[Sequence[str], Sequence[str]], Any],
    left: Sequence[str] = LEFT,
    right: Sequence[str] = RIGHT,
    **options: Any,
) -> Float32Array:
    one, two = text_column(left), text_column(right)
    given = {"budget": 6, **options}
    return score_distinct(scorer, one, one.index, two, two.index, **given)


@pytest.mark.parametrize("budget", [1, 6, 1000])
def test_each_pair_gets_its_own_score(budget: int) -> None:
    scores = score(weigh, budget=budget)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, weigh(LEFT, RIGHT))
    assert len(set(scores.tolist())) == len(DISTINCT)


def test_each_distinct_pair_is_scored_once() -> None:
    seen: list[tuple[str, str]] = []

    def watch(left: Sequence[str], right: Sequence[str]) -> Float32Array:
        seen.extend(zip(left, right, strict=True))
        return weigh(left, right)

    score(watch)
    assert len(seen) == len(DISTINCT)
    assert set(seen) == DISTINCT


def test_the_longest_pairs_come_first_and_batches_hold_the_budget() -> None:
    told: list[list[int]] = []

    def watch(left: Sequence[str], right: Sequence[str]) -> Float32Array:
        told.append([len(a) + len(b) for a, b in zip(left, right, strict=True)])
        return weigh(left, right)

    score(watch, budget=6)
    assert told == [[6], [5], [3, 2]]


def test_a_pair_counts_for_no_more_than_the_model_reads() -> None:
    sizes: list[int] = []

    def watch(left: Sequence[str], right: Sequence[str]) -> Float32Array:
        sizes.append(len(left))
        return weigh(left, right)

    score(watch, ["a" * 50, "b" * 40, "c"], ["x", "y", "z"], budget=6, cap=3)
    assert sizes == [2, 1]


def test_progress_counts_every_pair_that_was_asked_for() -> None:
    told: list[int] = []
    score(weigh, on_batch=told.append)
    assert sum(told) == len(LEFT)
    assert told == [1, 2, 3]


def test_rows_are_positions_of_distinct_texts_in_any_order_and_number() -> None:
    one, two = text_column(["a", "a", "bb"]), text_column(["x", "yy", "x"])
    left_rows = np.asarray([1, 1, 0], dtype=np.int32)
    right_rows = np.asarray([1, 0, 1], dtype=np.int32)
    scores = score_distinct(weigh, one, left_rows, two, right_rows, budget=10)
    np.testing.assert_array_equal(scores, weigh(["bb", "bb", "a"], ["yy", "x", "yy"]))


def test_texts_in_several_chunks() -> None:
    values = pa.chunked_array(strings(["a", "bb"]).chunks + strings(["ccc"]).chunks)
    column = TextColumn(values, np.asarray([2, 0, 1], dtype=np.int32))
    scores = score_distinct(weigh, column, column.index, column, column.index[::-1], budget=4)
    np.testing.assert_array_equal(scores, weigh(["ccc", "a", "bb"], ["bb", "a", "ccc"]))


def test_no_pairs_no_scores() -> None:
    assert score(weigh, [], []).shape == (0,)


@pytest.mark.parametrize(
    "broken",
    [
        lambda left, right: weigh(left, right)[:-1],
        lambda left, right: weigh([*left, "more"], [*right, "more"]),
        lambda left, right: weigh(left, right)[:, None],
        lambda *_: np.float32(1),
    ],
    ids=["a score too few", "a score too many", "two dimensions", "a number"],
)
def test_a_wrong_shape_is_refused(broken: Callable[..., Any]) -> None:
    with pytest.raises(ScoreError, match=r"array of shape .*Each pair needs one score"):
        score(broken)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_refused_with_its_pair(bad: float) -> None:
    def broken(left: Sequence[str], right: Sequence[str]) -> Float32Array:
        scores = weigh(left, right)
        scores[[text == "zz" for text in right]] = bad
        return scores

    with pytest.raises(ScoreError, match=r"the score of '' with 'zz' is (nan|inf|-inf), no finite"):
        score(broken)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_score_beyond_float32_is_refused() -> None:
    with pytest.raises(ScoreError, match="no finite number"):
        score(lambda left, _: np.full(len(left), 1e300))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one token"):
        score(weigh, budget=0)
