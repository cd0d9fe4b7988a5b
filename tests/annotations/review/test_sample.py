"""The sample for experts: strata, nesting, overlap, repeats, seeds."""

from __future__ import annotations

import pytest

from cmedteb.annotations.review.sample import allocate, assign, draw, sequence
from cmedteb.annotations.review.strata import population
from cmedteb.errors import UsageError

SIZES = {"all-positive": 300, "most-positive": 40, "missing": 5, "none-positive": 5000, "one": 1}
STRATA = {f"{name}-{n}": name for name, size in SIZES.items() for n in range(size)}


def test_strata_give_alike_and_small_ones_all_they_have() -> None:
    taken = allocate(SIZES, 200)
    assert sum(taken.values()) == 200
    assert (taken["one"], taken["missing"], taken["most-positive"]) == (1, 5, 40)
    assert taken["all-positive"] == taken["none-positive"] == 77


def test_a_sample_larger_than_the_pool_is_the_pool() -> None:
    assert allocate(SIZES, 10_000) == dict(sorted(SIZES.items()))


def test_too_small_a_sample_says_how_many_are_needed() -> None:
    with pytest.raises(UsageError, match=r"--pairs 8 is too few .* --pairs 9 or more"):
        allocate(SIZES, 8)
    assert sum(allocate(SIZES, 9).values()) == 9


def test_a_sample_has_its_strata_and_its_size() -> None:
    sample = draw(STRATA, size=200, seed=3)
    assert population(sample) == allocate(SIZES, 200)
    assert all(STRATA[pair] == name for pair, name in sample.items())
    assert sample == draw(dict(reversed(STRATA.items())), size=200, seed=3)
    assert sample != draw(STRATA, size=200, seed=4)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    small, large = (draw(STRATA, size=size, seed=3) for size in (100, 400))
    assert small.items() <= large.items()


def test_reviewers_share_a_part_of_each_stratum_and_divide_the_rest() -> None:
    sample = draw(STRATA, size=200, seed=3)
    seen = assign(sample, ("a", "b", "c"), overlap=0.2, seed=3)
    assert set().union(*seen.values()) == set(sample)
    everyone = set(seen["a"]) & set(seen["b"]) & set(seen["c"])
    for name, size in population(sample).items():
        shared = sum(sample[pair] == name for pair in everyone)
        assert 0.2 * size <= shared < 0.2 * size + 1
    alone = [set(pairs) - everyone for pairs in seen.values()]
    assert sum(map(len, alone)) == len(set().union(*alone))
    assert max(map(len, alone)) - min(map(len, alone)) <= 1


def test_one_reviewer_sees_everything_once() -> None:
    sample = draw(STRATA, size=50, seed=3)
    (pairs,) = assign(sample, ("a",), overlap=0.2, seed=3).values()
    assert sorted(pairs) == sorted(sample)


@pytest.mark.parametrize("count", [3, 10, 11, 200])
def test_repeats_come_long_after_the_first_sight(count: int) -> None:
    pairs = [f"p{n}" for n in range(count)]
    for seed in range(20):
        sights = sequence(pairs, "li", repeats=0.1, seed=seed)
        assert len(sights) == count + -(-count // 10)
        firsts = {sight.pair_id: place for place, sight in enumerate(sights) if not sight.repeat}
        assert set(firsts) == set(pairs)
        for place, sight in enumerate(sights):
            if sight.repeat:
                assert place - firsts[sight.pair_id] > 0.1 * count


def test_each_reviewer_has_an_order_of_their_own_and_always_the_same() -> None:
    pairs = [f"p{n}" for n in range(50)]
    first, again = (sequence(p, "li", repeats=0.1, seed=1) for p in (pairs, pairs[::-1]))
    other = sequence(pairs, "wang", repeats=0.1, seed=1)
    assert first == again
    assert [s.pair_id for s in first] != [s.pair_id for s in other]
    assert {s.pair_id for s in first if s.repeat} != {s.pair_id for s in other if s.repeat}


def test_a_single_pair_has_no_repeat() -> None:
    assert [sight.repeat for sight in sequence(["p"], "li", repeats=0.4, seed=1)] == [0]
