"""Hypothetical documents as a file: read as published, and kept as they are generated.

JSON lines (also .gz, or any other table that `cmedteb.data` reads) with `id`, `text` (the query)
and `rewrite_query` (a document, or a list of several), as AutoMIR publishes them. A document
belongs to a query by the query's text: ids differ between copies of a data set. Runs of white
space count as one space, because copies of a data set differ in them too.

Nothing here asks a model; what one writes is kept by `generation_cache`, in such a file.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cmedteb.data.rows import SUFFIXES, Field, open_binary, read_batches, suffix_of
from cmedteb.errors import DataError, UsageError

JSON_LINES = (".jsonl", ".jsonl.gz")
FIELDS = {
    name: Field((name,), optional=name not in {"text", "rewrite_query"})
    for name in ("text", "rewrite_query", "number", "recipe", "generator")
}
SHOWN = 3
SHOWN_CHARACTERS = 40


class Row(NamedTuple):
    """One line: where it stands, and what it says of a query."""

    where: str
    text: str
    documents: tuple[str, ...]
    number: int | None = None
    recipe: str | None = None
    generator: str | None = None


def key_of(text: str) -> str:
    """What a query is found by: its text, with runs of white space as one space."""
    return " ".join(text.split())


def shown(texts: Sequence[str]) -> str:
    """The first few of some queries, for a message."""
    first = [key_of(text) for text in texts[:SHOWN]]
    cut = [f"{t[:SHOWN_CHARACTERS]}..." if len(t) > SHOWN_CHARACTERS else t for t in first]
    return "; ".join(repr(text) for text in cut)


@dataclass(frozen=True)
class Generations:
    """The documents of a file, as many for every query.

    Attributes:
        path: the file.
        by_query: documents by `key_of` their query, in the file's order.
        count: documents that are taken for each query: the first so many.
        generators: what the file says wrote them; empty where it does not say.
    """

    path: Path
    by_query: Mapping[str, tuple[str, ...]]
    count: int
    generators: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """A hash over queries and documents, whatever the file's format and order."""
        digest = hashlib.sha256()
        for key in sorted(self.by_query):
            row = [key, *self.by_query[key][: self.count]]
            digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def of(self, queries: Sequence[str]) -> list[tuple[str, ...]]:
        """The documents of each query.

        Raises:
            DataError: a query has none, or fewer than the others.
        """
        found = [self.by_query.get(key_of(query), ())[: self.count] for query in queries]
        short = [
            q for q, documents in zip(queries, found, strict=True) if len(documents) < self.count
        ]
        if short:
            wanted = "document" if self.count == 1 else f"{self.count} documents"
            raise DataError(
                f"{self.path} holds no {wanted} for {len(short)} of these {len(queries)} queries, "
                f"the first: {shown(short)}. Add lines with their text and rewrite_query, or let a "
                "chat model write them: --hyde MODEL --hyde-base URL."
            )
        return found


def read_generations(path: Path, count: int | None = None) -> Generations:
    """Read a file of hypothetical documents.

    A text in several lines has their documents, in order; a line that says nothing new is left
    out. An empty document is none. A last line that was cut off while it was written is left out.

    Args:
        path: the file.
        count: documents to take for each query; None takes all, and then all have as many.

    Raises:
        DataError: unreadable, a line that is not as it should be, or documents of two prompts or
            models for one query.
        UsageError: queries have different numbers of documents and nobody says how many to take.
    """
    found = _Collected()
    for row in read_rows(path):
        found.add(row)
    if not found.documents:
        raise DataError(
            f"{path} holds no hypothetical document. It needs lines with text and rewrite_query."
        )
    by_query = {key: tuple(documents) for key, documents in found.documents.items()}
    return Generations(
        path, by_query, count or _common(path, by_query), tuple(sorted(found.generators))
    )


def _common(path: Path, by_query: Mapping[str, tuple[str, ...]]) -> int:
    counts = {len(documents) for documents in by_query.values()}
    if len(counts) > 1:
        few = next(key for key, documents in by_query.items() if len(documents) == min(counts))
        raise UsageError(
            f"{path} has {min(counts)} to {max(counts)} documents a query ({min(counts)} for "
            f"{shown([few])}). Say how many to take of each: --hyde-documents {min(counts)}."
        )
    return counts.pop()


class _Collected:
    """Rows put together by query."""

    def __init__(self) -> None:
        self.documents: dict[str, list[str]] = {}
        self.generators: set[str] = set()
        self._numbers: dict[str, list[int]] = {}
        self._recipes: dict[str, str | None] = {}

    def add(self, row: Row) -> None:
        key = key_of(row.text)
        if not row.documents:
            return
        if self._recipes.setdefault(key, row.recipe) != row.recipe:
            raise DataError(
                f"{row.where}: documents of two models or prompts for {shown([row.text])}. Keep "
                "those of one (generator, form and sampling in its lines)."
            )
        if row.generator:
            self.generators.add(row.generator)
        documents = self.documents.setdefault(key, [])
        if row.number is None:
            documents += [text for text in row.documents if text not in documents]
            return
        # Numbered documents stand in order of their number, and the first of a number counts:
        # answers arrive in any order, and two processes may have asked for the same one.
        numbers = self._numbers.setdefault(key, [])
        if row.number not in numbers:
            place = sum(number < row.number for number in numbers)
            numbers.insert(place, row.number)
            documents.insert(place, row.documents[0])


def read_rows(path: Path) -> Iterator[Row]:
    """Every row of a file, checked; a last line that was cut off is left out.

    Raises:
        DataError: unreadable, or a line that is not as it should be.
    """
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        for number, values in _json_lines(path):
            yield _row(f"{path} line {number}", values)
        return
    if not suffix:
        raise DataError(f"{path} is in no known format; use one of {', '.join(SUFFIXES)}.")
    for batch in read_batches(path, FIELDS):
        for place in range(len(batch.numbers)):
            values = {name: column[place] for name, column in batch.columns.items()}
            yield _row(batch.at(place), values)


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects with their line numbers; a last line without its end may be torn."""
    with open_binary(path) as stream:
        number = 0
        try:
            for number, raw in enumerate(stream, start=1):
                values = as_object(raw)
                if values is not None:
                    yield number, values
                elif raw.endswith(b"\n") and raw.strip():
                    raise DataError(
                        f"{path} line {number} is no JSON object in UTF-8. Each line must be one "
                        "object with text and rewrite_query."
                    )
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path} is readable up to line {number} only: {error}") from error


def as_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None if it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _row(where: str, values: Mapping[str, Any]) -> Row:
    text, given = values.get("text"), values.get("rewrite_query")
    documents = [given] if isinstance(given, str) else given
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where} has no text of a query (`text`).")
    if not isinstance(documents, list) or not all(isinstance(one, str) for one in documents):
        raise DataError(
            f"{where}: rewrite_query is {type(given).__name__}, not a document or a list of them."
        )
    number = values.get("number")
    return Row(
        where,
        text,
        tuple(one for one in documents if one.strip()),
        number if isinstance(number, int) else None,
        values.get("recipe"),
        values.get("generator"),
    )
