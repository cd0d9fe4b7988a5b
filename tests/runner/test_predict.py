"""What a system returns, and what is said when it fails. Run: pytest tests/runner/test_predict.py.

Degenerate inputs: NaN and infinite vectors, too few rows, a flat array, a changed width, a ragged
list, nothing, an object without methods, a scorer of pairs asked to rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmedteb
from cmedteb.errors import CmedtebError, ModelError, ScoreError, UsageError
from cmedteb.models import Role
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.types import Similarity
from runner.support import Bare, Counting, reranking, retrieval, sts


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return retrieval(tmp_path / "Set")


class Returning(Bare):
    """An encoder whose vectors go through a function before they are returned."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change = change

    def encode_documents(self, texts: Sequence[str]) -> Any:
        return self.change(super().encode_documents(texts))


def with_value(value: float) -> Callable[[Any], Any]:
    def change(vectors: Any) -> Any:
        vectors[0, 5] = value
        return vectors

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (with_value(np.nan), ScoreError, "NaN or infinity in a batch of 24 texts"),
        (with_value(np.inf), ScoreError, "NaN or infinity"),
        (lambda vectors: vectors[:-1], ScoreError, "shape (23, 1024) for 24 texts"),
        (lambda vectors: vectors[0], ScoreError, "shape (1024,) for 24 texts"),
        (lambda vectors: vectors[:, :0], ScoreError, "shape (24, 0)"),
        (lambda vectors: vectors[None], ScoreError, "shape (1, 24, 1024)"),
        (lambda _: [], ScoreError, "shape (0,)"),
        (lambda _: None, ScoreError, "shape ()"),
        (lambda _: [[1.0], [1.0, 2.0]], ModelError, "custom/Returning failed: ValueError"),
        (lambda vectors: ["a"] * len(vectors), ModelError, "custom/Returning failed: ValueError"),
        (lambda vectors: vectors["x"], ModelError, "custom/Returning failed: IndexError"),
    ],
)
def test_what_is_no_vectors_is_named(
    data: Path, change: Callable[[Any], Any], error: type[CmedtebError], message: str
) -> None:
    with pytest.raises(error) as caught:
        cmedteb.evaluate(Returning(change), [data])
    assert message in str(caught.value)


def test_a_width_that_changes_between_batches_is_named(data: Path) -> None:
    def change(vectors: Any, seen: list[int] = []) -> Any:  # noqa: B006  counts the calls
        seen.append(1)
        return vectors if len(seen) == 1 else vectors[:, :8]

    with pytest.raises(ScoreError, match=r"shape \(\d+, 8\) for \d+ texts, not \(\d+, 1024\)"):
        cmedteb.evaluate(Returning(change), [data], batch_tokens=100)


def test_sides_of_different_widths_are_an_error(data: Path) -> None:
    with pytest.raises(CmedtebError):
        cmedteb.evaluate(Returning(lambda vectors: vectors[:, :8]), [data])


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, KeyError, OSError])
def test_what_a_model_raises_names_the_model(data: Path, error: type[Exception]) -> None:
    def fail(_: Any) -> Any:
        raise error("inside the model")

    with pytest.raises(ModelError, match=f"custom/Returning failed: {error.__name__}: .*inside"):
        cmedteb.evaluate(Returning(fail), [data])


def test_each_distinct_text_is_encoded_once(tmp_path: Path) -> None:
    class Keeping(Bare):
        seen: list[str] = []  # noqa: RUF012  of the test

        def encode_documents(self, texts: Sequence[str]) -> Any:
            self.seen.extend(texts)
            return super().encode_documents(texts)

    folder = retrieval(tmp_path / "Set")
    corpus = folder / "corpus.jsonl"
    lines = corpus.read_text().splitlines()
    twins = [line.replace('"d:', '"twin:') for line in lines]
    corpus.write_text("\n".join([*lines, *twins]) + "\n")
    model = Keeping()
    [result] = cmedteb.evaluate(model, [folder], batch_tokens=60)
    assert len(model.seen) == len(set(model.seen)) == 24
    assert result.texts_encoded == 24 + 12


