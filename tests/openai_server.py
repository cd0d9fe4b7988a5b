"""A real HTTP server on the loopback that speaks `/v1/embeddings` and `/v1/chat/completions`.

Vectors are a function of the text alone. Every request is written to a ledger, and every text that
was charged is counted: a request is charged when its answer was made, whether it arrives or not.
Faults are taken from a script, one a request, in the order in which requests come:

    with OpenAIServer(faults=[Fault(status=429, retry_after="1"), None, Fault(cut=20)]) as server:
        ... ask server.base_url ...
        assert server.paid["a text"] == 1
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np

from cmedteb.types import Float32Array

WIDTH = 16


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answer with it, and charge nothing.
        code: of the error.
        message: of the error.
        retry_after: header of such an answer.
        drop: "before": close the connection unanswered and uncharged; "after": charge, then close.
        cut: charge, and send only so many bytes of the answer.
        whole_length: with `cut`: state the length of what is sent, so that only the JSON is broken.
        delay: charge, and answer after so many seconds.
        trickle: send a blank every 50 ms for so many seconds, then the answer.
        page: charge, and answer with a web page.
        change: charge, and answer with what this makes of the answer.
    """

    status: int = 0
    code: str | None = None
    message: str = "scripted"
    retry_after: str | None = None
    drop: str = ""
    cut: int | None = None
    whole_length: bool = False
    delay: float = 0.0
    trickle: float = 0.0
    page: bool = False
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None


class Asked(NamedTuple):
    """One request: when it came, to which path, with which headers (lower case) and body."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def vector_of(text: str, width: int = WIDTH) -> Float32Array:
    """The vector of a text: float32, by its SHA-256."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def tokens_of(text: str) -> int:
    """One token a character, and one for the end."""
    return len(text) + 1


