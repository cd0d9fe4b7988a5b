"""How long and how often: every constant of the protocol, the shorter ones of a quick look too.

After MLPerf Inference (Reddi et al., 2020): single stream, server and offline. Numbers of a quick
look are recorded as such and are never mixed with those of the whole protocol.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The constants of one measurement; times in seconds.

    Attributes:
        quick: recorded; a quick look has a key of its own.
        seed: of the order of queries, of the arrivals and of the intervals.
        window: calls of a window of the warm-up.
        warm_calls: the warm-up has at least so many calls.
        warm_cap: and at most so many,
        warm_seconds: or ends after so long.
        settled: it ends when the medians of two windows in a row differ by less than this part.
        calls: single stream: so many calls,
        seconds: or so long, whichever comes first.
        block: calls of one arm before the other's turn.
        alike: the two arms of one model may differ by this part at the median.
        limit: what the 95th percentile under random arrivals has to keep.
        loads: the rates tried, as parts of the best throughput, rising.
        trials: a rate fails when so many trials of it fail.
        rate_seconds: how long queries arrive at one rate,
        requests: but at least and at most so many (and at most three times as long).
        batch_sizes: tried for the throughput, rising.
        batch_seconds: how long each is tried; at least two calls.
        pool: so many queries (at least two batches of them) are sorted by length into batches.
        searches: calls of the index search.
        search_seconds: or so long, whichever comes first.
        depth: how many documents the index search returns.
    """

    quick: bool = False
    seed: int = 0
    window: int = 10
    warm_calls: int = 20
    warm_cap: int = 500
    warm_seconds: float = 30.0
    settled: float = 0.05
    calls: int = 1_000
    seconds: float = 60.0
    block: int = 10
    alike: float = 0.05
    limit: float = 0.050
    loads: tuple[float, ...] = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9)
    trials: int = 2
    rate_seconds: float = 10.0
    requests: tuple[int, int] = (200, 2_000)
    batch_sizes: tuple[int, ...] = (1, 4, 16, 64, 256)
    batch_seconds: float = 5.0
    pool: int = 512
    searches: int = 200
    search_seconds: float = 10.0
    depth: int = 100

    @property
    def longest(self) -> float:
        """About how long one task takes at most, for a model that answers within seconds."""
        return (
            self.warm_seconds
            + self.seconds
            + len(self.batch_sizes) * self.batch_seconds
            + 3 * len(self.loads) * self.rate_seconds
            + self.search_seconds
        )


FULL = Plan()
QUICK = Plan(
    quick=True,
    warm_cap=100,
    warm_seconds=5.0,
    calls=200,
    seconds=5.0,
    rate_seconds=1.0,
    requests=(50, 500),
    batch_seconds=0.5,
    searches=50,
    search_seconds=2.0,
)
