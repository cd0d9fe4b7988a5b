"""What becomes the text of a document or a query (run: `pytest tests/data/test_texts.py`).

Degenerate inputs: a title that is null, empty or blank; ids that are numbers; a `doc` field with
the gold passage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Load = Callable[..., Any]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"title": "T", "text": " body "}, "T  body"),
        ({"title": "", "text": " body "}, "body"),
        ({"title": None, "text": "body"}, "body"),
        ({"text": "\u3000body\n"}, "body"),
        ({"title": "T", "text": ""}, "T"),
        ({"title": "  ", "text": "body"}, "body"),
    ],
)
def test_a_title_is_joined_and_the_whole_is_stripped(
    make: Load, ranking: Load, row: dict[str, Any], expected: str
) -> None:
    files = {"corpus.jsonl": [{"_id": "d1", **row}], "qrels.tsv": "q1\td1\t1\n"}
    assert ranking(make(files)).corpus.texts[0] == expected


def test_a_query_is_taken_exactly_as_it_is(make: Load, ranking: Load) -> None:
    files = {"queries.jsonl": [{"_id": "q1", "title": "no", "text": " as it is\n"}]}
    data = ranking(make(files | {"qrels.tsv": "q1\td1\t1\n"}))
    assert list(data.queries.texts) == [" as it is\n"]


def test_the_gold_passage_beside_a_query_gets_into_no_text(make: Load, ranking: Load) -> None:
    queries = [{"id": "q1", "text": "a", "doc": "GOLD", "department": "GOLD"}]
    rows = {"corpus.jsonl": [{"id": "d1", "text": "b", "doc": "GOLD", "disease": "GOLD"}]}
    data = ranking(make(rows | {"queries.jsonl": queries, "qrels.tsv": "q1\td1\t1\n"}))
    texts = [*data.queries.texts, *data.corpus.texts, *data.queries.ids.to_pylist()]
    assert texts == ["a", "b", "q1"]


def test_ids_that_are_numbers_become_strings(make: Load, ranking: Load) -> None:
    files = {
        "corpus.jsonl": [{"_id": 7, "text": "a"}],
        "queries.jsonl": [{"id": 10**12, "text": "b"}],
        "qrels.jsonl": [{"qid": 10**12, "pid": 7, "score": 1}],
    }
    data = ranking(make(files, bare=True))
    assert (data.corpus.ids.to_pylist(), data.queries.ids.to_pylist()) == (["7"], [f"{10**12}"])


def test_identical_texts_are_held_once(make: Load, ranking: Load) -> None:
    rows = [{"_id": f"d{row}", "text": ["same", "other"][row == 2]} for row in range(5)]
    data = ranking(make({"corpus.jsonl": rows, "qrels.tsv": "q1\td1\t1\n"}))
    assert data.corpus.texts.distinct == 2
    assert data.corpus.texts.index.tolist() == [0, 0, 1, 0, 0]
    assert data.corpus.texts.take([4, 2]) == ["same", "other"]


def test_an_official_set_may_have_empty_texts_and_repeated_ids(make: Load, ranking: Load) -> None:
    rows = [{"_id": "d1", "text": "a"}, {"_id": "d2", "text": None}, {"_id": "d1", "text": "a"}]
    folder = make({"corpus.jsonl": rows, "qrels.tsv": "q1\td1\t1\n"})
    data = ranking(folder, lenient=True)
    assert list(data.corpus.texts) == ["a", ""]
    expected = {"duplicate_ids": 1, "empty_documents": 1, "queries_without_judgements": 1}
    assert data.provenance.warnings == expected
