"""The strata that pairs are drawn from, frozen for the whole pool with the first draw.

Experts see a few hundred pairs of many thousands. Drawn at random nearly all would be easy
negatives, and an agreement on those says nothing; so they are drawn by how far the panel agreed
(`consensus.Stratum`), and whatever is said of them is weighted back by the sizes of the strata
(`metrics.stratified`). Those sizes must not move after the draw: the journal keeps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.votes import Votes
from cmedteb.errors import UsageError


def stratify(snapshot: Snapshot) -> dict[str, str]:
    """The stratum of every pair of the pool: as frozen in the journal, else by what judges said.

    Raises:
        UsageError: judging is not finished, so the pool cannot be divided yet.
    """
    if snapshot.strata:
        return dict(snapshot.strata)
    waiting = unjudged(snapshot)
    if waiting:
        raise UsageError(
            f"{len(waiting)} pairs are not judged yet, {waiting[0]} among them: finish `cmedteb "
            "annotate run` first, so that the sample is drawn from the whole pool."
        )
    return {pair: str(stratum) for pair, stratum in label_pairs(snapshot).strata().items()}


def population(strata: Mapping[str, str]) -> dict[str, int]:
    """How many pairs each stratum has, by name."""
    return dict(sorted(Counter(strata.values()).items()))


def unjudged(snapshot: Snapshot) -> list[str]:
    """Pairs that a judge still has to be asked about; a cascade may rightly have stopped others."""
    votes, config = Votes.of(snapshot), snapshot.config
    found = []
    for row, pair in enumerate(votes.pairs):
        asked = [(pair.pair_id, judge) in votes.states for judge in votes.judges]
        grades = votes.grades[row]
        stopped = config.cascade is not None and ((grades > 0) & (grades < config.threshold)).any()
        if not all(asked) and not (stopped and any(asked)):
            found.append(pair.pair_id)
    return found
