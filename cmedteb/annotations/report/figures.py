"""How numbers are written: for people, the same in every output."""

from __future__ import annotations

from cmedteb.annotations.report.values import Est

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
JOINT = ",\N{NO-BREAK SPACE}"
PAPER_KAPPA = 0.731


def number(value: float | None, digits: int = 3) -> str:
    """A coefficient, or a dash."""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """A difference, with its sign."""
    text = number(value, digits)
    positive = value is not None and float(f"{value:.{digits}f}") > 0.0
    return f"+{text}" if positive else text


def share(value: float | None, digits: int = 1) -> str:
    """A fraction in percent."""
    return NONE if value is None else f"{number(100 * value, digits)}%"


def count(value: int) -> str:
    """A number of things."""
    return f"{value:,}"


def money(value: float) -> str:
    """An amount; small ones keep what can be seen of them."""
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def bounds(found: Est, digits: int = 3, *, percent: bool = False) -> str:
    """`[low, high]`; empty where there is no interval."""
    if found.low is None or found.high is None:
        return ""
    scale = 100 if percent else 1
    low, high = (number(scale * bound, digits) for bound in (found.low, found.high))
    return f"[{low}{JOINT}{high}]"


def whole(found: Est, digits: int = 3, *, percent: bool = False) -> str:
    """A value with its interval."""
    value = share(found.value, digits) if percent else number(found.value, digits)
    interval = bounds(found, digits, percent=percent)
    return f"{value} {interval}".rstrip()


def at(value: float, low: float, high: float) -> str:
    """Where a value lies on an axis, in percent of its length; beyond an end it lies on it."""
    place = 100.0 * (value - low) / (high - low) if high > low else 0.0
    return f"{min(100.0, max(0.0, place)):.2f}"


def axis(estimates: list[Est], *, low: float = 0.0, high: float = 1.0) -> tuple[float, float]:
    """The ends of an axis that holds these estimates, at least from `low` to `high`."""
    seen = [
        bound for one in estimates for bound in (one.value, one.low, one.high) if bound is not None
    ]
    step = (high - low) / 5 or 1.0
    ends = [low, high]
    while seen and min(seen) < ends[0] - 1e-9:
        ends[0] -= step
    while seen and max(seen) > ends[1] + 1e-9:
        ends[1] += step
    return ends[0], ends[1]


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values on an axis."""
    width = high - low
    step = 10.0 ** (len(str(int(width))) - 1)
    for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0):
        if width / (part * step) <= 5.0 + 1e-9:
            step *= part
            break
    first = -(-low // step)
    found = []
    while first * step <= high + 1e-9:
        found.append(round(first * step, 6))
        first += 1
    return found
