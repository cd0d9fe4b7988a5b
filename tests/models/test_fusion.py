"""Fusion of runs, against the definitions written out. Run: pytest tests/models/test_fusion.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, qrels, queries, ranking, strings
from small_models.card_files import write_card

import cmedteb
from cmedteb.data import Access
from cmedteb.errors import DataError, UsageError
from cmedteb.models import (
    Composite,
    Encoder,
    ModelFacts,
    ModelOptions,
    Retriever,
    System,
    TaskContext,
    load_model,
)
from cmedteb.models import fusion as module
from cmedteb.models.bm25 import Bm25
from cmedteb.models.fusion import Fusion, Method, Rule, fuse
from cmedteb.models.hashing import Hashing
from cmedteb.search import Vectors, rerank_vectors, search_vectors, tie_ranks
from cmedteb.types import (
    Candidates,
    Corpus,
    Queries,
    RankingData,
    Run,
    Similarity,
    TaskType,
    TextColumn,
)

DOCUMENTS = 40
IDS = [f"d{row:02d}" for row in range(DOCUMENTS)]
TIES = tie_ranks(strings(IDS))
Hits = list[list[tuple[int, float]]]


def run_of(rows: Hits) -> Run:
    """A run with these entries in this order."""
    return Run(
        offsets=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        docs=np.asarray([doc for row in rows for doc, _ in row], dtype=np.int32),
        scores=np.asarray([score for row in rows for _, score in row], dtype=np.float32),
    )


def drawn_run(seed: int, lengths: Sequence[int]) -> Run:
    """Random documents, best first, with some ties."""
    draw = np.random.default_rng(seed)
    rows: Hits = []
    for length in lengths:
        docs = draw.permutation(DOCUMENTS)[:length]
        scores = draw.integers(-5, 15, size=length) / 4
        rows.append(
            sorted(zip(docs.tolist(), scores.tolist(), strict=True), key=lambda hit: -hit[1])
        )
    return run_of(rows)


def by_the_book(
    runs: Sequence[Run], rule: Rule, depth: int | None, ids: Sequence[str] = IDS
) -> Hits:
    """The fusion with dictionaries, one query after another."""
    fused: Hits = []
    for rows in zip(*map(as_lists, runs), strict=True):
        total: dict[int, float] = defaultdict(float)
        for row, weight in zip(rows, rule.weights, strict=True):
            low = min((score for _, score in row), default=0.0)
            high = max((score for _, score in row), default=0.0)
            for rank, (doc, score) in enumerate(row, start=1):
                if rule.method is Method.RRF:
                    total[doc] += weight / (rule.k + rank)
                else:
                    total[doc] += weight * (score - low) / (high - low) if high > low else 0.0
        single = {doc: float(np.float32(value)) for doc, value in total.items()}
        best = sorted(single, key=lambda doc: ids[doc], reverse=True)
        best.sort(key=lambda doc: -single[doc])
        fused.append([(doc, single[doc]) for doc in best[:depth]])
    return fused


RULES = [
    Rule((1.0, 1.0, 1.0)),
    Rule((0.2, 3.0, 0.0), k=5.0),
    Rule((1.0, 1.0, 1.0), Method.MIN_MAX),
    Rule((0.5, 0.25, 2.0), Method.MIN_MAX),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", [1, 7, None])
@pytest.mark.parametrize("block", [1, 30, 2**22])
def test_fusion_is_what_its_definition_says(
    rule: Rule, depth: int | None, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of any size, with empty lists, in trec_eval's order."""
    monkeypatch.setattr(module, "BLOCK_ENTRIES", block)
    lengths = ([9, 0, 1, 40, 3, 0], [5, 0, 12, 40, 1, 1], [40, 0, 2, 7, 0, 0])
    runs = [drawn_run(seed, row) for seed, row in enumerate(lengths)]
    fused = fuse(runs, rule, ties=TIES, depth=depth)
    found, expected = as_lists(fused), by_the_book(runs, rule, depth)
    assert [[doc for doc, _ in row] for row in found] == [
        [doc for doc, _ in row] for row in expected
    ]
    for row, line in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            [score for _, score in row], [score for _, score in line], rtol=1e-6
        )
    assert fused.docs.dtype == np.int32
    assert fused.scores.dtype == np.float32
    assert fused.offsets.dtype == np.int64


def test_the_example_of_reciprocal_ranks() -> None:
    first = run_of([[(0, 9.0), (1, 8.0)]])
    second = run_of([[(1, 0.3), (2, 0.2)]])
    [found] = as_lists(fuse([first, second], Rule((1.0, 1.0)), ties=TIES, depth=None))
    assert found == [
        (1, pytest.approx(1 / 62 + 1 / 61)),
        (0, pytest.approx(1 / 61)),
        (2, pytest.approx(1 / 62)),
    ]


