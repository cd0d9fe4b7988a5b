"""`cmedteb annotate report`, `build`, `replay`, and `rescore` after them, as a user calls them.

Run: pytest tests/cli/annotate/test_reporting.py. Answers are written into a real journal; nothing
opens a connection, which the tests make impossible.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest
from annotations.annotation_support import add, graded
from annotations.snapshot_support import review
from pytest_socket import disable_socket
from rich.cells import cell_len

from cli.conftest import Cli
from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.journal import FILE
from cmedteb.annotations.records import Pair
from cmedteb.results.files import read_json

TASK = "Set"


@pytest.fixture(autouse=True)
def _no_network() -> None:
    disable_socket(allow_unix_socket=True)


@pytest.fixture(scope="module")
def judged(tasks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small task, pooled from two models and judged. Do not edit."""
    import cmedteb
    from cmedteb.annotations.planning import Choices, Sources, plan
    from cmedteb.api import prepare

    folder = tmp_path_factory.mktemp("annotation")
    results = folder / "results"
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, [tasks[0]], output=results)
    prepared = prepare((str(tasks[0]),), output=results)
    choices = Choices(depth=5, more={"canaries": 1})
    sources = Sources(results=results)
    with plan(folder, prepared.tasks[0], prepared.options, sources, choices=choices) as journal:
        labels = journal.config.panel.labels
        pairs = journal.pairs()
        for one in pairs:
            for label in labels:
                add(journal, one.pair_id, label, graded(_grade(one, label, labels)))
        strata = label_pairs(journal.snapshot()).strata()
        journal.set_strata({pair: str(name) for pair, name in strata.items()})
        journal.add_reviews([review(p.pair_id, 5) for p in pairs if p.canary is None][:6])
    return folder


def _grade(one: Pair, label: str, labels: tuple[str, ...]) -> int:
    """Originals are right; so is what both models rank first; the last judge errs now and then."""
    good = one.original is not None or min(one.ranks.values(), default=9) <= 2
    odd = int(one.pair_id, 16) % 5 == 0 and label == labels[-1]
    return 5 if good != odd else 1


@pytest.fixture
def folder(judged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged, tmp_path / "annotation"))


def test_the_report_in_80_columns(cli: Cli, folder: Path) -> None:
    ended = cli("annotate", "report", folder, "--results", folder / "results")
    assert ended.code == 0, ended.err
    assert max(cell_len(line) for line in ended.out.splitlines()) <= 80
    for told in ("Fleiss' kappa, grade >= 4", "false negatives per query", "rank", "->"):
        assert told in ended.out
    for name in ("report.json", "report.md", "report.html"):
        assert (folder / "report" / name).is_file()


def test_the_report_as_one_document(cli: Cli, folder: Path) -> None:
    document = cli("annotate", "report", folder, "--json").document
    assert document == read_json(folder / "report" / "report.json")
    assert document["found"]["total"] > 0
    assert document["scores"] is None


def test_labels_become_judgements_that_scores_move_under(cli: Cli, folder: Path) -> None:
    results = folder / "results"
    told = cli("annotate", "report", folder, "--results", results, "--json").document
    moves = {move["model"]: move for move in told["scores"]["moves"]}
    ended = cli("annotate", "build", folder, "--version", "v1", "--offline")
    assert ended.code == 0, ended.err
    overlays = folder / "overlays"
    flags = ("--judgements", "v1", "--overlays", overlays, "--results", results, "--json")
    rows = cli("rescore", *flags).document
    assert len(rows) == 2
    for row in rows:
        assert row["after"] != row["before"]
        assert row["after"] == pytest.approx(moves[row["model"]]["after"])
        assert row["before"] == pytest.approx(moves[row["model"]]["before"])


def test_the_originals_come_from_the_data_set_where_no_results_are(cli: Cli, folder: Path) -> None:
    with_results = cli("annotate", "build", folder, "--version", "v1", "--json").document
    first = {name: Path(name).read_bytes() for name in with_results["files"]}
    shutil.rmtree(folder / "results")
    shutil.rmtree(folder / "overlays")
    assert cli("annotate", "build", folder, "--version", "v1", "--offline").code == 0
    assert {name: Path(name).read_bytes() for name in first} == first


