"""False negatives, calls, drift and words of a report.

Run: pytest tests/annotations/report/test_parts.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotations.annotation_support import judge, pair, panel
from annotations.snapshot_support import answer, settings, simulated, snapshot
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.records import Purpose, Snapshot, State
from cmedteb.annotations.report.assemble import families, make_report
from cmedteb.annotations.report.calls import call_part
from cmedteb.annotations.report.drift import drift_part
from cmedteb.annotations.report.figures import axis, money, number, share, signed, ticks, whole
from cmedteb.annotations.report.found import found_part, label_part, pool_part
from cmedteb.annotations.report.schema import FoundPart
from cmedteb.annotations.report.values import Est, Why
from cmedteb.annotations.report.words import readings, warnings
from cmedteb.annotations.votes import Votes

YES, NO, OPEN = (5, 5, 5), (1, 1, 1), (5, 5, 1)


def pool() -> Snapshot:
    """Two queries: in the first three false negatives, in the second an original that is none."""
    pairs = [
        pair("q1", "d1", original=1, ranks={"bm25": 1, "dense": 2}),
        pair("q1", "d2", ranks={"bm25": 5}, twins=("d9",)),
        pair("q1", "d3", ranks={"dense": 15}),
        pair("q1", "d4", original=0, ranks={"bm25": 40, "dense": 12}),
        pair("q1", "d5", ranks={"bm25": 3}),
        pair("q2", "d1", original=2, ranks={}),
        pair("q2", "d2", ranks={"bm25": 1}),
        pair("q2", "d3", original=1, ranks={"bm25": 2}),
    ]
    return snapshot(pairs, [YES, YES, YES, YES, OPEN, NO, NO, OPEN])


def found(of: Snapshot) -> FoundPart:
    return found_part(label_pairs(of), of.config)


def test_false_negatives_by_depth_and_without_each_system() -> None:
    told = found(pool())
    assert (told.total, told.documents) == (3, 4)
    assert told.per_query.value == 1.5
    assert [(one.depth, one.per_query.value) for one in told.by_depth] == [
        (10, 0.5),
        (20, 1.5),
        (50, 1.5),
    ]
    left = {one.system: (one.per_query.value, one.only_here) for one in told.leaving_out}
    assert left == {"bm25": (1.0, 1), "dense": (1.0, 1)}
    assert told.histogram == {0: 1, 3: 1}


def test_originals_that_are_confirmed_open_and_rejected() -> None:
    told = found(pool())
    assert (told.confirmed, told.open, told.rejected) == (1, 1, 1)
    assert told.rejection_rate.value == pytest.approx(1 / 3, abs=1e-8)
    assert told.bare_queries == 0  # what is open stays


def test_a_query_can_lose_its_last_positive() -> None:
    alone = snapshot([pair("q", "d", original=1)], [NO])
    assert found(alone).bare_queries == 1


def test_the_pool_and_its_labels_are_counted() -> None:
    made = label_pairs(pool())
    assert pool_part(made).model_dump() == {
        "queries": 2,
        "pairs": 8,
        "documents": 9,
        "originals": 3,
        "complete": 8,
        "cut": 0,
    }
    told = label_part(made)
    assert (told.positive, told.negative, told.undecided) == (4, 2, 2)
    assert told.by_basis["split"] == 2


def test_calls_are_counted_by_what_became_of_them() -> None:
    one = pair("q", "d")
    more = [
        answer(one.pair_id, "a", 4, attempt=2, cost=1.0),
        answer(one.pair_id, "a", 4, purpose=Purpose.RETEST, cost=0.25, at=1_800_000_100.0),
        answer("", "b", State.FAILED, purpose=Purpose.PROBE, tokens_in=None, cost=0.0),
    ]
    of = snapshot([one], [(State.INVALID, State.REFUSED, None)], answers=more)
    told = call_part(of, Votes.of(of))
    first, second, third = told.judges
    assert first.states["scored"] == 1
    assert (first.calls, first.tokens_in, first.cost) == (3, 300, pytest.approx(1.25012))
    assert second.states["refused"] == 1
    assert (third.unanswered, third.calls) == (1, 0)
    assert (told.first, told.last) == ("2027-01-15T08:00:00Z", "2027-01-15T08:01:41Z")


def test_nothing_asked() -> None:
    of = snapshot([pair("q", "d")], [(None, None, None)])
    told = call_part(of, Votes.of(of))
    assert (told.first, told.last, told.cost) == (None, None, 0.0)


def test_a_judge_against_itself_and_tricks() -> None:
    of = simulated()
    told = drift_part(of, Votes.of(of), 4)
    assert [one.judge for one in told.retest] == ["judge-1", "judge-2", "judge-3"]
    assert told.retest[0].pairs == 58
    kappa = told.retest[0].kappa
    assert kappa.low is not None
    assert kappa.value is not None
    assert kappa.low < kappa.value < 1
    fooled = {(one.judge, one.trick): (one.fooled, one.asked) for one in told.canaries}
    assert fooled == {
        ("judge-1", "plea"): (1, 3),
        ("judge-2", "plea"): (0, 3),
        ("judge-3", "plea"): (0, 3),
    }
    assert told.changed == ()


def test_nothing_asked_twice() -> None:
    of = pool()
    told = drift_part(of, Votes.of(of), 4)
    assert {one.kappa.why for one in (*told.retest, *told.reversed)} == {Why.NO_CASES}


def test_another_model_behind_the_same_name() -> None:
    of = pool()
    other = replace(of.answers[-1], returned_model="c-model-002", fingerprint="fp")
    told = drift_part(replace(of, answers=(*of.answers[:-1], other)), Votes.of(of), 4)
    assert told.changed == ("c",)
    assert {(one.returned, one.fingerprint) for one in told.models if one.judge == "c"} == {
        ("c-model-001", None),
        ("c-model-002", "fp"),
    }


def related() -> AnnotationConfig:
    return settings(panel=panel(judge("a", family="Qwen"), judge("b", family="gpt")))


def test_a_judge_that_is_kin_to_a_system() -> None:
    (kin,) = families(related())
    assert (kin.judge, kin.system, kin.family) == ("a", "dense", "Qwen")


def test_what_is_said_in_words() -> None:
    report = make_report(pool())
    keys = [saying.key for saying in readings(report)]
    assert keys == [
        "read.compared",
        "read.scope.whole-pool",
        "read.prevalence",
        "read.leniency",
        "read.no_experts",
        "read.depth",
        "read.undecided",
    ]
    assert readings(report)[0].gaps["binary"].startswith("0.")
    assert warnings(report) == []


def test_what_to_be_careful_about() -> None:
    one = pair("q", "d", original=1)
    of = snapshot([one], [(State.REFUSED, None)], of=related())
    keys = [saying.key for saying in warnings(make_report(of))]
    assert keys == ["warn.family", "warn.unanswered", "warn.missing", "warn.one_query"]
    alone = snapshot([one, pair("q2", "d")], [NO, YES])
    assert [saying.key for saying in warnings(make_report(alone))] == ["warn.bare"]


def test_numbers_for_people() -> None:
    assert number(None) == "\N{EN DASH}"
    assert number(-0.0001) == "0.000"
    assert number(-0.25, 2) == "\N{MINUS SIGN}0.25"
    assert (signed(0.004), signed(0.25), signed(-0.25)) == ("0.00", "+0.25", "\N{MINUS SIGN}0.25")
    assert share(0.9331) == "93.3%"
    assert (money(0.0), money(0.01234), money(1234.5)) == ("0.00", "0.0123", "1,234.50")
    told = Est(value=0.5, low=0.25, high=0.75)
    assert whole(told, 2) == "0.50 [0.25,\N{NO-BREAK SPACE}0.75]"
    assert whole(Est(value=None, why=Why.NO_CASES)) == "\N{EN DASH}"


def test_axes_hold_what_they_show() -> None:
    low, high = axis([Est(value=-0.3, low=-0.35, high=0.1), Est(value=None, why=Why.NO_CASES)])
    assert low == pytest.approx(-0.4)
    assert high == 1.0
    assert ticks(0.0, 1.0) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(len(ticks(0.0, top)) <= 7 for top in (0.1, 0.3, 1.0, 4.58, 9.0, 19.4, 130.0, 1e4))
