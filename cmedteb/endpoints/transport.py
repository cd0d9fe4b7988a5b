"""Sends one request, once, with the openai library, and says what became of it.

The library is the transport only: it does not retry here, does not parse, and neither `OPENAI_*`
nor proxy variables nor a redirect change where a request goes or what it carries. The time limit is
a total: bytes that trickle in do not extend it (a server that falls silent in the middle of its
answer is noticed after at most twice that time).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cmedteb.errors import MissingExtraError

if TYPE_CHECKING:
    import httpx2
    from openai import APIStatusError, OpenAI

CONNECT_S = 10.0
SHOWN = 300
OVERLOADED = 529
KEPT_HEADERS = (
    "host",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "connection",
    "x-stainless-raw-response",  # how the library remembers that the answer is to be streamed
)


class Kind(StrEnum):
    """What became of a request that has no answer."""

    UNREACHED = "unreached"  # it was not sent
    RATE = "rate"  # the server wants fewer requests
    SERVER = "server"  # the server failed
    LOST = "lost"  # it was sent, and no whole answer came: it may have been charged
    REFUSED = "refused"  # the same request would be refused again


class Failure(Exception):  # noqa: N818  a signal inside this room, turned into an error by `client`
    """A request without an answer.

    Attributes:
        kind: what became of it.
        told: the server's or the network's words.
        status: of HTTP, where there is one.
        code: the provider's error code, where there is one.
        retry_after: seconds, where the server says.
    """

    def __init__(
        self,
        kind: Kind,
        told: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(told)
        self.kind = kind
        self.told = told
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def is_page(self) -> bool:
        """Whether a web page came where an answer should be."""
        return self.kind is Kind.REFUSED and self.status == 200

    @property
    def may_be_charged(self) -> bool:
        """Whether the request may have been charged though there is no answer."""
        return self.kind is Kind.LOST or self.is_page


class Transport:
    """A pool of connections to one base URL.

    Args:
        base_url: of the endpoint.
        key: sent as a bearer token; None sends none.
        connections: the most at a time.

    Raises:
        MissingExtraError: openai is not installed.
    """

    def __init__(self, base_url: str, key: str | None, *, connections: int) -> None:
        self._key = key
        self._client = _client(base_url, key, connections)

    def post(self, path: str, body: Mapping[str, Any], *, timeout: float) -> bytes:
        """The body of the answer, as it came.

        Args:
            path: `embeddings` or `chat/completions`.
            body: of the request.
            timeout: in seconds, in total.

        Raises:
            Failure: there is none.
        """
        chat = path == "chat/completions"
        resource: Any = self._client.chat.completions if chat else self._client.embeddings
        send = resource.with_streaming_response.create
        return self._received(send, timeout=timeout, **_arguments(path, body))

    def models(self, *, timeout: float) -> bytes:
        """The list of models, as it came.

        Raises:
            Failure: there is none.
        """
        return self._received(self._client.models.with_streaming_response.list, timeout=timeout)

    def _received(
        self,
        send: Callable[..., Any],
        *,
        timeout: float,
        **arguments: Any,  # noqa: ANN401  of the library
    ) -> bytes:
        import httpx2

        limit = httpx2.Timeout(timeout, connect=min(CONNECT_S, timeout))
        deadline = time.monotonic() + timeout
        with _failures(self._key), send(**arguments, timeout=limit) as response:
            received = bytearray()
            for chunk in response.iter_bytes():
                received += chunk
                if time.monotonic() > deadline:
                    raise Failure(Kind.LOST, f"no whole answer within {timeout:g} s")
            _refuse_pages(response.headers.get("content-type", ""))
            return bytes(received)


def _client(base_url: str, key: str | None, connections: int) -> OpenAI:
    try:
        import httpx2
        from openai import OpenAI
    except ImportError as error:
        raise MissingExtraError(error.name or "openai", "api") from error

    def carry_no_more_than_needed(request: httpx2.Request) -> None:
        kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        if key is not None:
            kept["authorization"] = f"Bearer {key}"
        request.headers = httpx2.Headers({**kept, "user-agent": "cmedteb"})

    http = httpx2.Client(
        trust_env=False,
        follow_redirects=False,
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        event_hooks={"request": [carry_no_more_than_needed]},
    )
    # The library never sees the key, so that it is in none of its messages and logs.
    return OpenAI(api_key="none", base_url=base_url, max_retries=0, http_client=http)


def _arguments(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    named = {"model", "messages"} if path == "chat/completions" else {"model", "input"}
    if path == "embeddings":
        named |= {"encoding_format", "dimensions"}
    arguments = {name: value for name, value in body.items() if name in named}
    return arguments | {"extra_body": {k: v for k, v in body.items() if k not in named}}


@contextmanager
def _failures(key: str | None) -> Iterator[None]:
    """Turn what the libraries raise into a `Failure`, without the key in it."""
    import httpx2
    import openai

    def shown(text: str) -> str:
        hidden = text if key is None else text.replace(key, "[key]")
        return " ".join(hidden.split())[:SHOWN]

    try:
        yield
    except openai.APIStatusError as error:
        raise _of_status(error, shown) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        unsent = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
        unsent |= isinstance(cause, (httpx2.UnsupportedProtocol, httpx2.ProxyError))
        kind = Kind.UNREACHED if unsent else Kind.LOST
        raise Failure(kind, shown(f"{type(cause).__name__}: {cause}")) from None
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        raise Failure(Kind.LOST, shown(f"{type(error).__name__}: {error}")) from None


def _of_status(error: APIStatusError, shown: Any) -> Failure:  # noqa: ANN401  a local function
    status, headers = error.status_code, error.response.headers
    body = error.body if isinstance(error.body, dict) else {}
    code = body.get("code") or body.get("type")
    retry_after = seconds_of(headers)
    told = shown(str(body.get("message") or error.response.text or error.response.reason_phrase))
    if 300 <= status < 400:
        told = f"a redirect to {headers.get('location', 'nowhere')}, which is not followed"
    return Failure(
        _kind(status, retry_after),
        told,
        status=status,
        code=None if code is None else str(code),
        retry_after=retry_after,
    )


def _kind(status: int, retry_after: float | None) -> Kind:
    if status == 429 or (status in {503, OVERLOADED} and retry_after is not None):
        return Kind.RATE
    if status in {408, 409, 425} or status >= 500:
        return Kind.SERVER
    return Kind.REFUSED


def seconds_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """How long a server asks to wait: `retry-after-ms`, or `Retry-After` (RFC 9110, 10.2.3).

    Args:
        headers: of the answer.
        now: for a date in the header; None is the present.

    Returns:
        Seconds, never negative; None where it does not say, or says what cannot be read.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _refuse_pages(content_type: str) -> None:
    if "html" in content_type:
        raise Failure(
            Kind.REFUSED,
            "a web page, not an answer: the base URL is not that of an API",
            status=200,
        )
