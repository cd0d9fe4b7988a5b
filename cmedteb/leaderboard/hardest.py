"""The queries that models fail at, by id: where a benchmark can still tell models apart, or errs.

For rankings a query is hard where the mean of the main score over all models is low. A sentence
pair has no score of its own: it is hard where the standardised similarity is far from the
standardised gold score.
"""

from __future__ import annotations

import numpy as np

from cmedteb.leaderboard.board import HardQuery
from cmedteb.types import Float64Array

SHOWN = 10


def hardest(ids: list[str], values: Float64Array, gold: Float64Array) -> tuple[HardQuery, ...]:
    """The hardest first; of equal ones the first in the alphabet.

    Args:
        ids: of queries or pairs.
        values: shape (models, ids): main scores, or similarities of pairs.
        gold: of pairs, shape (ids,); empty for rankings.
    """
    if len(values) < 2:
        return ()
    if len(gold):
        values = -np.abs(_standard(values) - _standard(gold[None]))
    mean, best = values.mean(axis=0).round(6), values.max(axis=0).round(6)
    order = sorted(range(len(ids)), key=lambda row: (mean[row], ids[row]))[:SHOWN]
    sign = -1.0 if len(gold) else 1.0
    return tuple(
        HardQuery(id=ids[row], mean=sign * float(mean[row]), best=sign * float(best[row]))
        for row in order
    )


def _standard(values: Float64Array) -> Float64Array:
    centred = values - values.mean(axis=1, keepdims=True)
    spread = values.std(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 0.0, spread, 1.0))