def test_formats_and_rules_are_chosen(cli: Cli, folder: Path) -> None:
    flags = ("--version", "v1", "--rule", "majority", "--threshold", "3", "--formats", "trec")
    document = cli("annotate", "build", folder, *flags, "--json").document
    names = {
        Path(name).relative_to(folder / "overlays" / TASK).as_posix() for name in document["files"]
    }
    assert names == {"v1.tsv.gz", "v1.json", "v1/card.md", "v1/undecided.tsv", "v1/trec/test.qrels"}
    header = read_json(folder / "overlays" / TASK / "v1.json")
    assert (header["rule"], header["threshold"]) == ("majority", 3)
    again = cli("annotate", "build", folder, "--version", "v1", "--formats", "none")
    assert again.code == 2
    assert "new number" in again.err
    wrong = cli("annotate", "build", folder, "--version", "v2", "--formats", "beir,csv")
    assert wrong.code == 2
    assert "'csv' is none of beir, trec, mteb" in wrong.err


def test_everything_again_from_the_journal_alone(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """The journal is all that is left, on a disk where nothing can be written."""
    assert cli("annotate", "report", folder).code == 0
    assert cli("annotate", "build", folder, "--version", "v1").code == 0
    flags = ("--version", "v2", "--rule", "majority")
    assert cli("annotate", "build", folder, *flags).code == 0
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / FILE, alone / FILE)
    (alone / FILE).chmod(0o444)
    made = tmp_path / "made"
    ended = cli("annotate", "replay", alone / FILE, "--against", folder, "--to", made, "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert document["differences"] == []
    assert len(document["files"]) == 3 + 2 * 4
    for name in document["files"]:
        assert (made / name).read_bytes() == (folder / name).read_bytes()
    assert [path.name for path in alone.iterdir()] == [FILE]


def test_without_anything_to_compare_it_writes(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert cli("annotate", "replay", folder).code == 2
    assert cli("annotate", "replay", folder, "--to", tmp_path / "made").code == 0
    assert cli("annotate", "replay", folder, "--against", tmp_path / "made").code == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli("annotate", "replay", folder, "--against", empty).code == 2


def test_one_grade_that_was_changed_shows(cli: Cli, folder: Path) -> None:
    assert cli("annotate", "report", folder).code == 0
    assert cli("annotate", "build", folder, "--version", "v1", "--formats", "none").code == 0
    tamper(folder / FILE)
    ended = cli("annotate", "replay", folder, "--against", folder)
    assert ended.code == 3
    assert "files are not what" in ended.err


def tamper(journal: Path) -> None:
    """Raise the first grade of 1 to 5 in a raw answer."""
    with sqlite3.connect(journal) as connection:
        rows = connection.execute("SELECT id, raw FROM call ORDER BY id").fetchall()
        for number, raw in rows:
            body: dict[str, Any] = json.loads(zlib.decompress(raw))
            said = json.loads(body["choices"][0]["message"]["content"])
            if said["score"] == 1:
                said["score"] = 5
                body["choices"][0]["message"]["content"] = json.dumps(said)
                packed = zlib.compress(json.dumps(body).encode())
                connection.execute("UPDATE call SET raw = ? WHERE id = ?", (packed, number))
                return


def test_a_number_that_was_changed_by_hand_shows(cli: Cli, folder: Path) -> None:
    assert cli("annotate", "report", folder).code == 0
    path = folder / "report" / "report.json"
    path.write_text(path.read_text().replace('"queries"', '"queries" '))
    ended = cli("annotate", "replay", folder, "--against", folder, "--json")
    assert ended.code == 3
    assert ended.document["differences"] == ["report/report.json differs"]


def test_scores_are_not_in_a_journal(cli: Cli, folder: Path) -> None:
    results = folder / "results"
    assert cli("annotate", "report", folder, "--results", results).code == 0
    ended = cli("annotate", "replay", folder, "--against", folder)
    assert ended.code == 2
    assert "give the results folder" in ended.err
    assert cli("annotate", "replay", folder, "--against", folder, "--results", results).code == 0


def test_results_of_other_judgements_are_left_out_and_named(cli: Cli, folder: Path) -> None:
    results = folder / "results"
    path = next(results.glob("*bm25*/*/Set.json"))
    document = read_json(path)
    document["judgements"]["sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    told = cli("annotate", "report", folder, "--results", results, "--json").document["scores"]
    assert len(told["moves"]) == 1
    assert "scored against other judgements" in told["left_out"][0]
