"""A panel against a real judge server over HTTP: what is asked, paid, kept, repeated, refused.

Run: pytest tests/annotations/test_judging.py -q.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from annotations.judging_support import LABELS, planned, pool, with_probe
from cmedteb.annotations.annotate import judge, prepare, progress, spent
from cmedteb.annotations.canaries import canary_file
from cmedteb.annotations.demo import Fault, FaultRates, SimulatedJudge, Simulation
from cmedteb.annotations.demo.server import JudgeServer
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Answer, Purpose, Snapshot, State
from cmedteb.endpoints import Budget, BudgetError
from cmedteb.errors import ModelError, NotAvailableError, UsageError

PAIRS, GOLD = pool(10, 6)
SILENT = SimulatedJudge("", noise=0.0)


@contextmanager
def serving(*judges: SimulatedJudge, **simulation: Any) -> Iterator[JudgeServer]:
    made = judges or tuple(SimulatedJudge(label) for label in LABELS)
    with JudgeServer(with_probe(GOLD), Simulation(judges=made, **simulation)) as server:
        yield server


def read(folder: Path) -> Snapshot:
    with Journal.open(folder) as journal:
        return journal.snapshot()


def verdicts(snapshot: Snapshot, label: str = "judge-a") -> dict[str, State]:
    """Pair id -> how the last answer of a judge stands."""
    return {
        one.pair_id: one.verdict.state
        for one in snapshot.answers
        if one.judge == label and one.purpose is Purpose.JUDGE
    }


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmedteb.endpoints.retry.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("cmedteb.endpoints.gate.FIRST_PAUSE_S", 0.05)


def test_everything_is_judged_once_and_grades_are_the_servers(tmp_path: Path) -> None:
    with serving() as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD, retest=3, reversed_share=0.1, canaries=1)
        tallies = judge(tmp_path)
        paid = dict(server.ledger.paid)
        again = judge(tmp_path)
        assert dict(server.ledger.paid) == paid  # nothing is left to ask
    assert all(one.total == one.settled > 60 for one in (*tallies, *again))
    snapshot = read(tmp_path)
    for label in LABELS:
        assert len(verdicts(snapshot, label)) == 60
    relevant = {one.pair_id for one in snapshot.pairs if one.original}
    grades = {one.pair_id: one.verdict.grade for one in snapshot.answers if one.judge == LABELS[0]}
    assert all((grades[pair] or 0) >= 3 for pair in relevant)
    tokens = sum(one.tokens_in or 0 for one in snapshot.answers)
    assert tokens == sum(count for (_, kind), count in server.ledger.tokens.items() if kind == "in")
    purposes = [one.purpose for one in snapshot.answers]
    assert purposes.count(Purpose.RETEST) == 9
    assert purposes.count(Purpose.PROBE) == 3
    assert purposes.count(Purpose.CANARY) == 15
    assert purposes.count(Purpose.REVERSED) % 3 == 0 != purposes.count(Purpose.REVERSED)


def test_structured_output_is_found_out_once_and_remembered(tmp_path: Path) -> None:
    judges = (
        SimulatedJudge("judge-a", formats=("json_schema",)),
        SimulatedJudge("judge-b", formats=("json_object",)),
        SimulatedJudge("judge-c", formats=()),
    )
    with serving(*judges) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD)
        judge(tmp_path)
        found = [one.structure for one in progress(tmp_path).judges]
        assert found == ["json_schema", "json_object", "text"]
        asked = dict(server.ledger.asked)
        judge(tmp_path)
        assert dict(server.ledger.asked) == asked
    probes = [one for one in read(tmp_path).answers if one.purpose is Purpose.PROBE]
    assert len(probes) == 1 + 2 + 3


@pytest.mark.parametrize(
    ("fault", "state", "calls"),
    [
        (Fault.CUT, State.CUT, 2),
        (Fault.BAD_JSON, State.INVALID, 2),
        (Fault.DUPLICATE_KEY, State.INVALID, 2),
        (Fault.OUT_OF_RANGE, State.INVALID, 2),
        (Fault.BLANK, State.INVALID, 2),
        (Fault.REFUSAL, State.REFUSED, 1),
        (Fault.FILTERED, State.REFUSED, 1),
        (Fault.RISK, State.REFUSED, 1),
    ],
)
def test_what_is_no_grade_is_missing_and_asked_at_most_once_more(
    tmp_path: Path, fault: Fault, state: State, calls: int
) -> None:
    rates = FaultRates(**{str(fault): 1.0})
    with serving(SimulatedJudge("judge-a", rates=rates, formats=())) as server:
        facts = {"structure": "text"}  # no probe, which would meet the fault too
        planned(tmp_path, server.base_url, PAIRS[:5], GOLD, labels=("judge-a",), judge=facts)
        (tally,) = judge(tmp_path)
        assert server.ledger.asked["judge-a"] == 5 * calls
        judge(tmp_path)
        assert server.ledger.asked["judge-a"] == 5 * calls  # missing stands
    assert tally.states == {state: 5}
    snapshot = read(tmp_path)
    assert set(verdicts(snapshot).values()) == {state}
    assert all(one.verdict.grade is None for one in snapshot.answers)
    assert max(one.attempt for one in snapshot.answers) == calls


@pytest.mark.parametrize(
    "fault",
    [Fault.SERVER, Fault.ERROR_BODY, Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.PAGE, Fault.RATE],
)
def test_a_request_without_an_answer_is_sent_again(tmp_path: Path, fault: Fault) -> None:
    with serving(SimulatedJudge("judge-a")) as server:
        planned(tmp_path, server.base_url, PAIRS[:8], GOLD, labels=("judge-a",))
        server.script([None, None, fault, None, fault])
        judge(tmp_path)
    assert list(verdicts(read(tmp_path)).values()) == [State.SCORED] * 8


def test_stalls_and_blanks_end_at_the_total_timeout(tmp_path: Path) -> None:
    with serving(SimulatedJudge("judge-a", stall=3.0)) as server:
        facts = {"timeout": 0.5}
        planned(tmp_path, server.base_url, PAIRS[:4], GOLD, labels=("judge-a",), judge=facts)
        server.script([None, Fault.STALL, Fault.DRIP])
        judge(tmp_path)
    snapshot = read(tmp_path)
    assert set(verdicts(snapshot).values()) == {State.SCORED}
    lost = [one for one in snapshot.answers if one.verdict.state is State.FAILED]
    assert len(lost) == 2
    assert all(one.cost > 0 for one in lost)  # it may have been charged


def test_a_storm_of_429_loses_no_pair(tmp_path: Path) -> None:
    made = [SimulatedJudge(label, rpm=1200, retry_after=0.2, latency=0.02) for label in LABELS]
    with serving(*made) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD, judge={"concurrency": 32})
        tallies = judge(tmp_path)
        rejected = sum(server.ledger.rejected.values())
        assert server.ledger.repeated == 0
    assert all(one.settled == one.total for one in tallies)
    snapshot = read(tmp_path)
    for label in LABELS:
        assert list(verdicts(snapshot, label).values()) == [State.SCORED] * 60
    failed = [one for one in snapshot.answers if one.verdict.state is State.FAILED]
    assert len(failed) == rejected


def budgeted(folder: Path, limit: float) -> float:
    """Run within a budget; what was spent at most at any moment."""
    with Journal.open(folder) as journal:
        snapshot = journal.snapshot()
        money = Budget(limit)
        money.spent = spent(journal, snapshot)
        highest = 0.0

        def watch(tallies: object) -> None:
            nonlocal highest
            highest = max(highest, money.spent + money.reserved)

        judging = prepare(folder, journal, snapshot, money)
        with pytest.raises(BudgetError, match="higher --budget"):
            judging.run(canary_file().probe, watch)
        return max(highest, money.spent)


def charged_by(server: JudgeServer) -> float:
    """What the server's own count of tokens costs at the prices of the panel."""
    tokens = server.ledger.summary()["tokens"].values()
    return sum(one["in"] - 0.5 * one["cached"] + 2.0 * one["out"] for one in tokens) / 1e6


