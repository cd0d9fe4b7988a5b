"""A reranker over a first stage: what is reranked, what stands behind it, and what it is called.

Run: pytest tests/models/test_two_stage.py -q. Parts are real: BM25, the hashing encoder and a
small cross-encoder made from a seed. They are ranked with by the few lines of `rank` below, and
once by the runner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, qrels, queries, ranking, smoke_texts
from small_models.cross_encoder import classifier_folder

import cmedteb
from cmedteb.encoding import score_distinct
from cmedteb.errors import UsageError
from cmedteb.models import (
    Encoder,
    ModelOptions,
    PairScorer,
    Reranker,
    Retriever,
    TaskContext,
    load_model,
)
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.models.protocols import System
from cmedteb.models.two_stage import TwoStage, extend, with_first_stage
from cmedteb.search import Vectors, rank_candidates, rerank_vectors, search_vectors, tie_ranks
from cmedteb.types import Float32Array, Int32Array, RankingData, Run, Similarity, TaskType

LARGEST = float(np.finfo(np.float32).max)
TEXTS = [*smoke_texts()[:10], smoke_texts()[0]]
ASKED = [smoke_texts()[0][:8], smoke_texts()[3][:8], "zz"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_folder(tmp_path_factory.mktemp("ce") / "reranker")


@pytest.fixture
def data() -> RankingData:
    judged = qrels([{0: 1}, {3: 1}, {}])
    return ranking(corpus(TEXTS), queries(ASKED), judged)


def rank(part: Any, data: RankingData, depth: int) -> Run:
    """Rank with a part as the runner does."""
    given, ids = data.candidates, data.corpus.ids
    if given is None and isinstance(part, Retriever):
        return part.search(data.corpus, data.queries, depth)
    if given is not None and isinstance(part, Reranker):
        return part.rerank(data.corpus, data.queries, given)
    if given is not None and isinstance(part, PairScorer):
        asked = np.repeat(np.arange(len(given)), np.diff(given.offsets))
        scores = score_distinct(
            part.score_pairs,
            data.queries.texts,
            data.queries.texts.index[asked],
            data.corpus.texts,
            data.corpus.texts.index[given.docs],
            budget=4_000,
        )

        def of_query(row: int, docs: Int32Array) -> Float32Array:
            return scores[given.offsets[row] : given.offsets[row + 1]]

        return rank_candidates(of_query, given, tie_ranks(ids))
    assert isinstance(part, Encoder)
    left, right = (
        Vectors(np.asarray(encode(list(texts.iter_distinct()))), texts.index)
        for encode, texts in (
            (part.encode_queries, data.queries.texts),
            (part.encode_documents, data.corpus.texts),
        )
    )
    alike = {"ids": ids, "similarity": Similarity.COSINE}
    if given is None:
        return search_vectors(left, right, depth=depth, **alike)
    return rerank_vectors(left, right, given, **alike)


@dataclass
class Watched:
    """`rank`, noting what was asked of whom."""

    asked: list[tuple[Any, int, list[int] | None]] = field(default_factory=list)

    def __call__(self, part: System, data: RankingData, depth: int) -> Run:
        given = data.candidates
        lengths = None if given is None else np.diff(given.offsets).tolist()
        self.asked.append((part, depth, lengths))
        return rank(part, data, depth)


@dataclass(frozen=True)
class Constant:
    """A scorer of pairs to which all are alike."""

    value: float = 1.0

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float32Array:
        return np.full(len(left), self.value, dtype=np.float32)


def docs(run: Run) -> list[list[int]]:
    return [[doc for doc, _ in row] for row in as_lists(run)]


def in_trec_order(run: Run, data: RankingData) -> bool:
    """Whether entries stand as trec_eval sorts them, by finite scores."""
    ties = tie_ranks(data.corpus.ids)
    for start, stop in zip(run.offsets[:-1], run.offsets[1:], strict=True):
        scores, rows = run.scores[start:stop], run.docs[start:stop]
        order = np.lexsort((ties[rows], -scores))
        if not np.array_equal(order, np.arange(stop - start)) or not np.isfinite(scores).all():
            return False
    return True


@pytest.mark.parametrize("depth", [1, 3, 5, 8, 100])
def test_the_best_are_reranked_and_the_rest_stand_behind(data: RankingData, depth: int) -> None:
    system = TwoStage(Bm25(), Hashing(), depth=5)
    run = system.rank_with(rank, data, depth)
    first = docs(rank(Bm25(), data, 11))
    best = replace(data, candidates=candidates([row[:5] for row in first]))
    second = docs(rank(Hashing(), best, 5))
    expected = [b[:5] + a[5:] for a, b in zip(first, second, strict=True)]
    assert docs(run) == [row[:depth] for row in expected]
    assert second != [row[:5] for row in first]
    assert in_trec_order(run, data)
    assert run.scores.dtype == np.float32
    assert run.docs.dtype == np.int32


def test_the_rerankers_scores_are_kept(data: RankingData, classifier: Path) -> None:
    reranker = load_model(str(classifier), ModelOptions(device="cpu"))
    assert isinstance(reranker, PairScorer)
    run = TwoStage(Bm25(), reranker, depth=4).rank_with(rank, data, 7)
    for query, row in enumerate(as_lists(run)):
        scores = reranker.score_pairs([ASKED[query]] * 4, [TEXTS[doc] for doc, _ in row[:4]])
        np.testing.assert_allclose([score for _, score in row[:4]], scores, atol=1e-5)
        assert all(score < scores.min() for _, score in row[4:])
    assert in_trec_order(run, data)


def test_each_part_is_asked_once_for_what_is_needed(data: RankingData) -> None:
    first, reranker = Bm25(), Hashing()
    watched = Watched()
    TwoStage(first, reranker, depth=4).rank_with(watched, data, 9)
    assert watched.asked == [(first, 9, None), (reranker, 4, [4, 4, 4])]
    watched = Watched()
    TwoStage(first, reranker, depth=4).rank_with(watched, data, 2)
    assert watched.asked == [(first, 4, None), (reranker, 4, [4, 4, 4])]


def test_given_candidates_are_reranked_without_the_first_stage(data: RankingData) -> None:
    listed = replace(data, candidates=candidates([[1, 5, 0], [3], []]))
    watched = Watched()
    reranker = Hashing()
    run = TwoStage(Bm25(), reranker, depth=2).rank_with(watched, listed, 1)
    assert watched.asked == [(reranker, 1, [3, 1, 0])]
    assert docs(run) == docs(rank(Hashing(), listed, 3))


def test_a_first_stage_that_found_less(data: RankingData) -> None:
    """One query has as many as are reranked, one has fewer, one has none."""
    found = Run(
        np.asarray([0, 3, 4, 4]),
        np.asarray([2, 1, 0, 7], dtype=np.int32),
        np.asarray([3, 2, 1, 1], dtype=np.float32),
    )

    def short(part: System, data: RankingData, depth: int) -> Run:
        return found if part is first else rank(part, data, depth)

    first = Bm25()
    run = TwoStage(first, Hashing(), depth=3).rank_with(short, data, 10)
    assert np.diff(run.offsets).tolist() == [3, 1, 0]
    assert sorted(docs(run)[0]) == [0, 1, 2]
    assert in_trec_order(run, data)


def test_ties_of_the_first_stage_keep_its_order_behind(data: RankingData) -> None:
    """A constant reranker: ids order what is reranked, the first stage's order what is not."""
    first = docs(rank(Bm25(), data, 11))
    run = TwoStage(Bm25(), Constant(), depth=3).rank_with(rank, data, 11)
    for before, after in zip(first, docs(run), strict=True):
        assert after[:3] == sorted(before[:3], reverse=True)
        assert after[3:] == before[3:]
    assert in_trec_order(run, data)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e-45, 1.0, 2.0**24, -(2.0**24), 1e30, -1e30, LARGEST, -LARGEST]
)
def test_scores_of_any_size_leave_the_order_total(data: RankingData, value: float) -> None:
    run = TwoStage(Bm25(), Constant(value), depth=3).rank_with(rank, data, 11)
    assert docs(run)[0][3:] == docs(rank(Bm25(), data, 11))[0][3:]
    assert in_trec_order(run, data)
    scores = [score for _, score in as_lists(run)[0]]
    assert scores[0] == scores[2] > scores[3]
    assert len(set(scores[2:])) == len(scores[2:])


