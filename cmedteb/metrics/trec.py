"""TREC files: runs and judgements, read strictly and written as a stream.

A run has six columns (query, Q0, document, rank, score, tag), judgements have four (query, 0,
document, grade) or, as BEIR writes them, three with tabs between (query, document, grade) and
perhaps the header `query-id corpus-id score`. Files may be gzipped. Columns are parted by ASCII
white space only, as in trec_eval, so an id may hold an ideographic space.

The room refuses to guess: a line that does not parse, a document listed twice for a query, or a
score that is no finite number raise DataError with file and line. The rank column is not used
(trec_eval's rule: scores decide).
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NoReturn, cast

import numpy as np

from cmedteb.errors import DataError, ScoreError
from cmedteb.types import Run

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_BEIR_HEADER = [b"query-id", b"corpus-id", b"score"]
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


def read_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read a TREC run.

    Text after the sixth column is ignored, as in trec_eval; the rank must then be an integer, so
    that an id with a space in it is noticed.

    Args:
        path: the file, plain or gzipped.

    Returns:
        Query id -> document id -> score, in the order of the file.

    Raises:
        DataError: the file cannot be read, has no line, or has a line that is malformed, repeats a
            document of a query, is not UTF-8, or has a score that is not a finite float32.
    """
    path = Path(path)
    run: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) < 6 or (len(fields) > 6 and not fields[3].lstrip(b"-").isdigit()):
            _refuse(path, number, "expected the six columns `query Q0 document rank score tag`")
        query, doc = _decode(path, number, fields[0]), _decode(path, number, fields[2])
        results = run.setdefault(query, {})
        if doc in results:
            _refuse(path, number, f"document {doc!r} is listed twice for query {query!r}")
        results[doc] = _score(path, number, fields[4])
    if not run:
        raise DataError(f"{path}: the run is empty. Was the system that wrote it interrupted?")
    return run


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read judgements: TREC's four columns, or BEIR's three with tabs between.

    The first line decides which of the two the file is; the header is optional. Without a header
    the ids of the three-column form may not hold white space, for then the first line could be
    either.

    Args:
        path: the file, plain or gzipped.

    Returns:
        Query id -> document id -> grade, in the order of the file.

    Raises:
        DataError: the file cannot be read, has no judgement, or has a line that is malformed,
            repeats a document of a query, is not UTF-8, or has a grade that is not an integer.
    """
    path = Path(path)
    qrels: dict[str, dict[str, int]] = {}
    three: bool | None = None
    for number, line in _lines(path):
        if three is None:
            three = _has_three_columns(path, number, line)
            if line.split() == _BEIR_HEADER:
                continue
        raw_query, raw_doc, raw_grade = _qrels_fields(path, number, line, three=three)
        query, doc = _decode(path, number, raw_query), _decode(path, number, raw_doc)
        grades = qrels.setdefault(query, {})
        if doc in grades:
            _refuse(path, number, f"document {doc!r} is judged twice for query {query!r}")
        grades[doc] = _grade(path, number, raw_grade)
    if not qrels:
        raise DataError(f"{path}: there is no judgement in this file. Was it written completely?")
    return qrels


def write_run(
    path: str | Path,
    rankings: Iterable[tuple[str, Mapping[str, float]]],
    *,
    tag: str = "cmedteb",
) -> int:
    """Write a TREC run, query by query, in trec_eval's order with ranks from 1.

    Only one query is held at a time. Scores are written so that they read back as the same
    float32. The file appears when it is complete: until then a neighbour with the suffix
    `.partial` grows.

    Args:
        path: where to; gzipped if the name ends in `.gz` (the same rankings give the same bytes).
        rankings: pairs of query id and document id -> score, such as `run.items()` or
            `iter_rankings(run, ...)`.
        tag: the last column, without white space.

    Returns:
        How many lines were written.

    Raises:
        DataError: an id or the tag is empty or has ASCII white space, which the format cannot hold.
        ScoreError: a score is not a finite float32.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    _check_token(tag, "tag")
    lines = 0
    try:
        with ExitStack() as stack:
            out: IO[bytes] = stack.enter_context(partial.open("wb"))
            if path.suffix == ".gz":
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0)
                out = cast("IO[bytes]", stack.enter_context(packed))
            text = stack.enter_context(io.TextIOWrapper(out, encoding="utf-8", newline="\n"))
            for query, results in rankings:
                _check_token(query, "query id")
                for rank, (doc, score) in enumerate(_in_order(query, results), start=1):
                    _check_token(doc, "document id")
                    text.write(f"{query} Q0 {doc} {rank} {score:.9g} {tag}\n")
                    lines += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return lines


