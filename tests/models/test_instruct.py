"""Instruct embedders through the real loader, against their authors' recipes.

Run: pytest tests/models/test_instruct.py -q. The models have two layers, made from a seed
(tests/small_models/qwen3.py), saved and loaded as any other model; the recipes are written out in
tests/small_models/towers.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import configure
from small_models.qwen3 import END, qwen3_folder, save_tokenizer, vary_norms
from small_models.towers import (
    BMRETRIEVER,
    LONG,
    QWEN3,
    TASK,
    TEXTS,
    bmretriever_recipe,
    load_tower,
    parts_of,
    qwen3_recipe,
)

from cmedteb.errors import DataError, UsageError
from cmedteb.models import TaskContext
from cmedteb.types import Similarity, TaskType

RETRIEVAL = TaskContext("Some", TaskType.RETRIEVAL, instruction="Find what the task asks for")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instruct")


@pytest.fixture(scope="module")
def closing(home: Path) -> Path:
    """A Qwen3 whose tokenizer closes texts as Qwen3-Embedding's does. Do not edit."""
    return qwen3_folder(home / "closing")


@pytest.fixture(scope="module")
def open_ended(home: Path) -> Path:
    """A Qwen3 whose tokenizer closes no text, though its configuration asks for it. Do not edit."""
    folder = home / "open"
    return qwen3_folder(folder, closed_by=None, eos=END, tokenizer_config={"add_eos_token": True})


def test_qwen3_embedding(closing: Path) -> None:
    tower = load_tower(closing, **QWEN3).for_task(RETRIEVAL)
    asked = [f"Instruct: {RETRIEVAL.instruction}\nQuery:{text}" for text in TEXTS]
    np.testing.assert_allclose(tower.encode_queries(TEXTS), qwen3_recipe(closing, asked), atol=1e-5)
    texts = [*TEXTS, LONG]
    np.testing.assert_allclose(
        tower.encode_documents(texts), qwen3_recipe(closing, texts), atol=1e-5
    )


