"""BM25 against an independent implementation. Run: pytest tests/models/test_bm25.py -q."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, queries

from cmedteb.models import CollectionScorer, PairScorer, Reranker, Retriever
from cmedteb.models.bm25 import Bm25


def lucene(query: list[str], documents: list[list[str]], k1: float, b: float) -> list[float]:
    """Lucene's BM25Similarity, document by document (without its one-byte lengths)."""
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for term in query:
            holding = sum(term in other for other in documents)
            if term not in document:
                continue
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            frequency = document.count(term)
            score += idf * frequency / (frequency + k1 * (1 - b + b * len(document) / mean))
        scores.append(score)
    return scores


def random_texts(count: int, *, seed: int, words: str = "abcdefgh") -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(count)]


def check(texts: list[str], asked: list[str], *, k1: float = 0.9, b: float = 0.4) -> None:
    """Search and rerank give every document the score of the formula."""
    system = Bm25(str.split, k1, b)
    documents, askers = corpus(texts), queries(asked)
    everything = candidates([range(len(texts))] * len(asked))
    runs = (
        system.search(documents, askers, len(texts)),
        system.rerank(documents, askers, everything),
    )
    for run in runs:
        for text, found in zip(asked, as_lists(run), strict=True):
            expected = lucene(text.split(), [one.split() for one in texts], k1, b)
            assert sorted(row for row, _ in found) == list(range(len(texts)))
            assert [score for _, score in found] == pytest.approx(
                [expected[row] for row, _ in found], rel=1e-5, abs=1e-6
            )
            assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.9, 0.0), (0.0, 0.4)])
def test_scores_are_those_of_lucenes_formula(seed: int, k1: float, b: float) -> None:
    check(random_texts(30, seed=seed), random_texts(6, seed=seed + 100, words="abcxyz"), k1=k1, b=b)


def test_texts_that_occur_twice_count_twice_in_the_statistics() -> None:
    check(["a b", "a b", "a b", "b c c", "d"], ["a", "b", "c", "d", "a b c d"])


def test_a_repeated_query_term_counts_each_time() -> None:
    check(["a b", "b c", "a c c"], ["a", "a a a", "a b a"])
    run = Bm25(str.split).search(corpus(["a b", "b c"]), queries(["a", "a a"]), 1)
    once, twice = (found[0][1] for found in as_lists(run))
    assert twice == pytest.approx(2 * once)


@pytest.mark.parametrize("query", ["", "never seen", "  "])
def test_a_query_without_known_terms_scores_zero_everywhere(query: str) -> None:
    run = Bm25(str.split).search(corpus(["a", "b", "c"]), queries([query]), 2)
    assert as_lists(run) == [[(2, 0.0), (1, 0.0)]]


def test_documents_without_any_token() -> None:
    check(["", "a", ""], ["a", ""])
    run = Bm25(str.split).search(corpus(["", "  "]), queries(["a"]), 5)
    assert as_lists(run) == [[(1, 0.0), (0, 0.0)]]


def test_equal_documents_tie_by_id() -> None:
    run = Bm25(str.split).search(corpus(["a b", "x", "a b", "a b"]), queries(["a"]), 2)
    assert [row for row, _ in as_lists(run)[0]] == [3, 2]


def test_search_is_the_prefix_of_the_full_ranking() -> None:
    documents, asked = corpus(random_texts(200, seed=9, words="abc")), queries(["a", "b c", "a a"])
    system = Bm25(str.split)
    whole, cut = system.search(documents, asked, 200), system.search(documents, asked, 7)
    assert as_lists(cut) == [found[:7] for found in as_lists(whole)]


