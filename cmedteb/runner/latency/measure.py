"""The protocol: what is measured of one model with the queries of one task, and in which order.

Warm up (the first call apart), single stream with the model as both arms of a control, offline
throughput, then random arrivals at rates that the throughput suggests. Encodes queries only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from cmedteb.errors import DataError
from cmedteb.results.latency import (
    Batch,
    Control,
    Offline,
    QueryTexts,
    Server,
    SingleStream,
    WarmUp,
)
from cmedteb.runner.latency.arrivals import find_rate
from cmedteb.runner.latency.clock import Answer, Bench, Clock, SystemClock, nothing
from cmedteb.runner.latency.percentiles import LEVEL, difference, percentile_ms, point_ms
from cmedteb.runner.latency.plan import FULL, Plan
from cmedteb.runner.latency.stream import Turns, shuffled, take_turns, try_batches, warm_up

P99_CALLS = 1_000


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        answer: one call of the model for these queries.
        texts: the different queries of the task.
        prompt: what the model puts before each; None where it does not say.
        tokens: how many tokens the model has read so far; None where it does not count.
        synchronise: waits for all work that was given to a device.
    """

    answer: Answer
    texts: Sequence[str]
    prompt: str | None = None
    tokens: Callable[[], int] | None = None
    synchronise: Callable[[], None] = nothing


class Measured(NamedTuple):
    """What was found."""

    queries: QueryTexts
    warm_up: WarmUp
    single_stream: SingleStream
    control: Control
    server: Server
    offline: Offline


def measure_latency(
    asked: Asked,
    plan: Plan = FULL,
    *,
    clock: Clock | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Measure what a query costs.

    Args:
        asked: the model and its queries.
        plan: how long and how often.
        clock: where the time comes from.
        tell: told of each part before it begins; nothing is said while the clock runs.

    Raises:
        DataError: there are no queries.
    """
    if not asked.texts:
        raise DataError("there are no queries to measure with")
    bench = Bench(asked.answer, clock or SystemClock(), asked.synchronise)
    texts = shuffled(asked.texts, seed=plan.seed)
    tell("warming up")
    warm = warm_up(bench, texts, plan)
    tell("one query at a time")
    counted = _Counted(asked)
    arm = replace(bench, answer=counted.answer)
    turns = take_turns((arm, arm), texts, plan)
    both = [*turns.arms[0], *turns.arms[1]]
    tell("all queries at once")
    sizes = try_batches(bench, texts, plan)
    tell("random arrivals")
    served = _fastest([one for one in sizes if _call(one) <= plan.limit] or sizes[:1])
    best = _fastest(sizes)
    return Measured(
        queries=_texts(asked, turns.asked, counted.seen),
        warm_up=warm,
        single_stream=_single(both, turns.seconds, plan),
        control=control_of(turns, plan),
        server=find_rate(
            bench,
            texts,
            plan,
            capacity=served.queries_per_second,
            batch=served.size,
            alone=median(both),
        ),
        offline=Offline(batch=best.size, queries_per_second=best.queries_per_second, sizes=sizes),
    )


def control_of(turns: Turns, plan: Plan) -> Control:
    """The first two arms of the turns, which are to be the same model, side by side."""
    first, second = turns.arms[:2]
    found = difference(first, second)
    return Control(
        first_p50_ms=point_ms(first, 50),
        second_p50_ms=point_ms(second, 50),
        difference=found,
        flagged=abs(found) > plan.alike,
    )


class _Counted:
    """The model's call, noting how many tokens it read."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.seen: list[int] = []

    def answer(self, texts: Sequence[str]) -> object:
        tokens = self._asked.tokens
        if tokens is None:
            return self._asked.answer(texts)
        before = tokens()
        found = self._asked.answer(texts)
        self.seen.append(tokens() - before)
        return found


def _texts(asked: Asked, texts: Sequence[str], tokens: Sequence[int]) -> QueryTexts:
    lengths = [len(text) for text in texts]
    return QueryTexts(
        distinct=len(asked.texts),
        asked=len(set(texts)),
        prompt=asked.prompt,
        characters=(median(lengths), max(lengths)),
        tokens=(median(tokens), max(tokens)) if any(tokens) else None,
    )


def _single(taken: Sequence[float], seconds: float, plan: Plan) -> SingleStream:
    return SingleStream(
        calls=len(taken),
        seconds=seconds,
        p50_ms=percentile_ms(taken, 50, seed=plan.seed),
        p95_ms=percentile_ms(taken, 95, seed=plan.seed),
        p99_ms=percentile_ms(taken, 99, seed=plan.seed) if len(taken) >= P99_CALLS else None,
        level=LEVEL,
    )


def _call(batch: Batch) -> float:
    """Seconds of one call of this size."""
    return batch.size / batch.queries_per_second


def _fastest(sizes: Sequence[Batch]) -> Batch:
    return max(sizes, key=lambda one: one.queries_per_second)
