"""Random shares of a pool. Run: pytest tests/annotations/test_share.py."""

from __future__ import annotations

from annotations.annotation_support import sha256
from cmedteb.annotations.share import CASCADE, REVERSED, share_of

IDS = [sha256(str(number))[:16] for number in range(2_000)]


def test_a_share_is_as_large_as_told_and_random() -> None:
    small, large = (share_of(IDS, s, seed=1, purpose=CASCADE) for s in (0.1, 0.3))
    assert 150 < len(small) < 250
    assert small < large
    assert share_of(IDS[::-1], 0.1, seed=1, purpose=CASCADE) == small
    other = share_of(IDS, 0.1, seed=1, purpose=REVERSED)
    assert len(other & small) < len(small) / 2
    assert share_of(IDS, 0.1, seed=2, purpose=CASCADE) != small


def test_nothing_and_everything() -> None:
    assert not share_of(IDS, 0.0, seed=1, purpose=CASCADE)
    assert share_of(IDS, 1.0, seed=1, purpose=CASCADE) == set(IDS)
