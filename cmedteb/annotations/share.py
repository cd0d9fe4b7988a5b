"""Random shares of a pool that can be told again from a pair's id, the seed and the share alone.

Whoever asks judges and whoever reports on them must mean the same pairs: those that a cascade
judges in full, those that are asked with the scale the other way round. No list is kept, so none
can be lost; a larger share holds the smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

CASCADE = "cascade"
REVERSED = "reversed"


def in_share(pair_id: str, share: float, *, seed: int, purpose: str) -> bool:
    """Whether a pair is in a random share.

    Args:
        pair_id: of the pair.
        share: expected share of all pairs, 0 to 1.
        seed: of the annotation.
        purpose: what the share is for; shares of different purposes are independent.
    """
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{pair_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def share_of(pair_ids: Iterable[str], share: float, *, seed: int, purpose: str) -> frozenset[str]:
    """The pairs of a random share; see `in_share`."""
    return frozenset(pair for pair in pair_ids if in_share(pair, share, seed=seed, purpose=purpose))
