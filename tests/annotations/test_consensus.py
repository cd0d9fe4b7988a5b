"""From grades to labels. Run: pytest tests/annotations/test_consensus.py.

Two of three is a question; a missing judge never makes a positive, and a negative only if it could
not turn it; what people adjudicate counts as told.
"""

from __future__ import annotations

from itertools import product

import pytest

from annotations.annotation_support import pair
from annotations.snapshot_support import answer, of_grades, review, settings, snapshot
from cmedteb.annotations.config import Rule
from cmedteb.annotations.consensus import Adjudication, Basis, LabelState, Stratum, label_pairs
from cmedteb.annotations.records import Phase, Purpose, Snapshot, State
from cmedteb.errors import UsageError

POSITIVE, NEGATIVE, UNDECIDED = LabelState
R, C = State.REFUSED, State.CUT


def only(found: Snapshot, **choices: object) -> tuple[LabelState, Basis]:
    (label,) = label_pairs(found, **choices).labels  # type: ignore[arg-type]
    return label.state, label.basis


@pytest.mark.parametrize(
    ("grades", "state", "basis"),
    [
        ((4, 5, 4), POSITIVE, Basis.PANEL),
        ((4, 5, 3), UNDECIDED, Basis.SPLIT),
        ((4, 1, 3), NEGATIVE, Basis.PANEL),
        ((1, 2, 3), NEGATIVE, Basis.PANEL),
        ((5, 5, R), UNDECIDED, Basis.MISSING),
        ((5, 1, C), UNDECIDED, Basis.MISSING),
        ((2, 1, R), NEGATIVE, Basis.PANEL),
        ((1, R, R), UNDECIDED, Basis.MISSING),
        ((1, None, None), UNDECIDED, Basis.STOPPED),
        ((5, 5, None), UNDECIDED, Basis.STOPPED),
    ],
)
def test_unanimous_at_the_threshold(
    grades: tuple[int | State | None, ...], state: LabelState, basis: Basis
) -> None:
    assert only(of_grades([grades])) == (state, basis)


@pytest.mark.parametrize("rule", [Rule.UNANIMOUS, Rule.IDENTICAL, Rule.MAJORITY])
def test_a_label_is_the_same_whatever_the_missing_had_said(rule: Rule) -> None:
    """Given with a judge missing, a label holds for all five grades of that judge."""
    for known in product((1, 3, 4, 5), repeat=2):
        state, _ = only(of_grades([(*known, R)]), rule=rule)
        if state is not UNDECIDED:
            assert state is NEGATIVE
            completed = {only(of_grades([(*known, last)]), rule=rule)[0] for last in range(1, 6)}
            assert completed == {NEGATIVE}


def test_identical_asks_for_one_grade() -> None:
    assert only(of_grades([(4, 4, 4)]), rule=Rule.IDENTICAL)[0] is POSITIVE
    assert only(of_grades([(4, 4, 5)]), rule=Rule.IDENTICAL) == (UNDECIDED, Basis.SPLIT)
    assert only(of_grades([(1, 1, 1)]), rule=Rule.IDENTICAL)[0] is NEGATIVE


def test_majority_needs_every_judge() -> None:
    assert only(of_grades([(4, 4, 1)]), rule=Rule.MAJORITY)[0] is POSITIVE
    assert only(of_grades([(4, 4, R)]), rule=Rule.MAJORITY) == (UNDECIDED, Basis.MISSING)
    four = settings(["a", "b", "c", "d"])
    tie = of_grades([(5, 5, 1, 1)], of=four)
    assert only(tie, rule=Rule.MAJORITY) == (UNDECIDED, Basis.SPLIT)


def test_the_threshold_moves_the_line() -> None:
    assert only(of_grades([(3, 3, 3)]))[0] is NEGATIVE
    assert only(of_grades([(3, 3, 3)]), threshold=3)[0] is POSITIVE