@pytest.fixture(scope="module")
def pythia(home: Path) -> Path:
    """A GPT-NeoX, which BMRetriever-410M and -1B are. Do not edit."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXModel

    folder = home / "pythia"
    size = save_tokenizer(folder, closed_by=None, eos=END, config={})
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    vary_norms(GPTNeoXModel(config)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["open_ended", "pythia"])
def test_bmretriever(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    tower = load_tower(folder, **BMRETRIEVER).for_task(RETRIEVAL)
    texts = [*TEXTS, LONG]
    for encode, prompt in (
        (tower.encode_queries, f"{RETRIEVAL.instruction}\nQuery: "),
        (tower.encode_documents, "Represent this passage\npassage: "),
    ):
        expected = bmretriever_recipe(folder, [prompt + text for text in texts])
        np.testing.assert_allclose(encode(texts), expected, atol=1e-5)
    assert np.linalg.norm(tower.encode_documents(TEXTS), axis=1).std() > 0.01
    assert tower.facts.similarity is Similarity.DOT


def test_gte_qwen2_sees_both_ways(home: Path) -> None:
    """Every token of gte-Qwen2-7B sees all others; the recipe says so with a mask of its own."""
    import torch
    from transformers import Qwen2Config, Qwen2Model

    folder = home / "gte"
    size = save_tokenizer(folder, closed_by=END, eos=END, config={})
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    vary_norms(Qwen2Model(config)).save_pretrained(folder)
    card = QWEN3 | {"prompts": {"query": "Instruct: {instruction}\nQuery: ", "document": ""}}
    both = load_tower(folder, **card | {"settings": {"normalize": True, "causal": False}})
    tokenizer, model = parts_of(folder)
    rows = []
    for text in TEXTS:
        prompt = f"Instruct: {TASK}\nQuery: "
        ids = tokenizer(prompt + text, return_tensors="pt")["input_ids"]
        seen = torch.zeros((1, 1, ids.shape[1], ids.shape[1]))
        with torch.no_grad():
            state = model(input_ids=ids, attention_mask=seen).last_hidden_state[0, -1]
        rows.append((state / state.norm()).numpy())
    np.testing.assert_allclose(both.encode_queries(TEXTS), np.stack(rows), atol=1e-5)
    ahead = load_tower(folder, **card | {"settings": {"normalize": True}})
    assert np.abs(ahead.encode_queries(TEXTS) - np.stack(rows)).max() > 0.01
    assert both.facts.identity != ahead.facts.identity


def test_vectors_are_cut_after_they_were_scaled(closing: Path) -> None:
    settings = QWEN3["settings"] | {"truncate_dim": 12}
    tower = load_tower(closing, **QWEN3 | {"settings": settings})
    vectors = tower.encode_documents(TEXTS)
    np.testing.assert_allclose(vectors, qwen3_recipe(closing, TEXTS)[:, :12], atol=1e-5)
    assert np.linalg.norm(vectors, axis=1).max() < 0.99
    assert tower.facts.dimension == 12
    assert tower.facts.pooling == "last > normalize > first 12"


def test_facts(closing: Path) -> None:
    from safetensors.torch import load_file

    facts = load_tower(closing, **QWEN3).facts
    weights = sum(tensor.numel() for tensor in load_file(closing / "model.safetensors").values())
    assert facts.parameters == {"query": weights, "document": weights}
    assert (facts.name, facts.family) == ("local/closing", "instruct")
    assert (facts.dimension, facts.max_length, facts.dtype) == (32, 256, "float32")
    assert facts.pooling == "last > normalize"
    assert facts.similarity is Similarity.COSINE
    assert facts.settings == {"last_token": END, "append_eos": False}
    query = f"Instruct: {TASK}\nQuery:"
    assert facts.prompts == {"query": query, "document": ""}
    assert facts.reproducible
    json.dumps(facts.identity)


def test_tokens_are_counted(closing: Path) -> None:
    tower = load_tower(closing, **QWEN3)
    tokenizer, _ = parts_of(closing)
    tower.for_task(RETRIEVAL).encode_documents(TEXTS)
    assert tower.tokens == sum(len(tokenizer(text)["input_ids"]) for text in TEXTS)


def test_no_text_no_vector(closing: Path) -> None:
    assert load_tower(closing, **QWEN3).encode_queries([]).shape == (0, 32)


def test_a_prompt_waits_for_its_task(open_ended: Path) -> None:
    tower = load_tower(open_ended, **BMRETRIEVER)
    assert tower.facts.prompts["query"] == "{instruction}\nQuery: "
    with pytest.raises(UsageError, match="needs an instruction"):
        tower.encode_queries(TEXTS)
    assert tower.for_task(RETRIEVAL).facts.prompts["query"].startswith(str(RETRIEVAL.instruction))
    with pytest.raises(UsageError, match="needs an instruction"):
        tower.for_task(TaskContext("x", TaskType.RETRIEVAL))
    said = load_tower(open_ended, {"query_prompt": "mine: "}, **BMRETRIEVER)
    np.testing.assert_allclose(
        said.encode_queries(TEXTS),
        bmretriever_recipe(open_ended, [f"mine: {text}" for text in TEXTS]),
        atol=1e-5,
    )


def test_the_models_own_words_count(home: Path) -> None:
    folder = home / "worded"
    shutil.copytree(qwen3_folder(home / "plain"), folder)
    configure(folder, prompts={"query": "Q: ", "document": None}, similarity_fn_name="dot")
    facts = load_tower(folder, pooling="last", settings={"last_token": END}).facts
    assert facts.prompts == {"query": "Q: ", "document": ""}
    assert facts.similarity is Similarity.DOT


def test_both_sides_of_a_pair_of_sentences_are_asked_alike(closing: Path) -> None:
    card = QWEN3 | {
        "prompts": QWEN3["prompts"] | {"sts": "Instruct: {instruction}\nQuery:"},
        "instructions": {"sts": "Find similar text"},
    }
    tower = load_tower(closing, **card).for_task(TaskContext("x", TaskType.STS))
    asked = [f"Instruct: Find similar text\nQuery:{text}" for text in TEXTS]
    np.testing.assert_allclose(tower.encode_queries(TEXTS), qwen3_recipe(closing, asked), atol=1e-5)
    np.testing.assert_array_equal(tower.encode_queries(TEXTS), tower.encode_documents(TEXTS))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pooling": "unknown"}, "pooling is 'unknown', and must be one of cls, mean, last"),
        ({"similarity": "unknown"}, "states no similarity"),
        ({"settings": {"normalize": "yes"}}, r"\[settings\] is wrong: normalize"),
        ({"settings": {"padding_side": "top"}}, r"\[settings\] is wrong: padding_side"),
        ({"settings": {"truncate_dim": 33, "last_token": END}}, "have 32 dimensions"),
        ({"settings": {"normalise": True}}, "instruct has no setting normalise"),
    ],
)
def test_a_wrong_card_is_refused(closing: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_tower(closing, **QWEN3 | fields)
