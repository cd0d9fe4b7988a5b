"""Reranking rows and candidate lists (run: `pytest tests/data/test_candidates.py`).

Degenerate inputs: texts that are positive and negative, repeated candidates, repeated queries,
candidates of unknown queries, candidates that are absent, positives that are no candidates.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cmedteb.errors import DataError

Load = Callable[..., Any]


def rows(count: int) -> list[dict[str, Any]]:
    draw = random.Random(11)
    return [
        {
            "query": f"query {row}",
            "positive": [f"good {draw.random()}"],
            "negative": [f"bad {draw.random()}" for _ in range(3)],
        }
        for row in range(count)
    ]


def test_rows_become_a_pooled_corpus(make: Load, reranking: Load) -> None:
    content = [
        {"query": "a", "positive": ["p", "shared "], "negative": ["n"]},
        {"query": "a", "positive": ["q"], "negative": ["shared", "n"]},
    ]
    data = reranking(make({"rerank.jsonl": content}, bare=True))
    assert data.queries.ids.to_pylist() == ["q00000", "q00001"]
    assert list(data.queries.texts) == ["a", "a"]
    assert list(data.corpus.texts) == ["p", "shared", "n", "q"]
    assert data.qrels.offsets.tolist() == [0, 3, 6]
    assert data.qrels.docs.tolist() == [0, 1, 2, 1, 2, 3]
    assert data.qrels.grades.tolist() == [1, 1, 0, 0, 0, 1]
    assert data.candidates is not None
    assert data.candidates.offsets.tolist() == [0, 3, 6]


def test_neither_ids_nor_order_give_the_label_away(make: Load, reranking: Load) -> None:
    data = reranking(make({"rerank.jsonl": rows(400)}, bare=True))
    ids = data.corpus.ids.to_pylist()
    first = []
    for query in range(400):
        span = slice(data.candidates.offsets[query], data.candidates.offsets[query + 1])
        docs = data.candidates.docs[span]
        names = [ids[doc] for doc in docs]
        assert names == sorted(names)
        judged = slice(data.qrels.offsets[query], data.qrels.offsets[query + 1])
        grades = dict(zip(data.qrels.docs[judged], data.qrels.grades[judged], strict=True))
        first.append(grades[docs[0]])
    assert 0.17 < np.mean(first) < 0.33  # chance is 1 in 4


def test_the_same_text_has_the_same_id_in_every_set(make: Load, reranking: Load) -> None:
    row = {"query": "a", "positive": ["p"], "negative": ["n"]}
    one = reranking(make({"rerank.jsonl": [row]}, bare=True, name="one"))
    row = {"query": "b", "positive": ["n"], "negative": ["p"]}
    two = reranking(make({"rerank.jsonl": [row]}, bare=True, name="two"))
    assert sorted(one.corpus.ids.to_pylist()) == sorted(two.corpus.ids.to_pylist())


def test_a_text_on_both_sides_is_positive_and_repeats_collapse(make: Load, reranking: Load) -> None:
    row = {"query": "a", "positive": ["x", "x"], "negative": ["x", "n", "n"]}
    data = reranking(make({"rerank.jsonl": [row]}, bare=True))
    assert data.qrels.grades.tolist() == [1, 0]
    assert len(data.candidates.docs) == 2
    expected = {"repeated_candidates": 2, "texts_positive_and_negative": 1}
    assert data.provenance.warnings == expected


def test_rows_as_gzip_and_parquet_are_the_same_set(make: Load, reranking: Load) -> None:
    names = ["rerank.jsonl", "rerank.jsonl.gz", "rerank.parquet"]
    sets = [reranking(make({name: rows(9)}, bare=True, name=name)) for name in names]
    assert len({data.provenance.content_hash for data in sets}) == 1


def test_limit_keeps_the_first_queries_and_the_whole_corpus(make: Load, reranking: Load) -> None:
    folder = make({"rerank.jsonl": rows(9)}, bare=True)
    data = reranking(folder, limit=2)
    assert (len(data.queries), len(data.qrels), len(data.candidates)) == (2, 2, 2)
    assert len(data.corpus) == 36
    assert len(data.candidates.docs) == 8


def test_a_query_without_positives_stays_and_is_counted(make: Load, reranking: Load) -> None:
    content = [*rows(1), {"query": "none", "positive": [], "negative": ["n"]}]
    data = reranking(make({"rerank.jsonl": content}, bare=True))
    assert len(data.queries) == 2
    assert data.provenance.warnings == {"queries_without_positives": 1}


TOP = [
    {"query-id": "q2", "corpus-ids": ["d3", "d2", "d3"]},
    {"query-id": "q1", "corpus-ids": ["d2", "d1"]},
]


@pytest.mark.parametrize("name", ["top_ranked.jsonl", "top_ranked.parquet"])
def test_candidate_lists_are_ordered_by_document_id(make: Load, reranking: Load, name: str) -> None:
    data = reranking(make({name: TOP}))
    assert data.candidates.offsets.tolist() == [0, 2, 4]
    assert data.candidates.docs.tolist() == [0, 1, 1, 2]
    assert data.provenance.warnings == {"repeated_candidates": 1}


def test_retrieval_leaves_candidate_lists_unread(make: Load, ranking: Load) -> None:
    assert ranking(make({"top_ranked.jsonl": "not json\n"})).candidates is None


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([*TOP, {"query-id": "q9", "corpus-ids": ["d1"]}], "query 'q9'"),
        ([{"query-id": "q1", "corpus-ids": ["none"]}], "document 'none'"),
        ([{"query-id": "q1", "corpus-ids": ["d1"]}], "no candidates to rerank: query 'q2'"),
        ([TOP[0], {"query-id": "q1", "corpus-ids": ["d2"]}], "relevant .* one of query 'q1'"),
        ([{"query-id": "q1", "corpus-ids": "d1"}], "no list of ids"),
        ([{"query-id": "q1", "corpus-ids": ["d1", ""]}], "ids cannot be used"),
    ],
)
def test_bad_candidate_lists_are_refused(
    make: Load, reranking: Load, lists: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        reranking(make({"top_ranked.jsonl": lists}))


def test_an_official_set_may_lack_positives_among_candidates(make: Load, reranking: Load) -> None:
    lists = [TOP[0], {"query-id": "q1", "corpus-ids": ["d2"]}]
    data = reranking(make({"top_ranked.jsonl": lists}), lenient=True)
    assert data.provenance.warnings["positives_not_among_candidates"] == 1


def test_reranking_without_lists_says_what_is_missing(make: Load, reranking: Load) -> None:
    with pytest.raises(DataError, match="no top_ranked for split 'test'"):
        reranking(make())
