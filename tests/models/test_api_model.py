"""Models behind an endpoint: what a card and options make of one, and what is sent and stated.

Run: pytest tests/models/test_api_model.py -q. A real server on the loopback.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_support import TEXTS, expected, from_card, model_at
from openai_server import OpenAIServer

from cmedteb.errors import DataError, MissingExtraError, ModelError, NotAvailableError, UsageError
from cmedteb.models import Encoder, ModelOptions, Role, Streaming, TaskContext, load_model
from cmedteb.types import Similarity, TaskType


def test_vectors_of_both_sides_and_what_is_stated() -> None:
    with OpenAIServer() as server:
        model = model_at(server.base_url, "org/hash-v1")
        np.testing.assert_array_equal(model.encode_documents(TEXTS), expected(TEXTS))
        np.testing.assert_array_equal(model.encode_queries(TEXTS[:1]), expected(TEXTS[:1]))
        assert model.encode_documents([]).shape[0] == 0
    assert isinstance(model, Encoder)
    assert isinstance(model, Streaming)
    facts = model.facts
    assert (facts.name, facts.revision) == ("api/org-hash-v1", "unversioned")
    assert facts.similarity is Similarity.COSINE
    assert facts.dimension is None
    assert facts.settings == {"model": "org/hash-v1", "provider": "127.0.0.1"}
    assert model.tokens == server.charged_tokens
    assert model.cost is None
    assert model.answered_as == "org/hash-v1-001"


def test_prompts_by_flag_card_and_task(tmp_path: Path) -> None:
    context = TaskContext("Some", TaskType.RETRIEVAL, "find it")
    with OpenAIServer() as server:
        options = ModelOptions(api_base=server.base_url)
        prompts = {"query": "Do: {instruction}\n", "document": "doc: "}
        model = from_card(tmp_path, options, settings={"model": "m"}, prompts=prompts)
        with pytest.raises(UsageError, match="needs the instruction"):
            model.encode_queries(["a"])
        model = model.for_task(context)
        np.testing.assert_array_equal(model.encode_queries(["a"]), expected(["Do: find it\na"]))
        np.testing.assert_array_equal(model.encode_documents(["a"]), expected(["doc: a"]))
        assert model.facts.prompts == {"query": "Do: find it\n", "document": "doc: "}
        flagged = model_at(server.base_url, query_prompt="q ", document_prompt="")
        np.testing.assert_array_equal(flagged.encode_queries(["a"]), expected(["q a"]))


def test_each_side_has_fields_of_its_own(tmp_path: Path) -> None:
    settings = {
        "model": "m",
        "encoding_format": "float",
        "query_fields": {"input_type": "query"},
        "document_fields": {"input_type": "passage"},
    }
    with OpenAIServer() as server:
        model = from_card(tmp_path, ModelOptions(api_base=server.base_url), settings=settings)
        model.encode_queries(["a"])
        model.encode_documents(["a"])
        assert [asked.body["input_type"] for asked in server.ledger] == ["query", "passage"]
        assert {asked.body["encoding_format"] for asked in server.ledger} == {"float"}
    assert model.facts.settings["query_fields"] == {"input_type": "query"}


def test_dimensions_are_asked_for_and_named() -> None:
    with OpenAIServer() as server:
        model = model_at(server.base_url, dimensions=8)
        np.testing.assert_array_equal(model.encode_queries(["a"]), expected(["a"], 8))
    assert (model.facts.name, model.facts.dimension) == ("api/hash+dimensions8", 8)


def test_what_a_card_states(tmp_path: Path) -> None:
    model = from_card(
        tmp_path,
        revision="2024-01-25",
        similarity="dot",
        dimension=16,
        max_length=8192,
        sts_sides=["query", "document"],
        settings={"model": "ep-123", "label": "doubao", "base": "https://ark.x.volces.com/v3"},
    )
    facts = model.facts
    assert (facts.name, facts.revision) == ("api/doubao", "2024-01-25")
    assert (facts.similarity, facts.dimension, facts.max_length) == ("dot", 16, 8192)
    assert facts.sts_sides == (Role.QUERY, Role.DOCUMENT)
    assert facts.settings["provider"] == "ark"


def test_long_texts_are_cut_where_the_provider_would_refuse_them(tmp_path: Path) -> None:
    model = model_at("https://dashscope.aliyuncs.com/compatible-mode/v1", "text-embedding-v2")
    assert model.facts.settings["max_characters"] == 2048
    settings = {"model": "m", "max_characters": 10}
    with OpenAIServer() as server:
        options = ModelOptions(api_base=server.base_url)
        cut = from_card(tmp_path, options, settings=settings, prompts={"document": "doc "})
        cut.encode_documents(["a" * 50, "b", "c" * 6])
        assert server.ledger[0].body["input"] == ["doc aaaaaa", "doc b", "doc cccccc"]


def test_empty_texts_are_sent_as_a_blank() -> None:
    with OpenAIServer() as server:
        np.testing.assert_array_equal(
            model_at(server.base_url).encode_documents(["", "a"]), expected([" ", "a"])
        )


def test_another_width_than_the_card_s_is_an_error(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        options = ModelOptions(api_base=server.base_url)
        model = from_card(tmp_path, options, dimension=32, settings={"model": "m"})
        with pytest.raises(ModelError, match="16 dimensions where 32 were expected"):
            model.encode_queries(["a"])


def test_offline_and_keys_are_asked_for_only_when_something_is_to_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with OpenAIServer() as server:
        offline = model_at(server.base_url, offline=True)
        assert offline.encode_documents([]).shape[0] == 0
        with pytest.raises(NotAvailableError, match="--offline"):
            offline.encode_documents(["a"])
        keyless = model_at(server.base_url, api_key_env="TEST_KEY")
        with pytest.raises(NotAvailableError, match="TEST_KEY is not set") as missing:
            keyless.encode_documents(["a"])
        assert missing.value.exit_code == 4
        assert not server.ledger


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with OpenAIServer() as server, pytest.raises(MissingExtraError, match=r"cmedteb\[api\]"):
        model_at(server.base_url).encode_documents(["a"])


def test_a_card_s_key_does_not_follow_to_another_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARD_KEY", "sk-of-the-card")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    base = "https://provider.example/v1"
    settings = {"model": "m", "base": base, "key_env": "CARD_KEY"}
    with OpenAIServer() as server:
        from_card(
            tmp_path, ModelOptions(api_base=server.base_url), settings=settings
        ).encode_queries(["a"])
        assert "authorization" not in server.ledger[0].headers
    assert from_card(tmp_path, settings=settings).endpoint.key.variable == "CARD_KEY"
    openai = model_at("https://api.openai.com/v1", "text-embedding-3-small")
    assert openai.endpoint.key.variable == "OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "--api-base"),
        ({"api_base": "not a url"}, "no base URL"),
        ({"api_base": "http://h/v1", "budget": 1.0}, "--api-price"),
        ({"api_base": "http://h/v1", "budget": -1.0, "api_price": 1.0}, "positive amount"),
        ({"api_base": "http://h/v1", "api_price": -1.0}, "--api-price"),
        ({"api_base": "http://h/v1", "dimensions": 0}, "--dimensions"),
        ({"api_base": "http://h/v1", "max_length": 512}, "--max-length"),
    ],
)
def test_requests_that_are_wrong(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_model("api:hash", ModelOptions(**options))


def test_a_name_that_hides_the_model() -> None:
    with pytest.raises(UsageError, match=r"settings\.label"):
        model_at("https://ark.cn-beijing.volces.com/api/v3", "ep-2026-abc")


@pytest.mark.parametrize(
    "settings",
    [{}, {"model": ""}, {"model": "m", "encoding_format": "hex"}, {"model": "m", "x": 1}],
)
def test_cards_that_are_wrong(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="the card of carded"):
        from_card(tmp_path, settings=settings)
