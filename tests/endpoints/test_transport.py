"""What is sent and where to, and what is said of a request that has no answer.

Run: pytest tests/endpoints/test_transport.py -q. A real server on the loopback.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from openai_server import Fault, OpenAIServer

from cmedteb.endpoints.transport import Failure, Kind, Transport, seconds_of
from endpoints.support import closed_port

SECRET = "sk-a-secret-of-the-test"
BODY = {"model": "m", "input": ["one", "two"], "encoding_format": "float"}


def post(server: OpenAIServer, key: str | None = None, timeout: float = 5.0) -> bytes:
    return Transport(server.base_url, key, connections=2).post("embeddings", BODY, timeout=timeout)


def failure_of(*faults: Fault, key: str | None = None, timeout: float = 5.0) -> Failure:
    with OpenAIServer(faults=faults) as server, pytest.raises(Failure) as failed:
        post(server, key, timeout)
    return failed.value


def test_the_answer_as_it_came(server: OpenAIServer) -> None:
    assert post(server).startswith(b'{"object": "list"')
    assert server.ledger[0].path == "/v1/embeddings"
    assert server.ledger[0].body == BODY


def test_more_fields_are_sent_as_they_are(server: OpenAIServer) -> None:
    transport = Transport(server.base_url, None, connections=1)
    body = {**BODY, "dimensions": 8, "input_type": "query", "truncate": {"side": "end"}}
    transport.post("embeddings", body, timeout=5)
    assert server.ledger[0].body == body
    message = {"role": "user", "content": "x", "odd": 1}
    chat = {"model": "m", "messages": [message], "temperature": 0.5, "top_k": 3, "seed": 7}
    transport.post("chat/completions", chat, timeout=5)
    assert server.ledger[1].body == chat


def test_nothing_of_the_environment_is_sent(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither proxies nor what the openai library reads by itself."""
    elsewhere = f"http://127.0.0.1:{closed_port()}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, elsewhere)
    monkeypatch.setenv("OPENAI_BASE_URL", elsewhere)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ORG_ID", "organisation")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {SECRET}\nX-Mine: yes")
    post(server)
    post(server, key="mine")
    names = set(server.ledger[0].headers)
    assert names <= {
        *("host", "accept", "accept-encoding", "connection", "content-type", "content-length"),
        *("user-agent", "x-stainless-raw-response"),
    }
    assert server.ledger[1].headers["authorization"] == "Bearer mine"
    assert server.ledger[0].headers["user-agent"] == "cmedteb"
    assert SECRET not in str(server.ledger)


class _Elsewhere(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

    def do_POST(self) -> None:
        self.send_response(307)
        self.send_header("Location", "http://127.0.0.1:9/v1/embeddings")
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_a_redirect_is_not_followed() -> None:
    http = HTTPServer(("127.0.0.1", 0), _Elsewhere)
    Thread(target=http.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{http.server_address[1]}/v1"
    with pytest.raises(Failure, match=r"redirect to http://127\.0\.0\.1:9") as failed:
        Transport(base, SECRET, connections=1).post("embeddings", BODY, timeout=5)
    http.shutdown()
    http.server_close()
    assert failed.value.kind is Kind.REFUSED


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=429), Kind.RATE),
        (Fault(status=503, retry_after="2"), Kind.RATE),
        (Fault(status=503), Kind.SERVER),
        (Fault(status=500), Kind.SERVER),
        (Fault(status=408), Kind.SERVER),
        (Fault(status=400), Kind.REFUSED),
        (Fault(status=401), Kind.REFUSED),
        (Fault(status=404), Kind.REFUSED),
        (Fault(drop="before"), Kind.LOST),
        (Fault(drop="after"), Kind.LOST),
        (Fault(cut=30), Kind.LOST),
        (Fault(delay=1.0), Kind.LOST),
        (Fault(page=True), Kind.REFUSED),
    ],
    ids=repr,
)
def test_what_became_of_a_request(fault: Fault, kind: Kind) -> None:
    assert failure_of(fault, timeout=0.5).kind is kind


def test_an_address_at_which_nobody_listens() -> None:
    transport = Transport(f"http://127.0.0.1:{closed_port()}/v1", None, connections=1)
    with pytest.raises(Failure) as failed:
        transport.post("embeddings", BODY, timeout=5)
    assert failed.value.kind is Kind.UNREACHED


def test_the_server_s_words_code_and_wish() -> None:
    fault = Fault(status=429, code="slow_down", message="not so\nfast", retry_after="3")
    failure = failure_of(fault)
    assert (failure.status, failure.code, failure.told) == (429, "slow_down", "not so fast")
    assert failure.retry_after == 3.0


def test_bytes_that_trickle_in_do_not_extend_the_time() -> None:
    started = time.monotonic()
    failure = failure_of(Fault(trickle=60.0), timeout=0.4)
    assert failure.kind is Kind.LOST
    assert "0.4 s" in failure.told
    assert time.monotonic() - started < 30  # the answer takes 60


def test_keep_alive_blanks_before_an_answer_are_no_harm() -> None:
    with OpenAIServer(faults=[Fault(trickle=0.3)]) as server:
        assert post(server).lstrip().startswith(b"{")


def test_the_key_is_in_no_message_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with OpenAIServer(key="another") as server, pytest.raises(Failure) as failed:
        post(server, SECRET)
    assert failed.value.status == 401
    assert "[key]" in failed.value.told
    assert SECRET not in f"{failed.value!r} {failed.value.told}"
    assert SECRET not in caplog.text


NOW = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 07:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 08:00:10 -0000"}, 10.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
    ids=str,
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds_of(headers, NOW) == seconds
