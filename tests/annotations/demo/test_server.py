"""The judge server over real HTTP, asked by the real SDK where it can be, by sockets where not."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from cmedteb.annotations.demo import (
    Fault,
    FaultRates,
    Gold,
    SimulatedJudge,
    Simulation,
)
from cmedteb.annotations.demo.server import JudgeServer

GOLD = Gold(
    queries={"q1": "what helps against reflux at night", "q2": "is a fever of 39 dangerous"},
    documents={
        "d1": "Raise the head of the bed; eat nothing for three hours before lying down. " * 3,
        "d2": "A fever is dangerous in infants under three months.",
    },
    grades={"q1": {"d1": 5.0}, "q2": {"d2": 4.0}},
)
EXACT = SimulatedJudge("judge-a", noise=0.0)
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"reason": {"type": "string"}, "grade": {"type": "integer"}},
        },
    },
}


def client(server: JudgeServer, key: str = "sk-test", timeout: float = 5.0) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=timeout)


def ask(server: JudgeServer, query: str = "q1", document: str = "d1", **more: Any) -> Any:
    text = f"<query>\n{GOLD.queries[query]}\n</query>\n<doc>\n{GOLD.documents[document]}\n</doc>"
    messages = [{"role": "system", "content": "Grade it."}, {"role": "user", "content": text}]
    key, timeout = more.pop("key", "sk-test"), more.pop("timeout", 5.0)
    asked = {"model": "judge-a", "messages": messages, **more}
    return client(server, key, timeout).chat.completions.create(**asked)


def content(answer: Any) -> Any:
    return json.loads(answer.choices[0].message.content or "")


def serving(*judges: SimulatedJudge, **more: Any) -> JudgeServer:
    return JudgeServer(GOLD, Simulation(judges=judges or (EXACT,), **more))


def test_it_grades_from_hidden_gold() -> None:
    with serving() as server:
        right = ask(server)
        wrong = ask(server, "q1", "d2")
        assert content(right)["score"] == 5
        assert content(wrong)["score"] == 1
        assert right.model == "judge-a"
        assert right.system_fingerprint == "fp_simulated"
        assert server.ledger.pairs == {("judge-a", "q1", "d1"): 1, ("judge-a", "q1", "d2"): 1}


def test_names_and_order_of_an_answer_are_the_schemas() -> None:
    with serving() as server:
        answer = ask(server, response_format=SCHEMA)
    assert list(content(answer)) == ["reason", "grade"]
    assert content(answer)["grade"] == 5


def test_a_document_that_was_cut_is_known_by_its_beginning() -> None:
    with serving() as server:
        body = f"QUERY {GOLD.queries['q1']}\nDOC {GOLD.documents['d1'][:60]}\nEND"
        asked = [{"role": "user", "content": body}]
        client(server).chat.completions.create(model="judge-a", messages=asked)  # type: ignore[arg-type]
    assert server.ledger.pairs == {("judge-a", "q1", "d1"): 1}


def test_a_prompt_about_nothing_known_is_answered_too() -> None:
    with serving() as server:
        asked = [{"role": "user", "content": "Say 1."}]
        answer = client(server).chat.completions.create(model="judge-a", messages=asked)  # type: ignore[arg-type]
    assert content(answer)["score"] == 1
    assert server.ledger.pairs == {("judge-a", "", ""): 1}


def test_a_shared_prefix_is_told_as_cached() -> None:
    rubric = [{"role": "user", "content": "a long rubric; " * 20}]
    with serving() as server:
        first, second = (
            client(server).chat.completions.create(
                model="judge-a",
                messages=[*rubric, {"role": "user", "content": GOLD.documents[document]}],  # type: ignore[list-item]
            )
            for document in ("d1", "d2")
        )
    cached = [
        dict(answer.usage.prompt_tokens_details or {}) for answer in (first, second) if answer.usage
    ]
    assert [told["cached_tokens"] for told in cached] == [0, 256]
    assert server.ledger.tokens["judge-a", "cached"] == 256


def test_models_are_listed_with_their_shutdown_date() -> None:
    with serving(EXACT, replace(EXACT, model="judge-b", shutdown_date="2027-01-14")) as server:
        listed = {model.id: model for model in client(server).models.list()}
        with pytest.raises(openai.NotFoundError, match="judge-z"):
            ask(server, model="judge-z")
    assert sorted(listed) == ["judge-a", "judge-b"]
    assert listed["judge-b"].model_dump()["shutdown_date"] == "2027-01-14"
    assert "shutdown_date" not in listed["judge-a"].model_dump(exclude_none=True)


def test_a_format_that_is_not_supported_is_refused() -> None:
    with serving(replace(EXACT, formats=("json_object",))) as server:
        with pytest.raises(openai.BadRequestError, match="response_format type is unavailable"):
            ask(server, response_format=SCHEMA)
        assert content(ask(server, response_format={"type": "json_object"}))["score"] == 5
    assert sum(server.ledger.paid.values()) == 1


def test_a_wrong_key_is_echoed() -> None:
    with (
        serving(replace(EXACT, key="sk-right")) as server,
        pytest.raises(openai.AuthenticationError, match="sk-wrong"),
    ):
        ask(server, key="sk-wrong")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RATE, openai.RateLimitError),
        (Fault.QUOTA, openai.RateLimitError),
        (Fault.RISK, openai.BadRequestError),
        (Fault.SERVER, openai.InternalServerError),
        (Fault.RESET_BEFORE, openai.APIConnectionError),
        (Fault.RESET_AFTER, openai.APIConnectionError),
        (Fault.STALL, openai.APITimeoutError),
    ],
)
def test_faults_that_the_sdk_raises(fault: Fault, error: type[Exception]) -> None:
    with serving(replace(EXACT, stall=1.0)) as server:
        server.script([fault])
        with pytest.raises(error):
            ask(server, timeout=0.3)
        assert content(ask(server))["score"] == 5
        paid = 2 if fault in {Fault.RESET_AFTER, Fault.STALL} else 1
        assert sum(server.ledger.paid.values()) == paid
        assert server.ledger.faults == {("judge-a", fault): 1}


def test_faults_in_the_answer() -> None:
    with serving() as server:
        server.script([Fault.CUT, Fault.FILTERED, Fault.REFUSAL, Fault.BLANK, Fault.BAD_JSON])
        cut, filtered, refused, blank, bad = (ask(server).choices[0] for _ in range(5))
        server.script([Fault.DUPLICATE_KEY, Fault.OUT_OF_RANGE, Fault.PAGE, Fault.ERROR_BODY])
        double, outside = (ask(server).choices[0] for _ in range(2))
        page, body = ask(server), ask(server)
    assert (cut.finish_reason, filtered.finish_reason) == ("length", "content_filter")
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(cut.message.content))
    assert refused.message.refusal
    assert refused.message.content is None
    assert not str(blank.message.content).strip()
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(bad.message.content))
    assert Counter(str(double.message.content).split('"'))["score"] == 2
    assert json.loads(str(outside.message.content))["score"] == 9
    assert isinstance(page, str)
    assert "<html>" in page
    assert body.choices is None


def test_blanks_hold_a_timeout_for_each_read_open() -> None:
    with serving(replace(EXACT, stall=0.6)) as server:
        server.script([Fault.DRIP])
        assert content(ask(server, timeout=0.3))["score"] == 5


def test_a_rate_limit_rejects_and_charges_nothing() -> None:
    with serving(replace(EXACT, rpm=6, retry_after=0.1)) as server:
        told = []
        for _ in range(5):
            try:
                ask(server)
            except openai.RateLimitError as error:
                told.append(error.response.headers["retry-after"])
        paid = sum(server.ledger.paid.values())
        assert paid + server.ledger.rejected["judge-a"] == 5
    assert set(told) == {"0.1"}


def test_the_ledger_counts_repetitions_and_how_many_came_at_once() -> None:
    with serving(replace(EXACT, latency=0.1)) as server:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(server), range(8)))
        with urllib.request.urlopen(f"{server.url}/ledger?calls=1") as reply:
            told = json.loads(reply.read())
    assert told["repeated"] == server.ledger.repeated == 7
    assert told["calls"] == [["judge-a", "q1", "d1", 8]]
    assert 1 < told["most_at_once"][""] <= 8


def test_a_server_in_a_process_of_its_own(tmp_path: Path) -> None:
    gold, simulation = tmp_path / "gold.json", tmp_path / "simulation.json"
    GOLD.write(gold)
    told = Simulation(judges=(replace(EXACT, rates=FaultRates(cut=0.5)),), seed=3)
    told.write(simulation)
    assert Simulation.read(simulation) == told
    module = "cmedteb.annotations.demo.server"
    command = [sys.executable, "-m", module, "--gold", str(gold), "--simulation", str(simulation)]
    with subprocess.Popen(
        [*command, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        base = json.loads(process.stdout.readline())["base_url"]
        script = urllib.request.Request(
            base.removesuffix("/v1") + "/script", data=b"[null]", method="POST"
        )
        urllib.request.urlopen(script).close()
        asked = openai.OpenAI(base_url=base, api_key="x", max_retries=0)
        text = GOLD.queries["q2"] + "\n" + GOLD.documents["d2"]
        messages = [{"role": "user", "content": text}]
        answer = asked.chat.completions.create(model="judge-a", messages=messages)  # type: ignore[arg-type]
        assert content(answer)["score"] == 4
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def _grades(simulation: Simulation, gold: float, pairs: int = 4000) -> Any:
    return np.array(
        [
            [simulation.grade(judge, f"p{pair}", gold) for judge in simulation.judges]
            for pair in range(pairs)
        ]
    )


def test_errors_have_the_leniency_noise_and_correlation_that_were_set() -> None:
    judges = (
        SimulatedJudge("a", noise=0.8),
        SimulatedJudge("b", noise=0.8),
        SimulatedJudge("c", noise=0.8, leniency=0.5),
    )
    grades = _grades(Simulation(judges=judges, correlation=0.6), 3.0)
    means, deviations = grades.mean(axis=0), grades.std(axis=0)
    assert means == pytest.approx([3.0, 3.0, 3.5], abs=0.05)
    # Rounding adds a twelfth to the variance.
    assert deviations[:2] == pytest.approx([(0.64 + 1 / 12) ** 0.5] * 2, abs=0.05)
    expected = 0.6 * 0.64 / (0.64 + 1 / 12)
    assert np.corrcoef(grades.T)[0, 1] == pytest.approx(expected, abs=0.05)
    same = _grades(Simulation(judges=judges[:2], correlation=1.0), 3.0, 200)
    assert (same[:, 0] == same[:, 1]).all()


def test_faults_come_as_often_as_was_set_and_refusals_stick() -> None:
    rates = FaultRates(risk=0.1, cut=0.2)
    drawn = [[rates.draw(1, "a", f"p{pair}", asked) for asked in (0, 1)] for pair in range(4000)]
    first = Counter(row[0] for row in drawn)
    assert first[Fault.RISK] / 4000 == pytest.approx(0.1, abs=0.02)
    assert first[Fault.CUT] / 4000 == pytest.approx(0.18, abs=0.02)
    assert all((row[0] is Fault.RISK) == (row[1] is Fault.RISK) for row in drawn)
    assert any(row[0] is Fault.CUT and row[1] is None for row in drawn)