def test_rerank_scores_candidates_that_a_global_search_would_miss() -> None:
    """200 documents beat the candidates, yet each gets its score by the corpus' statistics."""
    texts = ["a a a b"] * 200 + ["a x x x x x x", "y y", "a a z z", "b"]
    listed = [[200, 201, 202], [203, 0, 201]]
    system = Bm25(str.split)
    documents, asked = corpus(texts), queries(["a", "b"])
    reached = {row for found in as_lists(system.search(documents, asked, 100)) for row, _ in found}
    assert not reached & {200, 201, 202}
    run = as_lists(system.rerank(documents, asked, candidates(listed)))
    for query, found, given in zip(["a", "b"], run, listed, strict=True):
        expected = lucene([query], [text.split() for text in texts], 0.9, 0.4)
        assert sorted(row for row, _ in found) == sorted(given)
        for row, score in found:
            assert score == pytest.approx(expected[row], rel=1e-5)
    assert [row for row, _ in run[0]] == [202, 200, 201]


def test_rerank_and_search_give_the_same_scores() -> None:
    texts = random_texts(60, seed=21)
    documents, asked = corpus(texts), queries(random_texts(4, seed=22))
    system = Bm25(str.split)
    everything = candidates([range(60)] * 4)
    assert as_lists(system.rerank(documents, asked, everything)) == as_lists(
        system.search(documents, asked, 60)
    )


def pair_scores(left: Sequence[str], right: Sequence[str]) -> list[float]:
    """(s(a, b) + s(b, a)) / (s(a, a) + s(b, b)) over all texts of the call."""
    texts = [text.split() for text in (*left, *right)]

    def score(query: str, document: str) -> float:
        place = [*left, *right].index(document)
        return lucene(query.split(), texts, 0.9, 0.4)[place]

    pairs = zip(left, right, strict=True)
    both = [(score(a, b) + score(b, a), score(a, a) + score(b, b)) for a, b in pairs]
    return [across / itself if itself else 0.0 for across, itself in both]


def test_pairs_are_scored_in_both_directions() -> None:
    left = [*random_texts(12, seed=31), "a b", "", "a"]
    right = [*random_texts(12, seed=32), "a b", "", ""]
    system = Bm25(str.split)
    scores = system.score_collection(left, right)
    assert scores.tolist() == pytest.approx(pair_scores(left, right), rel=1e-5, abs=1e-7)
    np.testing.assert_allclose(system.score_collection(right, left), scores, rtol=1e-6)
    assert scores[12] == pytest.approx(1.0)
    assert scores[13:].tolist() == [0.0, 0.0]


def test_chinese_is_cut_into_character_pairs_by_default() -> None:
    texts = ["\u9ad8\u8840\u538b\u7684\u6cbb\u7597", "\u7cd6\u5c3f\u75c5", "\u8840\u538b\u9ad8"]
    found = as_lists(Bm25().search(corpus(texts), queries(["\u9ad8\u8840\u538b"]), 3))[0]
    tokens = [[text[i : i + 2] for i in range(len(text) - 1)] for text in texts]
    expected = lucene(["\u9ad8\u8840", "\u8840\u538b"], tokens, 0.9, 0.4)
    assert dict(found) == pytest.approx(dict(enumerate(expected)), rel=1e-5)


def test_facts_say_what_moves_a_score() -> None:
    facts = Bm25("words", k1=1.2, b=0.75).facts
    assert facts.settings == {"tokenizer": "words", "k1": 1.2, "b": 0.75}
    assert facts.reproducible
    assert facts.similarity is None
    assert not Bm25(str.split).facts.reproducible


def test_it_ranks_by_itself_and_scores_pairs_by_their_collection() -> None:
    assert isinstance(Bm25(), Retriever)
    assert isinstance(Bm25(), Reranker)
    assert isinstance(Bm25(), CollectionScorer)
    assert not isinstance(Bm25(), PairScorer)


def test_counting_by_hand() -> None:
    """One number worked out on paper: idf = ln(1 + 1.5 / 1.5), tf = 2 / (2 + 0.9 * 1.1)."""
    texts = ["a a b", "c d"]
    assert Counter(texts[0].split())["a"] == 2
    run = Bm25(str.split).search(corpus(texts), queries(["a"]), 1)
    length = 1 - 0.4 + 0.4 * 3 / 2.5
    assert as_lists(run)[0][0][1] == pytest.approx(math.log(2) * 2 / (2 + 0.9 * length), rel=1e-6)
