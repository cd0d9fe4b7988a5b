"""Intervals, ranks and groups. Run: pytest tests/leaderboard/test_places.py -q.

Held against the metrics room, which compares two systems at a time, and against rules that must
hold for any board. Degenerate inputs: one model, one query, equal models, no query.
"""

from __future__ import annotations

import numpy as np
import pytest

from cmedteb.errors import ScoreError
from cmedteb.leaderboard.compare import Column, compare, outcomes
from cmedteb.leaderboard.hardest import hardest
from cmedteb.leaderboard.places import Places, Span, borda, groups, place_all, ranks
from cmedteb.leaderboard.resample import (
    Samples,
    compare_all,
    interval,
    mean_of,
    resampled_correlations,
    resampled_means,
)
from cmedteb.metrics import bootstrap_mean, bootstrap_pearson, paired_difference
from cmedteb.types import Float64Array


def values_of(models: int, queries: int, *, seed: int = 0, spread: float = 0.03) -> Float64Array:
    """Correlated scores whose means rise by `spread`."""
    rng = np.random.default_rng(seed)
    shared = rng.uniform(0.1, 0.9, size=queries)
    own = rng.normal(0, 0.15, size=(models, queries))
    return np.clip(shared + own + spread * np.arange(models)[:, None], 0.0, 1.0)


def test_intervals_are_those_of_each_model_alone() -> None:
    values = values_of(4, 300)
    low, high = interval(resampled_means("a task", values))
    for row, one in enumerate(values):
        alone = bootstrap_mean(one, seed=1)
        assert low[row] == pytest.approx(alone.low, abs=2e-3)
        assert high[row] == pytest.approx(alone.high, abs=2e-3)


def test_intervals_of_correlations_are_those_of_each_model_alone() -> None:
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 6, size=400).astype(float)
    similarity = np.stack([gold + rng.normal(0, noise, 400) for noise in (1.0, 4.0)])
    samples = resampled_correlations("pairs", similarity, gold)
    assert samples.score == pytest.approx([np.corrcoef(one, gold)[0, 1] for one in similarity])
    low, high = interval(samples)
    for row, one in enumerate(similarity):
        alone = bootstrap_pearson(one, gold, seed=1)
        assert (low[row], high[row]) == pytest.approx((alone.low, alone.high), abs=4e-3)


def test_p_values_are_near_those_of_the_randomisation_test() -> None:
    values = values_of(5, 250, spread=0.012)
    pairs = compare_all(resampled_means("a task", values))
    for row in range(5):
        for other in range(row):
            test = paired_difference(values[row], values[other], seed=0)
            assert pairs.difference[row, other] == pytest.approx(test.difference)
            assert pairs.p[row, other] == pytest.approx(test.p_permutation, abs=0.02)


def test_a_hundred_models_can_differ_after_holm() -> None:
    places = place_all(resampled_means("a task", values_of(100, 400, spread=0.004)))
    assert places.pairs.adjusted.min() < 1e-6
    assert places.rank_low[0] > 10
    assert places.rank_high[-1] < 90


def test_p_is_never_below_what_a_randomisation_test_could_give() -> None:
    values = np.vstack([np.zeros(6), np.ones(6)])
    assert compare_all(resampled_means("six", values)).p[0, 1] == pytest.approx(2.0**-5)


def test_the_same_draws_whatever_else_is_there() -> None:
    values = values_of(6, 120)
    whole, part = resampled_means("a task", values), resampled_means("a task", values[:2])
    assert whole.of(np.asarray([0, 1])).samples == pytest.approx(part.samples, abs=1e-12)
    other = resampled_means("another task", values[:2])
    assert not np.allclose(other.samples, part.samples)


def test_equal_models_cannot_be_told_apart() -> None:
    values = np.vstack([values_of(1, 50)] * 3)
    places = place_all(resampled_means("a task", values))
    assert places.rank == [1, 1, 1]
    assert places.rank_low == [1, 1, 1]
    assert places.rank_high == [3, 3, 3]
    assert places.groups == [Span(0, 0)] * 3
    assert (places.pairs.p == 1.0).all()


def test_one_model_and_one_query() -> None:
    alone = place_all(resampled_means("a task", values_of(1, 30)))
    assert alone.entry(0)["rank_high"] == 1
    single = place_all(resampled_means("a task", np.asarray([[0.2], [0.9]])))
    assert single.entry(0)["low"] is None
    assert single.groups[0] == single.groups[1]