def test_scores_that_are_all_equal_say_nothing() -> None:
    """A single document, a list of equal scores: 0, as for a document that is missing."""
    level = run_of([[(3, 7.0), (2, 7.0)], [(5, 1.0)]])
    other = run_of([[(1, 2.0), (2, 1.0)], [(6, 4.0), (5, 2.0)]])
    rule = Rule((1.0, 1.0), Method.MIN_MAX)
    assert as_lists(fuse([level, other], rule, ties=TIES, depth=None)) == [
        [(1, 1.0), (3, 0.0), (2, 0.0)],
        [(6, 1.0), (5, 0.0)],
    ]


def test_no_query_is_no_result() -> None:
    empty = run_of([])
    for method in Method:
        fused = fuse([empty, empty], Rule((1.0, 1.0), method), ties=TIES, depth=3)
        assert len(fused) == len(fused.docs) == 0


@dataclass(frozen=True)
class Fixed:
    """A retriever that always finds the same, and says how deep it was asked."""

    rows: tuple[tuple[int, ...], ...]
    asked: list[int]
    reproducible: bool = True
    bound_to: str = ""

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(
            name="test/fixed one",
            revision=str(len(self.rows)),
            family="test",
            prompts={"query": self.bound_to},
            parameters={"query": 5, "document": 7},
            libraries=("numpy",),
            reproducible=self.reproducible,
        )

    @property
    def tokens(self) -> int:
        return 10

    def for_task(self, context: TaskContext) -> Fixed:
        return replace(self, bound_to=context.name)

    def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
        self.asked.append(depth)
        return run_of(
            [[(doc, float(-n)) for n, doc in enumerate(row[:depth])] for row in self.rows]
        )

    def rerank(self, corpus: Corpus, queries: Queries, listed: Candidates) -> Run:
        spans = zip(listed.offsets[:-1], listed.offsets[1:], strict=True)
        rows = [sorted(listed.docs[a:b].tolist()) for a, b in spans]
        return run_of([[(doc, float(-n)) for n, doc in enumerate(row)] for row in rows])


def rank(system: System, data: RankingData, depth: int) -> Run:
    """What the runner does with a part that ranks by itself."""
    part: Any = system
    if data.candidates is None:
        found: Run = part.search(data.corpus, data.queries, depth)
    else:
        found = part.rerank(data.corpus, data.queries, data.candidates)
    return found


def data_of(listed: Candidates | None = None) -> RankingData:
    documents = corpus([f"text {row}" for row in range(DOCUMENTS)], IDS)
    return ranking(documents, queries(["a", "b"]), qrels([{1: 1}, {2: 1}]), listed)


def test_parts_rank_deeper_than_what_is_kept() -> None:
    asked: list[int] = []
    rows = (tuple(range(DOCUMENTS)), tuple(range(DOCUMENTS))[::-1])
    fused = Fusion((Fixed(rows, asked), Fixed(rows[::-1], asked)), Rule((1.0, 0.5)), depth=30)
    whole = as_lists(fused.rank_with(rank, data_of(), 30))
    short = as_lists(fused.rank_with(rank, data_of(), 3))
    assert asked == [30] * 4
    assert [len(row) for row in whole] == [30, 30]
    assert short == [row[:3] for row in whole]
    fused.rank_with(rank, data_of(), 35)
    assert asked[4:] == [35] * 2


@pytest.mark.parametrize("method", list(Method))
def test_candidates_are_ordered_whole(method: Method) -> None:
    listed = candidates([[7, 3, 9, 1], []])
    parts = (Fixed((), []), Fixed((), []))
    fused = Fusion(parts, Rule((1.0, 1.0), method), depth=2)
    run = fused.rank_with(rank, data_of(listed), 1)
    assert [[doc for doc, _ in row] for row in as_lists(run)] == [[1, 3, 7, 9], []]


def test_facts_are_those_of_the_parts() -> None:
    fused = Fusion((Fixed((), []), Hashing(dimension=8)), Rule((1.0, 2.0), k=10.0), depth=50)
    facts = fused.facts
    assert facts.name == "fusion/rrf-fixed-one+hashing"
    assert facts.parameters == {"query": 5, "document": 7}
    assert facts.sts_sides is None
    assert facts.libraries == ("numpy",)
    assert facts.settings == {
        "method": "rrf",
        "weights": [1.0, 2.0],
        "k": 10.0,
        "depth": 50,
        "systems": [Fixed((), []).facts.identity, Hashing(dimension=8).facts.identity],
    }
    assert fused.tokens == 10
    assert facts.reproducible
    guessing = Fusion((Fixed((), [], reproducible=False), Hashing()), Rule((1.0, 1.0)))
    assert not guessing.facts.reproducible


def test_weights_that_one_part_does_not_count_are_not_known() -> None:
    class Silent:
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return np.zeros((len(texts), 2))

        encode_documents = encode_queries

    fused = Fusion((Silent(), Fixed((), [])), Rule((1.0, 1.0)))
    assert fused.facts.parameters == {}
    assert fused.tokens == 10
    assert Fusion((Silent(), Silent()), Rule((1.0, 1.0))).tokens is None


