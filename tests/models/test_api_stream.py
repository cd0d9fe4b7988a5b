"""Vectors from an endpoint as they come: every text paid for once, faults told, nothing lost.

Run: pytest tests/models/test_api_stream.py -q. A real server on the loopback counts what is paid.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_support import TEXTS, expected, from_card, model_at, received, refuse_unequal
from openai_server import Fault, OpenAIServer

from cmedteb.errors import ModelError, UsageError
from cmedteb.models import ModelOptions, Role


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmedteb.endpoints.retry.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("cmedteb.endpoints.gate.FIRST_PAUSE_S", 0.05)


def test_a_stream_gives_vectors_before_the_last_answer_has_come() -> None:
    seen, waited = threading.Event(), []

    def held(answer: dict[str, Any]) -> dict[str, Any]:
        waited.append(seen.wait(20))
        return answer

    with OpenAIServer(faults=[Fault(change=held)]) as server:
        stream = model_at(server.base_url).stream(TEXTS, Role.DOCUMENT)
        rows, vectors = next(stream)
        seen.set()
        np.testing.assert_array_equal(vectors, expected([TEXTS[row] for row in rows]))
        others = [row for part in stream for row in part.rows.tolist()]
        assert sorted([*rows.tolist(), *others]) == list(range(100))
    assert waited == [True]


def test_rows_of_a_request_are_limited() -> None:
    with OpenAIServer() as server:
        model_at(server.base_url).encode_documents(TEXTS)
        sizes = [len(asked.body["input"]) for asked in server.ledger]
    assert max(sizes) == 16
    assert sum(sizes) == 100


def scramble(place: int, values: list[float] | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answer["data"][place]["embedding"] = values
        return answer

    return change


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([float("nan")] * 16, "NaN or infinity for the text 'text number 7'"),
        ([float("inf")] + [0.0] * 15, "NaN or infinity for the text 'text number 7'"),
        ([0.0] * 16, "a vector of zeros for the text 'text number 7'"),
    ],
    ids=["nan", "inf", "zero"],
)
def test_a_vector_that_is_none_is_named_and_the_others_are_kept(
    values: list[float], told: str
) -> None:
    with OpenAIServer(faults=[Fault(change=scramble(7, values))], ignores_base64=True) as server:
        found, error = received(model_at(server.base_url), TEXTS[:16])
    assert isinstance(error, ModelError)
    assert told in str(error)
    assert "15 of 16 texts" in str(error)
    assert sorted(found) == [row for row in range(16) if row != 7]
    assert set(server.paid.values()) == {1}


def test_a_changed_length_is_an_error() -> None:
    def narrow(answer: dict[str, Any]) -> dict[str, Any]:
        for item in answer["data"]:
            item["embedding"] = item["embedding"][:8]
        return answer

    faults = [None, Fault(change=narrow, delay=0.3)]
    with OpenAIServer(faults=faults, ignores_base64=True) as server:
        found, error = received(model_at(server.base_url), TEXTS[:32])
    assert "8 dimensions where 16 were expected" in str(error)
    assert len(found) == 16
    refuse_unequal(found, TEXTS)


def test_another_model_than_before_is_an_error() -> None:
    def renamed(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "model": "hash-002"}

    with OpenAIServer(faults=[None, Fault(change=renamed)]) as server:
        model = model_at(server.base_url)
        model.encode_queries(["a"])
        with pytest.raises(ModelError, match="'hash-001' and then as 'hash-002'"):
            model.encode_queries(["b"])


def test_a_refused_text_is_found_and_the_others_get_their_vectors() -> None:
    with OpenAIServer(refuses=TEXTS[21]) as server:
        found, error = received(model_at(server.base_url), TEXTS[:32])
    assert isinstance(error, ModelError)
    assert "'text number 21' (14 characters)" in str(error)
    assert 21 not in found
    assert len(found) >= 16
    refuse_unequal(found, TEXTS)
    assert set(server.paid.values()) == {1}
    assert len(server.ledger) < 20


FAULTS = [
    Fault(status=429, retry_after="0"),
    Fault(status=500),
    Fault(drop="before"),
    Fault(status=503, retry_after="0"),
    Fault(status=429),
]
LOSSES = [Fault(drop="after"), Fault(cut=50), Fault(cut=50, whole_length=True), Fault(delay=2.0)]


def test_no_text_is_paid_for_twice_unless_its_answer_was_lost(tmp_path: Path) -> None:
    """Refusals, failures and lost answers in one run: exactly the lost ones are paid again."""
    faults = [None, *FAULTS, None, *LOSSES, None]
    with OpenAIServer(faults=faults) as server:
        options = ModelOptions(api_base=server.base_url)
        model = from_card(tmp_path, options, settings={"model": "m", "timeout": 1.0})
        np.testing.assert_array_equal(model.encode_documents(TEXTS), expected(TEXTS))
    again = sum(count - 1 for count in server.paid.values())
    lost = [len(asked.body["input"]) for asked in server.ledger]
    assert again <= len(LOSSES) * max(lost)
    assert again >= len(LOSSES) * min(lost)
    assert set(server.paid) == set(TEXTS)
    assert model.endpoint.meter.retries == len(FAULTS) + len(LOSSES)


def test_a_failure_in_the_middle_keeps_what_came() -> None:
    faults = [None] * 3 + [Fault(status=404)]
    with OpenAIServer(faults=faults, latency=0.02) as server:
        found, error = received(model_at(server.base_url), TEXTS)
    assert isinstance(error, UsageError)
    assert f"{len(found)} of 100 texts" in str(error)
    assert len(found) == server.paid_calls >= 48
    refuse_unequal(found, TEXTS)


def test_a_budget_ends_a_run_and_says_what_was_kept() -> None:
    with OpenAIServer() as server:
        model = model_at(server.base_url, budget=1000.0, api_price=1e6)
        found, error = received(model, TEXTS)
    assert isinstance(error, ModelError)
    assert "budget of 1000 is used up" in str(error)
    assert f"{len(found)} of 100 texts had got their vectors" in str(error)
    assert len(found) == server.paid_calls > 0
    assert server.charged_tokens <= 1000
    assert model.cost == pytest.approx(server.charged_tokens)


def test_a_server_that_counts_requests() -> None:
    with OpenAIServer(per_second=15, retry_after="1", latency=0.02) as server:
        texts = [f"passage {number}" for number in range(500)]
        np.testing.assert_array_equal(
            model_at(server.base_url).encode_documents(texts), expected(texts)
        )
    assert set(server.paid.values()) == {1}
    assert server.rejected > 0


def test_ctrl_c_keeps_every_answer_that_was_paid_for() -> None:
    main = threading.main_thread().ident
    assert main is not None
    with OpenAIServer(latency=0.3) as server:
        stream = model_at(server.base_url).stream([f"t{n}" for n in range(2000)], Role.DOCUMENT)
        timer = threading.Timer(0.8, signal.pthread_kill, (main, signal.SIGINT))
        rows = next(stream).rows.tolist()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            rows.extend(row for part in stream for row in part.rows.tolist())
        assert len(rows) == server.paid_calls < 2000
        assert set(server.paid.values()) == {1}


KILLED = """
import sys
from cmedteb.models import ModelOptions, Role, load_model
model = load_model("api:hash", ModelOptions(api_base=sys.argv[1]))
done = set(sys.argv[2:])
texts = [f"t{number}" for number in range(400)]
texts = [text for text in texts if text not in done]
for rows, _ in model.stream(texts, Role.DOCUMENT):
    print(*(texts[row] for row in rows), flush=True)
"""


def test_killed_midway_only_what_was_in_flight_is_paid_again() -> None:
    """A process that notes each text as it comes is killed and run again on what is left."""
    with OpenAIServer(latency=0.15) as server:
        arguments = [sys.executable, "-c", KILLED, server.base_url]
        killed = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        noted = [line for _, line in zip(range(6), killed.stdout, strict=False)]
        killed.kill()
        done = " ".join(noted).split()
        killed.stdout.close()
        killed.wait()
        again = subprocess.run([*arguments, *done], capture_output=True, text=True, check=True)
    assert sorted({*done, *again.stdout.split()}) == sorted(server.paid)
    assert len(server.paid) == 400
    assert server.paid_calls - 400 <= (16 + 2) * 16
    assert all(server.paid[text] == 1 for text in done)
