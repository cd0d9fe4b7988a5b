"""What a card says of a model behind an endpoint, and the endpoint that it and the options make.

A key goes only where its owner meant it to go: a card's key to the card's host, a provider's key to
that provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmedteb.endpoints import Budget, Endpoint, Price, host_of, open_endpoint
from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import ModelCard, family_file
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import Role

PROVIDERS = "api/providers.toml"


class Settings(BaseModel):
    """What `[settings]` of a card for an endpoint may say.

    Attributes:
        model: as the endpoint calls it.
        label: what results call it, where `model` hides what answers.
        base: base URL.
        key_env: the variable that holds the key for that URL.
        dimensions: how wide the vectors are that are asked for.
        encoding_format: `base64`, or `float` for an endpoint that takes nothing else.
        query_fields: more of a request for queries, such as `input_type = "query"`.
        document_fields: likewise for documents.
        max_characters: cut texts here, prompt counted; else where the provider's limits say.
        concurrency: the most requests in flight.
        requests_per_minute: of the account.
        tokens_per_minute: of the account.
        timeout: of a request, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    label: str | None = None
    base: str | None = None
    key_env: str | None = None
    dimensions: int | None = Field(default=None, ge=1)
    encoding_format: str = Field(default="base64", pattern="^(base64|float)$")
    query_fields: dict[str, Any] = Field(default_factory=dict)
    document_fields: dict[str, Any] = Field(default_factory=dict)
    max_characters: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    timeout: float | None = Field(default=None, gt=0)

    def fields(self, role: Role) -> Mapping[str, Any]:
        """More of a request for one side."""
        return self.query_fields if role is Role.QUERY else self.document_fields


def read_settings(card: ModelCard, options: ModelOptions) -> Settings:
    """What a card says, with the dimensions that were asked for.

    Raises:
        DataError: the card's settings are wrong.
        UsageError: the dimensions are.
    """
    given = dict(card.settings)
    if options.dimensions is not None:
        if options.dimensions < 1:
            raise UsageError(f"--dimensions must be at least 1, not {options.dimensions}")
        given["dimensions"] = options.dimensions
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
        raise DataError(f"the card of {card.name}: wrong [settings]: {faults}") from error


def endpoint_of(card: ModelCard, settings: Settings, options: ModelOptions) -> Endpoint:
    """The endpoint of a card or of the options, with the account's limits.

    Raises:
        UsageError: nobody says where it is; a budget without a price.
    """
    base = options.api_base or settings.base
    if base is None:
        raise UsageError(
            f"nobody says where {card.title} is: give the base URL of its endpoint, --api-base URL"
        )
    # A key is sent only where its owner meant it to go.
    same_host = settings.base is not None and host_of(base) == host_of(settings.base)
    if options.budget is not None and options.api_price is None:
        raise UsageError(
            "--budget needs the price of a million tokens, which no endpoint tells: --api-price"
        )
    if options.api_price is not None and not 0 <= options.api_price < float("inf"):
        raise UsageError(f"--api-price is an amount of money, not {options.api_price}")
    endpoint = open_endpoint(
        base,
        providers=family_file(PROVIDERS),
        key_env=options.api_key_env or (settings.key_env if same_host else None),
        offline=options.offline,
        budget=Budget(options.budget),
        price=None if options.api_price is None else Price(options.api_price),
    )
    limits = {
        name: value
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute")
        if (value := getattr(settings, name)) is not None
    }
    if not limits and settings.timeout is None:
        return endpoint
    return replace(
        endpoint,
        provider=endpoint.provider.model_copy(update=limits),
        timeout=settings.timeout or endpoint.timeout,
    )
