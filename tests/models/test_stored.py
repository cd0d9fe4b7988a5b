"""Cut and quantised vectors around any encoder. Run: pytest tests/models/test_stored.py -q."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import smoke_texts

import cmedteb
from cmedteb.encoding import Encoded
from cmedteb.errors import ModelError, ScoreError, UsageError
from cmedteb.models import (
    ModelFacts,
    ModelOptions,
    PairScorer,
    Reranker,
    Retriever,
    Role,
    Streaming,
    TaskContext,
    load_model,
)
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.models.stored import with_storage
from cmedteb.types import Float32Array, Similarity, Storage, TaskType

TEXTS = smoke_texts()[:6]


@dataclass(frozen=True)
class Sides:
    """An encoder whose two sides differ, whose prompts follow the task, and which streams."""

    task: str = "none"

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(
            name="test/sides",
            revision="1",
            family="test",
            similarity=Similarity.DOT,
            dimension=12,
            prompts={"query": self.task, "document": ""},
            sides={Role.DOCUMENT: {"tower": "big"}},
        )

    @property
    def tokens(self) -> int:
        return 42

    def for_task(self, context: TaskContext) -> Sides:
        return replace(self, task=context.name)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return vectors_of(texts, shift=1)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        return vectors_of(texts, shift=2)

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        vectors = vectors_of(texts, shift=1 if role is Role.QUERY else 2)
        for row in reversed(range(len(texts))):
            yield Encoded(np.asarray([row]), vectors[[row]])


def vectors_of(texts: Sequence[str], *, shift: int) -> Float32Array:
    rows = [[len(text) + shift * column for column in range(12)] for text in texts]
    return np.asarray(rows, dtype=np.float32)


class Plain:
    """An encoder that says nothing of itself."""

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return vectors_of(texts, shift=1)

    encode_documents = encode_queries


def test_both_sides_are_cut_and_not_normalised_again() -> None:
    cut = with_storage(Sides(), ModelOptions(truncate_dim=5))
    np.testing.assert_array_equal(cut.encode_queries(TEXTS), vectors_of(TEXTS, shift=1)[:, :5])
    np.testing.assert_array_equal(cut.encode_documents(TEXTS), vectors_of(TEXTS, shift=2)[:, :5])


def test_a_loaded_model_is_cut_as_sentence_transformers_cuts(cls_folder: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    theirs = library.SentenceTransformer(str(cls_folder), truncate_dim=8, device="cpu")
    ours: Any = load_model(str(cls_folder), ModelOptions(device="cpu", truncate_dim=8))
    expected = theirs.encode(TEXTS)
    assert expected.shape == (6, 8)
    np.testing.assert_allclose(ours.encode_documents(TEXTS), expected, atol=1e-5)
    assert not np.allclose(np.linalg.norm(expected, axis=1), 1)


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        (ModelOptions(truncate_dim=8), "+dim8"),
        (ModelOptions(quantize="int8"), "+int8"),
        (ModelOptions(quantize="binary", rescore=True, truncate_dim=8), "+dim8+binary-rescored"),
        (ModelOptions(quantize="int8", rescore=True), "+int8-rescored"),
    ],
)
def test_the_name_and_the_facts_say_what_was_done(options: ModelOptions, suffix: str) -> None:
    inner, facts = Sides().facts, with_storage(Sides(), options).facts
    assert facts.name == f"test/sides{suffix}"
    assert facts.dimension == (options.truncate_dim or 12)
    assert facts.storage is Storage(options.quantize or "float32")
    assert facts.rescore is options.rescore
    changed = {"model", "dimension", "storage"}
    assert {key for key in facts.identity if facts.identity[key] != inner.identity[key]} <= changed
    assert facts.identity != inner.identity


def test_kept_vectors_are_those_of_the_encoder() -> None:
    coarse = with_storage(Sides(), ModelOptions(quantize="int8")).facts
    cut = with_storage(Sides(), ModelOptions(truncate_dim=8)).facts
    for role in Role:
        assert coarse.side(role) == Sides().facts.side(role)
        assert cut.side(role) == Sides().facts.side(role)
    assert cut.side(Role.DOCUMENT)["tower"] == "big"
    both = with_storage(Sides(), ModelOptions(truncate_dim=8, quantize="binary")).facts
    assert both.side(Role.QUERY) == cut.side(Role.QUERY)


def test_streams_tasks_and_tokens_pass_through() -> None:
    cut = with_storage(Sides(), ModelOptions(truncate_dim=5))
    assert isinstance(cut, Streaming)
    for role, shift in ((Role.QUERY, 1), (Role.DOCUMENT, 2)):
        parts = list(cut.stream(TEXTS, role))
        assert [part.rows.tolist() for part in parts] == [[row] for row in reversed(range(6))]
        vectors = np.concatenate([part.vectors for part in parts])[::-1]
        np.testing.assert_array_equal(vectors, vectors_of(TEXTS, shift=shift)[:, :5])
    bound = cut.for_task(TaskContext("T", TaskType.RETRIEVAL))
    assert bound.facts.prompts["query"] == "T"
    assert isinstance(bound, Streaming)
    assert bound.tokens == 42


def test_what_the_encoder_does_not_offer_is_not_made_up() -> None:
    cut = with_storage(Plain(), ModelOptions(truncate_dim=5))
    assert not isinstance(cut, Streaming | Retriever | Reranker | PairScorer)
    assert cut.tokens is None
    assert cut.for_task(TaskContext("T", TaskType.STS)) is cut
    assert cut.facts.name == "custom/Plain+dim5"
    assert not cut.facts.reproducible


def test_more_dimensions_than_there_are() -> None:
    with pytest.raises(UsageError, match="vectors of test/sides have 12 dimensions"):
        with_storage(Sides(), ModelOptions(truncate_dim=13))
    silent = with_storage(Plain(), ModelOptions(truncate_dim=13))
    with pytest.raises(UsageError, match="vectors of custom/Plain have 12 dimensions"):
        silent.encode_queries(TEXTS)
    assert with_storage(Sides(), ModelOptions(truncate_dim=12)).encode_queries(TEXTS).shape[1] == 12


def test_bits_that_do_not_fill_bytes_are_refused_before_anything_is_encoded() -> None:
    with pytest.raises(UsageError, match="such as --truncate-dim 8"):
        with_storage(Sides(), ModelOptions(quantize="binary"))
    with_storage(Sides(), ModelOptions(quantize="binary", truncate_dim=8))


@pytest.mark.parametrize("system", [Bm25(), type("Scorer", (), {"score_pairs": print})()])
def test_what_has_no_vectors_is_refused(system: Any) -> None:
    with pytest.raises(UsageError, match="leave --truncate-dim and --quantize out"):
        with_storage(system, ModelOptions(quantize="int8"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ModelOptions(truncate_dim=0), "at least one dimension"),
        (ModelOptions(truncate_dim=4, rescore=True), "add --quantize int8 or binary"),
        (ModelOptions(quantize="int4"), "--quantize is int8 or binary, not 'int4'"),
        (ModelOptions(quantize="float32"), "--quantize is int8 or binary, not 'float32'"),
    ],
)
def test_options_that_make_no_sense(options: ModelOptions, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        with_storage(Sides(), options)


def test_an_encoder_that_returns_no_matrix_is_told_so_by_the_runner(tmp_path: Path) -> None:
    broken = type("Broken", (), {"encode_queries": len, "encode_documents": len})()
    stored = with_storage(broken, ModelOptions(truncate_dim=3))
    with pytest.raises((ModelError, ScoreError)):
        cmedteb.evaluate(stored, "SmokeRetrieval", output=tmp_path, limit=2)


def test_coarser_storage_costs_quality_and_rescoring_gives_it_back(tmp_path: Path) -> None:
    """On the smoke task, whose 4 x depth are all of its documents."""

    def score(**options: Any) -> float:
        model = with_storage(Hashing(), ModelOptions(**options)) if options else Hashing()
        [result] = cmedteb.evaluate(model, "SmokeRetrieval", output=tmp_path)
        return result.main_score

    exact, binary = score(), score(quantize="binary")
    assert binary < exact
    assert score(quantize="int8", rescore=True) == exact
    assert score(quantize="binary", rescore=True) == exact
    assert len(list(tmp_path.glob("cmedteb__hashing*"))) == 4