def test_the_budget_is_never_exceeded_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    rates = FaultRates(reset_after=0.1, bad_json=0.1)
    made = [SimulatedJudge(label, latency=0.02, rates=rates) for label in LABELS]
    with serving(*made) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD, judge={"concurrency": 16})
        charged = [0.0]
        for limit in (0.05, 0.08):
            assert budgeted(tmp_path, limit) <= limit
            with Journal.open(tmp_path) as journal:
                assert spent(journal, journal.snapshot()) <= limit
            charged.append(charged_by(server))
            assert charged[-1] <= limit
        assert 0.0 < charged[1] < charged[2]
        judge(tmp_path)
    snapshot = read(tmp_path)
    assert all(len(verdicts(snapshot, label)) == 60 for label in LABELS)
    assert sum(one.cost for one in snapshot.answers) >= charged[-1]


def test_a_budget_needs_prices(tmp_path: Path) -> None:
    planned(tmp_path, "http://127.0.0.1:9/v1", PAIRS, GOLD, judge={"price": None})
    with pytest.raises(UsageError, match="judge-a, judge-b, judge-c has none"):
        judge(tmp_path, budget=1.0)


def test_ctrl_c_sends_nothing_new_and_keeps_what_was_in_flight(tmp_path: Path) -> None:
    made = [SimulatedJudge(label, latency=0.2) for label in LABELS]
    with serving(*made) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD)

        def interrupt(tallies: object) -> None:
            if sum(server.ledger.asked.values()) > 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            judge(tmp_path, progress=interrupted_once(interrupt))
        asked = sum(server.ledger.asked.values())
        with Journal.open(tmp_path) as journal:
            assert not journal.exposure()
            assert len(journal.snapshot().answers) == asked < 180
        judge(tmp_path)
        assert server.ledger.repeated == 0
    assert all(len(verdicts(read(tmp_path), label)) == 60 for label in LABELS)


