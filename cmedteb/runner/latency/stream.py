"""One query at a time: warming up, several arms in turns, and as many at once as pay off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from cmedteb.results.latency import Batch, WarmUp
from cmedteb.runner.latency.clock import Bench
from cmedteb.runner.latency.percentiles import MILLI, have_settled
from cmedteb.runner.latency.plan import Plan


class Turns(NamedTuple):
    """Seconds of every call of each arm, the queries asked, and how long all of it took."""

    arms: list[list[float]]
    asked: list[str]
    seconds: float


def shuffled(texts: Sequence[str], *, seed: int) -> Iterator[str]:
    """Texts without end: all of them in a random order, then all in another."""
    rng = np.random.default_rng(seed)
    while True:
        for row in rng.permutation(len(texts)):
            yield texts[row]


def warm_up(bench: Bench, texts: Iterator[str], plan: Plan) -> WarmUp:
    """Call until the medians of two windows in a row are close, or the cap is reached."""
    began = bench.clock.now()
    first = bench.seconds([next(texts)])
    taken: list[float] = []
    settled = False
    while not settled and len(taken) < plan.warm_cap:
        taken += [bench.seconds([next(texts)]) for _ in range(plan.window)]
        enough = len(taken) >= plan.warm_calls
        settled = enough and have_settled(taken, window=plan.window, within=plan.settled)
        if enough and bench.clock.now() - began > plan.warm_seconds:
            break
    return WarmUp(first_call_ms=MILLI * first, calls=len(taken), settled=settled)


def take_turns(benches: Sequence[Bench], texts: Iterator[str], plan: Plan) -> Turns:
    """Time arms in turns, block by block, each block's queries being asked of every arm.

    The order is reversed from round to round (A B, B A, ...), so that a machine that slows down
    slows all arms alike. It ends when `plan.calls` were made over all arms or `plan.seconds` are
    over, at the end of a round.
    """
    clock = benches[0].clock
    began = clock.now()
    arms: list[list[float]] = [[] for _ in benches]
    asked: list[str] = []
    order = list(range(len(benches)))
    while sum(map(len, arms)) < plan.calls:
        block = list(islice(texts, plan.block))
        for arm in order:
            arms[arm] += [benches[arm].seconds([text]) for text in block]
        asked += block
        order.reverse()
        if clock.now() - began > plan.seconds:
            break
    return Turns(arms, asked, clock.now() - began)


def try_batches(bench: Bench, texts: Iterator[str], plan: Plan) -> list[Batch]:
    """Queries a second at each batch size, all queries being there at once.

    Queries of like length share a batch, as `run` puts them together; batches take turns in a
    random order, so that a trial that is cut short has seen short and long ones.
    """
    found = []
    for size in plan.batch_sizes:
        batches = _batches(texts, size, plan)
        bench.seconds(next(batches))  # the first call of a new shape is no other's
        spent, calls = 0.0, 0
        while calls < 2 or spent < plan.batch_seconds:
            spent += bench.seconds(next(batches))
            calls += 1
        found.append(
            Batch(size=size, queries=calls * size, queries_per_second=calls * size / spent)
        )
    return found


def _batches(texts: Iterator[str], size: int, plan: Plan) -> Iterator[list[str]]:
    """Batches without end."""
    rng = np.random.default_rng(plan.seed)
    count = max(2, plan.pool // size)
    while True:
        pool = sorted(islice(texts, count * size), key=len)
        for place in rng.permutation(count):
            yield pool[place * size : (place + 1) * size]
