"""What a release of judgements says of itself, as names and values for people.

A header as the annotator writes it holds hundreds of numbers: those with a name are shown, all are
in `leaderboard.json`. Of a header that somebody wrote by hand everything is shown, by its own key
where it has no name here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cmedteb.leaderboard.site.numbers import DASH

_BINARY, _GRADED = (f"statistics.agreement.{view}.coefficients" for view in ("binary", "graded"))
# Where it stands in a header -> its name, `release.NAME` in the texts; in the order shown.
NAMED = {
    f"{_BINARY}.fleiss_kappa": "binary.kappa",
    "statistics.fleiss_kappa": "kappa",
    f"{_BINARY}.gwet_ac1": "binary.ac1",
    f"{_BINARY}.observed_agreement": "binary.observed",
    f"{_GRADED}.fleiss_kappa": "graded.kappa",
    f"{_GRADED}.krippendorff_alpha_ordinal": "graded.alpha",
    f"{_GRADED}.gwet_ac2_quadratic": "graded.ac2",
    f"{_GRADED}.observed_agreement": "graded.observed",
    "statistics.agreement.pairs": "measured",
    "statistics.experts.pipeline.expert_agreement": "experts",
    "statistics.experts.pipeline.cohen_kappa": "experts.kappa",
    "statistics.experts.confirmation": "experts.confirmed",
    "panel": "panel",
    "panel.panel": "panel",
    "panel.judges": "judges",
    "rule": "rule",
    "threshold": "threshold",
    "statistics.pool.queries": "queries",
    "statistics.pool.pairs": "pairs",
    "changes.added": "added",
    "changes.confirmed": "confirmed",
    "changes.rejected": "rejected",
    "changes.undecided": "undecided",
    "statistics.found.per_query": "found",
    "statistics.found.rejection_rate": "rejection",
    "statistics.calls.cost": "cost",
    "panel.currency": "currency",
}
# The page says these elsewhere.
_SAID = frozenset({"task", "version", "parent"})


class Said(NamedTuple):
    """One line: `key` is in the texts if `named`; `interval` is empty where there is none."""

    key: str
    named: bool
    value: str
    interval: str


def said(header: Mapping[str, Any]) -> list[Said]:
    """What is named first, in its order; then, of a header without a format, all else."""
    flat = dict(_flat(header))
    named = [
        Said(f"release.{name}", True, *flat.pop(place))
        for place, name in NAMED.items()
        if place in flat
    ]
    if "format" in header:
        return named
    return named + [Said(key, False, *shown) for key, shown in flat.items() if key not in _SAID]


def _flat(header: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[str, str]]]:
    """Place -> value and interval; an estimate is one entry, whichever way it is written."""
    for key, value in header.items():
        name = f"{prefix}{key}"
        if _is_bound(key, header):
            continue
        if isinstance(value, Mapping):
            if "value" not in value:
                yield from _flat(value, f"{name}.")
            elif value["value"] is not None:
                yield name, _shown(value["value"], value.get("low"), value.get("high"))
        elif value is not None:
            yield name, _shown(value, header.get(f"{key}_low"), header.get(f"{key}_high"))


def _is_bound(key: str, header: Mapping[str, Any]) -> bool:
    stem, _, end = key.rpartition("_")
    return end in {"low", "high"} and {f"{stem}_low", f"{stem}_high", stem} <= header.keys()


def _shown(value: object, low: object, high: object) -> tuple[str, str]:
    """A value and its interval; a header may hold anything, so what is no number is a text."""
    bounds = [one for one in (low, high) if isinstance(one, int | float)]
    if isinstance(value, int | float) and len(bounds) == 2:
        return f"{value:.3f}", f"{bounds[0]:.3f}{DASH}{bounds[1]:.3f}"
    return _text(value), ""


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return str(value.get("model", ", ".join(map(str, value.values()))))
    return str(value)
