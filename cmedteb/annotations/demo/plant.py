"""The demo's data: a judged set with some of its positives hidden, and gold that knows them.

Positives are hidden as they are missed in earnest: those that one system finds and the system
that labels were once gathered from does not. So the scores of the former are unfairly low. A few
documents that are not relevant are labelled relevant too. What was hidden is known, so what the
panel finds of it can be counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedteb.annotations.demo.faults import uniform
from cmedteb.annotations.demo.gold import Gold
from cmedteb.annotations.systems import Returned
from cmedteb.data.judgements import GradeTable, as_table
from cmedteb.types import RankingData

# What a perfect judge would say of the grades of the smoke tasks. Near-misses differ in how near
# they are: what is doubtful divides judges.
POINTS = {2: 5.0, 1: 4.3}
NEAR_MISS = (1.6, 3.2)
OTHER = 1.0
UNRANKED = 1_000

PairIds = tuple[str, str]


@dataclass(frozen=True)
class Planting:
    """What was changed in the judgements.

    Attributes:
        judgements: those that the panel starts from.
        hidden: relevant pairs without a judgement: planted false negatives, sorted.
        wrong: pairs that are judged relevant and are not, sorted.
        gold: what the judges grade from.
    """

    judgements: GradeTable
    hidden: tuple[PairIds, ...]
    wrong: tuple[PairIds, ...]
    gold: Gold


def plant(
    data: RankingData,
    finder: Returned,
    gatherer: Returned,
    *,
    share: float = 0.3,
    wrong: int = 5,
    seed: int,
) -> Planting:
    """Hide positives that `finder` ranks better than `gatherer` does; each query keeps one.

    Args:
        data: with grades 0, 1 and 2.
        finder: the system that is to look worse than it is.
        gatherer: the one that labels are as if gathered from.
        share: of all positives, to hide at most.
        wrong: how many near-misses to label relevant.
        seed: of both draws.
    """
    ids = {"query_ids": data.queries.ids.to_pylist(), "doc_ids": data.corpus.ids.to_pylist()}
    true = as_table(data.qrels, **ids)
    positives = sum(grade > 0 for row in true.values() for grade in row.values())
    ranks = _ranks(finder, **ids), _ranks(gatherer, **ids)
    found = [pair for query in sorted(true) for pair in _hideable(query, true[query], *ranks)]
    hidden = sorted(_by_lot(found, seed, "hide")[: round(share * positives)])
    near = [
        (query, doc)
        for query in sorted(true)
        for doc in sorted(true[query])
        if not true[query][doc]
    ]
    mistaken = sorted(_by_lot(near, seed, "mistake")[:wrong])
    judged = {query: dict(row) for query, row in true.items()}
    for query, doc in hidden:
        del judged[query][doc]
    for query, doc in mistaken:
        judged[query][doc] = 1
    return Planting(judged, tuple(hidden), tuple(mistaken), _gold(data, true, seed))


def write_data(data: RankingData, judgements: GradeTable, folder: Path) -> None:
    """Write a data set with other judgements, as `-t FOLDER` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in (("corpus", data.corpus), ("queries", data.queries)):
        rows = zip(side.ids.to_pylist(), side.texts, strict=True)
        _write_lines(folder / f"{name}.jsonl", ({"_id": key, "text": text} for key, text in rows))
    lines = [
        f"{query}\t{doc}\t{grade}\n"
        for query in sorted(judgements)
        for doc, grade in sorted(judgements[query].items())
    ]
    text = "query-id\tcorpus-id\tscore\n" + "".join(lines)
    (folder / "qrels.tsv").write_text(text, encoding="utf-8")


def _hideable(
    query: str,
    grades: Mapping[str, int],
    finder: Mapping[PairIds, int],
    gatherer: Mapping[PairIds, int],
) -> list[PairIds]:
    """The positives of a query that may be hidden, without the one that it keeps."""

    def lead(doc: str) -> int:
        return gatherer.get((query, doc), UNRANKED) - finder.get((query, doc), UNRANKED)

    positives = sorted(
        (doc for doc, grade in grades.items() if grade > 0), key=lambda doc: (-lead(doc), doc)
    )
    return [(query, doc) for doc in positives[:-1] if lead(doc) > 0]


def _ranks(
    returned: Returned, *, query_ids: Sequence[str], doc_ids: Sequence[str]
) -> dict[PairIds, int]:
    found = {}
    for row, query in enumerate(query_ids):
        span = slice(int(returned.offsets[row]), int(returned.offsets[row + 1]))
        for rank, doc in enumerate(returned.docs[span].tolist(), start=1):
            found[query, doc_ids[doc]] = rank
    return found


def _by_lot(pairs: Sequence[PairIds], seed: int, purpose: str) -> list[PairIds]:
    return sorted(pairs, key=lambda pair: uniform(purpose, str(seed), *pair))


def _gold(data: RankingData, true: GradeTable, seed: int) -> Gold:
    low, high = NEAR_MISS
    grades = {
        query: {
            doc: POINTS[grade]
            if grade
            else low + (high - low) * uniform("near", str(seed), query, doc)
            for doc, grade in row.items()
        }
        for query, row in true.items()
    }
    return Gold(
        queries=dict(zip(data.queries.ids.to_pylist(), data.queries.texts, strict=True)),
        documents=dict(zip(data.corpus.ids.to_pylist(), data.corpus.texts, strict=True)),
        grades=grades,
        other=OTHER,
    )


def _write_lines(path: Path, rows: Any) -> None:  # noqa: ANN401  any iterable of JSON objects
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
