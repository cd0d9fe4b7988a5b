"""What a provider allows in one request and in one minute: data, found by the host of a base URL.

Limits are those of `providers.toml`, a file that the caller names; a host that is not in it gets
the file's cautious default. Keys are never in such a file, only the name of a variable.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from cmedteb.cards import read_toml
from cmedteb.errors import UsageError

Positive = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Table):
    """What one model takes; None is no limit that we know of.

    Attributes:
        rows: texts in a request for vectors.
        request_tokens: of all texts of such a request.
        row_tokens: of one text.
        row_characters: a text is cut here, so that it stays below `row_tokens`.
    """

    rows: Positive | None = None
    request_tokens: Positive | None = None
    row_tokens: Positive | None = None
    row_characters: Positive | None = None


class ModelLimits(Limits):
    """Limits of the models whose names match `match`, a pattern with `*`."""

    match: str


class Provider(Limits):
    """One provider: the limits of most of its models, and where some differ.

    Attributes:
        name: for results and messages.
        hosts: patterns with `*` of the hosts that it answers at.
        key_env: the environment variable that its users keep the key in.
        source: where the limits are written.
        concurrency: the most requests in flight.
        requests_per_minute: known for the account, else found by trying.
        tokens_per_minute: likewise.
        opaque_models: patterns of model names that hide which model answers.
        quota_codes: error codes that say that the money is spent: no use to wait.
        model: models with limits of their own; what they leave out is the provider's.
    """

    name: str
    hosts: tuple[str, ...] = ()
    key_env: str | None = None
    source: str
    rows: Positive | None = 16
    concurrency: Positive = 16
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    opaque_models: tuple[str, ...] = ()
    quota_codes: tuple[str, ...] = ()
    model: tuple[ModelLimits, ...] = ()

    def limits(self, model: str) -> Limits:
        """The limits of one of its models; the first pattern that matches counts."""
        own = Limits(**{name: getattr(self, name) for name in Limits.model_fields})
        for other in self.model:
            if fnmatchcase(model, other.match):
                stated = other.model_fields_set - {"match"}
                return own.model_copy(update={name: getattr(other, name) for name in stated})
        return own

    def hides(self, model: str) -> bool:
        """Whether the name of a model does not say which model answers."""
        return any(fnmatchcase(model, pattern) for pattern in self.opaque_models)


class _Providers(_Table):
    default: Provider
    provider: tuple[Provider, ...] = ()


def host_of(base_url: str) -> str:
    """The host of a base URL, which must be complete and hold no secret.

    Raises:
        UsageError: no http(s) URL with a host, or one with a user, a query or a fragment.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            f"the base URL of an endpoint at {host} must hold no user, password, query or "
            "fragment: keys come from an environment variable"
        )
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(
            f"{base_url!r} is no base URL: write http(s)://HOST/PATH as the provider gives it, "
            "usually ending in /v1"
        )
    return host


def find_provider(base_url: str, path: Path) -> Provider:
    """The provider that answers at a base URL, else the default.

    Args:
        base_url: of the endpoint.
        path: a `providers.toml`.

    Raises:
        DataError: the file is not as it should be.
        UsageError: no base URL.
    """
    host = host_of(base_url)
    known = read_toml(path, _Providers, what="a list of providers")
    for provider in known.provider:
        if any(fnmatchcase(host, pattern) for pattern in provider.hosts):
            return provider
    return known.default
