"""How numbers are written: scores as hundredths, sizes as people say them, groups as letters."""

from __future__ import annotations

from string import ascii_lowercase
from urllib.parse import urlsplit

from markupsafe import Markup, escape

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EM DASH}"
METRICS = {
    "ndcg": "nDCG",
    "map": "MAP",
    "mrr": "MRR",
    "precision": "P",
    "recall": "R",
    "hit_rate": "Hit",
}
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


def score(value: float | None) -> str:
    """In hundredths, as papers print it: 0.5675 is 56.75."""
    return NOTHING if value is None else f"{100 * value:.2f}"


def interval(low: float | None, high: float | None) -> str:
    """Bounds in hundredths, to one place."""
    return "" if low is None or high is None else f"{100 * low:.1f}{DASH}{100 * high:.1f}"


def span(first: int, last: int) -> str:
    """`3`, or `2-6` with a dash."""
    return str(first) if first == last else f"{first}{DASH}{last}"


def size(count: float | None) -> str:
    """A number of parameters to three places, with its unit: 305M, 8.19B."""
    if count is None:
        return "?"
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.3g}{letter}" if count < 999.5 * unit else f"{count:.0f}"
    return f"{count:g}"


def byte_size(count: float) -> str:
    """Bytes in binary units."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.3g} {unit}"
    return f"{count:.0f} B"


def quantity(value: float) -> str:
    """Three places, without an exponent: 0.813, 12.4, 3120."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def count(value: int | None) -> str:
    """With thin spaces between thousands."""
    return NOTHING if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def letter(group: int) -> str:
    """0 is a, 25 is z, 26 is aa."""
    letters = ""
    group += 1
    while group:
        group, place = divmod(group - 1, 26)
        letters = ascii_lowercase[place] + letters
    return letters


def letters(low: int, high: int) -> str:
    """All groups from low to high: `bcd`; from four on their ends: `b-f` with a dash."""
    if high - low < 3:
        return "".join(letter(group) for group in range(low, high + 1))
    return f"{letter(low)}{DASH}{letter(high)}"


def metric(name: str) -> str:
    """A score's key as the field writes it: `ndcg_at_10` is nDCG@10."""
    stem, _, depth = name.partition("_at_")
    known = METRICS.get(stem)
    if known is None:
        known = stem.replace("_", " ").capitalize()
    return f"{known}@{depth}" if depth else known


def web(address: str | None) -> str | None:
    """The address if a click on it can only open a web page, else None."""
    if address is None:
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in {"http", "https"} and parts.netloc else None


def breakable(name: str) -> Markup:
    """A long name that may be broken where its parts meet."""
    broken = Markup()
    for place, sign in enumerate(name):
        before, after = name[place - 1 : place], name[place + 1 : place + 2]
        word = sign.isupper() and (before.islower() or (before.isupper() and after.islower()))
        if before in {"/", "-", "_", "."} or (word and before):
            broken += Markup("<wbr>")
        broken += escape(sign)
    return broken
