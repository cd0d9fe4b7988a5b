"""Receipts and judgements to numbers: every query's score of every model, computed anew.

One `Batch` is some models on one task. It is a plain value, so that batches can be spread over
processes; the answer of one is the same wherever and with whatever others it is computed. What a
result claims is not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.errors import DataError
from cmedteb.leaderboard.bounded import read_bytes, read_gzip, unpack
from cmedteb.leaderboard.receipt import Columns, Keys, parse
from cmedteb.metrics import score_pairs, score_run
from cmedteb.results.receipts import content_hash
from cmedteb.tasks.base import main_of
from cmedteb.types import Float64Array, Int32Array, Int64Array, Qrels, Run

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
    """Judgements as rows.

    Attributes:
        ids: of the queries (or pairs), as stored.
        row: id -> place in `ids`.
        docs: ids of judged documents, each once.
        entries: for each query its (row in `docs`, grade).
        gold: of pairs; empty for rankings.
    """

    ids: list[str]
    row: dict[str, int]
    docs: list[str]
    entries: list[tuple[Int64Array, Int64Array]]
    gold: Float64Array


def score_batches(batches: Sequence[Batch]) -> list[list[dict[str, ModelScores]]]:
    """For each batch and each of its receipts: version of the judgements -> scores.

    Raises:
        DataError: a file is missing, was changed since it was hashed, or is malformed.
    """
    size = sum(_size(one.path) for batch in batches for one in batch.receipts)
    if size < _WORTH_PROCESSES:
        return [score_batch(batch) for batch in batches]
    # Spawned, since a fork of a process with threads may hang.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(pool.map(score_batch, batches))


def score_batch(batch: Batch) -> list[dict[str, ModelScores]]:
    """The same for one batch."""
    versions = _judged_versions(batch)
    found = []
    for receipt in batch.receipts:
        columns = read_receipt(receipt)
        score = _score_pairs if batch.pairs else _score_ranking
        found.append(
            {name: score(batch, columns, judged, receipt) for name, judged in versions.items()}
        )
    return found


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


def judged_table(path: Path, sha256: str) -> dict[str, dict[str, float]]:
    """Judgements by id, if they are those of this hash.

    Raises:
        DataError: the file is missing, malformed, or says something else.
    """
    text = read_gzip(path)
    lines = text.decode("utf-8").removesuffix("\n").split("\n")
    if content_hash(lines) != sha256:
        raise DataError(f"{path} does not hold the judgements that results were scored against")
    columns = parse(path, text)
    keys, values = columns.key.to_pylist(), columns.value.tolist()
    spans = zip(
        columns.ids, columns.offsets[:-1].tolist(), columns.offsets[1:].tolist(), strict=True
    )
    return {
        one: dict(zip(keys[start:stop], values[start:stop], strict=True))
        for one, start, stop in spans
    }


def _judged_versions(batch: Batch) -> dict[str, Judged]:
    original = _original(batch.judgements, batch.sha256)
    found = {"original": _as_rows(original, pairs=batch.pairs)}
    for version, grades in sorted(batch.overlays.items()):
        table = {query: {**row, **grades.get(query, {})} for query, row in original.items()}
        found[version] = _as_rows(table, pairs=False)
    return found


@lru_cache(maxsize=4)
def _original(path: Path, sha256: str) -> dict[str, dict[str, float]]:
    return judged_table(path, sha256)


def _as_rows(table: Mapping[str, Mapping[str, float]], *, pairs: bool) -> Judged:
    ids = list(table)
    row = {one: place for place, one in enumerate(ids)}
    if pairs:
        gold = np.asarray([entry.get("gold", np.nan) for entry in table.values()])
        return Judged(ids, row, [], [], gold)
    docs: dict[str, int] = {}
    entries = []
    for judged in table.values():
        places = [docs.setdefault(doc, len(docs)) for doc in judged]
        grades = np.asarray(list(judged.values())).astype(np.int64)
        entries.append((np.asarray(places, dtype=np.int64), grades))
    return Judged(ids, row, list(docs), entries, np.zeros(0))


def _score_ranking(
    batch: Batch, columns: Columns, judged: Judged, receipt: ReceiptFile
) -> ModelScores:
    """Rows of the receipt first, then judged queries that it lacks, which count 0."""
    there = [judged.row.get(one, -1) for one in columns.ids]
    missing = sorted(set(range(len(judged.ids))) - set(there))
    rows = [*there, *missing]
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    grades = [judged.entries[row] if row >= 0 else nothing for row in rows]
    last = columns.offsets[-1:].repeat(len(missing))
    by_query = score_run(
        Run(
            offsets=np.concatenate([columns.offsets, last]),
            docs=_document_rows(columns, judged),
            scores=columns.value.astype(np.float32),
        ),
        Qrels(
            offsets=np.cumsum([0, *(len(docs) for docs, _ in grades)], dtype=np.int64),
            docs=np.concatenate([docs for docs, _ in grades]).astype(np.int32),
            grades=np.concatenate([grade for _, grade in grades]).astype(np.int32),
            absent=(),
        ),
        query_ids=[*columns.ids, *(judged.ids[row] for row in missing)],
        doc_ids=Keys(judged.docs, columns.key),
        depth=receipt.depth,
    )
    place = np.argsort([judged.row[one] for one in by_query.query_ids])
    scores = by_query.mean()
    main_of(scores, task=batch.task, main_score=batch.main_score)
    return ModelScores(by_query.values[batch.main_score][place], scores)


def _document_rows(columns: Columns, judged: Judged) -> Int32Array:
    """Judged documents by their row; every other entry is a document of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known: pa.Array = pc.index_in(columns.key, value_set=pa.array(judged.docs, pa.string()))
    rows = known.fill_null(-1).to_numpy()
    own = len(judged.docs) + np.arange(len(rows))
    return np.where(rows < 0, own, rows).astype(np.int32)


def _score_pairs(
    batch: Batch, columns: Columns, judged: Judged, receipt: ReceiptFile
) -> ModelScores:
    measure = batch.main_score.rpartition("_")[0] or "similarity"
    similarity = similarities(columns, judged.row)
    if not similarity or len(columns.ids) != len(judged.ids):
        raise DataError(f"{receipt.path} does not hold the pairs that are judged")
    scores = score_pairs(similarity, judged.gold)
    main_of(scores, task=batch.task, main_score=batch.main_score)
    return ModelScores(similarity[measure], scores)


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
