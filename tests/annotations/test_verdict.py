"""An answer is a grade or it is missing: nothing is repaired, and nothing is guessed.

Run: pytest tests/annotations/test_verdict.py -q.
"""

from __future__ import annotations

import json

import pytest

from annotations.annotation_support import body, graded
from cmedteb.annotations.records import State
from cmedteb.annotations.verdict import read_answer, read_content


@pytest.mark.parametrize("grade", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "written",
    [
        '{{"score": {grade}, "reason": "x"}}',
        '{{"reason": "x", "score": {grade}}}',
        ' \n{{"score":{grade},"reason":"x"}}\n ',
        '```json\n{{"score": {grade}, "reason": "x"}}\n```',
        '```\n{{"score": {grade}, "reason": "x"}}```',
        '<think>score 1? {{"score": 1}}</think>\n{{"score": {grade}, "reason": "x"}}',
    ],
)
def test_a_grade(grade: int, written: str) -> None:
    assert read_content(written.format(grade=grade)) == (State.SCORED, grade, "x")


def test_a_reason_is_not_needed() -> None:
    assert read_content('{"score": 2}') == (State.SCORED, 2, "")


@pytest.mark.parametrize(
    "written",
    [
        "",
        " " * 40,
        "4",
        '"4"',
        "[4]",
        "null",
        "score: 4",
        '{"score": 4, "reason": "x"',
        '{"score": 4, "reason": "x"},',
        '{"score": 4, "reason": "x"} and so on',
        '{"score": 4} {"score": 5}',
        '{"score": 4, "score": 1}',
        '{"score": 4, "reason": "x", "reason": "y"}',
        '{"score": true, "reason": "x"}',
        '{"score": 4.0, "reason": "x"}',
        '{"score": "4", "reason": "x"}',
        '{"score": 9, "reason": "x"}',
        '{"score": 0, "reason": "x"}',
        '{"score": -4, "reason": "x"}',
        '{"score": null, "reason": "x"}',
        '{"score": [4], "reason": "x"}',
        '{"score": 4, "reason": 5}',
        '{"score": 4, "reason": "x", "confidence": 1}',
        '{"Score": 4}',
        '{"reason": "x"}',
        '{"score": NaN}',
        '<html>{"score": 4}</html>',
        "[" * 100_000,
    ],
)
def test_no_grade(written: str) -> None:
    verdict = read_content(written)
    assert verdict.state is State.INVALID
    assert verdict.grade is None
    assert verdict.reason


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        (graded(4), State.SCORED),
        (body('{"score": 5, "reason": "x"}', finish="length"), State.CUT),
        (body('{"score": 5, "rea', finish="length"), State.CUT),
        (body("", finish="content_filter"), State.REFUSED),
        (body('{"score": 5}', finish="content_filter"), State.REFUSED),
        (body(None, message={"refusal": "I cannot"}), State.REFUSED),
        (body(None), State.INVALID),
        (body("x", choices=[]), State.INVALID),
        (body("x", choices=None), State.INVALID),
        (body("x", choices=[{"finish_reason": "stop"}]), State.INVALID),
        (body(None, message={"content": [{"type": "text", "text": "4"}]}), State.INVALID),
        (b'{"error": {"message": "upstream failed"}}', State.FAILED),
        (b'{"error": {"message": "x", "code": "content_filter"}}', State.REFUSED),
        (b'{"error": "Content Exists Risk"}', State.REFUSED),
        (b"<!DOCTYPE html><html>", State.FAILED),
        (graded(4)[:-20], State.FAILED),
        (b"\xff\xfe", State.FAILED),
        (b"[]", State.FAILED),
    ],
)
def test_what_a_whole_answer_says(raw: bytes, state: State) -> None:
    verdict = read_answer(raw).verdict
    assert verdict.state is state
    assert (verdict.grade is None) == (state is not State.SCORED)


def test_blanks_before_an_answer_do_not_matter() -> None:
    assert read_answer(b" \n" * 500 + graded(3)).verdict.grade == 3


def test_what_else_an_answer_tells() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 5}
    read = read_answer(body('{"score": 1}', usage=usage, system_fingerprint="fp"))
    assert (read.tokens_in, read.tokens_cached, read.tokens_out) == (7, 5, 3)
    assert (read.returned_model, read.fingerprint) == ("some-model-001", "fp")
    silent = read_answer(json.dumps({"choices": [], "usage": {"prompt_tokens": -1}}).encode())
    assert (silent.tokens_in, silent.tokens_out, silent.finish_reason) == (None, None, None)