@pytest.mark.parametrize("scale", [1e-40, 1e-3, 1.0, 1e6, 1e20, 1e37, LARGEST])
@pytest.mark.parametrize("count", [1, 2, 900])
def test_scores_behind_others_fall_strictly(scale: float, count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([rng.uniform(-1, 1, 40), [0, 0, -1, -1]]) * scale
    scores = np.sort(drawn.astype(np.float32))[::-1]
    extended = extend(scores, count)
    assert extended.dtype == np.float32
    assert extended.shape == (len(scores) + count,)
    assert np.isfinite(extended).all()
    assert (np.diff(extended[len(scores) - 1 :]) < 0).all()
    kept = extended[: len(scores)]
    np.testing.assert_array_equal(np.sign(np.diff(kept)), np.sign(np.diff(scores)))
    if scale < 1e30:
        np.testing.assert_array_equal(kept, scores)


def test_nothing_to_put_behind_and_nothing_before() -> None:
    scores = np.asarray([2, 1], dtype=np.float32)
    np.testing.assert_array_equal(extend(scores, 0), scores)
    assert extend(scores[:0], 0).shape == (0,)


def test_facts_hold_both_parts(classifier: Path) -> None:
    options = ModelOptions(device="cpu", first_stage="bm25")
    reranker = load_model(str(classifier), ModelOptions(device="cpu"))
    system = load_model(str(classifier), options)
    assert isinstance(system, TwoStage)
    alone = reranker.facts  # type: ignore[union-attr]
    facts = system.facts
    assert facts.name == "local/reranker+over-cmedteb__bm25"
    assert facts.revision == alone.revision
    assert facts.similarity is None
    assert facts.settings["rerank_depth"] == 100
    assert facts.settings["reranker"] == alone.identity
    assert facts.settings["first_stage"]["model"] == "cmedteb/bm25"
    assert facts.settings["first_stage"]["settings"]["k1"] == 0.9
    assert facts.parameters == alone.parameters
    assert set(facts.libraries) == {*alone.libraries, "rjieba"}
    assert (facts.max_length, facts.dtype, facts.prompts) == (128, "float32", {"query": ""})
    assert facts.reproducible


def test_another_depth_is_another_name(classifier: Path) -> None:
    options = ModelOptions(device="cpu", first_stage="bm25", rerank_depth=20)
    facts = load_model(str(classifier), options).facts  # type: ignore[union-attr]
    assert facts.name == "local/reranker+over-cmedteb__bm25-top20"
    assert facts.settings["rerank_depth"] == 20


def test_weights_of_both_stages_are_counted(classifier: Path) -> None:
    one = load_model(str(classifier), ModelOptions(device="cpu"))
    both = TwoStage(one, one).facts.parameters
    single = one.facts.parameters  # type: ignore[union-attr]
    assert both == {"query": 2 * single["query"], "document": 0}


def test_tokens_are_those_of_both_parts(data: RankingData, classifier: Path) -> None:
    assert TwoStage(Bm25(), Hashing()).tokens is None
    system = load_model(str(classifier), ModelOptions(device="cpu", first_stage="bm25"))
    assert isinstance(system, TwoStage)
    system.rank_with(rank, data, 5)
    assert system.tokens == system.reranker.tokens > 0  # type: ignore[union-attr]


def test_both_parts_are_bound_to_the_task(tmp_path: Path, classifier: Path) -> None:
    card = tmp_path / "card.toml"
    card.write_text(
        f'name = "x"\ntitle = "x"\nfamily = "cross-encoder"\nhf = "{classifier}"\n'
        '[prompts]\nquery = "{instruction}"\n[instructions]\ndefault = "D"\n',
        encoding="utf-8",
    )
    options = ModelOptions(device="cpu", first_stage="hashing")
    system = load_model(str(card), options)
    assert isinstance(system, TwoStage)
    bound = system.for_task(TaskContext("x", TaskType.RETRIEVAL, instruction="Find"))
    assert bound.facts.prompts == {"query": "Find"}
    assert bound.first == system.first
    assert bound.depth == system.depth


def test_a_depth_without_a_first_stage() -> None:
    with pytest.raises(UsageError, match="such as --first-stage bm25"):
        with_first_stage(Bm25(), ModelOptions(rerank_depth=5))


def test_a_depth_of_nothing() -> None:
    with pytest.raises(UsageError, match="--rerank-depth 0: at least 1"):
        with_first_stage(Bm25(), ModelOptions(first_stage="bm25", rerank_depth=0))


def test_a_first_stage_that_cannot_search(classifier: Path) -> None:
    options = ModelOptions(device="cpu", first_stage=str(classifier))
    with pytest.raises(UsageError, match="local/reranker searches no corpus"):
        with_first_stage(Bm25(), options)


def test_a_system_that_reranks_nothing() -> None:
    class Searcher:
        name = "mine/searcher"

        def search(self, corpus: Any, queries: Any, depth: int) -> Any:
            raise NotImplementedError

    with pytest.raises(UsageError, match="mine/searcher orders no given documents"):
        with_first_stage(Searcher(), ModelOptions(first_stage="bm25"))


def test_through_the_runner(classifier: Path, tmp_path: Path) -> None:
    options = ModelOptions(device="cpu", first_stage="bm25", rerank_depth=3)
    found = cmedteb.evaluate(
        str(classifier),
        ["SmokeRetrieval", "SmokeReranking"],
        output=tmp_path,
        model_options=options,
    )
    alone = cmedteb.evaluate(
        str(classifier),
        "SmokeReranking",
        output=tmp_path,
        model_options=ModelOptions(device="cpu"),
    )
    assert found[1].main_score == alone[0].main_score
    bm25 = cmedteb.evaluate("bm25", "SmokeRetrieval", output=tmp_path)
    [scores], [base] = found[0].scores["test"], bm25[0].scores["test"]
    assert scores["recall_at_100"] == base["recall_at_100"]
    assert scores["ndcg_at_10"] != base["ndcg_at_10"]
