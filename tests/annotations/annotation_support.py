"""What the tests of annotations share: a small config, pairs, and answers of endpoints."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cmedteb.annotations.config import AnnotationConfig, RubricUsed
from cmedteb.annotations.journal import Ended, Intent, Journal
from cmedteb.annotations.panel import Judge, Panel, TokenPrice
from cmedteb.annotations.records import Pair, Purpose


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def judge(label: str, **more: Any) -> Judge:
    facts = {"base_url": "http://127.0.0.1:9/v1", "price": TokenPrice(input=1.0, output=2.0)}
    return Judge(label=label, model=f"{label}-model", **{**facts, **more})


def panel(*judges: Judge) -> Panel:
    return Panel(name="test", judges=judges or (judge("a"), judge("b"), judge("c")))


def config(**changes: Any) -> AnnotationConfig:
    facts: dict[str, Any] = {
        "task": "Test",
        "task_ref": "Test",
        "dataset_revision": "local",
        "content_hash": sha256("data"),
        "rubric": RubricUsed(name="test", sha256=sha256("rubric"), text="rubric"),
        "panel": panel(),
        "cmedteb_version": "0",
    }
    return AnnotationConfig(**{**facts, **changes})


def pair(query: str, doc: str, **more: Any) -> Pair:
    facts: dict[str, Any] = {
        "pair_id": sha256(f"{query} {doc}")[:16],
        "query_id": query,
        "doc_id": doc,
        "original": None,
        "twins": (),
        "ranks": {"bm25": 1},
        "query_hash": sha256(f"text of {query}"),
        "document_hash": sha256(f"text of {doc}"),
        "cut": None,
    }
    return Pair(**{**facts, **more})


def body(content: str | None, *, finish: str = "stop", **more: Any) -> bytes:
    """A chat completion; `message` and `usage` may be given."""
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    answer = {
        "object": "chat.completion",
        "model": "some-model-001",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        **more,
    }
    return json.dumps(answer).encode()


def graded(grade: int, reason: str = "because") -> bytes:
    return body(json.dumps({"score": grade, "reason": reason}))


def add(
    journal: Journal,
    pair_id: str,
    label: str,
    raw: bytes | None,
    *,
    purpose: Purpose = Purpose.JUDGE,
    attempt: int = 1,
    **ended: Any,
) -> None:
    """One call of a judge, and what came."""
    model = f"{label}-model"
    number = journal.intend(Intent(pair_id, label, purpose, attempt, "key", model, 0.5, 1000.0))
    journal.add_call(number, Ended(**{"received_at": 1001.0, "http": 200, **ended, "raw": raw}))
