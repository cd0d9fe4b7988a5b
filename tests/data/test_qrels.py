"""Judgements from files of every kind (run: `pytest tests/data/test_qrels.py`).

Degenerate inputs: no header, TREC's four columns, rows in any order, repeated rows, judged ids that
are absent, a query called like a header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Load = Callable[..., Any]
HEADED = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td3\t0\n"
TREC = "q1 0 d1 1\nq2 0 d2 2\nq2 Q0 d3 0\n"
NAMES = [("query-id", "corpus-id", "score"), ("qid", "pid", "score"), ("q_id", "p_id", "score")]


def table(names: tuple[str, str, str]) -> list[dict[str, Any]]:
    rows = [("q1", "d1", 1), ("q2", "d2", 2), ("q2", "d3", 0)]
    return [dict(zip(names, row, strict=True)) for row in rows]


VARIANTS: dict[str, tuple[str, Any]] = {
    "header": ("qrels.tsv", HEADED),
    "by split": ("qrels/test.tsv", HEADED),
    "gzip": ("qrels.tsv.gz", HEADED),
    "trec": ("qrels.tsv", TREC),
    "reordered": ("qrels.tsv", "q2\td3\t0\nq2\td2\t2\nq1\td1\t1\n"),
    "parquet": ("qrels/test.parquet", table(NAMES[0])),
    "sharded parquet": ("qrels/test-00000-of-00001.parquet", table(NAMES[0])),
    "c-mteb": ("qrels.parquet", table(NAMES[1])),
    "cmirb": ("qrels/test.jsonl", table(NAMES[2])),
    "float grades": ("qrels.tsv", HEADED.replace("\t1\n", "\t1.0\n")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_the_same_judgements(make: Load, ranking: Load, variant: str) -> None:
    plain = ranking(make(name="plain"))
    name, content = VARIANTS[variant]
    folder = make(name="other")
    (folder / "qrels.tsv").unlink()
    data = ranking(make({"qrels.tsv": None, name: content}, name="other"))
    assert data.qrels.offsets.tolist() == [0, 1, 3]
    assert data.qrels.docs.tolist() == [0, 1, 2]
    assert data.qrels.grades.tolist() == [1, 2, 0]
    assert data.provenance.content_hash == plain.provenance.content_hash


def test_a_first_line_that_is_a_judgement_is_no_header(make: Load, ranking: Load) -> None:
    queries = [{"_id": "qid", "text": "a"}]
    data = ranking(make({"queries.jsonl": queries, "qrels.tsv": "qid\td1\t1\n"}))
    assert data.qrels.docs.tolist() == [0]


def test_absent_documents_count_and_absent_queries_do_not(make: Load, ranking: Load) -> None:
    qrels = "q1\tz\t1\nq1\td1\t1\nq2\tz\t2\nq2\ta\t1\nq9\td1\t1\n"
    data = ranking(make({"qrels.tsv": qrels}), lenient=True)
    assert data.qrels.absent == ("a", "z")
    assert data.qrels.docs.tolist() == [0, 4, 3, 4]
    assert data.qrels.grades.tolist() == [1, 1, 1, 2]
    expected = {"judged_documents_absent": 3, "judged_queries_absent": 1}
    assert data.provenance.warnings == expected


def test_repeated_judgements_collapse_and_the_highest_grade_stays(
    make: Load, ranking: Load
) -> None:
    qrels = "q1\td1\t1\nq1\td1\t1\nq1\td2\t1\nq1\td2\t3\nq1\td2\t2\n"
    data = ranking(make({"qrels.tsv": qrels}), lenient=True)
    assert (data.qrels.docs.tolist(), data.qrels.grades.tolist()) == ([0, 1], [1, 3])
    warnings = data.provenance.warnings
    assert (warnings["duplicate_judgements"], warnings["conflicting_judgements"]) == (1, 2)
    folder = make({"qrels.tsv": "q1\td1\t1\nq1\td1\t1\nq2\td2\t1\n"}, name="same")
    assert ranking(folder).provenance.warnings == {"duplicate_judgements": 1}
