"""The board for programs: JSON, CSV, and the comparisons as scripts.

A page that was opened from a disk may load a script but not fetch a file: so a comparison is a
call with data, `cmedtebCompared({...})`, and nothing in it can end the script or begin markup.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from cmedteb.leaderboard.board import Board, Comparisons

COLUMNS = (
    "benchmark",
    "model",
    "revision",
    "task",
    "metric",
    "judgements",
    "score",
    "low",
    "high",
    "rank",
    "rank_low",
    "rank_high",
)
# A spreadsheet runs what begins like this.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def board_json(board: Board) -> bytes:
    """The whole board, one key a line."""
    return (board.model_dump_json(indent=1) + "\n").encode()


def board_csv(board: Board) -> bytes:
    """Means first, then cells: one line a number. UTF-8 with a mark, as spreadsheets want it."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in _rows(board):
        writer.writerow([_harmless(value) for value in row])
    return lines.getvalue().encode("utf-8-sig")


def comparison_js(comparisons: Comparisons) -> bytes:
    """One model against those after it."""
    return f"cmedtebCompared({inert_json(comparisons.model_dump(mode='json'))});\n".encode()


def inert_json(value: object) -> str:
    """JSON that is safe inside a script and inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _rows(board: Board) -> Iterator[tuple[object, ...]]:
    models = {entry.slug: entry for entry in board.models}
    tasks = {entry.name: entry for entry in board.tasks}
    for row in board.standings:
        model = models[row.model]
        place = (row.score, row.low, row.high, row.rank, row.rank_low, row.rank_high)
        shown = board.judgements
        yield (row.benchmark, model.name, model.revision, "", "mean", shown, *place)
    for cell in board.cells:
        model, task = models[cell.model], tasks[cell.task]
        place = (cell.score, cell.low, cell.high, cell.rank, cell.rank_low, cell.rank_high)
        head = (" ".join(task.benchmarks), model.name, model.revision, task.name)
        yield (*head, task.main_score_name, task.shown, *place)


def _harmless(value: object) -> object:
    """Text that a spreadsheet will not take for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
