"""Which stratum a judged pair belongs to: how far the panel agreed on it.

Experts see a few hundred pairs of many thousands. Drawn at random nearly all would be easy
negatives, and an agreement on those says nothing; so they are drawn by stratum, and whatever is
said of them is weighted back by the sizes of the strata (`metrics.stratified`). The strata of the
whole pool are frozen in the journal at the first draw: their counts are that population.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cmedteb.annotations.config import Rule
from cmedteb.annotations.records import Pair, Purpose, Snapshot, State
from cmedteb.errors import UsageError

UNANIMOUS_POSITIVE = "unanimous-positive"
UNANIMOUS_NEGATIVE = "unanimous-negative"
REJECTED_ORIGINAL = "rejected-original"
MISSING = "missing"
STOPPED = "stopped-by-cascade"
NAMED = 3


class Votes(NamedTuple):
    """What the panel said of one pair.

    Attributes:
        grades: one for each judge of the panel, in its order; None where there is none.
        asked: whether each judge was asked at all.
    """

    grades: tuple[int | None, ...]
    asked: tuple[bool, ...]


def votes_of(snapshot: Snapshot) -> dict[str, Votes]:
    """Every pair of the pool with its grades; of several attempts the last grade counts."""
    labels = snapshot.config.panel.labels
    grades: dict[tuple[str, str], int | None] = {}
    for answer in snapshot.answers:
        if answer.purpose is Purpose.JUDGE:
            key = (answer.pair_id, answer.judge)
            scored = answer.verdict.state is State.SCORED
            grades[key] = answer.verdict.grade if scored else grades.get(key)
    return {
        pair.pair_id: Votes(
            tuple(grades.get((pair.pair_id, label)) for label in labels),
            tuple((pair.pair_id, label) in grades for label in labels),
        )
        for pair in snapshot.pairs
        if pair.canary is None
    }


def stratify(snapshot: Snapshot) -> dict[str, str]:
    """The stratum of every pair of the pool: those frozen in the journal, else computed now.

    `unanimous-positive`, `2-of-3`, `1-of-3` (of as many judges as there are) and
    `unanimous-negative` count the grades at or above the threshold. Before that come `missing` (a
    judge gave no grade), `stopped-by-cascade` (not all judges were asked, because the pair could
    not become a unanimous positive) and `rejected-original` (a positive of the data set that the
    panel does not confirm).

    Raises:
        UsageError: judging is not finished.
    """
    if snapshot.strata:
        return dict(snapshot.strata)
    votes = votes_of(snapshot)
    config = snapshot.config
    found, waiting = {}, []
    for pair in snapshot.pairs:
        if pair.canary is None:
            stratum = _stratum(pair, votes[pair.pair_id], config.threshold, config.rule)
            found[pair.pair_id] = stratum
            if not all(votes[pair.pair_id].asked) and stratum == MISSING:
                waiting.append(pair.pair_id)
    if waiting:
        raise UsageError(
            f"{len(waiting)} of {len(found)} pairs are not judged yet ({', '.join(waiting[:NAMED])}"
            f"{', ...' if len(waiting) > NAMED else ''}): finish `cmedteb annotate run` first, so "
            "that the sample is drawn from the whole pool."
        )
    return found


def population(strata: Mapping[str, str]) -> dict[str, int]:
    """How many pairs each stratum has, by name."""
    return dict(sorted(Counter(strata.values()).items()))


def _stratum(pair: Pair, votes: Votes, threshold: int, rule: Rule) -> str:
    given = [grade for grade in votes.grades if grade is not None]
    if len(given) < len(votes.grades):
        impossible = any(grade < threshold for grade in given)
        unasked = sum(not asked for asked in votes.asked)
        stopped = impossible and len(given) + unasked == len(votes.grades)
        return STOPPED if stopped else MISSING
    return _counted(given, threshold, rule, original=(pair.original or 0) > 0)


def _counted(grades: Sequence[int], threshold: int, rule: Rule, *, original: bool) -> str:
    judges = len(grades)
    positive = sum(grade >= threshold for grade in grades)
    unanimous = rule in {Rule.UNANIMOUS, Rule.IDENTICAL}
    confirmed = positive == judges if unanimous else 2 * positive > judges
    if original and not confirmed:
        return REJECTED_ORIGINAL
    if positive in {0, judges}:
        return UNANIMOUS_POSITIVE if positive else UNANIMOUS_NEGATIVE
    return f"{positive}-of-{judges}"
