"""`review.csv`: what Excel, WPS and LibreOffice open by a double click, and give back.

UTF-8 with a byte order mark, or Excel would read Chinese as something else. A cell that a sheet
would run as a formula gets an apostrophe before it; medical texts do begin with a minus. Cells that
begin with an apostrophe get one more, so that reading takes off exactly what writing put on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cmedteb.annotations.review.items import Item, Opinion, shown_hash
from cmedteb.annotations.review.said import Problems, Said, grade_of, mark_of
from cmedteb.errors import DataError, UsageError

GUARD = "'"
# Full-width forms too: sheets in a Chinese or Japanese locale take them for the operators.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", GUARD)
BEFORE = ("row", "pair_id", "query", "document")
AFTER = ("score_1_to_5", "unsure", "comment", "reviewer")
CELL = 32_767  # characters that Excel keeps of a cell; it cuts the rest without a word
ENCODINGS = ("utf-8-sig", "gb18030")
DELIMITERS = ",;\t"


class _Decoded(NamedTuple):
    text: str
    encoding: str


def guarded(text: str) -> str:
    """A cell that no sheet runs as a formula."""
    return GUARD + text if text.startswith(FORMULA) else text


def unguarded(cell: str) -> str:
    """The text of a cell that was guarded."""
    return cell.removeprefix(GUARD)


def write_sheet(items: Sequence[Item], *, reviewer: str) -> bytes:
    """The sheet of one reviewer, a row an item.

    Raises:
        UsageError: a text is longer than a cell can be.
    """
    judges = [opinion.judge for opinion in items[0].opinions] if items else []
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([*BEFORE, *(f"judge {judge}" for judge in judges), *AFTER])
    for number, item in enumerate(items, start=1):
        texts = [guarded(item.query), guarded(item.document)]
        if max(map(len, texts)) > CELL:
            raise UsageError(
                f"a document has {len(item.document)} characters, and a sheet cuts cells after "
                f"{CELL}: leave csv out of --format, or plan with a cut of the documents."
            )
        said = [guarded(_opinion(opinion)) for opinion in item.opinions]
        writer.writerow([number, item.item_id, *texts, *said, "", "", "", guarded(reviewer)])
    return stream.getvalue().encode("utf-8-sig")


def _opinion(opinion: Opinion) -> str:
    return f"{opinion.grade or '-'} {opinion.reason}".strip()


def read_sheet(content: bytes, name: str, problems: Problems) -> Iterator[Said]:
    """The rows of a returned sheet, whatever program saved it last; blank rows are left out.

    Args:
        content: of the file.
        name: of the file, for messages.
        problems: where cells that cannot be read are noted.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    decoded = _decoded(content, name)
    header, rows = _rows(decoded.text, name)
    missing = [column for column in (*BEFORE, *AFTER) if column not in header]
    if missing:
        raise DataError(
            f"{name}: no column {', '.join(missing)}; found: {', '.join(header)}. Leave the first "
            "row as it was exported."
        )
    for number, row in enumerate(rows, start=2):
        cells = dict(zip(header, row + [""] * (len(header) - len(row)), strict=False))
        where = f"{name} row {number}"
        if len(row) > len(header):
            problems.add(f"{where}: {len(row)} cells under {len(header)} columns")
        elif any(cell.strip() for cell in row):
            with problems.noted():
                yield _said(cells, where)


def _said(cells: dict[str, str], where: str) -> Said:
    return Said(
        where=where,
        item_id=cells["pair_id"].strip(),
        reviewer=unguarded(cells["reviewer"]).strip(),
        grade=grade_of(cells["score_1_to_5"], where),
        unsure=mark_of(cells["unsure"], where),
        comment=cells["comment"].strip(),
        shown=shown_hash(unguarded(cells["query"]), unguarded(cells["document"])),
    )


def _rows(text: str, name: str) -> tuple[list[str], list[list[str]]]:
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"{name}: no CSV ({error}). Save it as `CSV UTF-8`.") from error
    if not rows:
        raise DataError(f"{name}: the file is empty")
    return [cell.strip() for cell in rows[0]], rows[1:]


def _decoded(content: bytes, name: str) -> _Decoded:
    """UTF-8, what Chinese Windows calls ANSI (GBK), or Excel's `Unicode text` (UTF-16)."""
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{name}: an Excel workbook. Save the sheet as `CSV UTF-8`.")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if utf16 else ENCODINGS:
        try:
            return _Decoded(content.decode(encoding), encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{name}: neither UTF-8 nor GBK. Save it as `CSV UTF-8`.")
