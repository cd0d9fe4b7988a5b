"""The sheet: exact round trips, no formula, and what other programs make of it."""

from __future__ import annotations

import csv
import io

import pytest

from annotations.review.support import HOSTILE
from cmedteb.annotations.review.items import Item, Opinion, shown_hash
from cmedteb.annotations.review.said import Problems, Said
from cmedteb.annotations.review.sheet import guarded, read_sheet, unguarded, write_sheet
from cmedteb.errors import DataError, UsageError

TEXTS = [*HOSTILE, "", "'", "''=", "\n=1", "plain", "a\r\nb\rc\nd", '"', "a,b;c\td", "\u540d\u8bcd"]
BOM = b"\xef\xbb\xbf"


def items(*documents: str) -> list[Item]:
    return [
        Item(f"r{n:015}", f"p{n}", 0, f"- query {n}", text, was_cut=False)
        for n, text in enumerate(documents)
    ]


def read(content: bytes) -> list[Said]:
    problems = Problems()
    rows = list(read_sheet(content, "review.csv", problems))
    problems.settle()
    return rows


def edited(content: bytes, **cells: str) -> list[list[str]]:
    """The rows of a sheet with these cells in every row."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    for row in rows[1:]:
        for name, value in cells.items():
            row[rows[0].index(name)] = value
    return rows


def saved(
    rows: list[list[str]], encoding: str, *, delimiter: str = ",", errors: str = "strict"
) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue().encode(encoding, errors)


@pytest.mark.parametrize("text", TEXTS)
def test_a_cell_is_read_as_it_was_written(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    (row,) = read(write_sheet(items(text), reviewer="li"))
    assert row.shown == shown_hash("- query 0", text)


def test_a_fresh_sheet_has_the_columns_and_no_answers() -> None:
    content = write_sheet(items("a", "b"), reviewer="li")
    assert content.startswith(BOM + b"row,pair_id,query,document,score_1_to_5,unsure,comment,")
    assert [row.is_empty for row in read(content)] == [True, True]


def test_answers_are_read() -> None:
    rows = edited(
        write_sheet(items("a"), reviewer="li"), score_1_to_5="4", unsure="X", comment=" -ok "
    )
    (said,) = read(saved(rows, "utf-8-sig"))
    assert said[1:6] == ("r000000000000000", "li", 4, True, "-ok")


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8", ","), ("utf-8-sig", ";"), ("gbk", ","), ("utf-16", "\t"), ("gb18030", "\t")],
)
def test_whatever_program_saved_it(encoding: str, delimiter: str) -> None:
    documents = ["\u963f\u8fbe\u5e15\u6797\u51dd\u80f6, \u7ef4A\u9178", "-1\n=2"]
    rows = edited(write_sheet(items(*documents), reviewer="\u674e"), score_1_to_5="4.0")
    rows.append([""] * len(rows[0]))
    said = read(saved(rows, encoding, delimiter=delimiter))
    assert [row.grade for row in said] == [4, 4]
    assert [row.reviewer for row in said] == ["\u674e", "\u674e"]
    wanted = [shown_hash(f"- query {n}", text) for n, text in enumerate(documents)]
    assert [row.shown for row in said] == wanted


@pytest.mark.parametrize("score", ["0", "6", "4.5", "good", "44", "-1", "4 5"])
def test_what_is_no_grade_is_told_with_its_row(score: str) -> None:
    rows = edited(write_sheet(items("a", "b"), reviewer="li"), score_1_to_5=score)
    with pytest.raises(DataError, match=r"review.csv row 2: '.*' is no grade[\s\S]*row 3"):
        read(saved(rows, "utf-8"))


def test_a_full_width_digit_is_a_grade() -> None:
    rows = edited(write_sheet(items("a"), reviewer="li"), score_1_to_5=" \uff14 ")
    assert read(saved(rows, "utf-8"))[0].grade == 4


def test_a_mark_that_says_nothing_is_refused() -> None:
    rows = edited(write_sheet(items("a"), reviewer="li"), unsure="perhaps")
    with pytest.raises(DataError, match="row 2: `unsure` is 'perhaps'"):
        read(saved(rows, "utf-8"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04rest", "an Excel workbook. Save the sheet as `CSV UTF-8`"),
        (b"\xff\x80\xff", "neither UTF-8 nor GBK"),
        (b"", "the file is empty"),
        (b"a,b\r\n1,2\r\n", "no column row, pair_id"),
        (b'row,pair_id\r\n"a"b,c\r\n', "no CSV"),
    ],
)
def test_a_file_that_is_no_sheet_says_what_to_do(content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read(content)


def test_a_text_that_a_cell_cannot_hold_is_not_exported() -> None:
    with pytest.raises(UsageError, match="40000 characters"):
        write_sheet(items("x" * 40_000), reviewer="li")


def test_judges_have_columns_where_they_are_shown() -> None:
    shown = Item(
        "r1",
        "p",
        0,
        "q",
        "d",
        was_cut=False,
        opinions=(Opinion("a", 4, "=1"), Opinion("b", None, "cut")),
    )
    rows = edited(write_sheet([shown], reviewer="li"))
    assert rows[0][4:6] == ["judge a", "judge b"]
    assert rows[1][4:6] == ["4 =1", "'- cut"]