def test_similarity_decides(data: Path) -> None:
    class Longer(Counting):
        """Documents of very different lengths, so that dot and cosine differ."""

        def encode_documents(self, texts: Sequence[str]) -> Any:
            vectors = super().encode_documents(texts)
            return vectors * np.array([[1.0 + 9 * (text < "d")] for text in texts])

    scores = {
        similarity: cmedteb.evaluate(
            Longer(replace(Counting().facts, similarity=similarity)), [data]
        )[0].main_score
        for similarity in Similarity
    }
    plain = cmedteb.evaluate(Counting(), [data])[0].main_score
    assert scores[Similarity.COSINE] == plain
    assert scores[Similarity.DOT] != plain


def test_batches_do_not_move_scores(tmp_path: Path) -> None:
    tasks = [retrieval(tmp_path / "A"), reranking(tmp_path / "B"), sts(tmp_path / "C")]
    small, large = Counting(), Counting()
    first = cmedteb.evaluate(small, tasks, batch_tokens=40)
    second = cmedteb.evaluate(large, tasks, batch_tokens=100_000)
    assert small.calls > large.calls
    assert [one.values for one in first] == [one.values for one in second]


def test_sts_sides_read_their_sentences(tmp_path: Path) -> None:
    class Sided(Counting):
        def __init__(self, sides: tuple[Role, Role]) -> None:
            super().__init__(replace(Counting().facts, sts_sides=sides))
            self.read: dict[str, set[str]] = {"query": set(), "document": set()}

        def encode_queries(self, texts: Sequence[str]) -> Any:
            self.read["query"] |= set(texts)
            return super().encode_queries(texts)

        def encode_documents(self, texts: Sequence[str]) -> Any:
            self.read["document"] |= set(texts)
            return super().encode_documents(texts)

    pairs = sts(tmp_path / "Pairs")
    symmetric, asymmetric = Sided((Role.QUERY, Role.QUERY)), Sided((Role.QUERY, Role.DOCUMENT))
    cmedteb.evaluate(symmetric, [pairs])
    [result] = cmedteb.evaluate(asymmetric, [pairs])
    assert not symmetric.read["document"]
    assert asymmetric.read["document"]
    assert result.sts_sides == {"sentence1": "query", "sentence2": "document"}


def test_a_retriever_and_a_scorer_of_pairs_need_no_vectors(tmp_path: Path) -> None:
    tasks = [retrieval(tmp_path / "A"), reranking(tmp_path / "B"), sts(tmp_path / "C")]
    results = cmedteb.evaluate(Bm25(), tasks)
    assert [one.similarity for one in results] == [None] * 3
    assert [one.texts_encoded for one in results] == [0] * 3
    assert results[0].main_score > 0.3
    assert "cosine_pearson" not in results[2].values


class PairsOnly:
    """A scorer of pairs and nothing else."""

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Any:
        return [float(len(set(a) & set(b))) for a, b in zip(left, right, strict=True)]


def test_a_system_is_only_asked_for_what_it_offers(tmp_path: Path, data: Path) -> None:
    [result] = cmedteb.evaluate(PairsOnly(), [sts(tmp_path / "Pairs")])
    assert -1 <= result.main_score <= 1
    with pytest.raises(UsageError, match=r"PairsOnly orders given .*--first-stage bm25"):
        cmedteb.evaluate(PairsOnly(), [data])


@pytest.mark.parametrize("thing", [object(), [], Hashing().encode_queries, 3])
def test_what_is_no_system_is_told_what_to_add(data: Path, thing: Any) -> None:
    with pytest.raises(UsageError, match="has no encode_queries and encode_documents"):
        cmedteb.evaluate(thing, [data])
