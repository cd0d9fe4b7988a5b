"""The hashing encoder. Run: pytest tests/models/test_hashing.py -q."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from builders import smoke_texts

from cmedteb.models import Encoder
from cmedteb.models.hashing import Hashing
from cmedteb.types import Float32Array, Similarity

PROGRAM = """
import sys
from cmedteb.models.hashing import Hashing
vectors = Hashing(dimension=64).encode_queries(["\\u9ad8\\u8840\\u538b CT", "\\U00020000", ""])
sys.stdout.write(vectors.tobytes().hex())
"""


def cosine(left: Float32Array, right: Float32Array) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_vectors_are_the_same_in_every_process() -> None:
    def vectors(seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    here = Hashing(dimension=64).encode_queries(["\u9ad8\u8840\u538b CT", "\U00020000", ""])
    assert vectors("0") == vectors("4711") == here.tobytes().hex()


def test_shape_type_and_sides() -> None:
    encoder = Hashing(dimension=128)
    texts = smoke_texts()[:5]
    vectors = encoder.encode_documents(texts)
    assert vectors.shape == (5, 128)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, encoder.encode_queries(texts))


def test_a_text_does_not_depend_on_its_neighbours() -> None:
    texts = smoke_texts()[:8]
    together = Hashing().encode_queries(texts)
    alone = np.concatenate([Hashing().encode_queries([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_similarity_is_1_with_itself_and_falls_with_fewer_shared_characters() -> None:
    one, near, far = Hashing().encode_queries(
        ["\u9ad8\u8840\u538b\u60a3\u8005", "\u9ad8\u8840\u538b", "\u7cd6\u5c3f\u75c5"]
    )
    assert cosine(one, one) == pytest.approx(1, abs=1e-6)
    assert cosine(one, near) > 0.5
    assert cosine(one, far) < 0.2


def test_order_of_characters_matters() -> None:
    one, turned = Hashing().encode_queries(["\u8840\u538b\u9ad8", "\u9ad8\u8840\u538b"])
    assert 0.3 < cosine(one, turned) < 0.99
    one, turned = Hashing().encode_queries(["\u9ad8\u8840", "\u8840\u9ad8"])
    assert cosine(one, turned) == pytest.approx(2 / 3, abs=1e-6)


def test_case_and_width_do_not_matter() -> None:
    ascii_text, wide = Hashing().encode_queries(["ct12", "\uff23\uff34\uff11\uff12"])
    np.testing.assert_array_equal(ascii_text, wide)


def test_an_empty_text_is_the_zero_vector() -> None:
    assert not Hashing().encode_queries([""]).any()


def test_no_texts() -> None:
    assert Hashing(dimension=16).encode_queries([]).shape == (0, 16)


def test_a_single_character() -> None:
    vector = Hashing().encode_queries(["\u8840"])[0]
    assert np.abs(vector).sum() == 1


def test_facts() -> None:
    facts = Hashing(dimension=256).facts
    assert facts.dimension == 256
    assert facts.similarity is Similarity.COSINE
    assert facts.parameters == {"query": 0, "document": 0}
    assert isinstance(Hashing(), Encoder)
