"""What was put before whom, kept in the journal: an answer to anything else is a stranger's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Phase
from cmedteb.annotations.review.items import item_id
from cmedteb.annotations.review.sample import Sight

KEY = "review:drawn:{}"


class Drawn(NamedTuple):
    """A sight that stands in a file: whose, and in which phase."""

    sight: Sight
    reviewer: str
    phase: Phase


def read_drawn(journal: Journal, phase: Phase) -> dict[str, tuple[Sight, ...]]:
    """Reviewer -> what stands in their files of this phase."""
    kept = journal.recall(KEY.format(phase))
    found = json.loads(kept) if kept else {}
    return {name: tuple(Sight(*sight) for sight in sights) for name, sights in found.items()}


def keep_drawn(journal: Journal, phase: Phase, sights: Mapping[str, Iterable[Sight]]) -> None:
    """Note what goes into files, beside what went into earlier ones."""
    before = read_drawn(journal, phase)
    both = {
        name: sorted({*before.get(name, ()), *sights.get(name, ())})
        for name in sorted({*before, *sights})
    }
    journal.remember(KEY.format(phase), json.dumps(both, ensure_ascii=False))


def by_item(journal: Journal) -> dict[str, Drawn]:
    """Item id -> what it stands for, over all files that were ever exported."""
    return {
        item_id(sight, reviewer=name, phase=phase): Drawn(sight, name, phase)
        for phase in Phase
        for name, sights in read_drawn(journal, phase).items()
        for sight in sights
    }
