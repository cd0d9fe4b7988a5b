"""Reads an answer strictly: a grade of the scale, or the reason why there is none.

Nothing is repaired or guessed. An answer is one JSON object with `score` (a whole number from 1 to
5; no `true`, no `4.0`, no "4") and `reason`, each once and nothing else. Around it may stand one
Markdown fence, before it one `<think>` block, as models that were not held to JSON write them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cmedteb.annotations.records import GRADES, State, Verdict
from cmedteb.endpoints import declined, usage_of

FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
THOUGHT = re.compile(r"\A<think>.*?</think>", re.DOTALL)
SHOWN = 200


class Read(NamedTuple):
    """What a raw answer holds; None where the endpoint does not say.

    `charged` is False for a report of an error, which costs nothing.
    """

    verdict: Verdict
    returned_model: str | None = None
    fingerprint: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    charged: bool = True


def read_answer(raw: bytes) -> Read:
    """What a whole chat completion says."""
    try:
        body = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return Read(_missing(State.FAILED, f"no JSON but {raw[:40]!r}"))
    if not isinstance(body, dict):
        return Read(_missing(State.FAILED, f"no JSON object but {raw[:40]!r}"))
    if body.get("error"):
        return Read(_of_error(body["error"]), charged=False)
    choice = _first(body.get("choices"))
    finish = _text(choice.get("finish_reason"))
    usage = usage_of(body)
    return Read(
        _of_message(choice.get("message"), finish),
        _text(body.get("model")),
        _text(body.get("system_fingerprint")),
        finish,
        usage.tokens_in,
        usage.tokens_cached,
        usage.tokens_out,
    )


def read_content(text: str) -> Verdict:
    """The grade that a judge wrote."""
    text = THOUGHT.sub("", text.strip(), count=1).strip()
    fenced = FENCED.match(text)
    text = fenced.group(1) if fenced else text
    if not text.strip():
        return _missing(State.INVALID, "a blank answer")
    try:
        value = json.loads(text, object_pairs_hook=_once_each)
    except _TwiceError as error:
        return _missing(State.INVALID, f"the key {error} stands twice")
    except (json.JSONDecodeError, RecursionError):
        return _missing(State.INVALID, f"no JSON: {text}")
    return _graded(value)


def _graded(value: object) -> Verdict:
    if not isinstance(value, dict) or not {"score"} <= set(value) <= {"score", "reason"}:
        return _missing(State.INVALID, f"not an object of score and reason: {value}")
    score, reason = value["score"], value.get("reason", "")
    if type(score) is not int or score not in GRADES:
        return _missing(State.INVALID, f"no whole number from 1 to 5: {score!r}")
    if not isinstance(reason, str):
        return _missing(State.INVALID, f"the reason is no text: {reason!r}")
    return Verdict(State.SCORED, score, reason)


def _of_message(message: object, finish: str | None) -> Verdict:
    if finish == "content_filter":
        return _missing(State.REFUSED, "finish_reason content_filter")
    if not isinstance(message, dict):
        return _missing(State.INVALID, "no message in `choices`")
    refusal = _text(message.get("refusal"))
    if refusal:
        return _missing(State.REFUSED, refusal)
    if finish == "length":
        return _missing(State.CUT, "the answer ended at its token limit")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        return _missing(State.INVALID, "the content is no text")
    return read_content(content or "")


def _of_error(error: object) -> Verdict:
    table: Mapping[str, Any] = error if isinstance(error, dict) else {"message": error}
    code, told = _text(table.get("code")), str(table.get("message"))
    return _missing(State.REFUSED if declined(code, told) else State.FAILED, told)


def _missing(state: State, reason: str) -> Verdict:
    return Verdict(state, None, " ".join(reason.split())[:SHOWN])


class _TwiceError(ValueError):
    """A key stands twice in an object: which value counts is not for us to say."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return found


def _first(choices: object) -> Mapping[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
