"""Whether judges stayed the same, and whether a text can talk to them.

A pair asked twice gives the noise floor: no label can be steadier than its judge. A judge whose
grades move when the scale is printed the other way round reads the form, not the text.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from cmedteb.annotations.canaries import gullibility
from cmedteb.annotations.records import GRADES, Answer, Purpose, Snapshot
from cmedteb.annotations.report.agreement import pair_view
from cmedteb.annotations.report.numbers import LEVEL, mean_over, nothing, rounded, utc
from cmedteb.annotations.report.schema import Answered, Canary, DriftPart, Repeated
from cmedteb.annotations.report.values import Why
from cmedteb.annotations.votes import Votes
from cmedteb.metrics.agreement_intervals import REPLICATES, summarise_agreement
from cmedteb.metrics.ratings import MISSING, Ratings


def drift_part(snapshot: Snapshot, votes: Votes, threshold: int) -> DriftPart:
    """Second sights, the scale turned round, tricks, and which models answered."""
    models = answered(snapshot)
    names = Counter((one.judge, one.returned) for one in models)
    returned = Counter(judge for judge, _ in names)
    return DriftPart(
        retest=repeated(snapshot, votes, Purpose.RETEST, threshold),
        reversed=repeated(snapshot, votes, Purpose.REVERSED, threshold),
        canaries=canaries(snapshot, threshold),
        models=models,
        changed=tuple(sorted(judge for judge, count in returned.items() if count > 1)),
    )


def repeated(
    snapshot: Snapshot, first: Votes, purpose: Purpose, threshold: int
) -> tuple[Repeated, ...]:
    """Each judge against itself, on the pairs that it graded both times."""
    second = Votes.of(snapshot, purpose)
    return tuple(
        _repeated(first, second, column, threshold, seed=snapshot.config.seed)
        for column in range(len(first.judges))
    )


def _repeated(first: Votes, second: Votes, column: int, threshold: int, *, seed: int) -> Repeated:
    judge = first.judges[column]
    table = np.stack([first.grades[:, column], second.grades[:, column]], axis=1)
    rows = np.flatnonzero((table != MISSING).all(axis=1))
    if not len(rows):
        none = nothing(Why.NO_CASES)
        return Repeated(
            judge=judge, pairs=0, identical=none, kappa=none, kappa_quadratic=none, shift=none
        )
    queries = [first.pairs[row].query_id for row in rows]
    ratings = Ratings.of(table[rows], categories=GRADES, raters=("first", "second"), groups=queries)
    graded, binary = (
        summarise_agreement(one, seed=seed, resamples=REPLICATES, level=LEVEL)
        for one in (ratings, ratings.at_least(threshold))
    )
    single = graded.groups == 1
    exact = pair_view(graded.pairs[0], single=single)
    return Repeated(
        judge=judge,
        pairs=len(rows),
        identical=exact.agreement,
        kappa=pair_view(binary.pairs[0], single=single).kappa,
        kappa_quadratic=exact.kappa_quadratic,
        shift=mean_over((table[rows, 1] - table[rows, 0]).tolist(), queries, seed=seed),
    )


def canaries(snapshot: Snapshot, threshold: int) -> tuple[Canary, ...]:
    """How much each trick moves each judge."""
    found = gullibility(snapshot.pairs, snapshot.answers, threshold=threshold)
    return tuple(
        Canary(
            judge=one.judge,
            trick=one.trick,
            asked=one.asked,
            fooled=one.fooled,
            shift=rounded(one.shift) or 0.0,
        )
        for one in found
    )


def answered(snapshot: Snapshot) -> tuple[Answered, ...]:
    """Which models answered for each judge, with what fingerprint, from when to when."""
    found: defaultdict[tuple[str, str, str, str], list[Answer]] = defaultdict(list)
    for one in snapshot.answers:
        if one.returned_model is not None or one.verdict.grade is not None:
            names = (one.requested_model, one.returned_model or "", one.fingerprint or "")
            found[one.judge, *names].append(one)
    return tuple(
        Answered(
            judge=judge,
            requested=requested,
            returned=returned or None,
            fingerprint=fingerprint or None,
            answers=len(calls),
            first=utc(min(one.sent_at for one in calls)),
            last=utc(max(one.received_at for one in calls)),
        )
        for (judge, requested, returned, fingerprint), calls in sorted(found.items())
    )
