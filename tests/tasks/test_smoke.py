"""The smoke sets: as large as promised, and neither trivial nor hopeless.

Run: pytest tests/tasks/test_smoke.py -q.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import text_column

from cmedteb.data import Access
from cmedteb.models.bm25 import Bm25
from cmedteb.resources import data_folder
from cmedteb.search import Vectors, rerank_vectors
from cmedteb.tasks import RerankingTask, RetrievalTask, StsTask, catalogue, resolve
from cmedteb.types import PairData, RankingData, Similarity

SMOKE = data_folder("tasks") / "smoke"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def load(name: str) -> tuple[RetrievalTask, RankingData]:
    task = resolve([name], catalogue())[0]
    assert isinstance(task, RetrievalTask)
    return task, task.load(Access())


def test_retrieval_is_as_large_as_promised() -> None:
    _, data = load("SmokeRetrieval")
    assert len(data.queries) >= 40
    assert len(data.corpus) >= 300
    assert data.provenance.warnings == {}
    passages = rows(SMOKE / "SmokeRetrieval" / "corpus.jsonl")
    assert len({passage["specialty"] for passage in passages}) >= 12
    assert data.corpus.texts.distinct == len(data.corpus)


def test_the_cards_say_what_was_counted() -> None:
    for name in ("SmokeRetrieval", "SmokeReranking"):
        task, data = load(name)
        sizes = task.card.sizes
        assert (sizes.queries, sizes.documents) == (len(data.queries), len(data.corpus))
        judged = len(data.qrels.docs)
        assert sizes.judgements in {None, judged}
    sts = resolve(["SmokeSts"], catalogue())[0]
    pairs = sts.load(Access())
    assert isinstance(pairs, PairData)
    assert sts.card.sizes.pairs == len(pairs.pairs)


def test_every_query_has_positives_and_judged_near_misses() -> None:
    _, data = load("SmokeRetrieval")
    grades = np.split(data.qrels.grades, data.qrels.offsets[1:-1])
    positives = [int((grade > 0).sum()) for grade in grades]
    assert min(positives) >= 1
    assert sum(count > 1 for count in positives) >= 10
    assert min(int((grade == 0).sum()) for grade in grades) >= 3
    assert {1, 2} <= set(data.qrels.grades.tolist())
    assert data.qrels.absent == ()


def test_near_misses_are_near() -> None:
    """On average a near-miss scores closer to the query than a passage at random."""
    _, data = load("SmokeRetrieval")
    run = Bm25().search(data.corpus, data.queries, len(data.corpus))
    near, other = [], []
    for query in range(len(data.queries)):
        span = slice(data.qrels.offsets[query], data.qrels.offsets[query + 1])
        misses = data.qrels.docs[span][data.qrels.grades[span] == 0]
        found = slice(run.offsets[query], run.offsets[query + 1])
        is_miss = np.isin(run.docs[found], misses)
        near.append(run.scores[found][is_miss].mean())
        other.append(run.scores[found][~np.isin(run.docs[found], data.qrels.docs[span])].mean())
    assert np.mean(near) > 3 * np.mean(other)


def test_bm25_finds_much_and_not_all() -> None:
    task, data = load("SmokeRetrieval")
    run = Bm25().search(data.corpus, data.queries, 100)
    assert 0.45 <= task.score(run, data, depth=100).main_score <= 0.9


def test_reranking_is_as_large_as_promised() -> None:
    task, data = load("SmokeReranking")
    assert isinstance(task, RerankingTask)
    assert data.candidates is not None
    assert len(data.queries) >= 40
    assert np.diff(data.candidates.offsets).min() >= 10
    positives = np.add.reduceat(data.qrels.grades > 0, data.qrels.offsets[:-1])
    assert positives.min() >= 1
    assert positives.max() >= 2
    assert data.provenance.warnings == {}


def test_bm25_reranks_better_than_a_scorer_without_an_opinion() -> None:
    task, data = load("SmokeReranking")
    assert data.candidates is not None
    ranked = task.score(Bm25().rerank(data.corpus, data.queries, data.candidates), data, depth=None)
    constant = Vectors(np.ones((1, 8), np.float32), np.zeros(len(data.corpus), np.int32))
    asked = Vectors(np.ones((1, 8), np.float32), np.zeros(len(data.queries), np.int32))
    run = rerank_vectors(
        asked, constant, data.candidates, ids=data.corpus.ids, similarity=Similarity.COSINE
    )
    chance = task.score(run, data, depth=None).main_score
    assert 0.1 < chance < 0.4
    assert chance + 0.15 < ranked.main_score < 0.9


def test_sts_holds_three_kinds_of_pairs() -> None:
    task = resolve(["SmokeSts"], catalogue())[0]
    assert isinstance(task, StsTask)
    data = task.load(Access())
    assert isinstance(data, PairData)
    assert len(data.pairs) >= 120
    pairs = rows(SMOKE / "SmokeSts" / "pairs.jsonl")
    kinds = Counter((pair["kind"], pair["score"]) for pair in pairs)
    assert set(kinds) == {("kept", 1), ("swapped-changed", 0), ("changed", 0)}
    assert min(kinds.values()) >= 30
    assert not [pair for pair in pairs if pair["sentence1"] == pair["sentence2"]]


def test_synonyms_stand_in_their_sentences() -> None:
    for pair in rows(SMOKE / "SmokeSts" / "pairs.jsonl"):
        if pair["synonym"] is None:
            assert pair["kind"] == "changed"
            continue
        first, second = pair["synonym"]
        assert first in pair["sentence1"]
        assert second in pair["sentence2"]


@pytest.mark.parametrize("name", ["SmokeRetrieval/corpus", "SmokeRetrieval/queries"])
def test_texts_are_chinese_and_all_different(name: str) -> None:
    texts = [row["text"] for row in rows(SMOKE / f"{name}.jsonl")]
    assert text_column(texts).distinct == len(texts)
    for text in texts:
        assert sum(0x4E00 <= ord(character) < 0xA000 for character in text) > len(text) / 2