def interrupted_once(interrupt: Any) -> Any:
    """Ctrl-C is pressed once, however often progress is told."""
    pressed = False

    def tell(tallies: object) -> None:
        nonlocal pressed
        if not pressed:
            try:
                interrupt(tallies)
            except KeyboardInterrupt:
                pressed = True
                raise

    return tell


def test_a_judge_without_money_stops_alone(tmp_path: Path) -> None:
    broke = SimulatedJudge("judge-b", rates=FaultRates(quota=1.0))
    with serving(SimulatedJudge("judge-a"), broke, SimulatedJudge("judge-c")) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD, judge={"structure": "json_schema"})
        with pytest.raises(NotAvailableError, match="no money left"):
            judge(tmp_path)
    snapshot = read(tmp_path)
    for label in ("judge-a", "judge-c"):
        assert list(verdicts(snapshot, label).values()) == [State.SCORED] * 60


def test_a_judge_that_is_down_stops_after_a_few_questions(tmp_path: Path) -> None:
    down = SimulatedJudge("judge-a", rates=FaultRates(server=1.0))
    with serving(down) as server:
        facts = {"structure": "text", "concurrency": 2}
        planned(tmp_path, server.base_url, PAIRS, GOLD, labels=("judge-a",), judge=facts)
        with pytest.raises(ModelError, match="failed 6 times"):
            judge(tmp_path)
        assert server.ledger.asked["judge-a"] < 60


def test_a_cascade_asks_less_and_judges_its_share_in_full(tmp_path: Path) -> None:
    with serving(*(SimulatedJudge(label, noise=0.0) for label in LABELS)) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD, cascade=0.2)
        tallies = judge(tmp_path)
        assert server.ledger.repeated == 0
    first, second, third = (one.settled for one in tallies)
    assert first == 60
    assert 10 <= third == second < 40
    again = progress(tmp_path).judges
    assert [(one.total, one.settled) for one in again] == [
        (one, one) for one in (60, second, third)
    ]


def test_two_processes_do_not_pay_for_the_same_answers(tmp_path: Path) -> None:
    with serving(*(SimulatedJudge(label, latency=0.3) for label in LABELS)) as server:
        planned(tmp_path, server.base_url, PAIRS[:6], GOLD)
        first = threading.Thread(target=judge, args=(tmp_path,))
        first.start()
        while not server.ledger.asked:
            time.sleep(0.01)
        with pytest.raises(UsageError, match="another process is judging"):
            judge(tmp_path)
        first.join()
    assert all(one.settled == one.total for one in progress(tmp_path).judges)


def test_replay_gives_the_same_verdicts_without_a_network(tmp_path: Path) -> None:
    with serving(*(SimulatedJudge(label, rates=FaultRates(cut=0.1)) for label in LABELS)) as server:
        planned(tmp_path, server.base_url, PAIRS, GOLD)
        judge(tmp_path)
    first, second = read(tmp_path), read(tmp_path)
    assert first == second
    assert {type(one) for one in first.answers} == {Answer}


def test_status_says_when_another_model_answers(tmp_path: Path) -> None:
    with serving(SimulatedJudge("judge-a")) as server:
        planned(tmp_path, server.base_url, PAIRS[:3], GOLD, labels=("judge-a",))
        judge(tmp_path)
    (one,) = progress(tmp_path).judges
    assert not one.drifted
    assert one.returned_models == {"judge-a": 4}
    assert one.states["scored"] == one.total == 3
    assert one.cost > 0
