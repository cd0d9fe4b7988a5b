"""Answers: vectors in the order of the texts, replies, tokens; and what is wrong with them.

Run: pytest tests/endpoints/test_answers.py -q.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import pytest

from cmedteb.endpoints.answers import Usage, embedded, read_object, reply, usage_of
from cmedteb.endpoints.transport import Failure, Kind
from cmedteb.errors import ModelError


def item(place: int, *values: float) -> dict[str, Any]:
    return {"index": place, "embedding": list(values)}


def test_vectors_are_put_in_order() -> None:
    found = embedded({"data": [item(1, 3, 4), item(0, 1, 2)], "model": "m"}, 2)
    np.testing.assert_array_equal(found.vectors, np.float32([[1, 2], [3, 4]]))
    assert found.vectors.dtype == np.float32
    assert found.model == "m"
    assert found.tokens is None


def test_vectors_without_an_index_are_in_order_already() -> None:
    found = embedded({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, 2)
    np.testing.assert_array_equal(found.vectors, np.float32([[1], [2]]))


def test_base64_of_little_endian_floats() -> None:
    coded = base64.b64encode(struct.pack("<3f", 0.1, -2.5, 3e-8)).decode()
    found = embedded({"data": [{"index": 0, "embedding": coded}]}, 1)
    np.testing.assert_array_equal(found.vectors, np.float32([[0.1, -2.5, 3e-8]]))


def test_not_a_number_is_handed_on() -> None:
    """The caller knows the text, and says so; servers that write strict JSON send null."""
    found = embedded({"data": [item(0, float("nan")), {"index": 1, "embedding": [None]}]}, 2)
    assert np.isnan(found.vectors).all()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, "no list of vectors"),
        ({"data": "none"}, "no list of vectors"),
        ({"data": [1, 2]}, "no list of vectors"),
        ({"data": [item(0, 1)]}, "1 vectors for 2 texts"),
        ({"data": [item(0, 1), item(1, 1), item(2, 1)]}, "3 vectors for 2 texts"),
        ({"data": [item(0, 1), item(0, 1)]}, "indices are not 0 to 1"),
        ({"data": [item(1, 1), item(2, 1)]}, "indices are not 0 to 1"),
        ({"data": [item(0, 1), item(1, 1, 2)]}, r"\[1, 2\] dimensions"),
        ({"data": [item(0), item(1)]}, r"\[0\] dimensions"),
        ({"data": [item(0, 1), {"index": 1, "embedding": "no base64!"}]}, "neither numbers nor"),
        ({"data": [item(0, 1), {"index": 1, "embedding": "AAAA"}]}, "neither numbers nor"),
        ({"data": [item(0, 1), {"index": 1, "embedding": {"a": 1}}]}, "neither numbers nor"),
        ({"data": [item(0, 1), {"index": 1, "embedding": [[1.0]]}]}, "the shape"),
        ({"data": [item(0, 1), {"index": 1}]}, "the shape"),
    ],
)
def test_answers_that_are_wrong(answer: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        embedded(answer, 2)


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"\xff\xfe", b"[]", b'"text"', b"null"])
def test_what_is_no_answer_was_lost(body: bytes) -> None:
    with pytest.raises(Failure) as failed:
        read_object(body)
    assert failed.value.kind is Kind.LOST


def test_an_error_under_status_200_is_the_server_s() -> None:
    with pytest.raises(Failure, match="overloaded") as failed:
        read_object(b'{"error": {"message": "overloaded"}}')
    assert failed.value.kind is Kind.SERVER
    assert read_object(b' \n {"error": null, "data": []}') == {"error": None, "data": []}


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({}, Usage(None, None)),
        ({"usage": None}, Usage(None, None)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, None)),
        ({"usage": {"total_tokens": 5}}, Usage(5, None)),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 2}}, Usage(0, 2)),
        ({"usage": {"prompt_tokens": "3", "completion_tokens": -1}}, Usage(None, None)),
    ],
    ids=str,
)
def test_tokens(answer: dict[str, Any], usage: Usage) -> None:
    assert usage_of(answer) == usage


def test_a_reply() -> None:
    message = {"role": "assistant", "content": "yes", "refusal": None}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m"}
    answer["usage"] = {"prompt_tokens": 4, "completion_tokens": 1}
    found = reply(answer, b"raw")
    assert found == ("yes", 4, 1, "stop", "m", None, b"raw")


def test_a_reply_without_a_text() -> None:
    message = {"content": None, "refusal": "I will not"}
    found = reply({"choices": [{"message": message, "finish_reason": "content_filter"}]}, b"")
    assert (found.text, found.refusal, found.finish_reason) == ("", "I will not", "content_filter")


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": []}, {"choices": [{}]}])
def test_an_answer_without_a_reply(answer: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="no message"):
        reply(answer, b"")
