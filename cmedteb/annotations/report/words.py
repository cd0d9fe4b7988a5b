"""What a report says in words: how to read its numbers, and where to be careful.

A saying is a key of `annotations/pages/report.i18n.json` with what stands in its gaps, so that each
is decided once and said in every language.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cmedteb.annotations.report.figures import count, number, share, whole
from cmedteb.annotations.report.schema import Report
from cmedteb.annotations.report.values import Est, Why

UNKNOWN = Est(value=None, why=Why.NOTHING_RATED)


class Saying(NamedTuple):
    """A key of the texts, and what fills its gaps."""

    key: str
    gaps: dict[str, str]


def readings(report: Report) -> list[Saying]:
    """What the numbers can show, and what they cannot."""
    part, choices = report.agreement, report.choices
    binary = part.binary.coefficients if part.binary else {}
    graded = part.graded.coefficients if part.graded else {}
    prevalence = part.binary.shares[1].value if part.binary else None
    return [
        Saying(
            "read.compared",
            {
                "threshold": str(choices.threshold),
                "binary": whole(binary.get("fleiss_kappa", UNKNOWN)),
                "graded": whole(graded.get("fleiss_kappa", UNKNOWN)),
                "pairs": count(part.pairs),
            },
        ),
        Saying(f"read.scope.{part.scope}", {"pairs": count(part.pairs), "of": count(part.of)}),
        Saying(
            "read.prevalence",
            {
                "prevalence": share(prevalence),
                "po": number(binary.get("observed_agreement", UNKNOWN).value),
                "ac1": number(binary.get("gwet_ac1", UNKNOWN).value),
            },
        ),
        Saying("read.leniency", {}),
        _by_experts(report),
        Saying("read.depth", {"depth": str(choices.depth), "systems": count(len(choices.systems))}),
        *_undecided(report),
    ]


def warnings(report: Report) -> list[Saying]:
    """What should make a reader careful, the gravest first."""
    return [*_judges(report), *_gaps(report), *_rest(report)]


def missing_questions(report: Report) -> int:
    """Questions for a label that ended without a grade."""
    return sum(
        pairs
        for judge in report.calls.judges
        for state, pairs in judge.states.items()
        if state != "scored"
    )


def _by_experts(report: Report) -> Saying:
    if report.experts is None:
        return Saying("read.no_experts", {})
    agreement = report.experts.pipeline["expert_agreement"]
    return Saying("read.experts", {"agreement": whole(agreement, 1, percent=True)})


def _undecided(report: Report) -> Iterator[Saying]:
    if report.labels.undecided:
        yield Saying("read.undecided", {"undecided": count(report.labels.undecided)})


def _judges(report: Report) -> Iterator[Saying]:
    if report.drift.changed:
        yield Saying("warn.changed", {"judges": ", ".join(report.drift.changed)})
    for one in report.families:
        gaps = {"judge": one.judge, "system": one.system, "family": one.family}
        yield Saying("warn.family", gaps)
    fooled = sum(one.fooled for one in report.drift.canaries)
    if fooled:
        asked = sum(one.asked for one in report.drift.canaries)
        yield Saying("warn.fooled", {"fooled": count(fooled), "asked": count(asked)})


def _gaps(report: Report) -> Iterator[Saying]:
    unanswered = sum(judge.unanswered for judge in report.calls.judges)
    if unanswered and report.choices.cascade is None:
        yield Saying("warn.unanswered", {"count": count(unanswered)})
    missing = missing_questions(report)
    if missing:
        asked = sum(sum(judge.states.values()) for judge in report.calls.judges)
        yield Saying("warn.missing", {"count": count(missing), "share": share(missing / asked)})


def _rest(report: Report) -> Iterator[Saying]:
    if report.found.bare_queries:
        yield Saying("warn.bare", {"count": count(report.found.bare_queries)})
    if report.pool.queries == 1:
        yield Saying("warn.one_query", {})
    if report.scores is not None and report.scores.left_out:
        yield Saying("warn.left_out", {"names": "; ".join(report.scores.left_out)})
