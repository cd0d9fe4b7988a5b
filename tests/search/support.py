"""Vectors and ids for the tests of search."""

from __future__ import annotations

import numpy as np

from cmedteb.search import Vectors
from cmedteb.types import Float32Array


def each(values: Float32Array) -> Vectors:
    """Vectors of texts that are all different."""
    return Vectors(values, np.arange(len(values), dtype=np.int32))


def random_vectors(rows: int, *, seed: int, width: int = 24) -> Float32Array:
    """Of lengths that differ by a factor of up to a hundred."""
    draw = np.random.default_rng(seed)
    scale = draw.uniform(0.1, 10, size=(rows, 1))
    return (draw.standard_normal((rows, width)) * scale).astype(np.float32)


def names(count: int) -> list[str]:
    """Ids in the order of the rows."""
    return [f"d{row:05d}" for row in range(count)]
