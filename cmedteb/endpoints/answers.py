"""Reads what an endpoint answered: vectors in the order of the texts, a reply, tokens used.

An answer that is no JSON, or a report of an error under status 200, is treated as no answer
(`Failure`). An answer that is whole and wrong was paid for and would be paid for again: that is an
error, and no reason to ask again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cmedteb.endpoints.transport import SHOWN, Failure, Kind
from cmedteb.errors import ModelError
from cmedteb.types import Float32Array


class Usage(NamedTuple):
    """Tokens that an answer says were used; None where it does not say."""

    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None = None


class Embedded(NamedTuple):
    """Vectors of texts, shape (texts, dimension), in their order.

    Attributes:
        vectors: as they came: nothing is normalised or checked but their number and their width.
        tokens: that the texts had, where the server says.
        model: that the server says has answered.
    """

    vectors: Float32Array
    tokens: int | None
    model: str | None


class Reply(NamedTuple):
    """What a chat model wrote.

    Attributes:
        text: empty where it wrote none.
        tokens_in: of the request, where the server says.
        tokens_out: of the answer, where the server says.
        finish_reason: `stop` where the text is whole, `length` where it was cut.
        model: that the server says has answered.
        refusal: why it does not answer, where the server says so apart from the text.
        raw: the answer as it came.
    """

    text: str
    tokens_in: int | None
    tokens_out: int | None
    finish_reason: str | None
    model: str | None = None
    refusal: str | None = None
    raw: bytes = b""


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        Failure: it is none, or says that something went wrong.
    """
    try:
        value = json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        told = f"the answer of {len(body)} bytes is no JSON ({error}): it was cut, or is no API's"
        raise Failure(Kind.LOST, told, status=200) from None
    if not isinstance(value, dict):
        raise Failure(Kind.LOST, f"the answer is no JSON object but {body[:40]!r}", status=200)
    if value.get("error"):
        told = json.dumps(value["error"], ensure_ascii=False)[:SHOWN]
        code = value["error"].get("code") if isinstance(value["error"], dict) else None
        code = None if code is None else str(code)
        raise Failure(Kind.SERVER, told, status=200, code=code)
    return value


def usage_of(answer: Mapping[str, Any]) -> Usage:
    """The tokens that an answer says were used."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    tokens_in = _count(usage.get("prompt_tokens"))
    if tokens_in is None:
        tokens_in = _count(usage.get("total_tokens"))
    return Usage(tokens_in, _count(usage.get("completion_tokens")), _cached(usage))


def _cached(usage: Mapping[str, Any]) -> int | None:
    """Tokens read from a prefix cache: as OpenAI says it, else as DeepSeek does."""
    details = usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(usage.get("prompt_cache_hit_tokens") if told is None else told)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def embedded(answer: Mapping[str, Any], texts: int) -> Embedded:
    """The vectors of an answer, put in the order of the texts by their `index`.

    Raises:
        ModelError: not one vector for each text, or vectors of several widths.
    """
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise ModelError("the answer has no list of vectors in `data`")
    if len(data) != texts:
        raise ModelError(f"{len(data)} vectors for {texts} texts")
    places = [item.get("index", place) for place, item in enumerate(data)]
    if sorted(map(str, places)) != sorted(map(str, range(texts))):
        raise ModelError(f"the vectors' indices are not 0 to {texts - 1}: {str(places)[:SHOWN]}")
    rows = [_vector(item.get("embedding")) for item in data]
    widths = sorted({len(row) for row in rows})
    if len(widths) != 1 or widths[0] == 0:
        raise ModelError(f"the vectors of one answer have {widths} dimensions")
    vectors = np.empty((texts, widths[0]), dtype=np.float32)
    vectors[np.asarray([int(place) for place in places])] = rows
    return Embedded(vectors, usage_of(answer).tokens_in, _name(answer.get("model")))


def _vector(value: object) -> Float32Array:
    """A vector, as a list of numbers or as base64 of little-endian float32."""
    try:
        if isinstance(value, str):
            decoded = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
            return decoded.astype(np.float32)
        # None stands for NaN where a server writes strict JSON.
        vector = np.asarray(value, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ModelError(f"a vector is neither numbers nor base64 of float32: {error}") from None
    if vector.ndim != 1:
        raise ModelError(f"a vector has the shape {vector.shape}")
    return vector


def reply(answer: Mapping[str, Any], raw: bytes) -> Reply:
    """The first choice of an answer.

    Raises:
        ModelError: it has none.
    """
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise ModelError("the answer has no message in `choices`")
    usage = usage_of(answer)
    return Reply(
        text=message.get("content") or "",
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        finish_reason=_name(choice.get("finish_reason")),
        model=_name(answer.get("model")),
        refusal=_name(message.get("refusal")),
        raw=raw,
    )


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
