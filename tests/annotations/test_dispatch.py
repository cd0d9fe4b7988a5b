"""Which pair is put to which judge, in which order, and what a cascade leaves out.

Run: pytest tests/annotations/test_dispatch.py -q.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from annotations.annotation_support import config, pair
from cmedteb.annotations.dispatch import Dispatch
from cmedteb.annotations.questions import Asked, Question, asked_so_far, questions, samples
from cmedteb.annotations.records import Answer, Purpose, State, Verdict

PAIRS = [pair(f"q{n // 10:02d}", f"d{n:03d}") for n in range(100)]
CANARY = pair("q00", "d099", canary="plea", pair_id="canary")
SCORED = {grade: Asked(1, State.SCORED, grade) for grade in range(1, 6)}


def facts(**changes: Any) -> Any:
    return config(**{"retest": 5, "reversed_share": 0.2, **changes})


def test_order() -> None:
    chosen = samples(facts(), PAIRS)
    asked, last = questions([*PAIRS, CANARY], chosen)
    assert len(chosen.retest) == 5
    assert 5 <= len(chosen.reversed) <= 40
    assert {one.pair_id for one in asked[:5]} == chosen.retest == {one.pair_id for one in last}
    assert {one.purpose for one in last} == {Purpose.RETEST}
    rest = [one for one in asked if one.purpose is Purpose.JUDGE][5:]
    order = {one.pair_id: number for number, one in enumerate(PAIRS)}
    places = [order[one.pair_id] for one in rest]
    assert places == sorted(places)  # query by query
    assert Question("canary", Purpose.CANARY) in asked
    assert len(asked) == 100 + 1 + len(chosen.reversed)
    assert "canary" not in chosen.complete


def test_samples_do_not_depend_on_the_order_of_the_pool() -> None:
    assert samples(facts(cascade=0.3), PAIRS) == samples(facts(cascade=0.3), PAIRS[::-1])
    assert samples(facts(seed=1), PAIRS) != samples(facts(seed=2), PAIRS)


def test_a_small_pool_is_not_asked_twice() -> None:
    assert len(samples(facts(retest=200), PAIRS).retest) == 10


def test_without_a_cascade_everybody_is_asked_everything() -> None:
    waiting = Dispatch(facts(), PAIRS, samples(facts(), PAIRS), {})
    assert len({(len(queue.ready), len(queue.last), queue.left) for queue in waiting.queues}) == 1


def drain(waiting: Dispatch, grades: list[int]) -> list[int]:
    """Let each judge answer all it is asked with one grade; how many each was asked."""
    for number, grade in enumerate(grades):
        queue = waiting.queues[number]
        while queue.ready:
            waiting.note(number, queue.ready.popleft(), SCORED[grade])
    return [queue.total for queue in waiting.queues]


def cascade(**changes: Any) -> Dispatch:
    made = facts(cascade=0.1, retest=0, reversed_share=0.0, **changes)
    return Dispatch(made, PAIRS, samples(made, PAIRS), {})


def test_a_cascade_stops_when_unanimity_is_impossible_but_for_the_complete_share() -> None:
    complete = len(samples(facts(cascade=0.1), PAIRS).complete)
    assert 1 < complete < 30
    assert drain(cascade(), [1, 1, 1]) == [100, complete, complete]
    assert drain(cascade(), [4, 3, 5]) == [100, 100, complete]
    assert drain(cascade(), [4, 5, 1]) == [100, 100, 100]
    assert drain(cascade(rule="identical"), [4, 5, 4]) == [100, 100, complete]


def test_a_missing_answer_ends_a_cascade_too() -> None:
    waiting = cascade()
    queue = waiting.queues[0]
    refused = Asked(1, State.REFUSED, None)
    while queue.ready:
        waiting.note(0, queue.ready.popleft(), refused)
    assert waiting.queues[1].total < 30


def test_what_stands_is_not_asked_again() -> None:
    made = facts(cascade=0.1, retest=0, reversed_share=0.0)
    chosen = samples(made, PAIRS)
    other = [one for one in PAIRS if one.pair_id not in chosen.complete]
    ask = [Question(one.pair_id, Purpose.JUDGE) for one in other[:4]]
    before = {
        ("a", ask[0]): SCORED[5],  # goes on to b
        ("a", ask[1]): SCORED[1],  # ends here
        ("a", ask[2]): SCORED[4],
        ("b", ask[2]): Asked(1, State.CUT, None),  # once more to b
        ("a", ask[3]): Asked(2, State.INVALID, None),  # was asked twice: stands as missing
    }
    waiting = Dispatch(made, PAIRS, chosen, before)
    first, second, third = waiting.queues
    assert first.total == 100
    assert first.settled == 4
    assert {ask[0], ask[2]} <= set(second.ready)
    assert not {ask[1], ask[3]} & set(second.ready)
    assert not set(ask) & set(third.ready)


def test_a_cascade_needs_a_rule_that_it_can_decide() -> None:
    with pytest.raises(ValidationError, match="unanimity is impossible"):
        facts(cascade=0.1, rule="majority")


def answer(state: State, grade: int | None = None) -> Answer:
    return Answer(
        "p", "a", Purpose.JUDGE, 1, Verdict(state, grade, ""), "m", None, None, None,
        None, None, None, 0.0, 0.0, 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("states", "attempts", "last", "settled"),
    [
        ([State.FAILED], 0, State.FAILED, False),
        ([State.FAILED, State.SCORED], 1, State.SCORED, True),
        ([State.CUT], 1, State.CUT, False),
        ([State.CUT, State.FAILED], 1, State.CUT, False),
        ([State.CUT, State.CUT], 2, State.CUT, True),
        ([State.INVALID, State.INVALID, State.FAILED], 2, State.INVALID, True),
        ([State.REFUSED], 1, State.REFUSED, True),
    ],
)
def test_what_came_of_a_question(
    states: list[State], attempts: int, last: State, settled: bool
) -> None:
    (asked,) = asked_so_far(answer(state) for state in states).values()
    assert (asked.attempts, asked.last, asked.settled) == (attempts, last, settled)
