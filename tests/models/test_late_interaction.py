"""Which folders are late-interaction models, how they load, and how long their texts may be.

Run: pytest tests/models/test_late_interaction.py -q. The models are BERTs of two layers made from a
seed with a projection, saved as sentence-transformers, PyLate and Stanford's ColBERT save theirs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, corpus, queries
from small_models.colbert_recipe import (
    ASKED,
    PASSAGES,
    Recipe,
    agree,
    card,
    load,
    loops,
    recipe_scores,
)
from small_models.multi_vector import COMMA, FULL_STOP, colbert_folder

from cmedteb.errors import DataError, NotAvailableError, UsageError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("colbert")


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    """Prompts, queries filled up with [MASK], documents cut at 40, two marks skipped."""
    return colbert_folder(home / "plain", prompts={"query": "\u9ad8 ", "document": "\u8840"})


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_length_cuts_documents(folder: Path, tmp_path: Path) -> None:
    for spec, options in (
        (folder, {"max_length": 10}),
        (card(tmp_path, folder, max_length=10), {}),
    ):
        system = load(spec, **options)
        assert system.facts.max_length == 10
        assert system.facts.settings["query_length"] == 24
        found = system.search(corpus(PASSAGES[:1]), queries(ASKED[:1]), 1).scores[0]
        recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
        query = recipe("\u9ad8 " + ASKED[0], length=24, fill=True)
        document = recipe("\u8840" + PASSAGES[0], length=10, skip=FULL_STOP + COMMA)
        assert found == pytest.approx(loops(query, document), rel=1e-5)


def test_a_length_cuts_queries_that_have_none_of_their_own(home: Path) -> None:
    folder = colbert_folder(home / "unfilled", expansion=None, document_length=None)
    assert load(folder).facts.settings["query_length"] == 128
    system = load(folder, max_length=10)
    assert system.facts.settings["query_length"] == 10
    system.search(corpus([PASSAGES[0]]), queries([PASSAGES[1]]), 1)
    assert system.tokens == 20
    own = colbert_folder(home / "own", expansion=None, query_length=12)
    stated = load(own, max_length=10).facts
    assert (stated.max_length, stated.settings["query_length"]) == (10, 12)


def test_a_card_may_set_the_length_of_queries(folder: Path, tmp_path: Path) -> None:
    spec = card(tmp_path, folder, settings={"query_length": 30})
    system = load(spec)
    assert system.facts.settings["query_length"] == 30
    found = system.search(corpus(PASSAGES[:1]), queries(ASKED[:1]), 1).scores[0]
    recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
    query = recipe("\u9ad8 " + ASKED[0], length=30, fill=True)
    document = recipe("\u8840" + PASSAGES[0], length=40, skip=FULL_STOP + COMMA)
    assert found == pytest.approx(loops(query, document), rel=1e-5)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_checkpoint_of_pylate_equals_the_recipe(copy: Path) -> None:
    """PyLate 3: markers beside the prompts, flat fields, no module for mask and normalisation."""
    for path in ("2_MultiVectorMask", "3_Normalize"):
        shutil.rmtree(copy / path)
    kinds = (
        ("", "sentence_transformers.models.Transformer"),
        ("1_Dense", "pylate.models.Dense.Dense"),
    )
    write_json(
        copy / "modules.json",
        [{"idx": i, "name": str(i), "path": p, "type": t} for i, (p, t) in enumerate(kinds)],
    )
    write_json(copy / "sentence_bert_config.json", {"max_seq_length": 128})
    write_json(
        copy / "config_sentence_transformers.json",
        {
            "model_type": "ColBERT",
            "prompts": {},
            "query_prefix": "\u9ad8 ",
            "document_prefix": "\u8840",
            "query_length": 24,
            "document_length": 40,
            "attend_to_expansion_tokens": False,
            "do_query_expansion": True,
            "skiplist_words": [FULL_STOP, COMMA],
        },
    )
    system = load(copy)
    assert system.facts.prompts == {"query": "\u9ad8 ", "document": "\u8840"}
    agree(system, recipe_scores(copy))


def test_a_checkpoint_of_stanford_equals_the_recipe(folder: Path, tmp_path: Path) -> None:
    """The projection lies among the weights, the lengths in artifact.metadata."""
    from safetensors.torch import load_file, save_file

    spec = tmp_path / "stanford"
    bert = bert_folder(spec)
    for path in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (bert / path).unlink()
    weights = {f"bert.{name}": w for name, w in load_file(bert / "model.safetensors").items()}
    weights |= load_file(folder / "1_Dense" / "model.safetensors")
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((bert / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    write_json(bert / "config.json", config)
    write_json(
        bert / "artifact.metadata",
        {
            "query_token_id": "[unused0]",
            "doc_token_id": "[unused1]",
            "query_maxlen": 24,
            "doc_maxlen": 40,
            "mask_punctuation": False,
        },
    )
    marked = {"query": "\u9ad8 ", "document": "\u8840"}
    system = load(card(tmp_path, bert, prompts=marked))
    assert system.facts.settings["query_expansion"]["length"] == 24
    recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
    left = [recipe("\u9ad8 " + text, length=24, fill=True) for text in ASKED]
    right = [recipe("\u8840" + text, length=40) for text in PASSAGES]
    agree(system, np.asarray([[loops(query, document) for document in right] for query in left]))
    unmarked = load(card(tmp_path, bert))
    assert unmarked.facts.prompts == {"query": "[unused0] ", "document": "[unused1] "}


@pytest.mark.parametrize("kind", ["dense", "bare", "dense with a projection"])
def test_a_model_of_another_kind_gets_no_random_projection(
    cls_folder: Path, copy: Path, tmp_path: Path, kind: str
) -> None:
    spec = cls_folder
    if kind == "bare":
        spec = bert_folder(tmp_path / "bare")
        (spec / "modules.json").unlink()
    elif kind == "dense with a projection":
        write_json(copy / "config_sentence_transformers.json", {"model_type": None})
        spec = copy
    with pytest.raises(NotAvailableError, match="not saved as a late-interaction model"):
        load(card(tmp_path, spec))


def test_a_projection_with_code_of_its_own_needs_consent(copy: Path) -> None:
    path = copy / "1_Dense" / "config.json"
    write_json(path, json.loads(path.read_text()) | {"activation_function": "mine.Activation"})
    with pytest.raises(UsageError, match=r"mine\.Activation.* --trust-remote-code"):
        load(copy)
    with pytest.raises(NotAvailableError, match="cannot load local/copy"):
        load(copy, trust_remote_code=True)


@pytest.mark.parametrize("path", ["model.safetensors", "1_Dense/model.safetensors"])
def test_a_damaged_folder_is_not_available(copy: Path, path: str) -> None:
    (copy / path).write_bytes((copy / path).read_bytes()[:100])
    with pytest.raises(NotAvailableError, match=r"cannot load local/copy from .* on cpu"):
        load(copy)


def test_a_projection_that_is_not_there_is_not_available(copy: Path) -> None:
    (copy / "1_Dense" / "model.safetensors").unlink()
    with pytest.raises(NotAvailableError, match="cannot load local/copy"):
        load(copy)


def test_a_model_without_its_tokenizer_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(NotAvailableError, match="has no tokenizer"):
        load(copy)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"similarity": "cosine"}, r"'cosine' compares single vectors.*maxsim"),
        ({"settings": {"similarity": "dot"}}, r"\[settings\] similarity: .*'maxsim'"),
        ({"settings": {"query_length": 0}}, r"\[settings\] query_length: .*greater than"),
        ({"settings": {"nbits": 2}}, "has no setting nbits"),
        ({"dimension": 128}, "dimension = 128, but .* token vectors of 16"),
    ],
)
def test_a_card_that_is_wrong_is_refused(
    folder: Path, tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        load(card(tmp_path, folder, **fields))