def test_nothing_to_resample() -> None:
    with pytest.raises(ScoreError, match="nothing to resample"):
        resampled_means("a task", np.zeros((2, 0)))
    with pytest.raises(ScoreError, match="does not vary"):
        resampled_correlations("pairs", np.ones((1, 4)), np.arange(4.0))


@pytest.mark.parametrize("seed", range(5))
def test_rank_intervals_and_groups_say_the_same(seed: int) -> None:
    places = place_all(resampled_means("a task", values_of(12, 150, seed=seed, spread=0.01)))
    differs = places.pairs.adjusted < 0.05
    for row in range(12):
        assert places.rank_low[row] <= places.rank[row] <= places.rank_high[row]
        better = differs[row] & (places.pairs.difference[row] < 0)
        assert places.rank_low[row] == 1 + better.sum()
        for other in range(12):
            low = max(places.groups[row].low, places.groups[other].low)
            high = min(places.groups[row].high, places.groups[other].high)
            assert not (low <= high and differs[row, other]), "in one group, yet they differ"


def test_groups_of_a_chain() -> None:
    """Neighbours cannot be told apart, the ends can."""
    differs = np.zeros((3, 3), dtype=bool)
    differs[0, 2] = differs[2, 0] = True
    assert groups(np.asarray([0.1, 0.2, 0.3]), differs) == [Span(1, 1), Span(0, 1), Span(0, 0)]
    apart = ~np.eye(3, dtype=bool)
    assert groups(np.asarray([0.3, 0.1, 0.2]), apart) == [Span(0, 0), Span(2, 2), Span(1, 1)]


def test_ranks_share_and_skip() -> None:
    assert ranks(np.asarray([0.5, 0.7, 0.5, 0.1, 0.7000000001])) == [3, 1, 3, 5, 1]


def test_borda_counts_models_beaten() -> None:
    scores = np.asarray([[0.9, 0.5, 0.5], [0.1, 0.3, 0.2]])
    assert borda(scores).tolist() == [2.0, 2.5, 1.5]


def test_the_mean_of_tasks_has_independent_draws() -> None:
    values = values_of(2, 200)
    parts = [resampled_means(name, values) for name in ("a", "b")]
    mean = mean_of(parts)
    assert mean.score == pytest.approx(values.mean(axis=1))
    assert mean.samples.std(axis=0) == pytest.approx(
        parts[0].samples.std(axis=0) / np.sqrt(2), rel=0.05
    )


def place_rows(values: Float64Array) -> Places:
    return place_all(resampled_means("a task", values))


def test_comparisons_stand_once_and_agree_with_the_places() -> None:
    values = values_of(3, 80)
    column = Column("T", ["a", "b", "d"], place_rows(values), outcomes(values))
    found = compare(["a", "b", "c", "d"], [column])
    assert [one.model for one in found] == ["a", "b", "c", "d"]
    assert list(found[0].against) == ["b", "c", "d"]
    assert found[0].against["c"] == (None,)
    one = found[0].against["d"][0]
    assert one is not None
    assert one.difference == pytest.approx(values[0].mean() - values[2].mean(), abs=1e-5)
    assert one.low < one.difference < one.high
    assert one.wins == (values[0] > values[2]).sum()
    assert one.wins + one.ties + one.losses == 80
    assert 0.0 < one.p <= one.holm
    assert (one.low > 0 or one.high < 0) == (one.p < 0.05)


def test_the_hardest_queries_come_first() -> None:
    values = np.asarray([[0.0, 1.0, 0.2], [0.2, 1.0, 0.0]])
    shown = hardest(["q2", "q3", "q1"], values, np.zeros(0))
    assert [(one.id, one.mean, one.best) for one in shown] == [
        ("q1", 0.1, 0.2),
        ("q2", 0.1, 0.2),
        ("q3", 1.0, 1.0),
    ]
    assert hardest(["q1"], values[:1, :1], np.zeros(0)) == ()


def test_a_hard_pair_is_far_from_its_gold_score() -> None:
    gold = np.asarray([0.0, 1.0, 2.0, 3.0])
    similarity = np.asarray([[0.0, 1.0, 2.0, 0.0], [0.1, 1.0, 2.2, 0.3]])
    shown = hardest(["a", "b", "c", "d"], similarity, gold)
    assert shown[0].id == "d"
    assert shown[0].mean > shown[0].best > 0


def test_samples_keep_their_units() -> None:
    samples = Samples(np.zeros(3), np.zeros((5, 3)), 7)
    assert samples.of(np.asarray([2])).units == 7
