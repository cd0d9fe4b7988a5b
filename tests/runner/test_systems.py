"""Kinds of systems at work: scorers of pairs, composites, streams, kept vectors.

Run: pytest tests/runner/test_systems.py -q.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import retrieval_folder

import cmedteb
from cmedteb.encoding import Encoded, Source, planned
from cmedteb.errors import ScoreError, UsageError
from cmedteb.models import ModelFacts, ModelOptions, Role
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.models.protocols import Rank
from cmedteb.models.two_stage import TwoStage
from cmedteb.results import TaskResult
from cmedteb.results.receipts import read_table
from cmedteb.types import Float32Array, RankingData, Run, Similarity
from runner.support import Counting, reranking, retrieval, sts, words


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return retrieval(tmp_path / "Set")


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return reranking(tmp_path / "Lists")


def only(results: list[TaskResult]) -> TaskResult:
    assert len(results) == 1
    return results[0]


@dataclass
class Overlap:
    """A scorer of pairs that notes what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Any:
        pairs = list(zip(left, right, strict=True))
        self.asked += pairs
        return [len(set(a.split()) & set(b.split())) / len(b) for a, b in pairs]


def test_a_scorer_of_pairs_reranks_each_pair_once(lists: Path) -> None:
    scorer = Overlap()
    result = only(cmedteb.evaluate(scorer, [lists]))
    assert len(scorer.asked) == len(set(scorer.asked)) == 8 * 5
    assert result.texts_encoded == 40
    assert result.main_score > 0.3


def test_pairs_go_in_batches_longest_first(lists: Path) -> None:
    sizes: list[list[int]] = []

    class Watch(Overlap):
        def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Any:
            sizes.append([len(a) + len(b) for a, b in zip(left, right, strict=True)])
            return super().score_pairs(left, right)

    cmedteb.evaluate(Watch(), [lists], batch_tokens=200)
    assert len(sizes) > 3
    together = [size for batch in sizes for size in batch]
    assert together == sorted(together, reverse=True)


def test_sentence_pairs_are_scored_too(tmp_path: Path) -> None:
    assert only(cmedteb.evaluate(Overlap(), [sts(tmp_path / "P")])).main_score_name == "pearson"


def test_a_first_stage_finds_what_is_reranked(data: Path, tmp_path: Path) -> None:
    """Only the documents found are asked about, and the run is as deep as without a reranker."""
    scorer = Overlap()
    system = TwoStage(Bm25("bigrams"), scorer, depth=3)
    result = only(cmedteb.evaluate(system, [data], output=tmp_path / "out"))
    assert len(scorer.asked) <= 12 * 3
    plain = only(cmedteb.evaluate(Bm25("bigrams"), [data]))
    assert result.values["recall_at_20"] == plain.values["recall_at_20"]
    assert result.model.settings["rerank_depth"] == 3
    names = [phase.name for phase in result.evaluation_phases]
    assert {"cmedteb/bm25: search", "custom/Overlap: score pairs"} <= set(names)


def test_a_dense_reranker_encodes_what_was_found_alone(data: Path) -> None:
    plain = only(cmedteb.evaluate(Counting(), [data]))
    staged = only(cmedteb.evaluate(TwoStage(Bm25("bigrams"), Counting(), depth=1), [data]))
    assert plain.texts_encoded == 24 + 12
    assert staged.texts_encoded <= 12 + 12


def test_on_reranking_sets_the_first_stage_rests(lists: Path) -> None:
    alone = only(cmedteb.evaluate(Overlap(), [lists]))
    staged = only(cmedteb.evaluate(TwoStage(Bm25("bigrams"), Overlap()), [lists]))
    assert staged.scores == alone.scores


def test_sentence_pairs_of_two_stages_are_the_rerankers(tmp_path: Path) -> None:
    pairs = sts(tmp_path / "P")
    staged = only(cmedteb.evaluate(TwoStage(Bm25("bigrams"), Overlap()), [pairs]))
    assert staged.scores == only(cmedteb.evaluate(Overlap(), [pairs])).scores


@dataclass(frozen=True)
class Reversed:
    """A composite that turns its part's run around."""

    part: Any

    @property
    def parts(self) -> tuple[Any, ...]:
        return (self.part,)

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(name="test/reversed", revision="1", family="test")

    def rank_with(self, rank: Rank, data: RankingData, depth: int) -> Run:
        run = rank(self.part, data, depth)
        order = np.concatenate(
            [
                np.arange(b - 1, a - 1, -1)
                for a, b in zip(run.offsets, run.offsets[1:], strict=False)
            ]
        )
        return Run(run.offsets, run.docs[order], -run.scores[order])


def test_a_composite_has_no_similarity_of_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"test/reversed ranks documents .* leave sentence pairs"):
        cmedteb.evaluate(Reversed(Hashing()), [sts(tmp_path / "P")])


def test_a_composite_ranks_with_its_parts(data: Path) -> None:
    worst = only(cmedteb.evaluate(Reversed(Hashing()), [data], depth=24))
    best = only(cmedteb.evaluate(Hashing(), [data], depth=24))
    assert worst.main_score < best.main_score
    assert worst.texts_encoded == 24 + 12


@dataclass
class Arriving:
    """An encoder whose vectors come out of order, and which may break on the way."""

    breaks_after: int | None = None
    given: int = 0
    facts: ModelFacts = field(
        default_factory=lambda: ModelFacts(
            name="test/arriving", revision="1", family="test", similarity=Similarity.COSINE
        )
    )

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        del role
        for row in reversed(range(len(texts))):
            if self.given == self.breaks_after:
                raise ScoreError("the other side hung up")
            self.given += 1
            yield Encoded(np.asarray([row]), Hashing().encode_queries([texts[row]]))

    def encode_queries(self, texts: Sequence[str]) -> Any:
        raise AssertionError("it is asked for a stream")

    encode_documents = encode_queries


