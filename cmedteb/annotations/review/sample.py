"""Draws the pairs that people see, and the order in which each person sees them. Always seeded.

A pair's place in its stratum follows from the seed and its id alone, so a larger sample with the
same seed holds the smaller one, and a second export does not ask for other pairs by accident.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cmedteb.annotations.review.strata import population
from cmedteb.errors import UsageError

FEWEST = 2  # of a stratum: one pair of several shows no variance
EARLY, LATE = 0.4, 0.5  # a repeat's first sight stands before, its second after


class Sight(NamedTuple):
    """One pair in front of one reviewer: `repeat` is 1 for the hidden second time."""

    pair_id: str
    repeat: int


def draw(strata: Mapping[str, str], *, size: int, seed: int) -> dict[str, str]:
    """A stratified sample: pair id -> stratum.

    Args:
        strata: of every pair of the pool.
        size: how many pairs; all of them where there are fewer.
        seed: of the order within each stratum.

    Raises:
        UsageError: so few that a stratum would have fewer than two.
    """
    sizes = population(strata)
    taken = allocate(sizes, size)
    return {
        pair: name
        for name, count in taken.items()
        for pair in in_order([p for p, s in strata.items() if s == name], seed)[:count]
    }


def allocate(sizes: Mapping[str, int], size: int) -> dict[str, int]:
    """The same number from every stratum, and what a small one cannot give from the others.

    Raises:
        UsageError: so few that a stratum would have fewer than two.
    """
    needed = sum(min(FEWEST, count) for count in sizes.values())
    if size < needed:
        raise UsageError(
            f"--pairs {size} is too few for {len(sizes)} strata ({', '.join(sorted(sizes))}): "
            f"each needs {FEWEST} to be weighted back. Take --pairs {needed} or more."
        )
    taken, left = {}, size
    by_size = sorted(sizes.items(), key=lambda item: (item[1], item[0]))
    for place, (name, count) in enumerate(by_size):
        taken[name] = min(count, left // (len(by_size) - place))
        left -= taken[name]
    return dict(sorted(taken.items()))


def in_order(pairs: Collection[str], seed: int) -> list[str]:
    """Pairs in the order that the seed gives them, whatever others there are."""
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}\0{pair}".encode()).digest())


def assign(
    sample: Mapping[str, str], reviewers: Sequence[str], *, overlap: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """Who sees which pairs: a share of each stratum all of them, the rest one each.

    Args:
        sample: pair id -> stratum.
        reviewers: their names.
        overlap: the share that every reviewer sees, rounded up in each stratum.
        seed: of the order within each stratum.
    """
    seen: dict[str, list[str]] = {name: [] for name in reviewers}
    turn = 0
    for stratum in sorted(set(sample.values())):
        pairs = in_order([pair for pair, name in sample.items() if name == stratum], seed)
        shared = math.ceil(overlap * len(pairs))
        for place, pair in enumerate(pairs):
            if place < shared:
                for name in reviewers:
                    seen[name].append(pair)
            else:
                seen[reviewers[turn % len(reviewers)]].append(pair)
                turn += 1
    return {name: tuple(pairs) for name, pairs in seen.items()}


def sequence(
    pairs: Collection[str], reviewer: str, *, repeats: float, seed: int
) -> tuple[Sight, ...]:
    """Pairs shuffled for one reviewer, with hidden repeats among them.

    A repeat comes long after its first sight: first sights stand in the first two fifths of the
    pairs, second ones in the other half.

    Args:
        pairs: what the reviewer sees.
        reviewer: whose order it is.
        repeats: the share that is shown twice, rounded up; at most 0.4. A single pair has none.
        seed: of the order.
    """
    own = int.from_bytes(hashlib.sha256(reviewer.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, own])
    count = len(pairs)
    ordered = in_order(pairs, seed)
    shuffled = [ordered[place] for place in rng.permutation(count)]
    early = int(EARLY * count)
    twice = rng.permutation(early)[: math.ceil(repeats * count)]
    gaps = np.sort(rng.integers(int(LATE * count) + 1, count + 1, size=len(twice)))
    sights = [Sight(pair, 0) for pair in shuffled]
    for place, gap in reversed(list(zip(twice, gaps, strict=True))):
        sights.insert(int(gap), Sight(shuffled[place], 1))
    return tuple(sights)
