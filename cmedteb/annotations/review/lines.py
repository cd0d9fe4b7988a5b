"""What the review page downloads: one JSON object a line, one line an item."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cmedteb.annotations.review.said import Problems, Said, grade_of, mark_of, text_of
from cmedteb.errors import DataError


def read_jsonl(content: bytes, name: str, problems: Problems) -> Iterator[Said]:
    """The answers of a page.

    Args:
        content: of the file.
        name: of the file, for messages.
        problems: where lines that cannot be read are noted.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 ({error}). Take the file as it was downloaded.") from (
            error
        )
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with problems.noted():
                yield _said(line, f"{name} line {number}")


def _said(line: str, where: str) -> Said:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: no JSON ({error.msg}): was the file cut?") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: no JSON object")
    missing = sorted({"item", "reviewer", "score", "unsure", "text_hash"} - set(row))
    if missing:
        raise DataError(f"{where}: no {', '.join(missing)}")
    return Said(
        where=where,
        item_id=text_of(row["item"], where),
        reviewer=text_of(row["reviewer"], where),
        grade=grade_of(row["score"], where),
        unsure=mark_of(row["unsure"], where),
        comment=text_of(row.get("comment"), where).strip(),
        shown=text_of(row["text_hash"], where),
    )
