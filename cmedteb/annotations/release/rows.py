"""The lines of an overlay: what each decided pair is now, document by document.

Every decided pair of the pool stands there, also where its grade does not change: a document that
is judged not relevant is another thing than one that nobody looked at. Undecided pairs do not
stand there and keep what they had. Documents with the same text get the same grade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.consensus import Consensus, Label, LabelState
from cmedteb.data.judgements import Overlay

COLUMNS = ("op", "query-id", "corpus-id", "grade", "judges", "basis", "was", "posterior")


class Row(NamedTuple):
    """One document for one query.

    Attributes:
        op: `+` relevant, `-` not.
        query: id of the query.
        doc: id of the document.
        grade: that now holds.
        judges: their grades in the order of the panel, `-` where there is none: `5,4,-`.
        basis: `panel` or `review`.
        was: the original grade of its text; `-` if unjudged.
        posterior: by Dawid and Skene's model, where that is the rule; else empty.
    """

    op: str
    query: str
    doc: str
    grade: int
    judges: str
    basis: str
    was: str
    posterior: str

    def line(self) -> str:
        """As it stands in a file."""
        return "\t".join(map(str, self))


def positive_grade(consensus: Consensus) -> int:
    """The grade of what is newly relevant: the least that the original judgements call relevant.

    A panel and a threshold say that a document is relevant, not how relevant by the scale of the
    data set.
    """
    known = [label.pair.original for label in consensus.labels if label.was_positive]
    return min((grade for grade in known if grade is not None), default=1)


def overlay_rows(consensus: Consensus) -> list[Row]:
    """All rows, by query id and document id."""
    least = positive_grade(consensus)
    rows = [row for label in consensus.labels for row in _rows(label, least)]
    return sorted(rows, key=lambda row: (row.query, row.doc))


def undecided_rows(consensus: Consensus) -> list[Row]:
    """What was judged and has no label; `op` is `?` and the grade the one it keeps, 0 if none."""
    rows = []
    for label in consensus.labels:
        if label.state is LabelState.UNDECIDED:
            rows += list(_each(label, "?", label.pair.original or 0))
    return sorted(rows, key=lambda row: (row.query, row.doc))


def as_overlay(consensus: Consensus, config: AnnotationConfig, version: str) -> Overlay:
    """The same as a value that scores can be computed under."""
    return Overlay(
        task=config.task,
        version=version,
        grades=grades_of(overlay_rows(consensus)),
        parent=None if config.judgements is None else config.judgements.sha256,
    )


def grades_of(rows: list[Row]) -> Mapping[str, Mapping[str, int]]:
    """Query id -> document id -> grade."""
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        table.setdefault(row.query, {})[row.doc] = row.grade
    return table


def _rows(label: Label, least: int) -> Iterator[Row]:
    if label.state is LabelState.NEGATIVE:
        yield from _each(label, "-", 0)
    elif label.state is LabelState.POSITIVE:
        original = label.pair.original or 0
        yield from _each(label, "+", original if original > 0 else least)


def _each(label: Label, op: str, grade: int) -> Iterator[Row]:
    pair = label.pair
    judges = ",".join("-" if g is None else str(g) for g in label.grades)
    was = "-" if pair.original is None else str(pair.original)
    posterior = "" if label.posterior is None else f"{label.posterior:.6f}"
    for doc in sorted({pair.doc_id, *pair.twins}):
        yield Row(op, pair.query_id, doc, grade, judges, str(label.basis), was, posterior)