def test_all_that_moves_a_score_moves_the_revision_but_not_the_task() -> None:
    plain: Any = load_model("fusion:bm25+hashing")
    others = [
        load_model("fusion:hashing+bm25"),
        load_model("fusion:bm25+hashing", ModelOptions(fusion="min-max")),
        load_model("fusion:bm25+hashing", ModelOptions(fusion_weights=(1.0, 2.0))),
    ]
    revisions = {plain.facts.revision, *(other.facts.revision for other in others)}  # type: ignore[union-attr]
    assert len(revisions) == 4
    parts = (Fixed((), []), Hashing())
    loaded = Fusion(parts, Rule((1.0, 1.0)))
    bound = loaded.for_task(TaskContext("T", TaskType.RETRIEVAL))
    assert bound.facts.settings["systems"][0]["prompts"] == {"query": "T"}
    assert bound.facts.revision == loaded.facts.revision
    assert bound.facts.identity != loaded.facts.identity


def test_flags_come_before_the_card(tmp_path: Path) -> None:
    settings = {
        "systems": ["bm25", "hashing"],
        "method": "min-max",
        "weights": [0.3, 0.7],
        "depth": 20,
        "k": 7,
    }
    card = write_card(
        tmp_path / "both.toml", name="both", family="fusion", title="Both", settings=settings
    )
    stated: Any = load_model(str(card))
    assert stated.rule == Rule((0.3, 0.7), Method.MIN_MAX, 7)
    assert stated.depth == 20
    assert "k" not in stated.facts.settings
    flags = ModelOptions(fusion="rrf", fusion_weights=(2.0, 1.0))
    told: Any = load_model(str(card), flags)
    assert told.rule == Rule((2.0, 1.0), Method.RRF, 7)
    assert told.facts.settings["k"] == 7


def test_a_fusion_is_a_composite_only() -> None:
    fused = load_model("fusion:bm25+hashing")
    assert isinstance(fused, Composite)
    assert not isinstance(fused, Encoder | Retriever)
    assert [type(part) for part in fused.parts] == [Bm25, Hashing]


@pytest.mark.parametrize("spec", ["fusion:bm25", "fusion:bm25+", "fusion:+hashing"])
def test_one_system_is_no_fusion(spec: str) -> None:
    with pytest.raises(UsageError, match="two systems or more"):
        load_model(spec)


@pytest.mark.parametrize(
    "options",
    [
        ModelOptions(fusion="borda"),
        ModelOptions(fusion_weights=(1.0,)),
        ModelOptions(fusion_weights=(1.0, -1.0)),
        ModelOptions(fusion_weights=(0.0, 0.0)),
        ModelOptions(fusion_weights=(1.0, float("nan"))),
        ModelOptions(max_length=8),
        ModelOptions(quantize="int8"),
    ],
)
def test_flags_that_do_not_fit(options: ModelOptions) -> None:
    with pytest.raises(UsageError):
        load_model("fusion:bm25+hashing", options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "borda"},
        {"weights": [1, 2, 3]},
        {"weights": "1,2"},
        {"weights": 2},
        {"k": 0},
        {"k": "60"},
        {"depth": 10.5},
        {"depth": 0},
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, wrong: dict[str, Any]) -> None:
    settings = {"systems": "bm25+hashing", **wrong}
    card = write_card(
        tmp_path / "odd.toml", name="odd", family="fusion", title="Odd", settings=settings
    )
    with pytest.raises(DataError, match="odd's card"):
        load_model(str(card))


def hashed(texts: TextColumn) -> Vectors:
    """One vector a row, from the encoder itself."""
    rows = np.arange(len(texts))
    return Vectors(Hashing().encode_queries(texts.take(rows)), rows.astype(np.int32))


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("name", ["SmokeRetrieval", "SmokeReranking"])
def test_the_runner_fuses_the_runs_of_its_parts(tmp_path: Path, method: Method, name: str) -> None:
    """The scores are those of both parts' whole runs, fused by the book."""
    [result] = cmedteb.evaluate(
        "fusion:bm25+hashing",
        name,
        output=tmp_path,
        model_options=ModelOptions(fusion=str(method)),
    )
    assert result.model.name == f"fusion/{method}-bm25+hashing"
    task = cmedteb.load_task(name)
    data = task.load(Access())
    ids, left, right = data.corpus.ids, hashed(data.queries.texts), hashed(data.corpus.texts)
    if data.candidates is None:
        lexical = Bm25().search(data.corpus, data.queries, 1000)
        dense = search_vectors(left, right, ids=ids, similarity=Similarity.COSINE, depth=1000)
    else:
        lexical = Bm25().rerank(data.corpus, data.queries, data.candidates)
        dense = rerank_vectors(left, right, data.candidates, ids=ids, similarity=Similarity.COSINE)
    rule = Rule((1.0, 1.0), method)
    book = by_the_book([lexical, dense], rule, None, ids.to_pylist())
    scored = task.score(run_of(book), data, depth=None)
    assert result.main_score == pytest.approx(scored.main_score, abs=1e-9)


def test_sentence_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sentence"):
        cmedteb.evaluate("fusion:bm25+hashing", "SmokeSts", output=tmp_path)
