"""Rows that papers report (`leaderboard/published/*.toml`): as printed, with their source.

They are shown apart and never ranked: nobody here can recompute them, and some are of models that
were fine-tuned on the training splits of the benchmark they are tested on. What a paper prints
stays as it is; where its average is not the mean of its cells, the board says so.
"""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cmedteb.cards import read_toml
from cmedteb.leaderboard.board import PublishedRow, PublishedTable, Titled
from cmedteb.resources import data_folder

Points = Annotated[float, Field(ge=-100.0, le=100.0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Table):
    """One row, in points of 100 as printed.

    Attributes:
        parameters: as printed, such as "305M / 4.02B".
        scores: in the order of the table's columns; nan where nothing is printed.
        average: as printed; absent where none is.
        note: what a reader should know of this row.
    """

    model: str
    parameters: str = ""
    scores: tuple[float, ...]
    average: Points | None = None
    note: str = ""


class Published(_Table):
    """One table of one paper.

    Attributes:
        source: the paper or repository.
        url: where it is.
        table: which of its tables.
        benchmark: whose average it prints; absent where the columns are only some of its tasks.
        columns: names of tasks.
        fine_tuned: whether the models were fine-tuned for the benchmark; "unknown" where nobody
            says.
        note: what a reader should know of the table.
    """

    title: Titled
    source: str
    url: str
    table: str
    benchmark: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    fine_tuned: bool | Literal["unknown"]
    note: Titled
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _a_score_a_column(self) -> Self:
        for row in self.rows:
            if len(row.scores) != len(self.columns):
                raise ValueError(
                    f"{row.model} has {len(row.scores)} scores, there are {len(self.columns)} "
                    "columns"
                )
            if any(abs(score) > 100.0 for score in row.scores):
                raise ValueError(f"{row.model} has a score beyond 100 points")
        return self


def read_published(path: Path) -> Published:
    """Read one table.

    Raises:
        DataError: not TOML, or not such a table.
    """
    return read_toml(path, Published, what="a valid published table")


def published(folder: Path | None = None) -> list[PublishedTable]:
    """Every table, by file name; by default the shipped ones."""
    folder = folder or data_folder("leaderboard") / "published"
    return [_entry(path.stem, read_published(path)) for path in sorted(folder.glob("*.toml"))]


def _entry(name: str, table: Published) -> PublishedTable:
    return PublishedTable(
        name=name,
        title=table.title,
        source=table.source,
        url=table.url,
        table=table.table,
        benchmark=table.benchmark,
        columns=table.columns,
        fine_tuned=None if table.fine_tuned == "unknown" else table.fine_tuned,
        note=table.note,
        rows=tuple(_row(row, table.columns) for row in table.rows),
    )


def _row(row: Row, columns: tuple[str, ...]) -> PublishedRow:
    scores = {
        name: round(score / 100.0, 6)
        for name, score in zip(columns, row.scores, strict=True)
        if not isnan(score)
    }
    mean = sum(row.scores) / len(row.scores) / 100.0
    return PublishedRow(
        model=row.model,
        parameters=row.parameters,
        scores=scores,
        average=None if row.average is None else round(row.average / 100.0, 6),
        recomputed=None if row.average is None or isnan(mean) else round(mean, 6),
        note=row.note,
    )
