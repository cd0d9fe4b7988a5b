"""What a query costs online: the points of the chart, and the line nobody beats.

Three costs, each of the query side alone: parameters that a query goes through, the median time of
one query, and queries a second. Times of different devices do not stand in one chart. A system
without a query encoder costs 0 parameters; what nobody states is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from cmedteb.leaderboard.board import Latency, ModelEntry, Standing


class Cost(StrEnum):
    """What the horizontal axis shows."""

    PARAMETERS = "parameters"
    P50 = "p50"
    RATE = "rate"


class Kind(StrEnum):
    """What a system is, as far as its mark tells."""

    DENSE = "dense"
    PAIR = "pair"
    API = "api"
    OTHER = "other"


class Point(NamedTuple):
    """A model in the chart.

    Attributes:
        cost: as the axis shows it; of a pair, its query side's.
        document: the same for its document side, where it differs and is known.
        measured: the measurement behind it; None for parameters.
    """

    model: ModelEntry
    standing: Standing
    cost: float
    document: float | None
    measured: Latency | None

    @property
    def kind(self) -> Kind:
        """Which mark it gets."""
        if self.model.asymmetric:
            return Kind.PAIR
        if self.model.api:
            return Kind.API
        return Kind.OTHER if self.model.dimension is None else Kind.DENSE


class Chart(NamedTuple):
    """One chart: points by cost, and who is on the front."""

    cost: Cost
    device: str | None
    points: tuple[Point, ...]
    front: frozenset[str]
    missing: int


def charts(models: dict[str, ModelEntry], standings: list[Standing]) -> Iterator[Chart]:
    """All charts of a benchmark that have a point; parameters first, then device by device."""
    devices = sorted({entry.device for row in standings for entry in models[row.model].latency})
    wanted = [(Cost.PARAMETERS, None), *((c, d) for d in devices for c in (Cost.P50, Cost.RATE))]
    for cost, device in wanted:
        found = [_point(models[row.model], row, cost, device) for row in standings]
        points = tuple(sorted((p for p in found if p), key=lambda p: (p.cost, p.model.slug)))
        if points:
            yield Chart(cost, device, points, front(points, cost), len(found) - len(points))


def front(points: tuple[Point, ...], cost: Cost) -> frozenset[str]:
    """Slugs of the points that no other beats: none is as cheap and better, or cheaper and as good.

    Args:
        points: any.
        cost: says which way is cheap.
    """
    sign = -1.0 if cost is Cost.RATE else 1.0
    on_it: set[str] = set()
    best = float("-inf")
    for point in sorted(points, key=lambda p: (sign * p.cost, -p.standing.score, p.model.slug)):
        if point.standing.score > best:
            best = point.standing.score
            on_it.add(point.model.slug)
    return frozenset(on_it)


def _point(model: ModelEntry, row: Standing, cost: Cost, device: str | None) -> Point | None:
    if cost is Cost.PARAMETERS:
        if model.query_parameters is None:
            return None
        other = model.document_parameters if model.asymmetric else None
        query = float(model.query_parameters)
        return Point(model, row, query, None if other is None else float(other), None)
    taken = latency_on(model, device)
    if taken is None:
        return None
    value = taken.p50 if cost is Cost.P50 else taken.queries_per_second
    return Point(model, row, value, None, taken) if value > 0 else None


def latency_on(model: ModelEntry, device: str | None) -> Latency | None:
    """The measurement to show: a long one rather than a quick one, the encoder rather than all."""
    ranked = sorted(
        (entry for entry in model.latency if entry.device == device),
        key=lambda entry: (entry.quick, entry.measured != "encode", entry.task, entry.p50),
    )
    return ranked[0] if ranked else None
