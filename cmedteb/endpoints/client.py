"""An endpoint: one request after another through one gate, each paid for once.

A request is repeated only when its answer did not come: never after an answer, whatever is in it.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmedteb.endpoints.answers import (
    Embedded,
    Reply,
    Usage,
    embedded,
    read_object,
    reply,
    usage_of,
)
from cmedteb.endpoints.asked import Asked, Size
from cmedteb.endpoints.budget import Budget, Price
from cmedteb.endpoints.gate import Gate
from cmedteb.endpoints.key import Key
from cmedteb.endpoints.pool import Stop, Stopped
from cmedteb.endpoints.provider import Provider, find_provider, host_of
from cmedteb.endpoints.retry import RefusedError, Retrying
from cmedteb.endpoints.transport import Failure, Kind, Transport
from cmedteb.endpoints.watch import NoWatch, Watch
from cmedteb.errors import ModelError, NotAvailableError, UsageError

TIMEOUT_S = 120.0


@dataclass
class Meter:
    """What was used so far.

    Attributes:
        answers: that came.
        tokens_in: of the requests, as the answers say.
        tokens_out: of the answers, as they say.
        unreported: answers that did not say their tokens; a cost counts their most.
        retries: requests that were sent again.
        cost: in the currency of the price; lost answers, which may have been charged, are only in
            `Budget.spent`.
    """

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    unreported: int = 0
    retries: int = 0
    cost: float = 0.0


@dataclass(eq=False)
class Endpoint:
    """An OpenAI-compatible endpoint, to be shared by all threads that use it.

    Args:
        base_url: as the provider gives it, usually ending in /v1.
        key: where its key is.
        provider: what it allows.
        offline: refuse every request before a connection is opened, to this machine too.
        budget: what requests may cost; needs a price if it has a limit. Several endpoints may
            share one.
        price: of tokens.
        timeout: of one request, in seconds, in total.
        shared_gate: of endpoints that draw on one account; None makes one.

    Raises:
        UsageError: no base URL, or a limit without a price.
    """

    base_url: str
    key: Key
    provider: Provider
    offline: bool = False
    budget: Budget = field(default_factory=Budget)
    price: Price | None = None
    timeout: float = TIMEOUT_S
    shared_gate: Gate | None = None
    meter: Meter = field(default_factory=Meter, init=False)
    gate: Gate = field(init=False)
    _transport: Transport | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _floats: bool = field(default=False, init=False, repr=False)
    _base64_works: bool = field(default=False, init=False, repr=False)
    _jitter: random.Random = field(default_factory=random.Random, init=False, repr=False)

    def __post_init__(self) -> None:
        host_of(self.base_url)
        if self.budget.limit is not None and self.price is None:
            raise UsageError(
                "a budget needs the price of a million tokens, which no endpoint tells: give "
                "--api-price beside --budget"
            )
        self.gate = self.shared_gate or Gate(
            most=self.provider.concurrency,
            requests_per_minute=self.provider.requests_per_minute,
            tokens_per_minute=self.provider.tokens_per_minute,
        )

    def embed(
        self,
        model: str,
        texts: Sequence[str],
        dimensions: int | None = None,
        *,
        floats: bool = False,
        fields: Mapping[str, Any] | None = None,
        stop: Stop | None = None,
    ) -> Embedded:
        """Vectors of texts, in one request: see `packs` for how many fit.

        Args:
            model: as the endpoint calls it.
            texts: as they are to be sent.
            dimensions: how wide the vectors are to be; None leaves it to the model.
            floats: ask for numbers; else for base64, which is exact and a third of the size, and
                for numbers only where that is refused.
            fields: more of the request, such as `{"input_type": "query"}`.
            stop: give up waiting when it is set.

        Raises:
            NotAvailableError: offline, no key, an unreachable endpoint, a key or an account that
                is not accepted.
            MissingExtraError: openai is not installed.
            UsageError: no such model, or no API at the base URL.
            ModelError: the budget is used up; the request was refused; no answer came; the answer
                has not one vector a text.
        """
        body: dict[str, Any] = {**(fields or {}), "model": model, "input": list(texts)}
        if dimensions is not None:
            body["dimensions"] = dimensions
        size = Size.of(texts)
        what = f"vectors of {len(texts)} texts by {model}"
        plain = floats or self._floats
        body["encoding_format"] = "float" if plain else "base64"
        asked = Asked("embeddings", body, size, what, NoWatch())
        try:
            answer, _ = self._ask(asked, stop)
        except RefusedError:
            # A refusal costs nothing. Where base64 never worked, it may be what was refused.
            if plain or self._base64_works:
                raise
            body["encoding_format"] = "float"
            answer, _ = self._ask(asked, stop)
            self._floats = True
        else:
            self._base64_works = self._base64_works or not plain
        try:
            return embedded(answer, len(texts))
        except ModelError as error:
            raise ModelError(
                f"{self.base_url} gave a wrong answer for {what}, the first of them "
                f"{texts[0][:40]!r}: {error}. It was paid for and is not asked again now."
            ) from error

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        stop: Stop | None = None,
        **sampling: Any,  # noqa: ANN401  whatever the endpoint takes
    ) -> Reply:
        """What a model answers to a conversation.

        Args:
            model: as the endpoint calls it.
            messages: `{"role": ..., "content": ...}`, oldest first.
            stop: give up waiting when it is set (the stop sequences of the API are `stop_at`).
            **sampling: more of the request: temperature, max_tokens, seed, response_format, ...

        Returns:
            Also a reply that was cut (`finish_reason` "length") or that is empty: it is for the
            caller to say what that means.

        Raises:
            NotAvailableError, MissingExtraError, UsageError, ModelError: as `embed`.
        """
        answer, raw = self._chat(model, messages, NoWatch(), sampling, stop)
        try:
            return reply(answer, raw)
        except ModelError as error:
            raise ModelError(
                f"{self.base_url} gave a wrong answer for an answer of {model}: {error}. It was "
                "paid for and is not asked again now."
            ) from error

    def chat_raw(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        watch: Watch,
        *,
        stop: Stop | None = None,
        **sampling: Any,  # noqa: ANN401  whatever the endpoint takes
    ) -> bytes:
        """As `chat`, but the answer as it came, and each sending is told to `watch`.

        Returns:
            The body: a JSON object that is no report of an error, whatever else it says.

        Raises:
            NotAvailableError, MissingExtraError, UsageError, ModelError: as `embed`.
        """
        return self._chat(model, messages, watch, sampling, stop)[1]

    def models(self) -> list[dict[str, Any]]:
        """What the endpoint says of its models, one table each; asked once, without the gate.

        Raises:
            NotAvailableError, MissingExtraError: as `embed`.
            ModelError: it lists none.
        """
        transport = self._connected()
        try:
            listed = read_object(transport.models(timeout=self.timeout)).get("data")
        except Failure as failure:
            raise ModelError(f"{self.base_url} lists no models: {failure.told}") from failure
        return [one for one in listed or [] if isinstance(one, dict)]

    def _chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        watch: Watch,
        sampling: dict[str, Any],
        stop: Stop | None,
    ) -> tuple[dict[str, Any], bytes]:
        if "stop_at" in sampling:
            sampling["stop"] = sampling.pop("stop_at")
        body = {**sampling, "model": model, "messages": [dict(message) for message in messages]}
        written = sampling.get("max_completion_tokens") or sampling.get("max_tokens")
        if written is None and self.budget.limit is not None:
            raise UsageError("a budget for chat needs max_tokens: an answer could have any length")
        choices = int(sampling.get("n") or 1)
        read = [json.dumps(message, ensure_ascii=False, default=str) for message in messages]
        size = Size.of(read, choices * int(written or 0))
        asked = Asked("chat/completions", body, size, f"an answer of {model}", watch)
        return self._ask(asked, stop)

    def _ask(self, asked: Asked, stop: Stop | None) -> tuple[dict[str, Any], bytes]:
        """Send a request until there is an answer."""
        stop = stop or Stop()
        transport = self._connected()
        retrying = Retrying(self.base_url, asked.what, self.provider, self.gate)
        while True:
            try:
                return self._send(transport, asked, stop)
            except Failure as failure:
                wait = retrying.wait_for(failure, self._jitter)
            if stop.wait(wait):
                raise Stopped
            with self._lock:
                self.meter.retries += 1

    def _send(self, transport: Transport, asked: Asked, stop: Stop) -> tuple[dict[str, Any], bytes]:
        """Send a request once, through the gate and within the budget."""
        size = asked.size
        reserved = self._cost(size.most_in, size.most_out)
        if not self.budget.reserve(reserved, stop.is_set):
            raise Stopped
        charged = 0.0
        permit = None
        try:
            permit = self.gate.enter(size.expected, stop.is_set)
            if permit is None:
                raise Stopped
            charged = reserved  # whatever happens now, unless we learn better
            raw = self._post(transport, asked, reserved)
            answer = read_object(raw)
            used, charged = self._count(usage_of(answer), size)
            self.gate.succeeded(permit, used)
            permit = None
        except Failure as failure:
            charged = reserved if failure.may_be_charged else 0.0
            if failure.kind is Kind.RATE and permit is not None:
                self.gate.rejected(permit, failure.retry_after)
                permit = None
            raise
        else:
            return answer, raw
        finally:
            if permit is not None:
                self.gate.failed(permit)
            self.budget.settle(reserved, charged)

    def _post(self, transport: Transport, asked: Asked, most: float) -> bytes:
        """Send a request; whoever watches knows of it before, and of what came."""
        asked.watch.sending(most)
        try:
            raw = transport.post(asked.path, asked.body, timeout=self.timeout)
        except Failure as failure:
            asked.watch.failed(failure)
            raise
        asked.watch.arrived(raw)
        return raw

    def _count(self, usage: Usage, size: Size) -> tuple[int, float]:
        """Note an answer; returns its tokens and its cost."""
        told = usage.tokens_in is not None
        tokens_in, tokens_out = usage.tokens_in or 0, usage.tokens_out or 0
        cost = (
            self._cost(tokens_in, tokens_out, usage.tokens_cached or 0)
            if told
            else self._cost(size.most_in, size.most_out)
        )
        with self._lock:
            self.meter.answers += 1
            self.meter.tokens_in += tokens_in
            self.meter.tokens_out += tokens_out
            self.meter.unreported += not told
            self.meter.cost += cost
        return (tokens_in + tokens_out if told else size.expected), cost

    def _cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        return 0.0 if self.price is None else self.price.of(tokens_in, tokens_out, tokens_cached)

    def _connected(self) -> Transport:
        """The pool of connections, made for the first request."""
        if self.offline:
            raise NotAvailableError(
                f"--offline: {self.base_url} is not asked, and not all that is needed was kept by "
                "an earlier run. Run once without --offline."
            )
        with self._lock:
            if self._transport is None:
                self._transport = Transport(
                    self.base_url, self.key.read(), connections=self.provider.concurrency
                )
            return self._transport


def open_endpoint(
    base_url: str,
    *,
    providers: Path,
    key_env: str | None = None,
    offline: bool = False,
    budget: Budget | None = None,
    price: Price | None = None,
) -> Endpoint:
    """An endpoint with the limits of the provider at its host; nothing is sent yet.

    Args:
        base_url: as the provider gives it.
        providers: a `providers.toml`.
        key_env: the variable that holds the key; None takes the provider's, if it has one.
        offline: see `Endpoint`.
        budget: see `Endpoint`.
        price: see `Endpoint`.

    Raises:
        UsageError: no base URL, or a budget without a price.
        DataError: the file is not as it should be.
    """
    provider = find_provider(base_url, providers)
    return Endpoint(
        base_url,
        Key(key_env or provider.key_env),
        provider,
        offline=offline,
        budget=budget or Budget(),
        price=price,
    )
