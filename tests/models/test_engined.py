"""Which models the engine runs, and that its vectors are the library's own.

Run: pytest tests/models/test_engined.py -q. Small models from seeds, saved and loaded as any
other; what the engine gives is compared with sentence-transformers' `encode`, text by text order.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts, strings
from small_models.qwen3 import END, qwen3_folder
from small_models.router import router_folder
from small_models.static import static_folder
from small_models.towers import BMRETRIEVER, LONG, QWEN3, load_tower, qwen3_recipe

from cmedteb.encoding import encode_distinct
from cmedteb.models import ModelOptions, Role, TaskContext, load_model
from cmedteb.models.protocols import Engined
from cmedteb.models.sentence_transformer import SentenceTransformer
from cmedteb.types import Float32Array, TaskType, TextColumn

TEXTS = [*smoke_texts()[:6], "\u9ad8\u8840\u538b", "  CT \u68c0\u67e5 ", "", "a", LONG]
RETRIEVAL = TaskContext("Some", TaskType.RETRIEVAL, instruction="Find what the task asks for")


def load(folder: Path, **options: Any) -> SentenceTransformer:
    system = load_model(str(folder), ModelOptions(**({"device": "cpu"} | options)))
    assert isinstance(system, SentenceTransformer)
    assert isinstance(system, Engined)
    return system


def column(system: Engined, role: Role, *, budget: int | None = None) -> Float32Array:
    texts = TextColumn(strings(TEXTS), np.arange(len(TEXTS), dtype=np.int32))
    return encode_distinct(system.source(role, budget), texts).vectors


def check(system: SentenceTransformer) -> None:
    """Both sides, by the column and by the list, equal the library's vectors."""
    for role in Role:
        expected = system.model.encode(
            TEXTS,
            prompt=system.bound.prompt(role),
            task=system.bound.routes[role].task,
            batch_size=4,
            show_progress_bar=False,
        )
        side = system.encode_queries if role is Role.QUERY else system.encode_documents
        for vectors in (column(system, role), column(system, role, budget=200), side(TEXTS)):
            np.testing.assert_allclose(vectors, expected, atol=1e-5)
        assert len(np.unique(np.round(expected, 3), axis=0)) > len(TEXTS) - 3


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "weightedmean", "lasttoken"])
def test_every_pooling(tmp_path: Path, pooling: str) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling=pooling, normalise=False))
    assert system.path == "engine (sdpa, mask where padded)"
    check(system)


def test_prompts_of_each_side(tmp_path: Path) -> None:
    prompts = {"query": "\u95ee: ", "document": "\u7b54"}
    system = load(bert_folder(tmp_path / "bert", pooling="mean", prompts=prompts))
    assert system.path == "engine (sdpa, mask where padded)"
    check(system)
    assert np.abs(system.encode_queries(TEXTS) - system.encode_documents(TEXTS)).max() > 0.01


def test_a_prompt_that_is_not_pooled(tmp_path: Path) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling="mean", prompts={"query": "\u95ee: "}))
    with_prompt = system.encode_queries(TEXTS)
    system = load(tmp_path / "bert")
    system.model.set_pooling_include_prompt(False)
    check(system)
    assert system.path == "engine (sdpa, mask where padded)"
    assert np.abs(system.encode_queries(TEXTS) - with_prompt).max() > 0.01


@pytest.mark.parametrize("max_length", [5, 40])
def test_texts_are_cut_where_the_library_cuts_them(tmp_path: Path, max_length: int) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling="mean"), max_length=max_length)
    assert system.path == "engine (sdpa, mask where padded)"
    if max_length > 5:
        check(system)
    before = system.tokens
    column(system, Role.DOCUMENT)
    read = system.model.tokenizer(TEXTS, truncation=True)["input_ids"]
    assert system.tokens - before == sum(map(len, read))
    assert max(map(len, read)) == max_length


def test_vectors_are_cut_as_configured(tmp_path: Path) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling="mean"))
    system.model.truncate_dim = 12
    assert column(system, Role.DOCUMENT).shape == (len(TEXTS), 12)
    check(system)


def test_no_texts_have_the_models_width(tmp_path: Path) -> None:
    assert load(bert_folder(tmp_path / "bert")).encode_queries([]).shape == (0, 32)


