"""Judgements as a table, and overlays that change them: labels are data with a version.

An overlay never holds texts: it lists pairs of ids whose grade changes. Applying one gives new
judgements; the ones it was applied to stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmedteb.errors import DataError
from cmedteb.types import Qrels

GradeTable = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A version of judgements as its difference from the original ones.

    Attributes:
        task: the task it belongs to.
        version: `vN`.
        grades: query id -> document id -> the grade that now holds; 0 is judged not relevant.
        parent: sha256 of the judgements it was made for, if its header says so.
    """

    task: str
    version: str
    grades: Mapping[str, Mapping[str, int]]
    parent: str | None = None


def as_table(qrels: Qrels, *, query_ids: Sequence[str], doc_ids: Sequence[str]) -> GradeTable:
    """Judgements by id; documents that are judged but absent keep their id."""
    known = len(doc_ids)
    table: GradeTable = {}
    for query, query_id in enumerate(query_ids):
        span = slice(int(qrels.offsets[query]), int(qrels.offsets[query + 1]))
        table[query_id] = {
            doc_ids[doc] if doc < known else qrels.absent[doc - known]: grade
            for doc, grade in zip(
                qrels.docs[span].tolist(), qrels.grades[span].tolist(), strict=True
            )
        }
    return table


def from_table(
    table: Mapping[str, Mapping[str, int]], *, query_ids: Sequence[str], doc_ids: Sequence[str]
) -> Qrels:
    """The reverse of `as_table`, for these queries and this corpus."""
    rows = {doc: row for row, doc in enumerate(doc_ids)}
    absent: dict[str, int] = {}
    offsets, docs, grades = [0], [], []
    for query_id in query_ids:
        for doc, grade in sorted(table.get(query_id, {}).items()):
            row = rows.get(doc)
            docs.append(len(rows) + absent.setdefault(doc, len(absent)) if row is None else row)
            grades.append(grade)
        offsets.append(len(docs))
    return Qrels(
        offsets=np.asarray(offsets, dtype=np.int64),
        docs=np.asarray(docs, dtype=np.int32),
        grades=np.asarray(grades, dtype=np.int32),
        absent=tuple(absent),
    )


def overlaid(
    table: Mapping[str, Mapping[str, int]], overlay: Overlay, *, whole: bool
) -> GradeTable:
    """Judgements with an overlay's grades over them.

    Args:
        table: the original judgements.
        overlay: what changes.
        whole: False where only some queries were loaded (`--limit`); the overlay's other queries
            are then left out instead of being an error.

    Raises:
        DataError: the overlay names a query that has no judgements here.
    """
    unknown = sorted(set(overlay.grades) - set(table))
    if unknown and whole:
        raise DataError(
            f"the judgements {overlay.version} of {overlay.task} name {len(unknown)} queries that "
            f"the task does not have (such as {unknown[0]!r}): they belong to other data. "
            "Use judgements that were made for this revision."
        )
    return {query: {**row, **overlay.grades.get(query, {})} for query, row in table.items()}
