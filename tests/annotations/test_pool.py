"""The pool: the union of what systems returned, and of what is judged, each text once."""

from __future__ import annotations

import numpy as np
import pytest
from builders import candidates, corpus, qrels, queries, ranking

from cmedteb.annotations.config import System
from cmedteb.annotations.pool import build_pool, choose_queries, pair_id, pair_texts
from cmedteb.annotations.records import Pair
from cmedteb.annotations.systems import Returned, from_table
from cmedteb.annotations.texts import text_hash
from cmedteb.errors import DataError, UsageError
from cmedteb.types import RankingData

TEXTS = ["reflux", "fever", "reflux", "a long text about fever", "cough", "rash"]
DATA = ranking(
    corpus(TEXTS, ["d5", "d1", "d0", "d3", "d4", "d2"]),
    queries(["heartburn", "temperature"], ["q2", "q1"]),
    qrels([{4: 1, 5: 0}, {1: 2}]),
)


def returned(name: str, table: dict[str, list[str]], data: RankingData = DATA) -> Returned:
    scores = {
        query: {doc: 1.0 - place / 100 for place, doc in enumerate(docs)}
        for query, docs in table.items()
    }
    return from_table(data, scores, System(name=name, kind="trec", sha256="0"), where=name)


A = returned("a", {"q2": ["d5", "d3", "d1"], "q1": ["d3"]})
B = returned("b", {"q2": ["d2", "d0"], "q1": ["d1", "d3"]})


def by_ids(pairs: tuple[Pair, ...]) -> dict[tuple[str, str], Pair]:
    return {(pair.query_id, pair.doc_id): pair for pair in pairs}


def test_the_union_and_the_positives_in_order() -> None:
    pairs = build_pool(DATA, [A, B], depth=2)
    assert [(pair.query_id, pair.doc_id) for pair in pairs] == [
        ("q1", "d1"),
        ("q1", "d3"),
        ("q2", "d0"),
        ("q2", "d2"),
        ("q2", "d3"),
        ("q2", "d4"),
    ]
    found = by_ids(pairs)
    assert found["q1", "d3"].ranks == {"a": 1, "b": 2}
    assert found["q1", "d1"].original == 2
    assert found["q2", "d4"].ranks == {}
    assert found["q2", "d4"].original == 1
    assert found["q2", "d2"].original == 0
    assert found["q2", "d3"].original is None


def test_a_document_of_grade_0_is_pooled_only_if_it_was_returned() -> None:
    assert ("q2", "d2") not in by_ids(build_pool(DATA, [A]))


def test_twins_are_one_pair_with_the_best_rank_of_each_system() -> None:
    both = returned("both", {"q2": ["d1", "d0", "d5"]})
    pair = by_ids(build_pool(DATA, [both, A, B]))["q2", "d0"]
    assert pair.twins == ("d5",)
    assert pair.ranks == {"both": 2, "a": 1, "b": 2}
    assert pair.document_hash == text_hash("reflux")


def test_twins_share_the_highest_grade() -> None:
    data = ranking(DATA.corpus, DATA.queries, qrels([{0: 1, 2: 2}, {1: 1}]))
    pair = by_ids(build_pool(data, []))["q2", "d0"]
    assert (pair.twins, pair.original) == (("d5",), 2)


def test_long_documents_are_cut_and_it_is_part_of_the_id() -> None:
    whole, cut = (by_ids(build_pool(DATA, [A], cut_chars=n))["q1", "d3"] for n in (None, 6))
    assert (whole.cut, cut.cut) == (None, 6)
    assert whole.document_hash == cut.document_hash == text_hash("a long text about fever")
    assert whole.pair_id != cut.pair_id
    assert cut.pair_id == pair_id("q1", text_hash("temperature"), cut.document_hash, 6)
    assert by_ids(build_pool(DATA, [A], cut_chars=6))["q2", "d5"].cut is None


def test_a_pool_does_not_depend_on_the_order_of_systems() -> None:
    assert build_pool(DATA, [A, B]) == build_pool(DATA, [B, A])


def test_the_candidates_of_a_reranking_set_are_its_pool() -> None:
    data = ranking(DATA.corpus, DATA.queries, DATA.qrels, candidates([[4, 5, 3], [1, 0]]))
    pairs = by_ids(build_pool(data, [returned("a", {"q2": ["d3"]}, data)], depth=1))
    assert sorted(pairs) == [("q1", "d1"), ("q1", "d5"), ("q2", "d2"), ("q2", "d3"), ("q2", "d4")]
    assert pairs["q2", "d3"].ranks == {"a": 1}
    assert pairs["q2", "d2"].original == 0


