"""Draws a chart as geometry: a template turns it into SVG, so it needs no script and prints.

Quality goes up, cost goes to the right on a log axis (a rate is turned round, so that cheap is
left in every chart). The front is a line of steps. Names stand beside the points of the front and
beside pairs, where they fit without touching a mark or one another; the others are in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor, log10
from typing import NamedTuple

from cmedteb.leaderboard.site import numbers
from cmedteb.leaderboard.site.cost import Chart, Cost, Kind, Point

WIDTH, HEIGHT = 920.0, 430.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 24.0, 16.0, 50.0
ZERO_BAND = 64.0
LETTER_WIDTH, LINE_HEIGHT = 6.7, 14.0
MARK = 6.0
LABELS = 24


class Tick(NamedTuple):
    """A place on an axis and what is written there."""

    at: float
    text: str


class Mark(NamedTuple):
    """One point; whisker from `low` to `high`; `document` is where its document side stands."""

    slug: str
    name: str
    kind: Kind
    x: float
    y: float
    low: float | None
    high: float | None
    document: float | None
    on_front: bool
    cost: str
    score: str
    interval: str


class Label(NamedTuple):
    """A name beside its mark; anchor is `start`, `middle` or `end`."""

    text: str
    x: float
    y: float
    anchor: str


class Box(NamedTuple):
    """A rectangle that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether they overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


class Drawing(NamedTuple):
    """Everything that the template draws."""

    chart: Chart
    width: float
    height: float
    bottom: float
    left: float
    right: float
    zero: float | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    front: str
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]

    @property
    def pairs(self) -> list[tuple[Point, Mark]]:
        """Points with their marks, best score first."""
        both = zip(self.chart.points, self.marks, strict=True)
        return sorted(both, key=lambda pair: (-pair[0].standing.score, pair[1].slug))


def draw(chart: Chart) -> Drawing:
    """Lay the chart out."""
    has_zero = any(point.cost <= 0 for point in chart.points)
    left = LEFT + (ZERO_BAND if has_zero else 0.0)
    x, x_ticks = _cost_axis(chart, left)
    y, y_ticks = _score_axis(chart)
    zero = LEFT + ZERO_BAND / 2 if has_zero else None

    def place(cost: float) -> float:
        return zero if zero is not None and cost <= 0 else x(cost)

    marks = tuple(_mark(chart, point, place, y) for point in chart.points)
    return Drawing(
        chart=chart,
        width=WIDTH,
        height=HEIGHT,
        bottom=HEIGHT - BOTTOM,
        left=LEFT,
        right=WIDTH - RIGHT,
        zero=zero,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        front=_steps(marks),
        marks=marks,
        labels=tuple(_labels(marks)),
    )


def _cost_axis(chart: Chart, left: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    costs = [c for p in chart.points for c in (p.cost, p.document) if c is not None and c > 0]
    low, high = log10(min(costs, default=1.0)) - 0.08, log10(max(costs, default=10.0)) + 0.08
    if high - low < 1:
        middle = (high + low) / 2
        low, high = middle - 0.5, middle + 0.5
    right = WIDTH - RIGHT - MARK

    def place(cost: float) -> float:
        share = (log10(cost) - low) / (high - low)
        share = 1 - share if chart.cost is Cost.RATE else share
        return round(left + MARK + share * (right - left - MARK), 1)

    steps = (1, 2, 5) if high - low < 2.4 else (1, 3) if high - low < 4 else (1,)
    values = [s * 10.0**n for n in range(floor(low), ceil(high) + 1) for s in steps]
    write = numbers.size if chart.cost is Cost.PARAMETERS else numbers.quantity
    return place, tuple(
        Tick(place(value), write(value)) for value in values if low <= log10(value) <= high
    )


def _score_axis(chart: Chart) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    rows = [point.standing for point in chart.points]
    low = 100 * min(row.score if row.low is None else row.low for row in rows)
    high = 100 * max(row.score if row.high is None else row.high for row in rows)
    step = next(s for s in (1, 2, 5, 10, 20, 50) if (high - low) / s <= 6)
    low, high = step * floor(low / step), step * ceil(high / step)
    high = high if high > low else low + step

    def place(score: float) -> float:
        share = (100 * score - low) / (high - low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    return place, tuple(
        Tick(place(value / 100), str(value)) for value in range(int(low), int(high) + 1, step)
    )


def _mark(
    chart: Chart, point: Point, x: Callable[[float], float], y: Callable[[float], float]
) -> Mark:
    row = point.standing
    write = numbers.size if chart.cost is Cost.PARAMETERS else numbers.quantity
    # Many lines at once say less than the few of the front.
    document = point.document if point.model.slug in chart.front else None
    return Mark(
        slug=point.model.slug,
        name=point.model.name,
        kind=point.kind,
        x=x(point.cost),
        y=y(row.score),
        low=None if row.low is None else y(row.low),
        high=None if row.high is None else y(row.high),
        document=None if document is None or document <= 0 else x(document),
        on_front=point.model.slug in chart.front,
        cost=write(point.cost),
        score=numbers.score(row.score),
        interval=numbers.interval(row.low, row.high),
    )


def _steps(marks: tuple[Mark, ...]) -> str:
    """An SVG path through the front, from cheap to dear, on to the right edge."""
    on_it = sorted((mark for mark in marks if mark.on_front), key=lambda mark: mark.x)
    path = "".join(
        f"M{mark.x:g} {mark.y:g}" if number == 0 else f"H{mark.x:g}V{mark.y:g}"
        for number, mark in enumerate(on_it)
    )
    return f"{path}H{WIDTH - RIGHT:g}"


def _labels(marks: tuple[Mark, ...]) -> Iterator[Label]:
    taken = [Box(mark.x - MARK, mark.y - MARK, mark.x + MARK, mark.y + MARK) for mark in marks]
    wanted = [mark for mark in marks if mark.on_front]
    wanted += [mark for mark in marks if mark.kind is Kind.PAIR and not mark.on_front]
    for mark in wanted[:LABELS]:
        for label, box in _tries(mark):
            inside = box.left > 2 and box.right < WIDTH - 2 and box.top > 0
            if inside and not any(box.meets(other) for other in taken):
                taken.append(box)
                yield label
                break


def _tries(mark: Mark) -> Iterator[tuple[Label, Box]]:
    """Above left first: the front leaves that side free."""
    text = mark.name.rsplit("/", maxsplit=1)[-1]
    wide = LETTER_WIDTH * len(text)
    gap = MARK + 4
    for dx, dy, anchor in (
        (-gap + 2, -gap + 2, "end"),
        (gap - 2, -gap + 2, "start"),
        (0.0, -gap - 3, "middle"),
        (gap, 4.0, "start"),
        (-gap, 4.0, "end"),
        (gap - 2, gap + 8, "start"),
        (-gap + 2, gap + 8, "end"),
        (0.0, gap + 10, "middle"),
    ):
        x, y = mark.x + dx, mark.y + dy
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        box = Box(left, y - LINE_HEIGHT + 3, left + wide, y + 3)
        yield Label(text, round(x, 1), round(y, 1), anchor), box
