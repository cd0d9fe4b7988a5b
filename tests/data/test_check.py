"""Every malformed input ends in an error that names it (run: `pytest tests/data/test_check.py`).

Degenerate inputs, each a small file: duplicate ids, ids that are empty or hold a tab or line break
or a number with a fraction, absent judged ids, absent candidates, empty and missing texts, wrong
encoding, invalid JSON, grades that are no whole numbers, NaN gold, no positives, missing files and
columns, constant gold, contradicting judgements, empty candidate lists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from cmedteb.data.check import RULES, Findings, Oddity, check_grade, check_id
from cmedteb.errors import DataError

Load = Callable[..., Any]
D1, Q1 = {"_id": "d1", "text": "a"}, {"_id": "q1", "text": "a"}

BAD_RANKINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "duplicate ids": (
        {"corpus.jsonl": [D1, D1], "qrels.tsv": "q1\td1\t1\n"},
        ["1 ids occur more than once", "'d1'", "corpus.jsonl"],
    ),
    "one id, two texts": (
        {"corpus.jsonl": [D1, {"_id": "d1", "text": "b"}]},
        ["different texts", "'d1'"],
    ),
    "empty id": ({"corpus.jsonl": [D1, {"_id": "", "text": "b"}]}, ["corpus.jsonl line 2: ''"]),
    "id with a tab": ({"queries.jsonl": [{"_id": "q\t1", "text": "b"}]}, ["line 1", "tab"]),
    "id with a line break": ({"queries.jsonl": [{"_id": "q\n1", "text": "b"}]}, ["line 1"]),
    "id with a fraction": ({"queries.jsonl": [{"_id": 1.5, "text": "b"}]}, ["line 1: 1.5"]),
    "judged document absent": (
        {"qrels.tsv": "q1\td1\t1\nq1\tnone\t1\n"},
        ["not in the corpus", "document 'none' of query 'q1'"],
    ),
    "judged query absent": ({"qrels.tsv": "q1\td1\t1\nq9\td1\t1\n"}, ["query 'q9'"]),
    "empty text": (
        {"corpus.jsonl": [D1, {"_id": "d2", "text": " "}, {"_id": "d3", "text": "c"}]},
        ["1 documents have no text", "line 2", "'d2'"],
    ),
    "null text": ({"corpus.jsonl": [{"_id": "d1", "text": None}]}, ["no text", "line 1"]),
    "empty query": ({"queries.jsonl": [Q1, {"_id": "q2", "text": ""}]}, ["queries have no text"]),
    "text that is a number": ({"corpus.jsonl": [{"_id": "d1", "text": 5}]}, ["a number", "line 1"]),
    "half a surrogate pair": (
        {"corpus.jsonl": '{"_id": "d1", "text": "\\ud800"}\n'},
        ["corpus.jsonl line 1", "surrogate"],
    ),
    "GBK instead of UTF-8": (
        {"corpus.jsonl": b'{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "\xcc\xdb"}\n'},
        ["corpus.jsonl line 2", "not UTF-8"],
    ),
    "invalid JSON": (
        {"corpus.jsonl": '{"_id": "d1", "text": "a"}\n\n{"_id": \n'},
        ["corpus.jsonl line 3", "not valid JSON"],
    ),
    "JSON that is no object": ({"corpus.jsonl": "[1]\n5\n"}, ["line 1", "list, not an object"]),
    "grade that is no number": ({"qrels.tsv": "q1\td1\t1\nq1\td2\thigh\n"}, ["line 2: 'high'"]),
    "grade with a fraction": ({"qrels.tsv": "q1\td1\t0.5\n"}, ["line 1: '0.5'", "whole"]),
    "no positives": ({"qrels.tsv": "q1\td1\t0\n"}, ["no judgement is positive", "qrels.tsv"]),
    "no judgements": ({"qrels.tsv": "query-id\tcorpus-id\tscore\n"}, ["no judgement"]),
    "two columns": ({"qrels.tsv": "q1\td1\n"}, ["line 1 has 2 columns"]),
    "contradicting judgements": (
        {"qrels.tsv": "q1\td1\t1\nq1\td1\t2\n"},
        ["different grades", "query 'q1' (grades 2 and 1)"],
    ),
    "missing file": ({"qrels.tsv": None}, ["no qrels", "There is: corpus.jsonl"]),
    "missing column": (
        {"corpus.jsonl": [{"_id": "d1", "body": "a"}]},
        ["line 1 has no 'text'", "found: _id, body"],
    ),
    "empty file": ({"corpus.jsonl": ""}, ["there is no row"]),
    "damaged gzip": ({"corpus.jsonl": None, "corpus.jsonl.gz": None}, ["damaged gzip"]),
    "two formats": ({"corpus.tsv": "_id\ttext\nd1\ta\n"}, ["more than once", "corpus.tsv"]),
}


@pytest.mark.parametrize("case", BAD_RANKINGS)
def test_a_bad_ranking_set_is_refused_by_name(make: Load, ranking: Load, case: str) -> None:
    files, fragments = BAD_RANKINGS[case]
    folder = make(files)
    for name, content in files.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
    if case == "damaged gzip":
        (folder / "corpus.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(DataError) as caught:
        ranking(folder)
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize("case", ["contradicting judgements", "duplicate ids"])
def test_fatal_and_tolerable_differ_only_by_leniency(make: Load, ranking: Load, case: str) -> None:
    corpus = BAD_RANKINGS[case][0].get("corpus.jsonl")
    files = BAD_RANKINGS[case][0] | ({} if corpus else {"queries.jsonl": [Q1]})
    data = ranking(make(files), lenient=True)
    assert sum(data.provenance.warnings.values()) >= 1
    assert len(data.qrels.docs) == 1


def test_one_id_with_two_texts_is_refused_even_in_an_official_set(
    make: Load, ranking: Load
) -> None:
    with pytest.raises(DataError, match="different texts"):
        ranking(make(BAD_RANKINGS["one id, two texts"][0]), lenient=True)


def test_missing_parquet_column_and_broken_parquet(make: Load, ranking: Load) -> None:
    rows = [{"_id": "d1", "body": "a"}]
    folder = make({"corpus.jsonl": None, "corpus.parquet": rows})
    (folder / "corpus.jsonl").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"no column 'text'; found: _id, body"):
        ranking(folder)
    (folder / "corpus.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        ranking(folder)


BAD_PAIRS: dict[str, tuple[Any, list[str]]] = {
    "NaN": ('{"sentence1": "a", "sentence2": "b", "score": NaN}\n', ["line 1: nan"]),
    "words": ([{"sentence1": "a", "sentence2": "b", "score": "high"}], ["line 1: 'high'"]),
    "null": ([{"sentence1": "a", "sentence2": "b", "score": None}], ["line 1: None"]),
    "infinite": ([{"sentence1": "a", "sentence2": "b", "score": math.inf}], ["line 1: inf"]),
    "constant": (
        [{"sentence1": "a", "sentence2": "b", "score": 1}] * 3,
        ["every gold score is 1", "no correlation"],
    ),
    "empty sentence": (
        [
            {"sentence1": "a", "sentence2": "", "score": 1},
            {"sentence1": "a", "sentence2": "b", "score": 0},
        ],
        ["line 1 (sentence2)"],
    ),
    "missing column": ([{"sentence1": "a", "score": 1}], ["no 'sentence2'", "sentence1"]),
    "no rows": ("", ["there is no pair"]),
}


@pytest.mark.parametrize("case", BAD_PAIRS)
def test_a_bad_sts_set_is_refused_by_line(make: Load, sts: Load, case: str) -> None:
    content, fragments = BAD_PAIRS[case]
    with pytest.raises(DataError) as caught:
        sts(make({"pairs.jsonl": content}, bare=True))
    for fragment in fragments:
        assert fragment in str(caught.value)


BAD_RERANKING: dict[str, tuple[dict[str, Any], list[str]]] = {
    "empty candidates": ({"query": "a", "positive": [], "negative": []}, ["no candidates"]),
    "empty text": ({"query": "a", "positive": ["b"], "negative": [" "]}, ["line 1 (negative)"]),
    "no list": ({"query": "a", "positive": "b", "negative": []}, ["no list of texts but str"]),
    "no positive": ({"query": "a", "positive": [], "negative": ["b"]}, ["positive text"]),
    "missing column": ({"query": "a", "positive": ["b"]}, ["no 'negative'"]),
}


@pytest.mark.parametrize("case", BAD_RERANKING)
def test_bad_reranking_rows_are_refused(make: Load, reranking: Load, case: str) -> None:
    row, fragments = BAD_RERANKING[case]
    with pytest.raises(DataError) as caught:
        reranking(make({"rerank.jsonl": [row]}, bare=True))
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_message_gives_three_examples_and_the_total() -> None:
    findings = Findings("Set", lenient=False)
    for row in range(1000):
        findings.note(Oddity.BAD_IDS, f"line {row}")
    with pytest.raises(DataError, match=r"1000 ids .* line 2 and 997 more") as caught:
        findings.settle()
    assert "line 3" not in str(caught.value)


def test_every_oddity_has_a_rule() -> None:
    assert set(RULES) == set(Oddity)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (7, "7"), ("a b", "a b"), (" ", None), (None, None), (True, None), ("a\r", None)],
)
def test_ids(value: object, expected: str | None) -> None:
    assert check_id(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(1, 1), ("2", 2), (1.0, 1), ("1.0", 1), (-1, -1), (0.5, None), (math.nan, None)],
        *[(True, None), (None, None), (2**31, None), ("", None)],
    ],
)
def test_grades(value: object, expected: int | None) -> None:
    assert check_grade(value) == expected
