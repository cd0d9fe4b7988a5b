"""What stands before a reviewer: one pair, under a name that does not give away which.

A hidden repeat would be no test if its row carried the id of the first: each sight has an id of its
own. A pair is shown as the judges saw it, cut where theirs was cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmedteb.annotations.records import Phase, Purpose, Snapshot
from cmedteb.annotations.review.sample import Sight
from cmedteb.annotations.texts import shown
from cmedteb.annotations.votes import counted


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one judge said; shown in the adjudication only.

    Attributes:
        judge: its label.
        grade: 1 to 5; None where there is none.
        reason: the judge's words, or why there is no grade.
    """

    judge: str
    grade: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """One sight of one pair, for one reviewer.

    Attributes:
        item_id: 16 characters; starts with a letter, so that no sheet takes it for a number.
        pair_id: of the pair.
        repeat: 1 for the hidden repeat.
        query: the text.
        document: the text as the judges saw it.
        was_cut: whether the document goes on.
        opinions: of the judges; empty in a blind pass.
    """

    item_id: str
    pair_id: str
    repeat: int
    query: str
    document: str
    was_cut: bool
    opinions: tuple[Opinion, ...] = ()

    @property
    def shown(self) -> str:
        """Hash of the texts as they are shown."""
        return shown_hash(self.query, self.document)


def item_id(sight: Sight, *, reviewer: str, phase: Phase) -> str:
    """The name of a sight, the same whenever it is asked for."""
    named = f"{sight.pair_id}\0{reviewer}\0{phase}\0{sight.repeat}"
    return "r" + hashlib.sha256(named.encode()).hexdigest()[:15]


def shown_hash(query: str, document: str) -> str:
    """Hash of two texts, whatever ends their lines: sheets and browsers write their own."""
    both = "\0".join(text.replace("\r\n", "\n").replace("\r", "\n") for text in (query, document))
    return hashlib.sha256(both.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def make_items(
    sights: Sequence[Sight],
    snapshot: Snapshot,
    texts: Mapping[str, str],
    *,
    reviewer: str,
    phase: Phase,
) -> tuple[Item, ...]:
    """The items of one reviewer, in the order of the sights.

    Args:
        sights: what the reviewer sees.
        snapshot: of the journal.
        texts: hash -> text, from `texts.read_texts`.
        reviewer: whose file this is.
        phase: blind hides the judges.

    Raises:
        DataError: a text is missing.
    """
    pairs = {pair.pair_id: pair for pair in snapshot.pairs}
    said = opinions(snapshot) if phase is Phase.ADJUDICATION else {}
    items = []
    for sight in sights:
        text = shown(pairs[sight.pair_id], texts)
        items.append(
            Item(
                item_id=item_id(sight, reviewer=reviewer, phase=phase),
                pair_id=sight.pair_id,
                repeat=sight.repeat,
                query=text.query,
                document=text.document,
                was_cut=text.cut,
                opinions=said.get(sight.pair_id, ()),
            )
        )
    return tuple(items)


def opinions(snapshot: Snapshot) -> dict[str, tuple[Opinion, ...]]:
    """Pair id -> what each judge said, in the order of the panel."""
    said = counted(snapshot, Purpose.JUDGE)
    labels = snapshot.config.panel.labels
    return {
        pair.pair_id: tuple(
            Opinion(label, *said[pair.pair_id, label].verdict[1:])
            for label in labels
            if (pair.pair_id, label) in said
        )
        for pair in snapshot.pairs
    }
