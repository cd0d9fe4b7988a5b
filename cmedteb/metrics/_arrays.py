"""What the resampling files share: checked columns, blocks, and correlation row by row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.types import Float64Array, Int64Array

# Values that stay in a processor's cache.
_BLOCK_VALUES = 1 << 18


def blocks(total: int, width: int) -> Iterator[int]:
    """`total` rows in blocks of about `_BLOCK_VALUES` values."""
    step = max(1, _BLOCK_VALUES // width)
    for start in range(0, total, step):
        yield min(step, total - start)


def row_pearson(x: Float64Array, y: Float64Array) -> Float64Array:
    """Pearson's r row by row; NaN where a row of x or y does not vary."""
    varies = (np.ptp(x, axis=1) > 0.0) & (np.ptp(y, axis=1) > 0.0)
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
    r = np.full(len(x), np.nan)
    np.divide(np.einsum("ij,ij->i", x, y), scale, out=r, where=varies)
    return r


def row_midranks(levels: Int64Array) -> Float64Array:
    """Midranks row by row; `levels` are ranks without gaps of the values, ties being equal."""
    rows, width = levels.shape[0], int(levels.max()) + 1
    offsets = np.arange(rows)[:, None] * width
    counts = np.bincount((levels + offsets).ravel(), minlength=rows * width).reshape(rows, width)
    midranks = np.cumsum(counts, axis=1) - (counts - 1) / 2.0
    return np.take_along_axis(midranks, levels, axis=1)


def checked_column(name: str, values: Float64Array) -> Float64Array:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ScoreError(f"{name}: expected one value for each query or pair, got {values.shape}.")
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise ScoreError(f"{name}: value {bad} (counted from 0) is {values[bad]}, not finite.")
    return values


def checked_columns(*named: tuple[str, Float64Array]) -> list[Float64Array]:
    columns = [checked_column(name, values) for name, values in named]
    if len({len(column) for column in columns}) > 1:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in named)
        raise ScoreError(f"The columns must cover the same queries or pairs; lengths: {sizes}.")
    return columns


def checked_varied(*named: tuple[str, Float64Array]) -> list[Float64Array]:
    columns = checked_columns(*named)
    for (name, _), column in zip(named, columns, strict=True):
        if np.ptp(column) == 0.0:
            raise ScoreError(f"{name}: all {len(column)} values are {column[0]:g}; there is no r.")
    return columns
