"""What is sent to a judge: rubric, then query, then document, the latter two as fenced data.

The order lets providers cache the prefix that pairs of one query share. A text stands between
markers with a number that follows from the pair's own hash: whoever wrote the text cannot have
known it, and a replay makes the same bytes. Characters that no reader sees (zero-width, bidi
controls, controls) are taken out, and what looks alike is made alike (NFKC), so that a text cannot
say one thing to a person and another to a judge.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from cmedteb.annotations.config import Form, canonical
from cmedteb.annotations.panel import Judge, Structure
from cmedteb.annotations.records import GRADES, Pair
from cmedteb.annotations.rubric import Rubric
from cmedteb.annotations.sections import fill
from cmedteb.annotations.texts import Shown

Message = dict[str, str]
HIDDEN = {"Cc", "Cf", "Cs", "Co"}
KEPT = {"\n", "\t"}
BREAKS = {"\r\n": "\n", "\r": "\n", "\u2028": "\n", "\u2029": "\n"}
# Variation selectors and fillers, which Unicode counts as printable.
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u115f\u1160\u3164\uffa0]")
NONCE_DIGITS = 16


def clean(text: str) -> str:
    """A text as a judge gets it: NFKC, without characters that nobody sees."""
    for before, after in BREAKS.items():
        text = text.replace(before, after)
    text = SELECTORS.sub("", unicodedata.normalize("NFKC", text))
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = "".join(one for one in text if one in KEPT or _seen(one))
    return text.strip()


def _seen(character: str) -> bool:
    return unicodedata.category(character) not in HIDDEN


def nonce(kind: str, hashed: str) -> str:
    """The number of a marker."""
    return hashlib.sha256(f"{kind} {hashed}".encode()).hexdigest()[:NONCE_DIGITS]


def fenced(rubric: Rubric, section: str, text: str, number: str) -> str:
    """A text between its markers; the number of the markers is nowhere in it."""
    inside = clean(text).replace(number, "")
    return fill(rubric.sections[section], {"nonce": number, "text": inside})


def messages(
    rubric: Rubric, form: Form, pair: Pair, shown: Shown, *, reversed_scale: bool = False
) -> list[Message]:
    """The conversation that asks for the grade of a pair."""
    parts = [
        fenced(rubric, "query", shown.query, nonce("query", pair.query_hash)),
        fenced(rubric, "document", shown.document, nonce("document", pair.pair_id)),
    ]
    if shown.cut:
        parts.append(rubric.sections["cut"])
    parts.append(rubric.sections["ask"])
    return [
        {"role": "system", "content": rubric.system(form, reversed_scale=reversed_scale)},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def sampling(
    judge: Judge, form: Form, structure: Structure, *, max_tokens: int | None = None
) -> dict[str, Any]:
    """All of a request but the model and the conversation."""
    told: dict[str, Any] = dict(judge.extra_body)
    if "stop" in told:  # as the endpoint room calls it
        told["stop_at"] = told.pop("stop")
    if judge.temperature is not None:
        told["temperature"] = judge.temperature
    told[judge.max_tokens_field] = max_tokens or judge.max_tokens
    if structure is Structure.JSON_OBJECT:
        told["response_format"] = {"type": "json_object"}
    if structure is Structure.JSON_SCHEMA:
        told["response_format"] = {"type": "json_schema", "json_schema": _schema(form)}
    return told


def call_key(judge: Judge, rubric: Rubric, conversation: list[Message], more: Any) -> str:  # noqa: ANN401
    """sha256 of what is asked of whom: the body of the request, the judge, and the rubric."""
    asked = [judge.label, rubric.used.sha256, judge.model, conversation, more]
    return hashlib.sha256(canonical(asked).encode()).hexdigest()


def _schema(form: Form) -> dict[str, Any]:
    """The subset that strict dialects share: an enum, and neither minimum nor maximum."""
    score = {"type": "integer", "enum": list(GRADES)}
    reason = {"type": "string"}
    fields = {"score": score, "reason": reason}
    if form is Form.REASON_FIRST:
        fields = {"reason": reason, "score": score}
    return {
        "name": "judgement",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        },
    }
