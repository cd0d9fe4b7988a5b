"""The journal: what is written is there again, whatever happens, and nothing is ever changed.

Run: pytest tests/annotations/test_journal.py -q.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from annotations.annotation_support import add, body, config, graded, pair
from cmedteb.annotations.journal import FILE, Intent, Journal
from cmedteb.annotations.records import Phase, Purpose, Review, State
from cmedteb.errors import DataError, UsageError

PAIRS = (
    pair("q2", "d1"),
    pair("q1", "d2", original=1, twins=("d9", "d3"), ranks={"dense": 3, "bm25": 1}, cut=20),
    pair("q1", "d1", ranks={}, canary="plea"),
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path, config(), PAIRS)


def review(pair_id: str, **more: object) -> Review:
    facts = {"reviewer": "r1", "phase": Phase.BLIND, "repeat": 0, "stratum": "all", "grade": 4}
    rest = {"unsure": False, "comment": "", "file_hash": "f" * 64}
    return Review(pair_id=pair_id, **{**facts, **rest, **more})  # type: ignore[arg-type]


def test_pairs_come_back_in_order(journal: Journal) -> None:
    snapshot = journal.snapshot()
    assert [(one.query_id, one.doc_id) for one in snapshot.pairs] == [
        ("q1", "d1"),
        ("q1", "d2"),
        ("q2", "d1"),
    ]
    assert snapshot.pairs[0].canary == "plea"
    assert snapshot.pairs[1].twins == ("d3", "d9")
    assert snapshot.pairs[1].ranks == {"bm25": 1, "dense": 3}
    assert snapshot.pairs[1].cut == 20
    assert snapshot.config == config()


def test_answers_are_read_from_what_came(journal: Journal) -> None:
    one = PAIRS[0].pair_id
    add(journal, one, "a", graded(4, "x"))
    add(journal, one, "b", body("", finish="content_filter"))
    add(journal, one, "c", None, http=400, error="declined", told="Content Exists Risk")
    add(journal, one, "c", None, http=None, error="lost", told="no whole answer")
    add(journal, one, "a", None, http=429, error="rate", told="slow", purpose=Purpose.RETEST)
    answers = journal.snapshot().answers
    states = [answer.verdict.state for answer in answers]
    assert states == [State.SCORED, State.REFUSED, State.REFUSED, State.FAILED, State.FAILED]
    assert answers[0].verdict.grade == 4
    assert answers[0].returned_model == "some-model-001"
    assert answers[0].cost == pytest.approx((100 * 1.0 + 10 * 2.0) / 1e6)
    assert answers[2].cost == 0.0
    assert answers[3].cost == 0.5  # it may have been charged
    assert answers[4].purpose is Purpose.RETEST


def test_tokens_from_a_prefix_cache_have_their_price(tmp_path: Path) -> None:
    from annotations.annotation_support import judge, panel
    from cmedteb.annotations.panel import TokenPrice

    cheap = judge("a", price=TokenPrice(input=10, output=0, cached=1))
    usage = {"prompt_tokens": 100, "completion_tokens": 5}
    told = {**usage, "prompt_tokens_details": {"cached_tokens": 60}}
    with Journal.create(tmp_path, config(panel=panel(cheap)), PAIRS) as journal:
        add(journal, PAIRS[0].pair_id, "a", body("", usage=told))
        add(
            journal, PAIRS[0].pair_id, "a", body("", usage={**usage, "prompt_cache_hit_tokens": 60})
        )
        answers = journal.snapshot().answers
    assert [answer.tokens_cached for answer in answers] == [60, 60]
    assert answers[0].cost == answers[1].cost == pytest.approx((40 * 10 + 60 * 1) / 1e6)


def test_a_request_that_never_ended_is_an_exposure(journal: Journal) -> None:
    journal.intend(Intent(PAIRS[0].pair_id, "a", Purpose.JUDGE, 1, "key", "m", 0.25, 1.0))
    journal.close()
    with Journal.open(journal.path) as again:
        assert again.exposure()["a"] == (1, 0.25)
        assert not again.snapshot().answers


def test_the_hash_is_of_the_rows_not_of_the_pages(journal: Journal, tmp_path: Path) -> None:
    add(journal, PAIRS[0].pair_id, "a", graded(4))
    before = journal.content_sha256()
    assert before == journal.snapshot().sha256
    journal.close()
    copy = tmp_path / "copy.sqlite"
    with sqlite3.connect(journal.path) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with Journal.open(copy) as vacuumed:
        assert vacuumed.content_sha256() == before
        add(vacuumed, PAIRS[0].pair_id, "b", graded(4))
        assert vacuumed.content_sha256() != before


def test_the_same_plan_opens_and_another_is_refused(journal: Journal, tmp_path: Path) -> None:
    add(journal, PAIRS[0].pair_id, "a", graded(4))
    journal.close()
    with Journal.create(tmp_path, config(), PAIRS[::-1]) as again:
        assert len(again.snapshot().answers) == 1
    for other, pairs in ((config(threshold=3), PAIRS), (config(), PAIRS[:2])):
        with pytest.raises(UsageError, match="another annotation"):
            Journal.create(tmp_path, other, pairs)


def test_a_pair_that_stands_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stands twice"):
        Journal.create(tmp_path, config(), (PAIRS[0], PAIRS[0]))
    assert not list(tmp_path.iterdir())


def test_what_is_no_journal(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(UsageError, match="annotate plan"):
        Journal.open(tmp_path / "nowhere")
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, " * 100)
    with pytest.raises(DataError, match="no journal"):
        Journal.open(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(DataError, match="no journal of an annotation"):
        Journal.open(other)
    journal.close()
    newer = sqlite3.connect(journal.path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(DataError, match="newer cmedteb"):
        Journal.open(journal.path)


def test_a_journal_on_a_read_only_disk(journal: Journal, tmp_path: Path) -> None:
    add(journal, PAIRS[0].pair_id, "a", graded(4))
    before = journal.content_sha256()
    journal.close()
    folder = tmp_path / "released"
    folder.mkdir()
    shutil.copy(journal.path, folder / FILE)
    listing = sorted(folder.iterdir())
    folder.chmod(0o555)
    try:
        with Journal.open(folder, writable=False) as released:
            assert released.content_sha256() == before
            with pytest.raises(UsageError, match="read only"):
                add(released, PAIRS[0].pair_id, "a", graded(4))
            with pytest.raises(UsageError, match="read only"):
                released.set_strata({PAIRS[0].pair_id: "x"})
    finally:
        os.chmod(folder, 0o755)  # noqa: PTH101
    assert sorted(folder.iterdir()) == listing


def test_reviews_are_added_and_never_overwritten(journal: Journal) -> None:
    one, other = PAIRS[0].pair_id, PAIRS[1].pair_id
    assert journal.add_reviews([review(one), review(one, repeat=1), review(other)]) == 3
    with pytest.raises(DataError, match="already said"):
        journal.add_reviews([review(other, reviewer="r2"), review(one, grade=1)])
    with pytest.raises(DataError, match="has no pairs nobody"):
        journal.add_reviews([review("nobody")])
    kept = journal.snapshot().reviews
    assert [(row.pair_id, row.repeat, row.grade) for row in kept] == [
        (one, 0, 4),
        (one, 1, 4),
        (other, 0, 4),
    ]


def test_strata_stay(journal: Journal) -> None:
    one, other = PAIRS[0].pair_id, PAIRS[1].pair_id
    journal.set_strata({one: "x"})
    journal.set_strata({one: "x", other: "y"})
    with pytest.raises(DataError, match="other strata"):
        journal.set_strata({one: "y"})
    with pytest.raises(DataError, match="does not have all"):
        journal.set_strata({"nobody": "y"})
    assert journal.snapshot().strata == {one: "x", other: "y"}


def test_what_was_found_out_is_kept(journal: Journal) -> None:
    assert journal.recall("structure:a") is None
    journal.remember("structure:a", "json_object")
    journal.remember("structure:a", "text")
    assert journal.recall("structure:a") == "text"
