"""What papers report, and what ships. Run: pytest tests/leaderboard/test_published.py -q."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.leaderboard.known import known_data
from cmedteb.leaderboard.published import published, read_published
from cmedteb.leaderboard.schemas import schemas, write_schemas
from cmedteb.resources import data_folder
from cmedteb.tasks import catalogue

TABLES = published()
# Averages are printed to two digits, so they may be half a unit of the last one from the mean.
HALF = 0.5e-4 + 1e-9


def test_every_average_recomputes_from_its_cells() -> None:
    counted = 0
    for table in TABLES:
        for row in table.rows:
            if row.average is not None:
                assert row.recomputed == pytest.approx(row.average, abs=HALF), (table, row.model)
                counted += 1
    assert counted == 47


def test_every_row_is_there() -> None:
    rows = Counter({table.name: len(table.rows) for table in TABLES})
    assert rows == {
        "cmedqa-off-the-shelf": 5,
        "cmedteb-ablation": 7,
        "cmedteb-alternatives": 5,
        "cmedteb-main": 13,
        "cmedteb-stage-data": 4,
        "cmedteb-symmetric": 6,
        "cmirb-leaderboard": 12,
    }


def test_columns_are_tasks_and_averages_those_of_their_benchmark() -> None:
    known = catalogue()
    for table in TABLES:
        assert set(table.columns) <= set(known.cards)
        if table.benchmark is not None:
            assert table.columns == known.benchmarks[table.benchmark].tasks


def test_tables_say_whence_and_whether_models_were_tuned() -> None:
    for table in TABLES:
        assert table.source
        assert table.url.startswith("https://")
        assert table.note.zh
        assert table.note.en
    assert {table.name: table.fine_tuned for table in TABLES}["cmedteb-main"] is True
    assert {table.name: table.fine_tuned for table in TABLES}["cmirb-leaderboard"] is None


def test_two_versions_of_a_row_stand_beside_each_other() -> None:
    rows = next(table for table in TABLES if table.name == "cmedteb-symmetric").rows
    same = [row for row in rows if row.model.startswith("Medical-Embedder-8B")]
    assert len(same) == 2
    assert same[0].scores != same[1].scores
    assert same[0].average == same[1].average


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[77.40, nan]", "[77.40]", "has 1 scores, there are 2 columns"),
        ("[77.40, nan]", "[177.40, nan]", "beyond 100 points"),
        ("fine_tuned = false\n", "", "fine_tuned"),
        ("fine_tuned = false\n", "fine_tuned = false\nbest = true\n", "best"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, old: str, new: str, expected: str) -> None:
    shipped = data_folder("leaderboard") / "published" / "cmedqa-off-the-shelf.toml"
    text = shipped.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "table.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=expected):
        read_published(path)


def test_known_data_are_tasks() -> None:
    known = known_data()
    assert known
    assert set(known) <= set(catalogue().cards)


def test_a_hash_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    line = 'revision = "1"\ncontent_hash = "x"\njudgements = "y"\nunits = 0\n'
    path.write_text(f"[T]\n{line}", encoding="utf-8")
    with pytest.raises(DataError, match=r"T\.content_hash.*T\.judgements.*T\.units"):
        known_data(path)


def test_schemas_are_in_step(tmp_path: Path) -> None:
    folder = data_folder("leaderboard") / "schema"
    there = {path.name: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    assert there == schemas(), "write them anew: make schema"
    write_schemas(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(there)