def test_a_router_has_a_path_for_each_side(tmp_path: Path) -> None:
    system = load(router_folder(tmp_path / "router"))
    query, document = system.path.split("; ")
    assert query == "query: plain: StaticEmbedding reads texts by itself"
    assert document == "document: engine (sdpa, mask where padded)"
    check(system)


def test_static_embeddings_go_the_plain_way_in_large_batches(tmp_path: Path) -> None:
    system = load(static_folder(tmp_path / "static"))
    assert system.path == "plain: StaticEmbedding reads texts by itself"
    check(system)
    parts = list(system.source(Role.DOCUMENT)(strings(TEXTS)))
    assert len(parts) == 1
    assert len(list(system.source(Role.DOCUMENT, 50)(strings(TEXTS)))) > 1


def test_a_decoder_that_is_padded_on_the_left(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer as Model
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = qwen3_folder(tmp_path / "qwen3", tokenizer_config={"padding_side": "left"})
    modules = [Transformer(str(folder)), Pooling(32, pooling_mode="lasttoken"), Normalize()]
    Model(modules=modules, device="cpu").save_pretrained(str(tmp_path / "wrapped"))
    system = load(tmp_path / "wrapped")
    assert system.path == "engine (sdpa, no mask)"
    check(system)
    np.testing.assert_allclose(
        system.encode_documents(TEXTS), qwen3_recipe(folder, TEXTS), atol=1e-5
    )


def expand_queries(system: SentenceTransformer) -> None:
    system.model[0].query_expansion = {"strategy": "fixed", "length": 32, "attend": True}


def cut_elsewhere(system: SentenceTransformer) -> None:
    system.model[0].processing_kwargs = {"text": {"max_length": 20}}


def add_a_feature(system: SentenceTransformer) -> None:
    prepare = system.model[0].preprocess
    system.model[0].preprocess = lambda *args, **told: prepare(*args, **told) | {"weights": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (expand_queries, "query: plain: the library .*; document: engine .*"),
        (cut_elsewhere, "plain: the library makes other input_ids"),
        (add_a_feature, "plain: the library adds weights to texts"),
    ],
)
def test_what_the_engine_does_not_know_goes_the_plain_way(
    tmp_path: Path, change: Any, reason: str
) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling="mean"))
    change(system)
    assert re.fullmatch(reason, system.path)
    check(system)


def test_a_tokenizer_without_a_rust_one(tmp_path: Path) -> None:
    system = load(bert_folder(tmp_path / "bert", pooling="mean"))
    kind = type("Slow", (type(system.model.tokenizer),), {"is_fast": False})
    system.model.tokenizer.__class__ = kind
    assert system.path == "plain: Slow wraps no Rust tokenizer"
    check(system)


def test_an_instruct_tower_over_a_column(tmp_path: Path) -> None:
    tower = load_tower(qwen3_folder(tmp_path / "closing"), **QWEN3).for_task(RETRIEVAL)
    assert isinstance(tower, Engined)
    asked = [f"Instruct: {RETRIEVAL.instruction}\nQuery:{text}" for text in TEXTS]
    for texts, role in ((asked, Role.QUERY), (TEXTS, Role.DOCUMENT)):
        expected = qwen3_recipe(tmp_path / "closing", texts)
        for budget in (None, 300):
            np.testing.assert_allclose(column(tower, role, budget=budget), expected, atol=1e-5)
    assert tower.network.ids._rust is not None
    there = pickle.loads(pickle.dumps(tower.network.engine.plan("x")))
    for one, other in zip(
        there(strings(TEXTS)), tower.network.engine.plan("x")(strings(TEXTS)), strict=True
    ):
        np.testing.assert_array_equal(one.ids, other.ids)


def test_a_token_is_appended_over_a_column(tmp_path: Path) -> None:
    folder = qwen3_folder(tmp_path / "open", closed_by=None, eos=END)
    tower = load_tower(folder, **BMRETRIEVER).for_task(RETRIEVAL)
    expected = tower.encode_documents(TEXTS)
    before = tower.tokens
    np.testing.assert_allclose(column(tower, Role.DOCUMENT, budget=90), expected, atol=1e-5)
    ids = tower.network.ids.together([f"Represent this passage\npassage: {one}" for one in TEXTS])
    assert tower.tokens - before == len(ids.ids)
    assert tower.network.ids.closing_id is not None
    assert ids.end_with(tower.network.ids.closing_id).all()
    tower.network.ids.__dict__["_rust"] = None
    np.testing.assert_allclose(column(tower, Role.DOCUMENT), expected, atol=1e-5)
