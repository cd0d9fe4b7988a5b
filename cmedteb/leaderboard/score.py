"""Receipts and judgements to numbers: every query's score of every model, computed anew.

One `Batch` is some models on one task. It is a plain value, so that batches can be spread over
processes; the answer of one is the same wherever and with whatever others it is computed. What a
result claims is not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.errors import DataError
from cmedteb.leaderboard.bounded import read_bytes, read_gzip, unpack
from cmedteb.leaderboard.receipt import Columns, Keys, parse
from cmedteb.leaderboard.workers import Workers
from cmedteb.metrics import score_pairs, score_run
from cmedteb.results import ORIGINAL
from cmedteb.results.receipts import content_hash
from cmedteb.tasks.base import main_of
from cmedteb.types import Float64Array, Int32Array, Qrels, Run

if TYPE_CHECKING:
    import pyarrow as pa

Grades = Mapping[str, Mapping[str, int]]
# Below so many packed bytes, starting processes takes longer than reading.
_WORTH_PROCESSES = 24 << 20
MAX_PACKED = 64 << 20


class ReceiptFile(NamedTuple):
    """What one model returned: where it lies, its hash, and how deep it was cut."""

    path: Path
    sha256: str
    depth: int | None


@dataclass(frozen=True)
class Batch:
    """Some models on one task.

    Attributes:
        task: its name.
        main_score: the score that stands for it.
        pairs: sentence pairs instead of rankings.
        judgements: the file of the original judgements.
        sha256: of what it says.
        overlays: version -> query id -> document id -> the grade that now holds.
        receipts: one a model.
    """

    task: str
    main_score: str
    pairs: bool
    judgements: Path
    sha256: str
    overlays: Mapping[str, Grades]
    receipts: tuple[ReceiptFile, ...]


class ModelScores(NamedTuple):
    """One model on one task under one version of the judgements.

    Attributes:
        values: for each query, in the order of the judgements, the main score; for pairs the
            similarity that the main score correlates.
        scores: every score by name.
    """

    values: Float64Array
    scores: dict[str, float]


class Judged(NamedTuple):
    """Judgements as rows, all versions of a task in one numbering.

    Attributes:
        ids: of the queries (or pairs), as stored; the rows of `versions`.
        docs: ids of documents that any version judges, each once.
        versions: version -> judgements, of rows in `docs`; for pairs without an entry.
        gold: of pairs; empty for rankings.
    """

    ids: list[str]
    docs: list[str]
    versions: dict[str, Qrels]
    gold: Float64Array


def score_batches(batches: Sequence[Batch], workers: Workers) -> list[list[dict[str, ModelScores]]]:
    """For each batch and each of its receipts: version of the judgements -> scores.

    Raises:
        DataError: a file is missing, was changed since it was hashed, or is malformed.
    """
    size = sum(_size(one.path) for batch in batches for one in batch.receipts)
    return list(workers.map(score_batch, batches, heavy=size >= _WORTH_PROCESSES))


def score_batch(batch: Batch) -> list[dict[str, ModelScores]]:
    """The same for one batch."""
    judged = _judged(batch)
    return [_score(batch, read_receipt(one), judged, one) for one in batch.receipts]


def score_receipt(batch: Batch, columns: Columns) -> dict[str, ModelScores]:
    """The same for a batch of one receipt that was read already."""
    (receipt,) = batch.receipts
    return _score(batch, columns, _judged(batch), receipt)


def read_receipt(receipt: ReceiptFile) -> Columns:
    """The columns of a receipt that is the one that was hashed.

    Raises:
        DataError: it is missing, was changed, or is malformed.
    """
    packed = read_bytes(receipt.path, MAX_PACKED)
    if hashlib.sha256(packed).hexdigest() != receipt.sha256:
        raise DataError(
            f"{receipt.path} is not the receipt that its result was scored from. Run the task "
            "again."
        )
    return parse(receipt.path, unpack(receipt.path, packed))


@lru_cache(maxsize=32)
def judged_table(path: Path, sha256: str) -> dict[str, dict[str, float]]:
    """Judgements by id, if they are those of this hash; see `judged_columns`. Not to be changed."""
    columns = judged_columns(path, sha256)
    keys, values = columns.key.to_pylist(), columns.value.tolist()
    spans = zip(
        columns.ids, columns.offsets[:-1].tolist(), columns.offsets[1:].tolist(), strict=True
    )
    return {
        one: dict(zip(keys[start:stop], values[start:stop], strict=True))
        for one, start, stop in spans
    }


def judged_columns(path: Path, sha256: str) -> Columns:
    """Judgements as they are stored, if they are those of this hash.

    Raises:
        DataError: the file is missing, malformed, or says something else.
    """
    text = read_gzip(path)
    lines = text.decode("utf-8").removesuffix("\n").split("\n")
    if content_hash(lines) != sha256:
        raise DataError(f"{path} does not hold the judgements that results were scored against")
    return parse(path, text)


def _judged(batch: Batch) -> Judged:
    original = judged_table(batch.judgements, batch.sha256)
    if batch.pairs:
        gold = np.asarray([entry.get("gold", np.nan) for entry in original.values()])
        return Judged(list(original), [], {}, gold)
    docs: dict[str, int] = {}
    versions = {ORIGINAL: _as_rows(original, docs)}
    for version, grades in sorted(batch.overlays.items()):
        table = {query: {**row, **grades.get(query, {})} for query, row in original.items()}
        versions[version] = _as_rows(table, docs)
    return Judged(list(original), list(docs), versions, np.zeros(0))


def _as_rows(table: Mapping[str, Mapping[str, float]], docs: dict[str, int]) -> Qrels:
    """Judgements as arrays; a document that is new to `docs` gets the next row there."""
    rows = [docs.setdefault(doc, len(docs)) for row in table.values() for doc in row]
    grades = [grade for row in table.values() for grade in row.values()]
    return Qrels(
        offsets=np.cumsum([0, *map(len, table.values())], dtype=np.int64),
        docs=np.asarray(rows, dtype=np.int32),
        grades=np.asarray(grades, dtype=np.float64).astype(np.int32),
    )


def _score(
    batch: Batch, columns: Columns, judged: Judged, receipt: ReceiptFile
) -> dict[str, ModelScores]:
    score = _score_pairs if batch.pairs else _score_ranking
    return score(batch, columns, judged, receipt)


def _score_ranking(
    batch: Batch, columns: Columns, judged: Judged, receipt: ReceiptFile
) -> dict[str, ModelScores]:
    """A judged query that the receipt lacks counts 0; what is not judged is not looked at."""
    run = _as_run(columns, judged)
    names = Keys(judged.docs, columns.key)
    found = {}
    for version, qrels in judged.versions.items():
        by_query = score_run(run, qrels, query_ids=judged.ids, doc_ids=names, depth=receipt.depth)
        scores = by_query.mean()
        main_of(scores, task=batch.task, main_score=batch.main_score)
        found[version] = ModelScores(by_query.values[batch.main_score], scores)
    return found


def _as_run(columns: Columns, judged: Judged) -> Run:
    """What was returned for every judged query, in the order of the judgements."""
    docs, scores = _document_rows(columns, judged), columns.value.astype(np.float32)
    if columns.ids == judged.ids:
        return Run(columns.offsets, docs, scores)
    place = {one: row for row, one in enumerate(columns.ids)}
    # A row beyond the last one is empty.
    rows = np.asarray([place.get(one, len(place)) for one in judged.ids])
    lengths = np.append(np.diff(columns.offsets), 0)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.arange(offsets[-1]) + np.repeat(columns.offsets[rows] - offsets[:-1], lengths)
    return Run(offsets, docs[entries], scores[entries])


def _document_rows(columns: Columns, judged: Judged) -> Int32Array:
    """Judged documents by their row; every other entry is a document of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known: pa.Array = pc.index_in(columns.key, value_set=pa.array(judged.docs, pa.string()))
    rows = known.fill_null(-1).to_numpy()
    own = np.arange(len(judged.docs), len(judged.docs) + len(rows), dtype=np.int32)
    return np.where(rows < 0, own, rows)


