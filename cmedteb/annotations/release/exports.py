"""The whole judgements, original ones with the overlay over them, in the formats others read.

`beir`: `qrels/<split>.tsv` with a header. `trec`: `<split>.qrels`, four columns. `mteb`: the qrels
of a Hugging Face data set, `query-id`, `corpus-id`, `score` (int32), as Parquet and JSON lines.
Judgements only: texts stay with the data set, whose licence is its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.data import Access
from cmedteb.data.judgements import GradeTable, Overlay, as_table, overlaid
from cmedteb.errors import DataError, UsageError
from cmedteb.results import ResultStore
from cmedteb.results.receipts import content_hash, grade_lines, read_table
from cmedteb.types import PairData

Table = Mapping[str, Mapping[str, int]]


class Format(StrEnum):
    """What others call their judgements."""

    BEIR = "beir"
    TREC = "trec"
    MTEB = "mteb"


def export_files(table: Table, split: str, form: Format) -> dict[str, bytes]:
    """The files of one format, by name within its folder; sorted by query id and document id."""
    rows = list(_rows(table))
    if form is Format.BEIR:
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        return {f"qrels/{split}.tsv": _joined(lines)}
    if form is Format.TREC:
        _check_trec(table)
        return {f"{split}.qrels": _joined([f"{q} 0 {d} {grade}" for q, d, grade in rows])}
    named = [{"query-id": q, "corpus-id": d, "score": grade} for q, d, grade in rows]
    lines = [json.dumps(row, ensure_ascii=False) for row in named]
    return {f"qrels/{split}.jsonl": _joined(lines), f"qrels/{split}.parquet": _parquet(rows)}


def whole_judgements(config: AnnotationConfig, original: Table, overlay: Overlay) -> GradeTable:
    """The original judgements with the overlay over them.

    Raises:
        DataError: these are not the judgements that the annotation was planned for.
    """
    there = content_hash(grade_lines(original))
    wanted = None if config.judgements is None else config.judgements.sha256
    if wanted != there:
        raise DataError(
            f"the judgements of {config.task} that were found (sha256 {there[:12]}) are not those "
            f"that the annotation was planned for ({str(wanted)[:12]}). Use the data revision "
            f"{config.dataset_revision}."
        )
    return overlaid(original, overlay, whole=True)


def kept_judgements(config: AnnotationConfig, folders: list[Path]) -> GradeTable | None:
    """The original judgements as a results folder keeps them beside its receipts; None if none."""
    if config.judgements is None:
        return None
    for folder in folders:
        path = ResultStore(folder).judgement_file(config.task, config.judgements.sha256)
        if path.is_file():
            table = read_table(path)
            return {
                query: {doc: int(grade) for doc, grade in row.items()}
                for query, row in table.items()
            }
    return None


def load_judgements(config: AnnotationConfig, access: Access) -> GradeTable:
    """The original judgements from the data set itself.

    Raises:
        UsageError: the task is not known here, or started from another version.
        NotAvailableError: the data cannot be had.
    """
    from cmedteb.tasks import catalogue, resolve

    version = "original" if config.judgements is None else config.judgements.version
    if version != "original":
        raise UsageError(
            f"the annotation started from the judgements {version}, which only a results folder "
            "holds whole: give --results."
        )
    (task,) = resolve([config.task_ref], catalogue())
    data = task.load(access)
    if isinstance(data, PairData):
        raise UsageError(f"{config.task} has pairs of sentences, not judgements of documents")
    ids = {"query_ids": data.queries.ids.to_pylist(), "doc_ids": data.corpus.ids.to_pylist()}
    return as_table(data.qrels, **ids)


def _rows(table: Table) -> Iterator[tuple[str, str, int]]:
    for query in sorted(table):
        for doc in sorted(table[query]):
            yield query, doc, table[query][doc]


def _check_trec(table: Table) -> None:
    """Columns are split at blanks there, so an id cannot hold one."""
    for query, row in table.items():
        for name in (query, *row):
            if not name or name.split() != [name]:
                raise DataError(f"the id {name!r} cannot stand in TREC's format: it has blanks")


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _parquet(rows: list[tuple[str, str, int]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    table = pa.table(
        {
            "query-id": pa.array(columns[0], pa.string()),
            "corpus-id": pa.array(columns[1], pa.string()),
            "score": pa.array(columns[2], pa.int32()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