@dataclass
class OpenAIServer:
    """The server; a context manager.

    Attributes:
        faults: taken one by one; then none.
        width: of the vectors, where a request does not say.
        latency: of every answer, in seconds.
        ignores_base64: always answer with numbers.
        refuses_base64: refuse requests for base64 with 400.
        refuses: a text that is refused with 400.
        shuffled: give vectors in reverse order, by their `index`.
        silent: say nothing of tokens.
        per_second: refuse more requests than that in any second with 429.
        retry_after: header of these refusals.
        key: refuse requests without it with 401.
        reply: what chat answers to a message.
        ledger: every request.
        paid: how often each text was charged.
        rejected: requests that were refused by `per_second`.
        charged_tokens: of all answers made.
        most_at_once: requests under way at a time.
    """

    faults: Sequence[Fault | None] = ()
    width: int = WIDTH
    latency: float = 0.0
    ignores_base64: bool = False
    refuses_base64: bool = False
    refuses: str | None = None
    shuffled: bool = False
    silent: bool = False
    per_second: int | None = None
    retry_after: str | None = None
    key: str | None = None
    reply: Callable[[str], str] = field(default=lambda text: f"about {text}")
    ledger: list[Asked] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    charged_tokens: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self._script = iter(self.faults)
        self._allowed: list[float] = []
        self._at_once = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.openai = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def paid_calls(self) -> int:
        """Texts charged, repetitions counted."""
        return sum(self.paid.values())

    def note(self, asked: Asked) -> tuple[Fault | None, bool]:
        """Write a request down; returns its fault, and whether it comes too soon."""
        with self.lock:
            self.ledger.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if self.per_second is not None:
                self._allowed = [at for at in self._allowed if at > asked.at - 1.0]
                if len(self._allowed) >= self.per_second:
                    self.rejected += 1
                    return None, True
                self._allowed.append(asked.at)
            return next(self._script, None), False

    def ended(self) -> None:
        with self.lock:
            self._at_once -= 1

    def charge(self, texts: Sequence[str], tokens: int) -> None:
        with self.lock:
            self.paid.update(texts)
            self.charged_tokens += tokens


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def openai(self) -> OpenAIServer:
        return self.server.openai  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: requests are kept in `OpenAIServer.ledger`."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(time.monotonic(), self.path, headers, body)
        fault, too_soon = self.openai.note(asked)
        try:
            self._answer(body, fault or Fault(), too_soon=too_soon)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.openai.ended()

    def _answer(self, body: dict[str, Any], fault: Fault, *, too_soon: bool) -> None:
        server = self.openai
        if too_soon:
            self._error(429, "rate_limit_exceeded", "too many requests", server.retry_after)
        elif fault.status:
            self._error(fault.status, fault.code, fault.message, fault.retry_after)
        elif fault.drop == "before":
            self._close()
        elif server.key is not None and self.headers["Authorization"] != f"Bearer {server.key}":
            told = f"Incorrect API key: {self.headers['Authorization']}"
            self._error(401, "invalid_api_key", told)
        elif self.path not in {"/v1/embeddings", "/v1/chat/completions"}:
            self._error(404, None, f"no such page: {self.path}")
        elif server.refuses_base64 and body.get("encoding_format") == "base64":
            self._error(400, "invalid", "encoding_format base64 is not supported")
        elif server.refuses is not None and server.refuses in body.get("input", ()):
            self._error(400, "content_filter", "the input is not allowed")
        else:
            chat = self.path.endswith("completions")
            self._send_answer(self._chat(body) if chat else self._embeddings(body), fault)

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        server, texts = self.openai, body["input"]
        plain = server.ignores_base64 or body.get("encoding_format") != "base64"
        tokens = sum(map(tokens_of, texts))
        server.charge(texts, tokens)
        data = [
            {"object": "embedding", "index": place, "embedding": _written(vector, plain)}
            for place, text in enumerate(texts)
            for vector in [vector_of(text, body.get("dimensions") or server.width)]
        ]
        answer = {"object": "list", "model": f"{body['model']}-001", "data": data}
        if server.shuffled:
            data.reverse()
        if not server.silent:
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return answer

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = body["messages"][-1]["content"]
        said = self.openai.reply(asked)
        limit = body.get("max_tokens") or len(said)
        tokens_in = sum(tokens_of(message["content"]) for message in body["messages"])
        self.openai.charge([asked], tokens_in + min(limit, len(said)))
        reason = "length" if limit < len(said) else "stop"
        message = {"role": "assistant", "content": said[:limit]}
        return {
            "object": "chat.completion",
            "model": f"{body['model']}-001",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": min(limit, len(said))},
        }

    def _send_answer(self, answer: dict[str, Any], fault: Fault) -> None:
        time.sleep(self.openai.latency + fault.delay)
        if fault.drop == "after":
            self._close()
            return
        if fault.page:
            self._send(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})
            return
        answer = answer if fault.change is None else fault.change(answer)
        # Python writes NaN, which is no JSON, and which servers written in Python do send.
        body = json.dumps(answer).encode()
        if fault.whole_length:
            body, fault = body[: fault.cut], Fault()
        self._send(200, body, {}, cut=fault.cut, trickle=fault.trickle)

    def _error(
        self, status: int, code: str | None, message: str, retry_after: str | None = None
    ) -> None:
        more = {} if retry_after is None else {"Retry-After": retry_after}
        error = {"error": {"message": message, "code": code, "type": "error"}}
        self._send(status, json.dumps(error).encode(), more)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        cut: int | None = None,
        trickle: float = 0.0,
    ) -> None:
        blanks = int(trickle / 0.05)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + blanks))
        self.end_headers()
        for _ in range(blanks):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(body[:cut])
        if cut is not None and cut < len(body):
            self._close()

    def _close(self) -> None:
        """End the connection at once."""
        self.wfile.flush()
        self.close_connection = True
        linger = struct.pack("ii", 1, 1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RDWR)


def _written(vector: Float32Array, plain: bool) -> list[float] | str:
    if plain:
        return [float(value) for value in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