def _score_pairs(
    batch: Batch, columns: Columns, judged: Judged, receipt: ReceiptFile
) -> dict[str, ModelScores]:
    measure = batch.main_score.rpartition("_")[0] or "similarity"
    similarity = similarities(columns, {one: row for row, one in enumerate(judged.ids)})
    if not similarity or len(columns.ids) != len(judged.ids):
        raise DataError(f"{receipt.path} does not hold the pairs that are judged")
    scores = score_pairs(similarity, judged.gold)
    main_of(scores, task=batch.task, main_score=batch.main_score)
    return {ORIGINAL: ModelScores(similarity[measure], scores)}


def similarities(columns: Columns, row: Mapping[str, int]) -> dict[str, Float64Array]:
    """Similarities by name, in the order of the judged pairs; {} where the pairs are others."""
    if columns.ids and set(columns.ids) == row.keys():
        codes = columns.key.dictionary_encode()
        names = codes.dictionary.to_pylist()
        width = len(names)
        expected = np.tile(np.arange(width), len(columns.ids))
        if np.array_equal(codes.indices.to_numpy(), expected):
            order = np.argsort([row[one] for one in columns.ids])
            table = columns.value.reshape(len(columns.ids), width)[order]
            return {name: np.ascontiguousarray(table[:, at]) for at, name in enumerate(names)}
    return {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
