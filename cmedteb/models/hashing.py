"""The hashing encoder: character n-grams hashed into a vector. No weights, no training, no torch.

Feature hashing with signs (Weinberger et al., 2009) over single characters and character pairs,
square-root counts, cosine. It is the floor that a trained encoder has to clear, and a real
encoder for tests and dry runs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cmedteb.models.card import ModelCard
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import ModelFacts
from cmedteb.models.registry import Loader
from cmedteb.models.weights import Weights
from cmedteb.types import Float32Array, Similarity

VERSION = "1"
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Knuth's multiplicative hash


@dataclass(frozen=True)
class Hashing:
    """An encoder of `dimension` hashed counts; both sides are the same.

    Its results are filed under `name`; of a card, the card's.
    """

    dimension: int = 1024
    name: str = "hashing"

    @property
    def facts(self) -> ModelFacts:
        """Name, revision and dimension."""
        return ModelFacts(
            name=f"cmedteb/{self.name}",
            revision=VERSION,
            family="hashing",
            similarity=Similarity.COSINE,
            dtype="float32",
            dimension=self.dimension,
            parameters={"query": 0, "document": 0},
            keep=False,
        )

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension)."""
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension)."""
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Float32Array:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            hashes = _hashes(unicodedata.normalize("NFKC", text).lower())
            signs = np.where(hashes & np.uint64(1), 1.0, -1.0)
            columns = (hashes >> np.uint64(32)) % np.uint64(self.dimension)
            sums = np.bincount(columns.astype(np.int64), weights=signs, minlength=self.dimension)
            vectors[row] = np.sign(sums) * np.sqrt(np.abs(sums))
        return vectors


def _hashes(text: str) -> NDArray[np.uint64]:
    """One 64-bit hash for every character and every pair of neighbours."""
    characters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    pairs = (characters[:-1] << np.uint64(21)) | characters[1:] | np.uint64(1 << 63)
    mixed = np.concatenate([characters, pairs]) * _MULTIPLIER
    folded: NDArray[np.uint64] = (mixed ^ (mixed >> np.uint64(29))) * _MULTIPLIER
    return folded


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> Hashing:
    """The encoder with the dimension of a card."""
    del options, weights
    return Hashing(**card.settings, name=card.name)


LOADER = Loader(load, settings=frozenset(field.name for field in fields(Hashing)) - {"name"})