def test_judged_documents_that_are_absent_cannot_be_pooled() -> None:
    data = ranking(DATA.corpus, DATA.queries, qrels([{4: 1, 6: 1}, {1: 1}], absent=["gone"]))
    assert [pair.doc_id for pair in build_pool(data, [])] == ["d1", "d4"]


def test_some_queries_only() -> None:
    rows = choose_queries(DATA, exclude=["q2"])
    assert {pair.query_id for pair in build_pool(DATA, [A, B], queries=rows)} == {"q1"}


def test_a_sample_is_seeded_and_nested() -> None:
    names = [f"q{number:03}" for number in range(50)]
    data = ranking(DATA.corpus, queries(names, names), qrels([{0: 1}] * 50))
    small, large = (set(choose_queries(data, sample=n).tolist()) for n in (5, 20))
    assert small < large
    assert len(large) == 20
    assert choose_queries(data, sample=20).tolist() == sorted(large)
    assert set(choose_queries(data, sample=20, seed=1).tolist()) != large
    assert len(choose_queries(data)) == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"exclude": ["q9"]}, "no query 'q9'"),
        ({"exclude": ["q1", "q2"]}, "nothing to judge"),
        ({"sample": 0}, "1 or more"),
    ],
)
def test_samples_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_queries(DATA, **arguments)  # type: ignore[arg-type]


def test_pools_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="one name: a, a"):
        build_pool(DATA, [A, A])
    with pytest.raises(UsageError, match="1 or more"):
        build_pool(DATA, [A], depth=0)
    unjudged = ranking(DATA.corpus, DATA.queries, qrels([{4: 0}, {1: 0}]))
    with pytest.raises(UsageError, match="the pool is empty"):
        build_pool(unjudged, [])


def test_texts_of_pairs() -> None:
    pairs = build_pool(DATA, [A, B])
    texts = pair_texts(DATA, pairs)
    assert set(texts.values()) == {"heartburn", "temperature", *TEXTS}
    assert all(text_hash(text) == digest for digest, text in texts.items())


def test_texts_that_changed_since_are_refused() -> None:
    pairs = build_pool(DATA, [A, B])
    other = ranking(
        corpus([*TEXTS[:-1], "RASH"], DATA.corpus.ids.to_pylist()), DATA.queries, DATA.qrels
    )
    with pytest.raises(DataError, match="text of document 'd2' is not the one pooled"):
        pair_texts(other, pairs)
    fewer = ranking(corpus(TEXTS[:4], DATA.corpus.ids.to_pylist()[:4]), DATA.queries, DATA.qrels)
    with pytest.raises(DataError, match=r"no document 'd[24]'"):
        pair_texts(fewer, pairs)
    renamed = ranking(DATA.corpus, queries(["x", "y"], ["q2", "q1"]), DATA.qrels)
    with pytest.raises(DataError, match=r"text of query 'q[12]'"):
        pair_texts(renamed, pairs)


def test_a_brute_force_pool_is_the_same() -> None:
    random = np.random.default_rng(7)
    names = [f"d{number}" for number in range(60)]
    texts = [f"text {number % 40}" for number in range(60)]
    asked = [f"q{number}" for number in range(15)]
    judged = [
        {int(doc): int(random.integers(0, 3)) for doc in random.permutation(60)[:4]} for _ in asked
    ]
    data = ranking(corpus(texts, names), queries(asked, asked), qrels(judged))
    tables = {
        system: {query: [names[doc] for doc in random.permutation(60)[:12]] for query in asked}
        for system in ("a", "b", "c")
    }
    expected: dict[tuple[str, str], dict[str, int]] = {}
    for number, query in enumerate(asked):
        for doc, grade in judged[number].items():
            if grade > 0:
                expected.setdefault((query, texts[doc]), {})
        for system, table in tables.items():
            for rank, name in enumerate(table[query][:8], start=1):
                ranks = expected.setdefault((query, texts[int(name[1:])]), {})
                ranks.setdefault(system, rank)
    pairs = build_pool(
        data, [returned(name, table, data) for name, table in tables.items()], depth=8
    )
    made = {(pair.query_id, texts[int(pair.doc_id[1:])]): dict(pair.ranks) for pair in pairs}
    assert made == expected
    assert len(made) == len(pairs)
