"""Bodies of answers in OpenAI's chat completions protocol, well-formed and otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cmedteb.annotations.demo.faults import Fault
from cmedteb.annotations.demo.judges import SimulatedJudge

Messages = Sequence[Mapping[str, Any]]
PAGE = b"<!DOCTYPE html><html><body>Welcome to the portal. Please log in.</body></html>"
# Prefixes are cached in blocks, as providers do.
BLOCK = 64


class Failure(NamedTuple):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        code: of the error.
        message: of the error.
    """

    status: int
    code: str | None
    message: str

    def body(self) -> bytes:
        """As OpenAI writes it."""
        error = {"message": self.message, "type": "error", "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()


FAILURES = {
    Fault.RATE: Failure(429, "rate_limit_exceeded", "Rate limit reached for requests"),
    Fault.QUOTA: Failure(429, "insufficient_quota", "You exceeded your current quota"),
    Fault.RISK: Failure(400, "invalid_request_error", "Content Exists Risk"),
    Fault.SERVER: Failure(503, None, "The server is overloaded"),
    Fault.ERROR_BODY: Failure(200, "internal_error", "upstream failed"),
}


def text_of(messages: Messages) -> str:
    """All that was said, in order."""
    return "\n".join(str(message.get("content", "")) for message in messages)


def verdict(body: Mapping[str, Any], grade: int) -> str:
    """A grade in the form that was asked for: the names and their order are the schema's."""
    asked = body.get("response_format") or {}
    schema = asked.get("json_schema", {}).get("schema", {})
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {
        "score": {"type": "integer"},
        "reason": {"type": "string"},
    }
    says = {"integer": grade, "number": grade, "string": f"simulated: {grade} of 5"}
    told = {name: says.get(str(kind.get("type")), grade) for name, kind in properties.items()}
    return json.dumps(told, ensure_ascii=False)


def usage(body: Mapping[str, Any], content: str, *, cached: int) -> dict[str, int]:
    """Tokens by kind: a character of a prompt is one, three of an answer are one."""
    sent = len(text_of(body["messages"]))
    return {"in": sent, "cached": min(cached, sent) // BLOCK * BLOCK, "out": len(content) // 3 + 1}


def completion(
    judge: SimulatedJudge,
    body: Mapping[str, Any],
    content: str,
    *,
    tokens: Mapping[str, int],
    fault: Fault | None,
) -> dict[str, Any]:
    """A whole answer; `fault` is one of those that an answer can have."""
    said, reason = _spoiled(content, fault)
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    if limit is not None and limit < tokens["out"]:
        said, reason = said[: 3 * limit], "length"
    message: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None}
    if fault is Fault.REFUSAL:
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": 0,
        "model": judge.answers_as or judge.model,
        "system_fingerprint": judge.fingerprint,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": tokens["in"],
            "completion_tokens": tokens["out"],
            "total_tokens": tokens["in"] + tokens["out"],
            "prompt_tokens_details": {"cached_tokens": tokens["cached"]},
        },
    }


def _spoiled(content: str, fault: Fault | None) -> tuple[str, str]:
    """The content with its fault, and the reason why it ended."""
    ends = {Fault.CUT: "length", Fault.FILTERED: "content_filter"}
    said = content
    match fault:
        case Fault.CUT:
            said = content[: len(content) // 2]
        case Fault.FILTERED:
            said = ""
        case Fault.BLANK:
            said = " " * 40
        case Fault.BAD_JSON:
            said = content.removesuffix("}") + ","
        case Fault.DUPLICATE_KEY:
            said = "{" + content[1:].partition(",")[0].rstrip("}") + ", " + content[1:]
        case Fault.OUT_OF_RANGE:
            told = json.loads(content)
            wrong = {name: 9 if isinstance(value, int) else value for name, value in told.items()}
            said = json.dumps(wrong)
    return said, ends.get(fault, "stop") if fault is not None else "stop"


def model_list(judges: Sequence[SimulatedJudge]) -> dict[str, Any]:
    """What `/v1/models` says."""
    return {"object": "list", "data": [model_entry(judge) for judge in judges]}


def model_entry(judge: SimulatedJudge) -> dict[str, Any]:
    """One model; `shutdown_date` only where there is one."""
    told = {"id": judge.model, "object": "model", "created": 0, "owned_by": "simulated"}
    return told | ({"shutdown_date": judge.shutdown_date} if judge.shutdown_date else {})
