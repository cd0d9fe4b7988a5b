"""Whether a request that has no answer is sent again, and the error if it is not.

Waiting for the rate is no attempt; it ends when nothing was answered for a long time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NoReturn

from cmedteb.endpoints.declined import declined
from cmedteb.endpoints.gate import Gate
from cmedteb.endpoints.provider import Provider
from cmedteb.endpoints.transport import Failure, Kind
from cmedteb.errors import ModelError, NotAvailableError, UsageError

ATTEMPTS = 6
ATTEMPTS_UNREACHED = 3  # where nothing was ever answered: most likely a wrong address
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
PATIENCE_S = 900.0


class RefusedError(ModelError):
    """The endpoint refuses what is asked (HTTP 400, 413, 415, 422), which costs nothing.

    Attributes:
        code: the provider's error code, such as `content_filter`, where there is one.
        told: the provider's words.
        declined: whether it is for what a text says, and no fault of the request.
    """

    def __init__(self, message: str, *, code: str | None = None, told: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.told = told
        self.declined = declined(code, told)


@dataclass
class Retrying:
    """One request and what has become of it so far.

    Args:
        where: the base URL, for messages.
        what: what is asked, for messages.
        provider: says which error codes mean that the money is spent.
        gate: knows when the endpoint answered last.
    """

    where: str
    what: str
    provider: Provider
    gate: Gate
    began: float = field(init=False)
    attempts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.began = self.gate.clock()

    def wait_for(self, failure: Failure, jitter: random.Random) -> float:
        """Seconds to wait before the request is sent again; 0 where the gate makes it wait.

        Raises:
            NotAvailableError, UsageError, ModelError: it is not sent again.
        """
        known = self.gate.last_success is not None  # a page among answers is a proxy's hiccup
        final = failure.kind is Kind.REFUSED and not (failure.is_page and known)
        final |= failure.code in self.provider.quota_codes
        if final or declined(failure.code, failure.told):
            self._refuse(failure)
        if failure.kind is Kind.RATE:
            since = max(self.began, self.gate.last_success or self.began)
            waited = self.gate.clock() - since + (failure.retry_after or 0.0)
            if waited > PATIENCE_S:
                self._give_up(failure, "asks for fewer requests")
            return 0.0
        self.attempts += 1
        never_answered = failure.kind is Kind.UNREACHED and self.gate.last_success is None
        if self.attempts >= (ATTEMPTS_UNREACHED if never_answered else ATTEMPTS):
            self._give_up(failure, f"failed {self.attempts} times")
        backoff = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (self.attempts - 1))
        return max(backoff * jitter.uniform(0.5, 1.0), failure.retry_after or 0.0)

    def _refuse(self, failure: Failure) -> NoReturn:
        told = f"{self.where} refuses {self.what}: {_told(failure)}"
        if failure.code in self.provider.quota_codes or failure.status == 402:
            raise NotAvailableError(
                f"{told}. The account has no money left: top it up and run again; what arrived is "
                "kept."
            )
        if failure.status in {401, 403}:
            raise NotAvailableError(f"{told}. Check the key, and whether it may use this model.")
        if failure.status == 404:
            raise UsageError(f"{told}. Check the name of the model, and the base URL.")
        of_content = declined(failure.code, failure.told)
        if failure.status is not None and failure.status < 400 and not of_content:
            raise UsageError(f"{told}. Check the base URL: it usually ends in /v1.")
        raise RefusedError(
            f"{told}. The same request would be refused again: a text may be too long or not "
            "allowed, or a parameter unknown to this model.",
            code=failure.code,
            told=failure.told,
        )

    def _give_up(self, failure: Failure, how: str) -> NoReturn:
        wanted = (
            "" if failure.retry_after is None else f" It asks to wait {failure.retry_after:g} s."
        )
        told = f"{self.where} {how} on {self.what}, last: {_told(failure)}.{wanted}"
        if failure.kind is Kind.UNREACHED:
            raise NotAvailableError(f"{told} Check the base URL and that the server runs.")
        raise ModelError(f"{told} Run again later: what arrived is kept.")


def _told(failure: Failure) -> str:
    status = "" if failure.status is None else f"HTTP {failure.status}: "
    return f"{status}{failure.told}".rstrip(". ")
