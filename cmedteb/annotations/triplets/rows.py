"""Labels become training rows: a query, a positive, and negatives that are no false negatives.

The form is FlagEmbedding's, which the paper's repository trains with: `{"query", "pos": [...],
"neg": [...]}`. A negative is a document that systems returned and the panel calls negative, so a
false negative, or a pair that is undecided, is never one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cmedteb.annotations.consensus import Consensus, Label, LabelState
from cmedteb.annotations.records import Pair

NEGATIVES = 15


class Positives(StrEnum):
    """Whose positives are trained on.

    `PANEL`: all that the panel calls positive, found ones included. `CONFIRMED`: of the data set's
    own, those that the panel calls positive. `ORIGINAL`: of the data set's own, those that the
    panel does not call negative.
    """

    PANEL = "panel"
    CONFIRMED = "confirmed"
    ORIGINAL = "original"


class Choose(StrEnum):
    """Which negatives are taken where there are more: those ranked best, or any."""

    HARDEST = "hardest"
    RANDOM = "random"


@dataclass(frozen=True)
class Shape:
    """What a row is made of.

    Attributes:
        positives: whose positives.
        all_positives: in one row a query, instead of a row for each.
        negatives: the most in a row; the paper's sample rows have 15.
        fewest: a row with fewer negatives is left out.
        choose: which negatives.
        seed: of a random choice.
    """

    positives: Positives = Positives.PANEL
    all_positives: bool = False
    negatives: int = NEGATIVES
    fewest: int = 1
    choose: Choose = Choose.HARDEST
    seed: int = 42


def training_rows(
    consensus: Consensus, texts: Mapping[str, str], shape: Shape
) -> Iterator[dict[str, Any]]:
    """The rows, by query id and then by rank of the positive.

    Args:
        consensus: labels of the pool.
        texts: hash -> text.
        shape: of a row.
    """
    by_query: defaultdict[str, list[Label]] = defaultdict(list)
    for label in consensus.labels:
        by_query[label.pair.query_id].append(label)
    for query_id in sorted(by_query):
        labels = by_query[query_id]
        positives = [label.pair for label in labels if _is_positive(label, shape.positives)]
        negatives = _negatives([one.pair for one in labels if _is_negative(one)], shape)
        if not positives or len(negatives) < shape.fewest:
            continue
        ranked = sorted(positives, key=_hardness)
        for group in [ranked] if shape.all_positives else [[one] for one in ranked]:
            yield {
                "query": texts[group[0].query_hash],
                "pos": [texts[pair.document_hash] for pair in group],
                "neg": [texts[pair.document_hash] for pair in negatives],
                "query_id": query_id,
                "pos_id": [pair.doc_id for pair in group],
                "neg_id": [pair.doc_id for pair in negatives],
            }


def _is_positive(label: Label, positives: Positives) -> bool:
    if positives is Positives.ORIGINAL:
        return label.was_positive and label.state is not LabelState.NEGATIVE
    wanted = label.was_positive or positives is Positives.PANEL
    return wanted and label.state is LabelState.POSITIVE


def _is_negative(label: Label) -> bool:
    """Returned by a system and negative; a rejected positive of the data set is left out."""
    return label.state is LabelState.NEGATIVE and not label.was_positive and bool(label.pair.ranks)


def _negatives(pairs: Sequence[Pair], shape: Shape) -> list[Pair]:
    if shape.choose is Choose.HARDEST:
        return sorted(pairs, key=_hardness)[: shape.negatives]

    def lot(pair: Pair) -> bytes:
        return hashlib.sha256(f"negatives\0{shape.seed}\0{pair.pair_id}".encode()).digest()

    return sorted(sorted(pairs, key=lot)[: shape.negatives], key=_hardness)


def _hardness(pair: Pair) -> tuple[int, str]:
    """The better a system ranked it the harder it is."""
    return min(pair.ranks.values(), default=10**9), pair.doc_id
