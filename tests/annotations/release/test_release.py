"""New judgements as files. Run: pytest tests/annotations/release/test_release.py."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from annotations.annotation_support import pair
from annotations.snapshot_support import settings, snapshot
from cmedteb.annotations.config import Judgements, Rule
from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.overlay import read_overlay
from cmedteb.annotations.records import Snapshot, State
from cmedteb.annotations.release.exports import Format, export_files, kept_judgements
from cmedteb.annotations.release.publish import Release, publish
from cmedteb.annotations.release.rows import overlay_rows, positive_grade, undecided_rows
from cmedteb.annotations.report.assemble import make_report
from cmedteb.errors import DataError, UsageError
from cmedteb.metrics.trec import read_qrels
from cmedteb.results import ResultStore
from cmedteb.results.receipts import content_hash, grade_lines, write_table

ORIGINAL = {"q1": {"d1": 2, "d7": 0}, "q2": {"d1": 3, "d2": 2}, "q3": {"d8": 2}}
PARENT = content_hash(grade_lines(ORIGINAL))
YES, NO = (5, 4, 5), (1, 2, 1)


def pool(**changes: Any) -> Snapshot:
    """Confirmed, found (with a twin), rejected, undecided, negative, and refused by one judge."""
    pairs = [
        pair("q1", "d1", original=2),
        pair("q1", "d2", twins=("d9",)),
        pair("q1", "d3"),
        pair("q2", "d1", original=3),
        pair("q2", "d2", original=2, ranks={}),
        pair("q2", "d4"),
    ]
    rows = [YES, YES, NO, NO, (5, 5, 1), (5, 5, State.REFUSED)]
    facts = {"judgements": Judgements(sha256=PARENT), **changes}
    return snapshot(pairs, rows, of=settings(**facts))


def release(of: Snapshot | None = None, version: str = "v1") -> Release:
    of = of or pool()
    made = label_pairs(of)
    return Release(of, made, make_report(of, made), version)


def test_every_decided_document_has_a_line() -> None:
    made = label_pairs(pool())
    assert [row.line() for row in overlay_rows(made)] == [
        "+\tq1\td1\t2\t5,4,5\tpanel\t2\t",
        "+\tq1\td2\t2\t5,4,5\tpanel\t-\t",
        "-\tq1\td3\t0\t1,2,1\tpanel\t-\t",
        "+\tq1\td9\t2\t5,4,5\tpanel\t-\t",
        "-\tq2\td1\t0\t1,2,1\tpanel\t3\t",
    ]
    assert [row.line() for row in undecided_rows(made)] == [
        "?\tq2\td2\t2\t5,5,1\tsplit\t2\t",
        "?\tq2\td4\t0\t5,5,-\tmissing\t-\t",
    ]


def test_a_new_positive_gets_the_least_grade_that_is_relevant() -> None:
    assert positive_grade(label_pairs(pool())) == 2
    assert positive_grade(label_pairs(snapshot([pair("q", "d")], [YES]))) == 1


def test_what_is_published_can_be_read(tmp_path: Path) -> None:
    publish(tmp_path, release(), {})
    overlay = read_overlay("Test", "v1", tmp_path)
    assert overlay.grades == {"q1": {"d1": 2, "d2": 2, "d3": 0, "d9": 2}, "q2": {"d1": 0}}
    assert overlay.parent == PARENT


def test_the_header_says_how_it_came(tmp_path: Path) -> None:
    made = release()
    publish(tmp_path, made, {})
    header = json.loads((tmp_path / "Test" / "v1.json").read_text())
    assert header["format"] == "cmedteb-overlay/1"
    assert (header["rule"], header["threshold"]) == ("unanimous", 4)
    assert header["changes"] == {
        "added": 1,
        "confirmed": 1,
        "rejected": 1,
        "negative": 1,
        "undecided": 2,
    }
    assert header["journal_sha256"] == made.snapshot.sha256
    assert header["statistics"]["found"]["per_query"]["value"] == 0.5
    content = gzip.decompress((tmp_path / "Test" / "v1.tsv.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == header["sha256"]
    assert content.decode().startswith("op\tquery-id\tcorpus-id\tgrade\tjudges\tbasis\twas")


def test_the_same_labels_give_the_same_bytes() -> None:
    assert release().from_journal() == release().from_journal()


def test_a_version_is_never_replaced(tmp_path: Path) -> None:
    publish(tmp_path, release(), {})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    publish(tmp_path, release(), {})  # the same again is no change
    other = pool(threshold=5)
    with pytest.raises(UsageError, match="never changes: give the next one a new number"):
        publish(tmp_path, release(other), {})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    publish(tmp_path, release(other, "v2"), {})


@pytest.mark.parametrize("version", ["1", "v0", "v1.0", "../v1", "V1", "v1\n", "original"])
def test_other_names_are_refused(version: str) -> None:
    with pytest.raises(UsageError, match="called v1, v2"):
        release(version=version).from_journal()


def test_a_task_without_judgements_or_with_no_name() -> None:
    with pytest.raises(UsageError, match="has no judgements of documents"):
        release(pool(judgements=None)).from_journal()
    with pytest.raises(UsageError, match="is no name"):
        release(pool(task="../elsewhere")).from_journal()


def test_dawid_and_skene_tells_how_sure_each_line_is() -> None:
    made = label_pairs(pool(), rule=Rule.DAWID_SKENE)
    posteriors = [float(row.posterior) for row in overlay_rows(made)]
    assert all(0.0 <= value <= 1.0 for value in posteriors)


def test_the_whole_judgements_in_three_formats(tmp_path: Path) -> None:
    files = release().exports(ORIGINAL, list(Format))
    rows = [
        ("q1", "d1", 2),
        ("q1", "d2", 2),
        ("q1", "d3", 0),
        ("q1", "d7", 0),
        ("q1", "d9", 2),
        ("q2", "d1", 0),
        ("q2", "d2", 2),
        ("q3", "d8", 2),
    ]
    beir = files["v1/beir/qrels/test.tsv"].decode().splitlines()
    assert beir[0] == "query-id\tcorpus-id\tscore"
    assert [tuple(line.split("\t")) for line in beir[1:]] == [(q, d, str(g)) for q, d, g in rows]
    trec = tmp_path / "test.qrels"
    trec.write_bytes(files["v1/trec/test.qrels"])
    read = read_qrels(trec)
    assert {(q, d, g) for q, row in read.items() for d, g in row.items()} == set(rows)
    lines = files["v1/mteb/qrels/test.jsonl"].decode().splitlines()
    named = [dict(zip(("query-id", "corpus-id", "score"), row, strict=True)) for row in rows]
    assert [json.loads(line) for line in lines] == named
    table = pq.read_table(io.BytesIO(files["v1/mteb/qrels/test.parquet"]))
    assert table.to_pylist() == named
    assert str(table.schema.field("score").type) == "int32"


def test_other_judgements_than_planned_are_refused() -> None:
    with pytest.raises(DataError, match="are not those that the annotation was planned for"):
        release().exports({"q1": {"d1": 1}, "q2": {"d1": 1}}, [Format.BEIR])


def test_an_id_that_trec_cannot_hold() -> None:
    with pytest.raises(DataError, match="has blanks"):
        export_files({"q 1": {"d": 1}}, "test", Format.TREC)


def test_a_results_folder_keeps_the_originals(tmp_path: Path) -> None:
    config = pool().config
    assert kept_judgements(config, [tmp_path]) is None
    write_table(ResultStore(tmp_path).judgement_file("Test", PARENT), grade_lines(ORIGINAL))
    assert kept_judgements(config, [tmp_path / "none", tmp_path]) == ORIGINAL


def test_the_card_has_every_statistic_and_no_text() -> None:
    card = release().from_journal()["v1/card.md"].decode()
    made = release()
    for told in (made.snapshot.sha256, PARENT, made.report.choices.rubric_sha256, "0.731"):
        assert told in card
    assert card.startswith("---\n")
    assert card.count("v1.tsv.gz") == 2  # once a language
