"""Which pairs need an adjudication, the most pressing first.

Pairs that somebody has adjudicated are left out, so that the next export goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

from cmedteb.annotations.consensus import Adjudication, Label, LabelState, label_pairs
from cmedteb.annotations.records import Phase, Snapshot
from cmedteb.annotations.review.sample import in_order

SPREAD = 3  # between the highest and the lowest grade of one pair


def queue(snapshot: Snapshot, strata: Mapping[str, str], *, size: int, seed: int) -> dict[str, str]:
    """Pair id -> stratum of the pairs to adjudicate.

    First positives of the data set that the panel rejects, then pairs on which it is undecided
    (two of three before those with a missing judge), those where a blind reviewer contradicts it,
    and those whose grades lie far apart.

    Args:
        snapshot: of the journal.
        strata: of every pair of the pool.
        size: the most pairs.
        seed: of the order among equally pressing pairs.
    """
    consensus = label_pairs(snapshot, adjudication=Adjudication.IGNORE)
    done = {one.pair_id for one in snapshot.reviews if one.phase is Phase.ADJUDICATION}
    doubted = _contradicted(snapshot, consensus.labels, consensus.threshold)
    pressing = {
        label.pair.pair_id: urgency
        for label in consensus.labels
        if label.pair.pair_id not in done
        and (urgency := _urgency(label, doubted=label.pair.pair_id in doubted)) is not None
    }
    chosen = sorted(in_order(pressing, seed), key=pressing.__getitem__)[:size]
    return {pair: strata[pair] for pair in chosen}


def _urgency(label: Label, *, doubted: bool) -> int | None:
    """From 0, the most pressing; None where nothing is in doubt."""
    given = [grade for grade in label.grades if grade is not None]
    undecided = label.state is LabelState.UNDECIDED
    grounds = (
        label.is_rejected_original,
        undecided and len(given) == len(label.grades),
        undecided,
        doubted,
        bool(given) and max(given) - min(given) >= SPREAD,
    )
    return grounds.index(True) if any(grounds) else None


def _contradicted(snapshot: Snapshot, labels: tuple[Label, ...], threshold: int) -> set[str]:
    """Pairs that a blind reviewer, who was sure, calls otherwise than the panel does."""
    states = {label.pair.pair_id: label.state for label in labels}
    found = set()
    for review in snapshot.reviews:
        if review.phase is Phase.BLIND and review.grade is not None and not review.unsure:
            said = LabelState.POSITIVE if review.grade >= threshold else LabelState.NEGATIVE
            if states.get(review.pair_id) not in {said, None}:
                found.add(review.pair_id)
    return found
