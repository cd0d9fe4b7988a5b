"""Objects of one's own as systems. Run: pytest tests/models/test_custom.py -q."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from cmedteb.errors import UsageError
from cmedteb.models.bm25 import Bm25
from cmedteb.models.custom import facts_of
from cmedteb.models.hashing import Hashing
from cmedteb.types import Float32Array, Float64Array, Similarity


class Plain:
    """The least that works."""

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return np.ones((len(texts), 2), dtype=np.float32)

    encode_documents = encode_queries


class Scorer:
    similarity: ClassVar[str] = "dot"

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        return np.zeros(len(left))


def stated(**attributes: Any) -> Plain:
    system = Plain()
    for name, value in attributes.items():
        setattr(system, name, value)
    return system


def test_an_object_that_says_nothing() -> None:
    facts = facts_of(Plain())
    assert facts.name == "custom/Plain"
    assert facts.revision == "unversioned"
    assert facts.similarity is Similarity.COSINE
    assert not facts.reproducible


def test_an_object_that_says_what_it_is() -> None:
    facts = facts_of(stated(name="me/my model", revision=7, similarity="dot"))
    assert facts.name == "me/my-model"
    assert facts.revision == "7"
    assert facts.similarity is Similarity.DOT
    assert not facts.reproducible


def test_a_method_called_similarity_is_no_statement() -> None:
    assert facts_of(stated(similarity=lambda a, b: a @ b)).similarity is Similarity.COSINE


def test_an_unsupported_similarity_is_refused() -> None:
    with pytest.raises(UsageError, match="'dot' or 'cosine', not 'euclidean'"):
        facts_of(stated(similarity="euclidean"))


def test_a_pair_scorer_has_no_similarity_of_vectors() -> None:
    assert facts_of(Scorer()).similarity is None


def test_own_facts_are_taken_as_they_are() -> None:
    for system in (Bm25(), Hashing()):
        assert facts_of(system) == system.facts


@pytest.mark.parametrize("thing", [object(), "bm25", type("Half", (), {"encode_queries": print})()])
def test_what_is_no_system_is_refused_with_what_is_missing(thing: Any) -> None:
    with pytest.raises(UsageError, match="has no encode_queries and encode_documents"):
        facts_of(thing)
