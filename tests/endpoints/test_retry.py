"""Which failures are asked again, after how long, and the errors of the others.

Run: pytest tests/endpoints/test_retry.py -q.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from cmedteb.endpoints import Provider, RefusedError
from cmedteb.endpoints.gate import Gate
from cmedteb.endpoints.retry import ATTEMPTS, ATTEMPTS_UNREACHED, LONGEST_WAIT_S, Retrying
from cmedteb.endpoints.transport import Failure, Kind
from cmedteb.errors import CmedtebError, ModelError, NotAvailableError, UsageError

JITTER = random.Random(7)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def retrying(clock: Clock | None = None, *, answered: bool = True) -> Retrying:
    gate = Gate(most=4, clock=clock or Clock())
    gate.last_success = 0.0 if answered else None
    provider = Provider(name="p", source="the test", quota_codes=("no_money",))
    return Retrying("http://host/v1", "vectors of 3 texts by m", provider, gate)


def waits_until_given_up(retries: Retrying, failure: Failure) -> tuple[list[float], CmedtebError]:
    waits = []
    while True:
        try:
            waits.append(retries.wait_for(failure, JITTER))
        except CmedtebError as error:
            return waits, error


def test_waits_double_with_jitter() -> None:
    waits, error = waits_until_given_up(retrying(), Failure(Kind.SERVER, "oops", status=500))
    assert len(waits) == ATTEMPTS - 1
    for number, wait in enumerate(waits):
        assert 0.25 * 2**number <= wait <= min(LONGEST_WAIT_S, 0.5 * 2**number)
    assert type(error) is ModelError
    assert "failed 6 times on vectors of 3 texts by m" in str(error)
    assert "HTTP 500: oops" in str(error)
    assert "what arrived is kept" in str(error)


def test_a_wish_to_wait_longer_is_respected() -> None:
    failure = Failure(Kind.SERVER, "busy", status=500, retry_after=12.0)
    assert retrying().wait_for(failure, JITTER) == 12.0


def test_an_address_that_never_answered_is_given_up_early() -> None:
    failure = Failure(Kind.UNREACHED, "ConnectError: refused")
    waits, error = waits_until_given_up(retrying(answered=False), failure)
    assert len(waits) == ATTEMPTS_UNREACHED - 1
    assert isinstance(error, NotAvailableError)
    assert "http://host/v1" in str(error)
    assert len(waits_until_given_up(retrying(), failure)[0]) == ATTEMPTS - 1


def test_waiting_for_the_rate_is_no_attempt_but_has_an_end() -> None:
    clock = Clock()
    retries = retrying(clock)
    failure = Failure(Kind.RATE, "too many", status=429)
    for _ in range(80):
        clock.now += 10
        assert retries.wait_for(failure, JITTER) == 0.0
    clock.now += 200
    with pytest.raises(ModelError, match="asks for fewer requests"):
        retries.wait_for(failure, JITTER)
    retries.gate.last_success = clock.now - 1
    assert retries.wait_for(failure, JITTER) == 0.0


def test_a_wish_to_wait_for_hours_is_told_at_once() -> None:
    failure = Failure(Kind.RATE, "daily limit", status=429, retry_after=7200.0)
    with pytest.raises(ModelError, match="asks to wait 7200 s"):
        retrying().wait_for(failure, JITTER)


@pytest.mark.parametrize(
    ("failure", "kind", "told"),
    [
        (Failure(Kind.REFUSED, "bad key", status=401), NotAvailableError, "Check the key"),
        (Failure(Kind.REFUSED, "not yours", status=403), NotAvailableError, "Check the key"),
        (Failure(Kind.REFUSED, "pay", status=402), NotAvailableError, "no money left"),
        (Failure(Kind.RATE, "x", status=429, code="no_money"), NotAvailableError, "no money left"),
        (Failure(Kind.REFUSED, "x", status=400, code="no_money"), NotAvailableError, "no money"),
        (Failure(Kind.REFUSED, "no such model", status=404), UsageError, "name of the model"),
        (Failure(Kind.SERVER, "Content Exists Risk", status=200), RefusedError, "Exists Risk"),
        (Failure(Kind.REFUSED, "a redirect", status=307), UsageError, "base URL"),
        (Failure(Kind.REFUSED, "too long", status=400), RefusedError, "too long"),
        (Failure(Kind.REFUSED, "too large", status=413), RefusedError, "refused again"),
    ],
)
def test_what_is_not_asked_again(failure: Failure, kind: type[CmedtebError], told: str) -> None:
    with pytest.raises(kind, match=told) as refused:
        retrying().wait_for(failure, JITTER)
    assert "http://host/v1 refuses vectors of 3 texts by m" in str(refused.value)
    assert failure.told in str(refused.value)


def test_a_web_page_is_a_wrong_address_only_where_nothing_was_ever_answered() -> None:
    page = Failure(Kind.REFUSED, "a web page", status=200)
    with pytest.raises(UsageError, match="base URL"):
        retrying(answered=False).wait_for(page, JITTER)
    assert retrying().wait_for(page, JITTER) > 0
    assert page.may_be_charged


@pytest.mark.parametrize(
    ("code", "told", "is_so"),
    [
        ("content_filter", "The response was filtered", True),
        ("invalid_request_error", "Content Exists Risk", True),
        ("InputTextRiskDetection", "", True),
        ("1301", "", True),
        ("invalid_request_error", "max_tokens is too large", False),
        (None, "risk", False),
    ],
)
def test_what_a_provider_declines_to_read(code: str | None, told: str, is_so: bool) -> None:
    failure = Failure(Kind.REFUSED, told, status=400, code=code)
    with pytest.raises(RefusedError) as refused:
        retrying().wait_for(failure, JITTER)
    assert refused.value.declined is is_so