def test_a_stream_is_put_in_order(data: Path) -> None:
    arriving = only(cmedteb.evaluate(Arriving(), [data]))
    assert arriving.scores == only(cmedteb.evaluate(Hashing(), [data])).scores


def test_what_a_broken_stream_gave_is_not_asked_for_again(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="hung up"):
        cmedteb.evaluate(Arriving(breaks_after=9), [data], vectors=tmp_path / "v")
    again = Arriving()
    result = only(cmedteb.evaluate(again, [data], vectors=tmp_path / "v"))
    assert again.given == 36 - 9
    assert (result.texts_encoded, result.cache_hits) == (36 - 9, 9)


def test_a_second_task_with_the_same_texts_encodes_nothing(tmp_path: Path) -> None:
    first, second = retrieval(tmp_path / "A"), retrieval(tmp_path / "B")
    system = Counting()
    results = cmedteb.evaluate(system, [first, second], vectors=tmp_path / "v")
    assert [one.texts_encoded for one in results] == [36, 0]
    assert [one.cache_hits for one in results] == [0, 36]
    assert results[0].scores == results[1].scores


def test_an_engine_is_not_asked_where_all_vectors_are_kept(data: Path, tmp_path: Path) -> None:
    asked: list[Role] = []

    class WithEngine(Counting):
        def source(self, role: Role, budget: int | None = None) -> Source:
            asked.append(role)
            return planned(self.encode_documents, budget=budget or 1)

    cmedteb.evaluate(WithEngine(), [data], vectors=tmp_path / "v")
    assert asked == [Role.DOCUMENT, Role.QUERY]
    again = only(cmedteb.evaluate(WithEngine(), [data], vectors=tmp_path / "v"))
    assert (len(asked), again.texts_encoded, again.cache_hits) == (2, 0, 36)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "2"},
        {"prompts": {"query": "x", "document": "x"}},
        {"dtype": "bfloat16"},
        {"max_length": 9},
        {"pooling": "cls"},
        {"settings": {"seed": 1}},
        {"name": "test/other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_moves_a_vector_is_encoded_anew(
    data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    cmedteb.evaluate(Counting(), [data], vectors=tmp_path / "v")
    other = Counting(facts=replace(Counting().facts, **change))
    assert only(cmedteb.evaluate(other, [data], vectors=tmp_path / "v")).texts_encoded == 36


def test_what_only_moves_a_comparison_is_not(data: Path, tmp_path: Path) -> None:
    cmedteb.evaluate(Counting(), [data], vectors=tmp_path / "v")
    other = Counting(facts=replace(Counting().facts, similarity=Similarity.DOT))
    assert only(cmedteb.evaluate(other, [data], vectors=tmp_path / "v")).texts_encoded == 0


def test_vectors_of_what_cannot_say_what_it_is_are_not_kept(data: Path, tmp_path: Path) -> None:
    other = Counting(facts=replace(Counting().facts, reproducible=False))
    cmedteb.evaluate(other, [data], vectors=tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_storage_is_in_result_fingerprint_and_scores(data: Path, tmp_path: Path) -> None:
    plain = only(cmedteb.evaluate("hashing", [data]))
    coded = only(
        cmedteb.evaluate(
            "hashing", [data], output=tmp_path, model_options=ModelOptions(quantize="binary")
        )
    )
    assert plain.storage is not None
    assert coded.storage is not None
    assert (plain.storage.vectors, plain.storage.bytes_per_document) == ("float32", 4096.0)
    assert (coded.storage.vectors, coded.storage.bytes_per_document) == ("binary", 128.0)
    assert coded.fingerprint != plain.fingerprint
    assert coded.scores != plain.scores
    assert read_table(next(tmp_path.rglob("receipts/Set.tsv.gz")))


def test_two_towers_without_a_word_about_pairs_refuse_them(tmp_path: Path) -> None:
    facts = replace(Counting().facts, sts_sides=None)
    with pytest.raises(UsageError, match="two encoders, and nobody says which") as caught:
        cmedteb.evaluate(Counting(facts=facts), [sts(tmp_path / "P")])
    assert "--sts-sides query,document" in str(caught.value)


def test_a_text_is_encoded_once_over_the_tasks_of_a_call_and_both_roles(tmp_path: Path) -> None:
    """Where prompt and tower are equal a query may be a document of another task, and is kept."""
    seen: list[str] = []

    class Watched(Counting):
        def _encode(self, texts: Sequence[str]) -> Float32Array:
            seen.extend(texts)
            return super()._encode(texts)

    shared = {f"d{row}": words(row) for row in range(12)}
    asked = {f"q{row}": words(row) for row in range(4)}
    judged = {name: {"d0": 1} for name in asked}
    first = retrieval_folder(tmp_path / "first", shared, asked, judged)
    second = retrieval_folder(
        tmp_path / "second",
        shared | {"d99": words(99)},
        asked | {"q99": words(98)},
        judged | {"q99": {"d0": 1}},
    )
    cmedteb.evaluate(Watched(), [first, second], vectors=tmp_path / "vectors")
    assert sorted(seen) == sorted({*shared.values(), words(98), words(99)})
    seen.clear()
    apart = Watched(prefix="")
    apart.facts = replace(apart.facts, prompts={"query": "ask: ", "document": ""}, name="test/two")
    cmedteb.evaluate(apart, [first], vectors=tmp_path / "vectors")
    assert len(seen) == len(shared) + len(asked)
