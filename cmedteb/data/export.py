"""Writes a loaded data set in the local layout, for `--data-dir` and other tools.

What is written loads again with the same content hash; texts are those the encoder sees (title
and text already joined).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmedteb.data.record import write_record
from cmedteb.types import Candidates, Corpus, PairData, Qrels, Queries, RankingData, TextColumn

if TYPE_CHECKING:
    import pyarrow as pa

STEP = 4096


def export_folder(
    data: RankingData | PairData, folder: Path, *, name: str, split: str = "test", origin: str = ""
) -> None:
    """Write a data set as a folder.

    Args:
        data: what to write.
        folder: made if it does not exist; files of the same names are replaced.
        name: the set's name.
        split: a ranking's judgements go to `qrels/<split>.tsv`.
        origin: where the data came from, for `provenance.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(data, PairData):
        _write_lines(folder / "pairs.jsonl", _pairs(data))
    else:
        _write_lines(folder / "corpus.jsonl", _texts(data.corpus))
        _write_lines(folder / "queries.jsonl", _texts(data.queries))
        (folder / "qrels").mkdir(exist_ok=True)
        _write(folder / "qrels" / f"{split}.tsv", _qrels(data))
        if data.candidates is not None:
            _write_lines(folder / "top_ranked.jsonl", _candidates(data, data.candidates))
    write_record(folder, data.provenance, name=name, origin=origin)


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write beside, then rename: a reader never sees half a file."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)
    part.replace(path)


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    _write(path, (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows))


def _texts(side: Corpus | Queries) -> Iterator[dict[str, Any]]:
    for ids, texts in _batches(side.ids, side.texts):
        for name, text in zip(ids, texts, strict=True):
            yield {"_id": name, "text": text}


def _batches(ids: pa.ChunkedArray, texts: TextColumn) -> Iterator[tuple[list[str], list[str]]]:
    for start in range(0, len(texts), STEP):
        stop = min(start + STEP, len(texts))
        yield ids.slice(start, STEP).to_pylist(), texts.take(range(start, stop))


def _document_name(corpus: Corpus, qrels: Qrels) -> Callable[[int], str]:
    documents = len(corpus)

    def name(doc: int) -> str:
        return str(corpus.ids[doc].as_py()) if doc < documents else qrels.absent[doc - documents]

    return name


def _qrels(data: RankingData) -> Iterator[str]:
    qrels, document = data.qrels, _document_name(data.corpus, data.qrels)
    yield "query-id\tcorpus-id\tscore"
    for row, query in enumerate(data.queries.ids.to_pylist()):
        for entry in range(int(qrels.offsets[row]), int(qrels.offsets[row + 1])):
            yield f"{query}\t{document(int(qrels.docs[entry]))}\t{qrels.grades[entry]}"


def _candidates(data: RankingData, candidates: Candidates) -> Iterator[dict[str, Any]]:
    for row, query in enumerate(data.queries.ids.to_pylist()):
        docs = candidates.docs[candidates.offsets[row] : candidates.offsets[row + 1]]
        yield {"query-id": query, "corpus-ids": data.corpus.ids.take(docs).to_pylist()}


def _pairs(data: PairData) -> Iterator[dict[str, Any]]:
    pairs = data.pairs
    for start in range(0, len(pairs), STEP):
        rows = range(start, min(start + STEP, len(pairs)))
        columns = (
            pairs.left.take(rows),
            pairs.right.take(rows),
            pairs.scores[rows.start : rows.stop],
        )
        for left, right, score in zip(*columns, strict=True):
            yield {"sentence1": left, "sentence2": right, "score": float(score)}
