"""When a network is told of padding. Run: pytest tests/models/networks/test_masking.py -q.

Networks are small and made from seeds: a BERT, and Qwen3s that look back only or both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts
from small_models.qwen3 import qwen3_folder
from small_models.towers import QWEN3, load_tower, qwen3_recipe

from cmedteb.encoding.engine import Engine
from cmedteb.models import ModelOptions, Role, load_model
from cmedteb.models.networks.masking import Masking, looks_back_only, masking_of
from cmedteb.models.sentence_transformer import SentenceTransformer

SHORT_AND_LONG = ["a", *smoke_texts()[:3]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masking")


@pytest.fixture(scope="module")
def bert(home: Path) -> Path:
    return bert_folder(home / "bert", pooling="mean")


@pytest.fixture(scope="module")
def qwen3(home: Path) -> Path:
    return qwen3_folder(home / "qwen3", tokenizer_config={"padding_side": "left"})


def network(folder: Path, dtype: Any = None, **said: Any) -> Any:
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder)
    for name, value in said.items():
        setattr(config, name, value)
    return AutoModel.from_pretrained(folder, config=config, dtype=dtype).eval()


def watch(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a network is called with, and what it answers."""
    calls: list[dict[str, Any]] = []
    forward = model.forward

    def watched(**told: Any) -> Any:
        calls.append(told | {"answer": forward(**told)})
        return calls[-1]["answer"]

    monkeypatch.setattr(model, "forward", watched)
    return calls


def shapes(calls: Sequence[dict[str, Any]]) -> list[bool]:
    """Of each call, whether it had a mask."""
    return [call["attention_mask"] is not None for call in calls]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_decoder_looks_back_only_and_an_encoder_does_not(
    bert: Path, qwen3: Path, dtype: str
) -> None:
    import torch

    kind = getattr(torch, dtype)
    assert masking_of(network(qwen3, dtype=kind)) is Masking.NEVER
    assert masking_of(network(bert, dtype=kind)) is Masking.PADDED
    assert not looks_back_only(network(qwen3, dtype=kind, is_causal=False))


def test_a_window_that_looks_ahead_is_seen(home: Path) -> None:
    """A ModernBERT sees a few tokens on either side in most of its layers."""
    import torch
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=99,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        local_attention=4,
        global_attn_every_n_layers=9,
        pad_token_id=0,
    )
    model = ModernBertModel(config).eval()
    assert not looks_back_only(model)
    assert masking_of(model) is Masking.PADDED


def test_code_of_a_models_own_always_has_a_mask(qwen3: Path) -> None:
    model = network(qwen3)
    model.__class__ = type("Foreign", (type(model),), {"__module__": "modeling_foreign"})
    assert masking_of(model) is Masking.ALWAYS


def test_an_encoder_has_a_mask_only_where_a_batch_is_padded(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = load_model(str(bert), ModelOptions(device="cpu"))
    assert isinstance(system, SentenceTransformer)
    engine = system._engine(Role.DOCUMENT)
    assert isinstance(engine, Engine)
    calls = watch(system.model[0].model, monkeypatch)
    together = system.encode_documents(["a b", "c d"])
    assert shapes(calls) == [False]
    padded = system.encode_documents(["a b", "c d", "a b c d"])
    assert shapes(calls) == [False, True]
    np.testing.assert_allclose(padded[:2], together, atol=1e-6)
    expected = system.model.encode(["a b", "c d", "a b c d"], show_progress_bar=False)
    np.testing.assert_allclose(padded, expected, atol=1e-6)


def test_a_decoder_has_no_mask_and_is_padded_behind_its_texts(
    qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = load_tower(qwen3, **QWEN3)
    assert tower.path == "engine (sdpa, no mask)"
    assert tower.network.ids.left
    calls = watch(tower.network.model, monkeypatch)
    found = tower.network.encode(SHORT_AND_LONG)
    assert shapes(calls) == [False]
    ids = calls[0]["input_ids"]
    assert (ids[1:, 0] != ids[0, -1]).all()
    assert ids[0, 0] != ids[0, -1]
    np.testing.assert_allclose(found, qwen3_recipe(qwen3, SHORT_AND_LONG), atol=1e-5)


def test_a_decoder_that_sees_both_ways_keeps_its_mask_and_its_side(
    qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = load_tower(qwen3, **(QWEN3 | {"settings": QWEN3["settings"] | {"causal": False}}))
    assert tower.path == "engine (sdpa, mask where padded)"
    calls = watch(tower.network.model, monkeypatch)
    together = tower.network.encode(SHORT_AND_LONG)
    alone = np.concatenate([tower.network.encode([text]) for text in SHORT_AND_LONG])
    assert shapes(calls) == [True, *[False] * len(SHORT_AND_LONG)]
    assert (calls[0]["attention_mask"][1:, 0] == 0).all()
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("library", [False, True], ids=["transformers", "sentence-transformers"])
def test_a_decoder_keeps_no_cache_and_has_no_head(
    qwen3: Path, home: Path, library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any
    if library:
        from sentence_transformers import SentenceTransformer as Model
        from sentence_transformers.base.modules import Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        modules = [Transformer(str(qwen3)), Pooling(32, pooling_mode="lasttoken")]
        Model(modules=modules, device="cpu").save_pretrained(str(home / "wrapped"))
        wrapped = load_model(str(home / "wrapped"), ModelOptions(device="cpu"))
        assert isinstance(wrapped, SentenceTransformer)
        assert wrapped.path == "engine (sdpa, no mask)"
        model, encode = wrapped.model[0].model, wrapped.encode_documents
    else:
        tower = load_tower(qwen3, **QWEN3)
        model, encode = tower.network.model, tower.network.encode
    calls = watch(model, monkeypatch)
    encode(SHORT_AND_LONG)
    [call] = calls
    assert call["answer"].past_key_values is None
    assert "logits" not in call["answer"]
    assert call["answer"].hidden_states is None
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert "lm_head" not in names
    assert "embed_tokens" in names