def iter_rankings(
    run: Run, *, query_ids: Sequence[str], doc_ids: Sequence[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    """The rows of a columnar run with their ids, one at a time, as `write_run` takes them."""
    for row, query in enumerate(query_ids):
        start, stop = int(run.offsets[row]), int(run.offsets[row + 1])
        names = [doc_ids[i] for i in run.docs[start:stop].tolist()]
        yield query, dict(zip(names, run.scores[start:stop].tolist(), strict=True))


def _in_order(query: str, results: Mapping[str, float]) -> list[tuple[str, float]]:
    """Trec_eval's order: float32 score descending, then document id descending."""
    rows: list[tuple[float, str]] = []
    for doc, score in results.items():
        if not abs(score) <= _MAX_FLOAT32:
            raise ScoreError(
                f"Query {query!r}, document {doc!r}: the score is {score}, not a finite float32. "
                "Look for NaN or overflow in the model's output."
            )
        rows.append((float(np.float32(score)), doc))
    return [(doc, score) for score, doc in sorted(rows, reverse=True)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    try:
        with ExitStack() as stack:
            raw: IO[bytes] = stack.enter_context(path.open("rb"))
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if packed:
                raw = cast("IO[bytes]", stack.enter_context(gzip.open(raw)))
            for number, line in enumerate(raw, start=1):
                text = line.removeprefix(_UTF8_BOM) if number == 1 else line
                if text.strip():
                    yield number, text
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged ({error}). Fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error


def _has_three_columns(path: Path, number: int, line: bytes) -> bool:
    words, cells = len(line.split()), line.count(b"\t") + 1
    if words == 3 and cells == 3:
        return True
    if words == 4 and cells != 3:
        return False
    return _refuse(
        path,
        number,
        "expected `query 0 document grade`, or three columns with tabs between: `query-id "
        "corpus-id score` (with this header if an id has white space in it)",
    )


def _qrels_fields(path: Path, number: int, line: bytes, *, three: bool) -> list[bytes]:
    if three:
        fields = [cell.strip() for cell in line.split(b"\t")]
        if len(fields) != 3 or not all(fields):
            _refuse(path, number, "expected three columns with tabs between, as in the first line")
        return fields
    fields = line.split()
    if len(fields) != 4:
        _refuse(path, number, "expected four columns `query 0 document grade`, as in line 1")
    return [fields[0], fields[2], fields[3]]


def _score(path: Path, number: int, field: bytes) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    # Python reads 1_0 as ten, other readers as one; `not <=` is also true of NaN.
    if b"_" in field or not abs(value) <= _MAX_FLOAT32:
        _refuse(path, number, f"the score {_shown(field)} is not a finite float32 number")
    return value


def _grade(path: Path, number: int, field: bytes) -> int:
    digits = field[1:] if field[:1] in (b"-", b"+") else field
    if not digits.isdigit():
        _refuse(path, number, f"the grade {_shown(field)} is not an integer")
    return int(field)


def _decode(path: Path, number: int, field: bytes) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return _refuse(path, number, f"{field!r} is not UTF-8; convert the file to UTF-8")


def _shown(field: bytes) -> str:
    return repr(field.decode("utf-8", errors="replace"))


def _check_token(text: str, what: str) -> None:
    if not text or any(c in " \t\n\r\v\f" for c in text):
        raise DataError(
            f"The {what} {text!r} is empty or has white space in it, which a TREC run cannot hold. "
            "Rename it, or export to another format."
        )


def _refuse(path: Path, number: int, problem: str) -> NoReturn:
    raise DataError(f"{path}, line {number}: {problem}.")