def test_dawid_and_skene_says_how_sure_it_is() -> None:
    rows = [(5, 5, 5)] * 30 + [(1, 1, 1)] * 60 + [(5, 5, 1)] * 4 + [(1, 1, 5)] * 6 + [(1, 1, R)]
    made = label_pairs(of_grades(rows), rule=Rule.DAWID_SKENE)
    states = [label.state for label in made.labels]
    assert states[:90] == [POSITIVE] * 30 + [NEGATIVE] * 60
    assert states[90] is POSITIVE
    assert states[99] is NEGATIVE
    assert states[100] is NEGATIVE  # whatever the third had said
    assert made.dawid_skene is not None
    assert made.dawid_skene.converged
    sure = [label.posterior for label in made.labels]
    assert all(p is not None for p in sure)
    assert max(p for p in sure if p is not None) > 0.99


def test_dawid_and_skene_leaves_open_what_a_missing_judge_decides() -> None:
    rows = [(5, 5, 5)] * 30 + [(1, 1, 1)] * 30 + [(5, 1, R), (5, 5, R)]
    states = [label.state for label in label_pairs(of_grades(rows), rule=Rule.DAWID_SKENE).labels]
    assert states[60:] == [UNDECIDED, UNDECIDED]


def test_a_cascade_is_no_ground_for_a_majority() -> None:
    cascade = settings(cascade=0.1)
    for rule in (Rule.MAJORITY, Rule.DAWID_SKENE):
        with pytest.raises(UsageError, match="needs every judge's grade"):
            label_pairs(of_grades([(5, 5, 5)], of=cascade), rule=rule)
    assert only(of_grades([(1, None, None)], of=cascade)) == (UNDECIDED, Basis.STOPPED)


def test_the_first_grade_counts_and_other_purposes_do_not() -> None:
    one = pair("q", "d")
    more = [
        answer(one.pair_id, "a", 5),  # a crash repeated the call
        answer(one.pair_id, "b", 2, purpose=Purpose.RETEST),
        answer(one.pair_id, "c", 5, attempt=2),
    ]
    made = label_pairs(snapshot([one], [(1, 5, State.INVALID)], answers=more))
    assert made.labels[0].grades == (1, 5, 5)


def adjudicated(grades: tuple[int, ...], *said: tuple[int | None, bool]) -> Snapshot:
    one = pair("q", "d", original=1)
    reviews = [
        review(one.pair_id, grade, f"r{i}", phase=Phase.ADJUDICATION, unsure=unsure)
        for i, (grade, unsure) in enumerate(said)
    ]
    blind = review(one.pair_id, 5, "blind")
    return snapshot([one], [grades], reviews=[*reviews, blind])


def test_adjudications_decide_as_told() -> None:
    open_, decided = adjudicated((5, 5, 1), (1, False)), adjudicated((1, 1, 1), (5, False))
    assert only(open_) == (NEGATIVE, Basis.REVIEW)
    assert only(open_, adjudication=Adjudication.FILL) == (NEGATIVE, Basis.REVIEW)
    assert only(open_, adjudication=Adjudication.IGNORE) == (UNDECIDED, Basis.SPLIT)
    assert only(decided) == (POSITIVE, Basis.REVIEW)
    assert only(decided, adjudication=Adjudication.FILL) == (NEGATIVE, Basis.PANEL)


def test_who_is_unsure_or_divided_decides_nothing() -> None:
    assert only(adjudicated((5, 5, 1), (5, True), (None, False))) == (UNDECIDED, Basis.SPLIT)
    assert only(adjudicated((1, 1, 1), (5, False), (1, False))) == (UNDECIDED, Basis.SPLIT)
    assert only(adjudicated((1, 1, 1), (5, False), (5, False), (1, False)))[0] is POSITIVE


def test_every_pair_has_one_stratum() -> None:
    rows = [(5, 5, 5), (5, 5, 1), (5, 1, 1), (1, 1, 1), (5, 5, R), (1, None, None)]
    strata = list(label_pairs(of_grades(rows)).strata().values())
    assert strata == [
        Stratum.ALL_POSITIVE,
        Stratum.MOST_POSITIVE,
        Stratum.FEW_POSITIVE,
        Stratum.NONE_POSITIVE,
        Stratum.MISSING,
        Stratum.STOPPED,
    ]
    original = snapshot([pair("q", "d", original=2)], [(1, 5, 1)])
    assert list(label_pairs(original).strata().values()) == [Stratum.REJECTED_ORIGINAL]
