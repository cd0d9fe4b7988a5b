"""Correlation of similarities with gold scores, for semantic textual similarity (STS).

Pearson's r and Spearman's rho (r of the midranks) by scipy. Every key is mteb's: `pearson` and
`spearman` use the model's own similarity, `cosine_*`, `manhattan_*` and `euclidean_*` the named
one. Distances come negated, so that higher always means more alike.

The room refuses a number that says nothing: NaN, fewer than two pairs, gold without variance, or a
similarity that is the same for all pairs raise ScoreError. (Correlation is 0/0 there; counting it
as 0 would hide a broken model behind a plausible score.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.types import Float32Array, Float64Array, Similarity

_PREFIXES = {"similarity": "", "cosine": "cosine_", "manhattan": "manhattan_"} | {
    "euclidean": "euclidean_"
}
# A spread below float32's resolution is rounding noise of a constant, not an opinion.
_RESOLUTION = float(np.finfo(np.float32).eps)
_BLOCK_VALUES = 1 << 20


def score_pairs(similarity: Mapping[str, Float64Array], gold: Float64Array) -> dict[str, float]:
    """Correlate similarities with gold scores.

    Args:
        similarity: by name the similarity of each pair, shape (pairs,): `similarity`, the model's
            own, must be there; `cosine`, `manhattan` and `euclidean` (negated distances) may be.
        gold: the gold score of each pair on any scale, higher is more alike; shape (pairs,).

    Returns:
        `pearson`, `spearman`, and for each other similarity given `NAME_pearson`,
        `NAME_spearman`; all in [-1, 1].

    Raises:
        ScoreError: lengths differ, fewer than two pairs, a value is NaN or infinite, gold has no
            variance, or a similarity varies by less than float32 can tell.
    """
    from scipy.stats import pearsonr, spearmanr

    gold = np.asarray(gold, dtype=np.float64)
    _check_finite("gold score", gold)
    _check_gold(gold)
    unknown = sorted(set(similarity) - set(_PREFIXES))
    if unknown or "similarity" not in similarity:
        raise ValueError(f"similarity needs 'similarity', may have {list(_PREFIXES)}: {unknown}")
    scores: dict[str, float] = {}
    for name, prefix in _PREFIXES.items():
        if name not in similarity:
            continue
        values = np.asarray(similarity[name], dtype=np.float64)
        _check_similarity(name, values, len(gold))
        scores[f"{prefix}pearson"] = float(pearsonr(values, gold).statistic)
        scores[f"{prefix}spearman"] = float(spearmanr(values, gold).statistic)
    return scores


def pairwise_similarities(
    left: Float32Array, right: Float32Array, similarity: Similarity
) -> dict[str, Float64Array]:
    """The similarities of the rows of two matrices, row by row, in float64.

    The cosine of a zero vector with anything is 0. (mteb, through scikit-learn, says 0.5, and 1
    for two zero vectors; elsewhere the values are mteb's.) NaN stays NaN, for `score_pairs` to
    refuse.

    Args:
        left: vectors of the first sentences, shape (pairs, dimension).
        right: vectors of the second sentences, same shape.
        similarity: the model's own similarity.

    Returns:
        `similarity` (the model's own), `cosine`, and the negated distances `manhattan` (L1) and
        `euclidean` (L2); each of shape (pairs,).

    Raises:
        ScoreError: the shapes differ or are not two-dimensional.
    """
    if left.ndim != 2 or left.shape != right.shape:
        raise ScoreError(
            f"Vectors of shape {left.shape} and {right.shape} cannot be compared pair by pair. "
            "Both sides must give one vector of the same dimension for each pair."
        )
    pairs, dimension = left.shape
    dot, cosine, manhattan, euclidean = (np.empty(pairs, dtype=np.float64) for _ in range(4))
    step = max(1, _BLOCK_VALUES // max(1, dimension))
    for start in range(0, pairs, step):
        rows = slice(start, start + step)
        a, b = left[rows].astype(np.float64), right[rows].astype(np.float64)
        dot[rows] = np.einsum("ij,ij->i", a, b)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosine[rows] = np.divide(dot[rows], norms, out=np.zeros(len(a)), where=norms != 0.0)
        difference = a - b
        manhattan[rows] = -np.abs(difference).sum(axis=1)
        euclidean[rows] = -np.linalg.norm(difference, axis=1)
    own = {Similarity.DOT: dot, Similarity.COSINE: cosine}[similarity]
    return {"similarity": own, "cosine": cosine, "manhattan": manhattan, "euclidean": euclidean}


def _check_gold(gold: Float64Array) -> None:
    if gold.ndim != 1 or len(gold) < 2:
        raise ScoreError(f"Correlation needs at least two pairs, not {gold.size}.")
    if np.ptp(gold) == 0.0:
        raise ScoreError(
            f"All {len(gold)} gold scores are {gold[0]:g}: without variance there is no "
            "correlation. Check the score column, or raise --limit."
        )


def _check_similarity(name: str, values: Float64Array, pairs: int) -> None:
    if values.shape != (pairs,):
        raise ScoreError(f"{name}: {values.shape} values for {pairs} gold scores.")
    _check_finite(name, values)
    if np.ptp(values) <= _RESOLUTION * np.abs(values).max():
        raise ScoreError(
            f"{name}: the model gives the same value ({values[0]:g}) to all {pairs} pairs, so "
            "correlation is not defined. Are all its vectors equal (empty inputs, wrong pooling)?"
        )


def _check_finite(name: str, values: Float64Array) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise ScoreError(
            f"{name} of pair {bad} (counted from 0) is {values[bad]}; "
            f"{int((~finite).sum())} of {len(values)} are not finite. "
            "Look for NaN or overflow in the model's vectors, or in the data set's score column."
        )
