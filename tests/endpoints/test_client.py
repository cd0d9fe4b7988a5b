"""An endpoint against a real server: what is repeated, what is paid, what is never sent.

Run: pytest tests/endpoints/test_client.py -q.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from openai_server import Fault, OpenAIServer, tokens_of, vector_of

from cmedteb.endpoints import Budget, Endpoint, Price, RefusedError, Stop, Stopped, concurrently
from cmedteb.errors import CmedtebError, ModelError, NotAvailableError, UsageError
from cmedteb.types import Float32Array
from endpoints.support import closed_port, endpoint_at

TEXTS = ["one", "two", "three"]
USER = [{"role": "user", "content": "hello"}]
pytestmark = pytest.mark.usefixtures("short_waits")


def vectors(texts: list[str], width: int = 16) -> Float32Array:
    return np.stack([vector_of(text, width) for text in texts])


def test_vectors(server: OpenAIServer) -> None:
    endpoint = endpoint_at(server.base_url)
    found = endpoint.embed("m", TEXTS)
    np.testing.assert_array_equal(found.vectors, vectors(TEXTS))
    assert found.tokens == sum(map(tokens_of, TEXTS)) == endpoint.meter.tokens_in
    assert found.model == "m-001"
    assert server.ledger[0].body["encoding_format"] == "base64"


def test_dimensions_and_more_fields(server: OpenAIServer) -> None:
    fields = {"input_type": "query"}
    found = endpoint_at(server.base_url).embed("m", TEXTS, 8, fields=fields)
    np.testing.assert_array_equal(found.vectors, vectors(TEXTS, 8))
    assert server.ledger[0].body["input_type"] == "query"


def test_vectors_out_of_order() -> None:
    with OpenAIServer(shuffled=True) as server:
        found = endpoint_at(server.base_url).embed("m", TEXTS)
    np.testing.assert_array_equal(found.vectors, vectors(TEXTS))


def test_a_server_that_ignores_base64() -> None:
    with OpenAIServer(ignores_base64=True) as server:
        found = endpoint_at(server.base_url).embed("m", TEXTS)
    np.testing.assert_array_equal(found.vectors, vectors(TEXTS))


def test_a_server_that_refuses_base64_is_asked_once() -> None:
    with OpenAIServer(refuses_base64=True) as server:
        endpoint = endpoint_at(server.base_url)
        for _ in range(3):
            np.testing.assert_array_equal(endpoint.embed("m", TEXTS).vectors, vectors(TEXTS))
    formats = [asked.body["encoding_format"] for asked in server.ledger]
    assert formats == ["base64", "float", "float", "float"]
    assert server.paid_calls == 9


def test_a_refusal_is_not_taken_for_one_of_base64_where_that_worked() -> None:
    with OpenAIServer(refuses="bad") as server:
        endpoint = endpoint_at(server.base_url)
        endpoint.embed("m", TEXTS)
        with pytest.raises(RefusedError, match="not allowed") as refused:
            endpoint.embed("m", ["bad"])
    assert refused.value.code == "content_filter"
    assert len(server.ledger) == 2


def test_chat(server: OpenAIServer) -> None:
    endpoint = endpoint_at(server.base_url, price=Price(1.0, 3.0))
    reply = endpoint.chat("m", USER, temperature=0, max_tokens=20, top_k=4, stop_at=["\n"])
    assert (reply.text, reply.finish_reason, reply.model) == ("about hello", "stop", "m-001")
    assert (reply.tokens_in, reply.tokens_out) == (6, 11)
    assert reply.raw.startswith(b'{"object": "chat.completion"')
    assert server.ledger[0].body["stop"] == ["\n"]
    assert server.ledger[0].body["top_k"] == 4
    assert endpoint.meter.cost == pytest.approx(39e-6)
    assert endpoint.chat("m", USER, max_tokens=5).finish_reason == "length"


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        (Fault(status=500), 1),
        (Fault(status=503), 1),
        (Fault(status=429, retry_after="0"), 1),
        (Fault(status=429), 1),
        (Fault(drop="before"), 1),
        (Fault(drop="after"), 2),
        (Fault(cut=40), 2),
        (Fault(cut=40, whole_length=True), 2),
        (Fault(delay=1.0), 2),
    ],
    ids=repr,
)
def test_a_request_is_repeated_where_its_answer_was_lost(fault: Fault, charged: int) -> None:
    with OpenAIServer(faults=[fault]) as server:
        endpoint = endpoint_at(server.base_url, timeout=0.5)
        np.testing.assert_array_equal(endpoint.embed("m", TEXTS).vectors, vectors(TEXTS))
    assert len(server.ledger) == 2
    assert set(server.paid.values()) == {charged}
    assert (endpoint.meter.answers, endpoint.meter.retries) == (1, 1)
    assert endpoint.gate.in_flight == 0


def test_an_answer_that_is_wrong_is_not_asked_for_again() -> None:
    def one_short(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "data": answer["data"][1:]}

    with OpenAIServer(faults=[Fault(change=one_short)]) as server:
        endpoint = endpoint_at(server.base_url)
        with pytest.raises(ModelError, match="2 vectors for 3 texts") as wrong:
            endpoint.embed("m", TEXTS)
    assert "'one'" in str(wrong.value)
    assert set(server.paid.values()) == {1}


def test_a_server_that_keeps_failing_is_given_up() -> None:
    with OpenAIServer(faults=[Fault(status=500)] * 50) as server:
        with pytest.raises(ModelError, match="failed 6 times"):
            endpoint_at(server.base_url).embed("m", TEXTS)
        assert len(server.ledger) == 6


def test_nobody_listens() -> None:
    endpoint = endpoint_at(f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(NotAvailableError, match="Check the base URL"):
        endpoint.embed("m", TEXTS)


def test_a_base_url_without_its_path(server: OpenAIServer) -> None:
    with pytest.raises(UsageError, match="HTTP 404"):
        endpoint_at(server.base_url.removesuffix("/v1")).embed("m", TEXTS)


def test_offline_opens_no_connection(server: OpenAIServer) -> None:
    endpoint = endpoint_at(server.base_url, offline=True)
    with pytest.raises(NotAvailableError, match="--offline"):
        endpoint.embed("m", TEXTS)
    with pytest.raises(NotAvailableError, match="--offline"):
        endpoint.chat("m", USER)
    assert not server.ledger


def test_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", " sk-hush \n")
    with OpenAIServer(key="sk-hush") as server:
        endpoint = endpoint_at(server.base_url, key_env="TEST_KEY")
        endpoint.embed("m", TEXTS)
        assert "sk-hush" not in f"{endpoint!r} {vars(endpoint)!r} {endpoint.key!r}"


@pytest.mark.parametrize(("value", "told"), [(None, "not set"), (" ", "not set"), ("a\nb", "no k")])
def test_a_key_that_is_none(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, value: str | None, told: str
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(NotAvailableError, match=f"TEST_KEY.*{told}"):
        endpoint_at(server.base_url, key_env="TEST_KEY").embed("m", TEXTS)
    assert not server.ledger


def test_a_wrong_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-wrong")
    told = pytest.raises(NotAvailableError, match="Check the key")
    with OpenAIServer(key="sk-right") as server, told as refused:
        endpoint_at(server.base_url, key_env="TEST_KEY").embed("m", TEXTS)
    assert "sk-wrong" not in str(refused.value)
    assert len(server.ledger) == 1


def embed_all(endpoint: Endpoint, requests: int, workers: int) -> int:
    """Ask for single texts side by side; returns how many answers came before an error."""
    answers = 0
    texts = [f"text number {number}" for number in range(requests)]
    for _ in concurrently(
        texts, lambda text, stop: endpoint.embed("m", [text], stop=stop), workers=workers
    ):
        answers += 1
    return answers


def test_a_pause_that_the_server_asks_for_is_everybody_s() -> None:
    with OpenAIServer(faults=[None] * 4 + [Fault(status=429, retry_after="1")]) as server:
        endpoint = endpoint_at(server.base_url)
        assert embed_all(endpoint, 40, workers=8) == 40
    at = [asked.at for asked in server.ledger]
    gaps = np.diff(at)
    assert gaps.max() > 0.9
    assert set(server.paid.values()) == {1}


@pytest.mark.parametrize("retry_after", [None, "1"])
def test_a_server_that_counts_requests_loses_none_and_refuses_few(
    retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmedteb.endpoints.gate.FIRST_PAUSE_S", 0.5)
    with OpenAIServer(per_second=20, latency=0.1, retry_after=retry_after) as server:
        endpoint = endpoint_at(server.base_url)
        assert embed_all(endpoint, 60, workers=32) == 60
    assert set(server.paid.values()) == {1}
    assert server.paid_calls == 60
    assert server.rejected < 40


def test_no_more_requests_at_a_time_than_allowed() -> None:
    with OpenAIServer(latency=0.02) as server:
        assert embed_all(endpoint_at(server.base_url, provider={"concurrency": 3}), 40, 12) == 40
    assert server.most_at_once <= 3


def test_a_limit_without_a_price() -> None:
    with pytest.raises(UsageError, match="--api-price"):
        endpoint_at("http://host/v1", budget=Budget(1.0))


def test_what_was_used_is_what_the_answers_say(server: OpenAIServer) -> None:
    budget = Budget()
    endpoint = endpoint_at(server.base_url, budget=budget, price=Price(2.0))
    embed_all(endpoint, 20, workers=4)
    assert endpoint.meter.tokens_in == server.charged_tokens
    assert endpoint.meter.cost == pytest.approx(server.charged_tokens * 2e-6)
    assert budget.spent == pytest.approx(endpoint.meter.cost)
    assert budget.reserved == 0.0


def test_answers_that_say_no_tokens_cost_their_most() -> None:
    with OpenAIServer(silent=True) as server:
        endpoint = endpoint_at(server.base_url, price=Price(1e6))
        assert endpoint.embed("m", ["abc"]).tokens is None
    assert endpoint.meter.unreported == 1
    assert endpoint.meter.tokens_in == 0
    assert endpoint.meter.cost >= server.charged_tokens


@pytest.mark.parametrize("faults", [0, 6])
def test_a_budget_is_never_exceeded_and_nearly_used(faults: int) -> None:
    """Counted by the server: also answers that were made and lost are in it."""
    lost = [None, Fault(drop="after"), Fault(cut=30)] * (faults // 2)
    with OpenAIServer(faults=lost, latency=0.005) as server:
        budget = Budget(1000.0)
        endpoint = endpoint_at(server.base_url, budget=budget, price=Price(1e6))
        with pytest.raises(ModelError, match=r"budget of 1000 is used up.*--budget"):
            embed_all(endpoint, 500, workers=8)
    assert server.charged_tokens <= 1000
    assert budget.spent <= 1000
    assert server.charged_tokens > 700


def test_a_budget_for_chat_needs_a_length(server: OpenAIServer) -> None:
    endpoint = endpoint_at(server.base_url, budget=Budget(1.0), price=Price(1.0, 1.0))
    with pytest.raises(UsageError, match="max_tokens"):
        endpoint.chat("m", USER)
    endpoint.chat("m", USER, max_tokens=10)
    assert len(server.ledger) == 1


def test_two_endpoints_may_share_a_budget(server: OpenAIServer) -> None:
    budget = Budget(100.0)
    ends: list[CmedtebError] = []

    def work() -> None:
        endpoint = endpoint_at(server.base_url, budget=budget, price=Price(1e6))
        try:
            embed_all(endpoint, 50, workers=2)
        except ModelError as error:
            ends.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 2
    assert server.charged_tokens <= 100


def test_what_is_stopped_while_it_waits_is_not_sent() -> None:
    with OpenAIServer(faults=[Fault(status=429, retry_after="60")]) as server:
        endpoint = endpoint_at(server.base_url)
        stop = Stop()
        threading.Timer(0.3, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            endpoint.embed("m", TEXTS, stop=stop)
        assert time.monotonic() - started < 30  # the server asked for 60
        assert len(server.ledger) == 1
    assert endpoint.gate.in_flight == 0
    assert endpoint.budget.reserved == 0.0
