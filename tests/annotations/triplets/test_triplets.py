"""Training triplets from the smoke set by the command line, with real judges on the loopback.

Half of each query's relevant documents are hidden from the data set; the judges know them all. What
was hidden must be found as a positive and must never be a negative.

Run: pytest tests/annotations/triplets/test_triplets.py -q.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import retrieval_folder
from cli.conftest import Cli, cli  # noqa: F401  a fixture

from annotations.judging_support import LABELS, with_probe
from annotations.panel_support import write_panel
from cmedteb.annotations.demo import Gold, SimulatedJudge, Simulation
from cmedteb.annotations.demo.server import JudgeServer
from cmedteb.annotations.journal import Journal
from cmedteb.resources import data_folder

SMOKE = Path(__file__).resolve().parents[3] / "tasks" / "smoke" / "SmokeRetrieval"
QUERIES = 6


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True)
class Hidden:
    """The set as it is given, and what judges know.

    Attributes:
        folder: of the set.
        gold: of the judges.
        right: query id -> all relevant documents.
    """

    folder: Path
    gold: Gold
    right: dict[str, set[str]]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Hidden:
    documents = {row["_id"]: row["text"] for row in rows(SMOKE / "corpus.jsonl")}
    asked = {row["_id"]: row["text"] for row in rows(SMOKE / "queries.jsonl")[:QUERIES]}
    right: dict[str, set[str]] = {query: set() for query in asked}
    for line in (SMOKE / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, doc, grade = line.split("\t")
        if query in asked and int(grade) > 0:
            right[query].add(doc)
    shown = {query: dict.fromkeys(sorted(docs)[::2], 1) for query, docs in right.items()}
    near = {f"{query}-near": f"{text}?" for query, text in list(asked.items())[:4]}
    everything = asked | near
    judged = shown | {name: shown[name.removesuffix("-near")] for name in near}
    folder = retrieval_folder(
        tmp_path_factory.mktemp("hidden") / "Smoke", documents, everything, judged
    )
    grades = {query: dict.fromkeys(docs, 5.0) for query, docs in right.items()}
    return Hidden(folder, with_probe(Gold(asked, documents, grades)), right)


@contextmanager
def serving(hidden: Hidden) -> Iterator[JudgeServer]:
    judges = tuple(SimulatedJudge(label, noise=0.0) for label in LABELS)
    with JudgeServer(hidden.gold, Simulation(judges=judges)) as server:
        yield server


def arguments(hidden: Hidden, panel: Path, to: Path, *more: str) -> list[str]:
    told = ["annotate", "triplets", "-t", str(hidden.folder), "--to", str(to), "--offline"]
    told += ["--panel", str(panel), "-m", "bm25", "-m", "hashing", "--pool-depth", "8"]
    return [*told, "--near", "0.9", "--most-near", "0", "--seeds", "1", *more]


def test_from_a_set_to_triplets(hidden: Hidden, tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    to = tmp_path / "made"
    with serving(hidden) as server:
        panel = write_panel(tmp_path / "panel.toml", server.base_url, LABELS)
        dry = cli(*arguments(hidden, panel, to, "--dry-run"))
        assert dry.code == 0, dry.err
        assert max(map(len, dry.out.splitlines())) <= 80
        assert not server.ledger.paid
        done = cli(*arguments(hidden, panel, to, "--json"))
        assert done.code == 0, done.err
        paid = dict(server.ledger.paid)
        again = cli(*arguments(hidden, panel, to, "--json"))
        assert dict(server.ledger.paid) == paid
    stats = done.document
    assert again.document == stats
    assert stats["diversity"]["dropped"] == 4
    assert stats["queries"] == QUERIES
    assert stats["diversity"]["similarity"] == 0.9
    made = rows(to / "triplets.jsonl")
    assert len(made) == stats["rows"] > QUERIES
    for row in made:
        right = hidden.right[row["query_id"].removesuffix("-near")]
        assert set(row["pos_id"]) <= right
        assert not set(row["neg_id"]) & right
        assert 1 <= len(row["neg"]) <= 15
        assert len(row["pos"]) == 1
    shown = {pair.doc_id for pair in _pairs(to) if pair.original}
    found = {doc for row in made for doc in row["pos_id"]} - shown
    assert len(found) == stats["false_negatives_removed"] > 0


def _pairs(folder: Path) -> Any:
    with Journal.open(folder) as journal:
        return journal.pairs()


def test_the_datas_own_positives_in_one_row(
    hidden: Hidden, tmp_path: Path, cli: Cli  # noqa: F811
) -> None:  # fmt: skip
    to = tmp_path / "made"
    more = ("--positives", "confirmed", "--all-positives", "--negatives", "3", "--choose", "random")
    with serving(hidden) as server:
        panel = write_panel(tmp_path / "panel.toml", server.base_url, LABELS)
        done = cli(*arguments(hidden, panel, to, *more))
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    made = rows(to / "triplets.jsonl")
    assert len({row["query_id"] for row in made}) == len(made)
    assert max(len(row["neg"]) for row in made) == 3
    original = {(pair.query_id, pair.doc_id) for pair in _pairs(to) if pair.original}
    assert {(row["query_id"], doc) for row in made for doc in row["pos_id"]} <= original


def test_a_used_up_budget_goes_on_with_a_larger_one(
    hidden: Hidden, tmp_path: Path, cli: Cli  # noqa: F811
) -> None:  # fmt: skip
    to = tmp_path / "made"
    with serving(hidden) as server:
        panel = write_panel(tmp_path / "panel.toml", server.base_url, LABELS)
        broke = cli(*arguments(hidden, panel, to, "--budget", "0.05"))
        assert broke.code == 1
        assert "budget" in broke.err
        assert not (to / "triplets.jsonl").exists()
        assert cli(*arguments(hidden, panel, to, "--budget", "100")).code == 0
        assert max(server.ledger.paid.values()) == 1
    assert (to / "triplets.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--most-near", "1"], "made with other choices"),
        (["--keep-all"], "say how queries are de-duplicated"),
        (["--to", str(data_folder("annotations") / "overlays")], "none may enter annotations/"),
        (["--diversity-model", "bm25", "--to", "fresh"], "bm25 has no vectors"),
    ],
)
def test_what_is_refused(
    hidden: Hidden, tmp_path: Path, cli: Cli, change: list[str], told: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    panel = write_panel(tmp_path / "panel.toml", "http://127.0.0.1:9/v1", LABELS)
    assert cli(*arguments(hidden, panel, tmp_path / "made", "--dry-run")).code == 0
    ended = cli(*arguments(hidden, panel, tmp_path / "made", "--dry-run"), *change)
    assert ended.code == 2
    assert told in ended.err
