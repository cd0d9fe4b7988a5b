"""Diversity-aware de-duplication: a text is dropped where the kept ones already crowd around it.

CMedTEB (arXiv 2604.10937) begins an index with 5,000 texts and then takes one text after another:
it looks for near neighbours in the index, and if more than n of them are more similar than t it
drops the text, else it adds the text to the index. How near t is and how many n are is not stated
in the paper, nor in which order the texts come or how the first ones are chosen; here they are a
seeded sample, and the others come in the order of the data set. How many neighbours are looked at
does not matter as long as they are more than n, so all are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmedteb.errors import UsageError
from cmedteb.types import Float32Array

SEEDS = 5000
BLOCK = 1024  # candidates at a time; their products with the index are made block by block
INDEX_BLOCK = 8192


@dataclass(frozen=True)
class Diversity:
    """When a text is too much like those that are kept.

    Attributes:
        similarity: t: a neighbour counts where its similarity is above this.
        most: n: a text with more such neighbours is dropped.
        seeds: how many texts the index begins with.
        seed: of the choice of these.

    Raises:
        UsageError: a number below 0, or one that is none.
    """

    similarity: float
    most: int
    seeds: int = SEEDS
    seed: int = 42

    def __post_init__(self) -> None:
        if not np.isfinite(self.similarity) or self.most < 0 or self.seeds < 0:
            raise UsageError(
                f"--near {self.similarity:g}, --most-near {self.most} and --seeds {self.seeds}: "
                "the first must be a number, the others 0 or more."
            )


def diverse(vectors: Float32Array, how: Diversity) -> NDArray[np.bool_]:
    """Which texts are kept.

    Args:
        vectors: compared by their inner product (of unit length for a cosine); shape (texts, d).
        how: when a text is dropped.

    Returns:
        Shape (texts,); the seeds are among the kept.
    """
    index = _Index(len(vectors), vectors.shape[1])
    first = np.random.default_rng(how.seed).permutation(len(vectors))[: how.seeds]
    kept = np.zeros(len(vectors), dtype=bool)
    kept[first] = True
    index.add(vectors[kept])
    others = np.flatnonzero(~kept)
    for start in range(0, len(others), BLOCK):
        rows = others[start : start + BLOCK]
        kept[rows] = _admitted(vectors[rows], index, how)
        index.add(vectors[rows[kept[rows]]])
    return kept


def _admitted(block: Float32Array, index: _Index, how: Diversity) -> NDArray[np.bool_]:
    """One text after another, each against the index and those of its block that came in."""
    near = index.near(block, how.similarity)
    within = block @ block.T > how.similarity
    admitted = np.zeros(len(block), dtype=bool)
    for row in range(len(block)):
        crowd = near[row] + np.count_nonzero(within[row, :row] & admitted[:row])
        admitted[row] = crowd <= how.most
    return admitted


class _Index:
    """The vectors that are kept so far."""

    def __init__(self, most: int, width: int) -> None:
        self._vectors: Float32Array = np.empty((most, width), dtype=np.float32)
        self._size = 0

    def add(self, vectors: Float32Array) -> None:
        """Keep more."""
        self._vectors[self._size : self._size + len(vectors)] = vectors
        self._size += len(vectors)

    def near(self, block: Float32Array, similarity: float) -> NDArray[np.int64]:
        """How many kept vectors are more similar to each of the block."""
        found = np.zeros(len(block), dtype=np.int64)
        for start in range(0, self._size, INDEX_BLOCK):
            part = self._vectors[start : min(start + INDEX_BLOCK, self._size)]
            found += np.count_nonzero(block @ part.T > similarity, axis=1)
        return found
