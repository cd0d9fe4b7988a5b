"""The server: queries arrive when they like, and wait if the model is busy.

An open loop (MLPerf's server scenario): arrivals are a Poisson process whose times are drawn
beforehand, and a query is timed from the moment it was due. A closed loop asks the next query
only when the last is answered, so a stall delays one query and hides the tail; here it delays all
that were due meanwhile. Queries that wait together share one call, up to a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from cmedteb.results.latency import Rate, Server
from cmedteb.runner.latency.clock import Bench
from cmedteb.runner.latency.percentiles import MILLI, point_ms
from cmedteb.runner.latency.plan import Plan
from cmedteb.types import Float64Array

FEWEST = 20  # below this a 95th percentile is the slowest query


class Served(NamedTuple):
    """Seconds from when each query was due to its answer, and how many calls answered them."""

    seconds: Float64Array
    calls: int


def poisson_arrivals(rate: float, count: int, *, seed: int) -> Float64Array:
    """Seconds at which queries are due, rising: gaps are exponential with mean 1 / rate."""
    gaps = np.random.default_rng(seed).exponential(1.0 / rate, size=count)
    return np.cumsum(gaps)


def serve(bench: Bench, texts: Sequence[str], due: Float64Array, *, batch: int) -> Served:
    """Answer queries in the order they are due, each call with all that wait, up to `batch`.

    Args:
        bench: the model.
        texts: one for each arrival.
        due: seconds from now, rising.
        batch: the most queries of one call.
    """
    bench.synchronise()
    began, calls, answered = bench.clock.now(), 0, 0
    seconds = np.empty(len(due))
    while answered < len(due):
        bench.clock.wait_until(began + float(due[answered]))
        now = bench.clock.now() - began
        waiting = int(np.searchsorted(due, now, side="right"))
        # The clock may stand a rounding error short of the moment it waited for.
        end = min(max(waiting, answered + 1), answered + batch)
        bench.run(texts[answered:end])
        seconds[answered:end] = bench.clock.now() - began - due[answered:end]
        answered, calls = end, calls + 1
    return Served(seconds, calls)


def find_rate(
    bench: Bench, texts: Iterator[str], plan: Plan, *, capacity: float, batch: int, alone: float
) -> Server:
    """Try rising rates until one does not keep the limit, nor when it is tried once more.

    Once more, because a stall of the machine that has nothing to do with the model would end the
    search; both trials are recorded.

    Args:
        bench: the model.
        texts: queries without end.
        plan: limit, rates, and how long each is tried.
        capacity: queries a second of the best batch, of which the rates are parts.
        batch: the most queries of one call.
        alone: median seconds of a lone call; where that exceeds the limit no rate can keep it.
    """
    rates: list[Rate] = []
    highest = 0.0
    for load in plan.loads if alone <= plan.limit else ():
        for trial in range(plan.trials):
            found = _try_rate(bench, texts, plan, rate=load * capacity, batch=batch, trial=trial)
            rates.append(found)
            if found.p95_ms <= MILLI * plan.limit:
                highest = found.queries_per_second
                break
        else:
            break
    return Server(limit_ms=MILLI * plan.limit, batch=batch, queries_per_second=highest, rates=rates)


def _try_rate(
    bench: Bench, texts: Iterator[str], plan: Plan, *, rate: float, batch: int, trial: int
) -> Rate:
    due = poisson_arrivals(rate, _requests(rate, plan), seed=plan.seed + trial)
    served = serve(bench, list(islice(texts, len(due))), due, batch=batch)
    return Rate(
        queries_per_second=rate,
        requests=len(due),
        calls=served.calls,
        p50_ms=point_ms(served.seconds, 50),
        p95_ms=point_ms(served.seconds, 95),
        longest_ms=float(MILLI * served.seconds.max()),
    )


def _requests(rate: float, plan: Plan) -> int:
    fewest, most = plan.requests
    wanted = min(max(int(rate * plan.rate_seconds), fewest), most)
    return max(FEWEST, min(wanted, int(3 * rate * plan.rate_seconds)))
