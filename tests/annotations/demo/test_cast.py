"""Who acts in the demo, and what is planted for them to find."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from builders import corpus, qrels, queries, ranking

from cmedteb.annotations.config import System
from cmedteb.annotations.demo import Gold
from cmedteb.annotations.demo.cast import fill_sheet, simulation, write_panel
from cmedteb.annotations.demo.plant import plant, write_data
from cmedteb.annotations.demo.process import ledger, served
from cmedteb.annotations.panel import find_panel
from cmedteb.annotations.systems import Returned, from_table
from cmedteb.data import Access, Hub
from cmedteb.tasks.registry import from_folder
from cmedteb.types import RankingData

DATA = ranking(
    corpus([f"document number {number}" for number in range(6)]),
    queries(["first question", "second question"]),
    qrels([{0: 2, 1: 1, 2: 1, 3: 0}, {4: 1, 5: 0}]),
)


def returned(docs: list[str]) -> Returned:
    table = {"q000": {doc: -float(place) for place, doc in enumerate(docs)}}
    return from_table(DATA, table, System(name="a", kind="trec", sha256="0"), where="a")


FINDER = returned(["d001", "d002", "d000"])
GATHERER = returned(["d000", "d003", "d002", "d001"])


def test_positives_that_one_system_finds_are_hidden_and_one_stays() -> None:
    planted = plant(DATA, FINDER, GATHERER, share=1.0, wrong=0, seed=0)
    assert planted.hidden == (("q000", "d001"), ("q000", "d002"))
    assert planted.judgements == {"q000": {"d000": 2, "d003": 0}, "q001": {"d004": 1, "d005": 0}}
    assert planted.gold.grade("q000", "d001") > 4
    assert 1.5 < planted.gold.grade("q000", "d003") < 3.5
    assert planted.gold.grade("q000", "d005") == 1.0


def test_a_share_is_at_most_that_and_seeded() -> None:
    some = [plant(DATA, FINDER, GATHERER, share=0.25, wrong=1, seed=seed) for seed in range(8)]
    assert {len(one.hidden) for one in some} == {1}
    assert {one.hidden for one in some} == {(("q000", "d001"),), (("q000", "d002"),)}
    assert {one.wrong for one in some} == {(("q000", "d003"),), (("q001", "d005"),)}
    assert all(one.judgements[query][doc] == 1 for one in some for query, doc in one.wrong)


def test_written_data_reads_back(tmp_path: Path) -> None:
    planted = plant(DATA, FINDER, GATHERER, share=1.0, wrong=1, seed=0)
    write_data(DATA, planted.judgements, tmp_path / "planted")
    task = from_folder(tmp_path / "planted")
    data = task.load(Access(None, Hub.HF, offline=True))
    assert isinstance(data, RankingData)
    assert task.card.name == "planted"
    assert list(data.corpus.texts) == list(DATA.corpus.texts)
    assert sorted(data.qrels.grades.tolist()) == sorted(
        grade for row in planted.judgements.values() for grade in row.values()
    )


def test_the_panel_is_a_panel(tmp_path: Path) -> None:
    path = write_panel(simulation(1), "http://127.0.0.1:1", tmp_path / "panel.toml")
    panel = find_panel(str(path))
    assert panel.labels == ("sober", "lenient", "slow")
    assert len({judge.account for judge in panel.judges}) == 3
    assert all(judge.key_env is None for judge in panel.judges)
    assert "No model judged" in str(panel.note)


def test_experts_grade_from_gold_and_err_a_little(tmp_path: Path) -> None:
    names = [f"d{number:03}" for number in range(300)]
    gold = Gold(
        {"q": "the question"},
        {name: f"the text of {name}." for name in names},
        {"q": dict.fromkeys(names[:150], 4.0)},
    )
    path = tmp_path / "review.csv"
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["pair_id", "query", "document", "score_1_to_5", "comment", "reviewer"])
    for name in names:
        writer.writerow([name, "the question", gold.documents[name], "", "", "r1"])
    path.write_bytes(stream.getvalue().encode("utf-8-sig"))
    assert fill_sheet(path, gold, seed=1) == 300
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
    grades = [int(row["score_1_to_5"]) for row in rows]
    assert sum(grades[:150]) / 150 == pytest.approx(4.0, abs=0.1)
    assert 0 < sum(grade != 4 for grade in grades[:150]) < 40
    assert {row["comment"] for row in rows} == {"simulated"}


def test_a_server_that_ends_with_its_block(tmp_path: Path) -> None:
    gold = Gold({"q": "question"}, {"d": "document"}, {})
    with served(gold, simulation(0), tmp_path) as url:
        assert ledger(url)["requests"] == 0
    with pytest.raises(OSError, match=r"refused|reset"):
        ledger(url)
