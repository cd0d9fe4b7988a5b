"""Cards against what sentence-transformers loads: applied or refused, never ignored.

Run: pytest tests/models/sbert/test_load.py -q.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import ModelCopies, bert_folder, smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.router import router_folder

from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models import ModelOptions, load_model
from cmedteb.models.sentence_transformer import SentenceTransformer

TEXTS = [*smoke_texts()[:4], "\u9ad8\u8840\u538b"]
BARE = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")


def load_card(folder: Path, place: Path, **fields: Any) -> SentenceTransformer:
    said = {"name": "mine", "family": "sentence-transformer", "title": "x", "hf": str(folder)}
    card = write_card(place / "card.toml", **(said | fields))
    system = load_model(str(card), ModelOptions(device="cpu"))
    assert isinstance(system, SentenceTransformer)
    return system


@pytest.fixture
def bare(cls_folder: Path, tmp_path: Path) -> Path:
    """Weights and tokenizer, and nothing that says how they pool."""
    folder = tmp_path / "bare"
    shutil.copytree(cls_folder, folder)
    for name in BARE:
        (folder / name).unlink()
    return folder


def states(folder: Path) -> list[NDArray[Any]]:
    """Token states of each text, shape (tokens, width)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        batches = [tokenizer(text, return_tensors="pt") for text in TEXTS]
        return [model(**batch).last_hidden_state[0].numpy() for batch in batches]


@pytest.mark.parametrize(
    ("pooling", "stated", "row"), [("cls", "cls", 0), ("last", "lasttoken", -1)]
)
def test_bare_weights_pool_as_their_card_says(
    bare: Path, tmp_path: Path, pooling: str, stated: str, row: int
) -> None:
    system = load_card(bare, tmp_path, pooling=pooling)
    assert system.facts.pooling == stated
    expected = np.stack([state[row] for state in states(bare)])
    np.testing.assert_allclose(system.encode_queries(TEXTS), expected, atol=1e-5)


def test_bare_weights_without_a_word_take_the_mean_and_the_facts_say_so(
    bare: Path, tmp_path: Path
) -> None:
    system = load_card(bare, tmp_path)
    assert system.facts.pooling == "mean"
    expected = np.stack([state.mean(axis=0) for state in states(bare)])
    np.testing.assert_allclose(system.encode_queries(TEXTS), expected, atol=1e-5)


def test_bare_weights_do_not_pool_in_a_way_nobody_knows(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pooling = 'best', but what was loaded pools by 'mean'"):
        load_card(bare, tmp_path, pooling="best")


@pytest.mark.parametrize("pooling", ["cls", "cls > Normalize"])
def test_a_card_that_agrees(cls_folder: Path, tmp_path: Path, pooling: str) -> None:
    facts = load_card(cls_folder, tmp_path, pooling=pooling, dimension=32).facts
    assert (facts.pooling, facts.dimension) == ("cls > Normalize", 32)


@pytest.mark.parametrize("pooling", ["mean", "last", "Normalize"])
def test_a_card_of_another_pooling(cls_folder: Path, tmp_path: Path, pooling: str) -> None:
    both = f"pooling = '{pooling}', but what was loaded pools by 'cls > Normalize'"
    with pytest.raises(DataError, match=both):
        load_card(cls_folder, tmp_path, pooling=pooling)


def test_one_word_fits_a_router_only_where_both_sides_pool_so(tmp_path: Path) -> None:
    folder = router_folder(tmp_path / "router")
    with pytest.raises(DataError, match="pooling = 'cls', but what was loaded pools by 'query: St"):
        load_card(folder, tmp_path, pooling="cls")
    whole = "query: StaticEmbedding > Normalize; document: cls > Dense > Normalize"
    assert load_card(folder, tmp_path, pooling=whole).facts.pooling == whole


def test_a_card_of_another_dimension(cls_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dimension = 768, but the model that was loaded makes vec"):
        load_card(cls_folder, tmp_path, dimension=768)
    cut = bert_folder(tmp_path / "cut", truncate_dim=8)
    with pytest.raises(DataError, match=r"dimension = 32, but .* vectors of 8"):
        load_card(cut, tmp_path, dimension=32)
    assert load_card(cut, tmp_path, dimension=8).facts.dimension == 8


def test_a_setting_that_the_family_does_not_have(cls_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no setting max_active_dims; it takes tasks"):
        load_card(cls_folder, tmp_path, settings={"max_active_dims": 4})


@pytest.mark.parametrize(
    ("kind", "runs"), [("SparseEncoder", "sparse-encoder"), ("CrossEncoder", "cross-encoder")]
)
def test_a_model_of_another_kind_is_not_turned_into_this_one(
    copies: ModelCopies, tmp_path: Path, kind: str, runs: str
) -> None:
    folder = copies(model_type=kind)
    with pytest.raises(DataError, match=f"was saved as {kind}, which {runs} runs; its card says"):
        load_card(folder, tmp_path)


def test_a_maximum_length_of_the_card(cls_folder: Path, tmp_path: Path) -> None:
    assert load_card(cls_folder, tmp_path, max_length=9).facts.max_length == 9
    with pytest.raises(UsageError, match="128 positions"):
        load_card(cls_folder, tmp_path, max_length=512)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("router_config.json", {}),
        ("document_1_Pooling/config.json", {}),
        ("document_2_Dense/config.json", {"in_features": "x"}),
        ("modules.json", [{"path": ""}]),
    ],
)
def test_a_damaged_module_names_the_model(tmp_path: Path, name: str, holds: object) -> None:
    """Keys that lack, or values of another kind: what the library raises there names no model."""
    folder = router_folder(tmp_path / "broken")
    (folder / name).write_text(json.dumps(holds), encoding="utf-8")
    with pytest.raises(NotAvailableError, match="cannot load local/broken from"):
        load_card(folder, tmp_path)


def test_a_route_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = router_folder(tmp_path / "lacking")
    (folder / "document_0_Transformer" / "tokenizer.json").unlink()
    with pytest.raises(NotAvailableError, match="has no tokenizer in"):
        load_card(folder, tmp_path)
