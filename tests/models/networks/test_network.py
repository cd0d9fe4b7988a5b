"""Networks as transformers loads them: padding, positions, number types, and what is refused.

Run: pytest tests/models/networks/test_network.py -q. The models have two layers, made from a seed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import bert_folder
from small_models.qwen3 import END, qwen3_folder
from small_models.towers import (
    QWEN3,
    TEXTS,
    load_tower,
    parts_of,
    qwen3_recipe,
)

from cmedteb.errors import DataError, NotAvailableError, UsageError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instruct")


@pytest.fixture(scope="module")
def closing(home: Path) -> Path:
    """A Qwen3 whose tokenizer closes texts as Qwen3-Embedding's does. Do not edit."""
    return qwen3_folder(home / "closing")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_padding_moves_no_vector(closing: Path, side: str, pooling: str) -> None:
    settings = {"padding_side": side, "last_token": END}
    tower = load_tower(closing, pooling=pooling, similarity="dot", settings=settings)
    alone = np.concatenate([tower.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(tower.encode_documents(TEXTS), alone, atol=1e-5)


@pytest.fixture(scope="module")
def roberta(home: Path) -> Path:
    """A RoBERTa, which counts positions by the padding in the ids. Do not edit."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    folder = bert_folder(home / "roberta")
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=0,
        initializer_range=0.5,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("kind", ["cls_folder", "roberta"])
def test_towers_that_learn_their_positions(
    kind: str,
    pooling: str,
    side: str,
    request: pytest.FixtureRequest,
) -> None:
    import torch

    folder = request.getfixturevalue(kind)
    settings = {"padding_side": side, "normalize": True}
    tower = load_tower(
        folder, pooling=pooling, similarity="cosine", settings=settings, max_length=100
    )
    tokenizer, model = parts_of(folder)
    rows = []
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=100, return_tensors="pt")
        with torch.no_grad():
            states = model(**batch).last_hidden_state[0]
        vector = states[0] if pooling == "cls" else states.mean(dim=0)
        rows.append((vector / vector.norm()).numpy())
    np.testing.assert_allclose(tower.encode_queries(TEXTS), np.stack(rows), atol=1e-5)


def test_more_tokens_than_positions_are_refused(closing: Path) -> None:
    with pytest.raises(UsageError, match="has positions for 256 tokens"):
        load_tower(closing, {"max_length": 257}, **QWEN3)


def lose_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: weights[name] for name in weights if "layers.1" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def lose_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def break_words(folder: Path) -> None:
    (folder / "config_sentence_transformers.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lose_weights, NotAvailableError, r"lack \d+ weights.*layers\.1"),
        (lose_tokenizer, NotAvailableError, r"tokenizer"),
        (cut_weights, NotAvailableError, r"cannot load local/damaged from .* on cpu"),
        (break_words, DataError, "not valid JSON"),
    ],
)
def test_a_damaged_folder_is_refused(
    closing: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    error: type[Exception],
    message: str,
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(closing, folder)
    damage(folder)
    with pytest.raises(error, match=message):
        load_tower(folder, **QWEN3)


def test_weights_that_no_pooling_reads_may_lack(cls_folder: Path, tmp_path: Path) -> None:
    """A masked language model has no pooler; it is not counted either."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "mlm"
    shutil.copytree(cls_folder, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weights[name] for name in weights if not name.startswith("pooler")}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    tower = load_tower(folder, pooling="cls", similarity="cosine")
    counted = sum(tensor.numel() for tensor in kept.values())
    assert tower.facts.parameters["query"] == counted
    whole = load_tower(cls_folder, pooling="cls", similarity="cosine")
    np.testing.assert_array_equal(tower.encode_queries(TEXTS), whole.encode_queries(TEXTS))


@pytest.fixture
def coded(closing: Path, tmp_path: Path) -> Path:
    """A model with code of its own."""
    folder = tmp_path / "coded"
    shutil.copytree(closing, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(
        "from transformers import Qwen3Config, Qwen3Model\n"
        "class C(Qwen3Config):\n    model_type = 'mine'\n"
        "class M(Qwen3Model):\n    config_class = C\n"
    )
    return folder


def test_code_of_a_model_needs_consent(
    coded: Path, closing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--trust-remote-code"):
        load_tower(coded, **QWEN3)
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(coded.parent / "modules")
    )
    tower = load_tower(coded, {"trust_remote_code": True}, **QWEN3)
    assert tower.facts.settings["trust_remote_code"] is True
    np.testing.assert_allclose(
        tower.encode_documents(TEXTS), qwen3_recipe(closing, TEXTS), atol=1e-5
    )


def test_the_weights_type_is_the_one_asked_for(closing: Path) -> None:
    tower = load_tower(closing, {"dtype": "bf16"}, **QWEN3)
    assert tower.facts.dtype == "bfloat16"
    vectors = tower.encode_documents(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert 1e-4 < np.abs(vectors - qwen3_recipe(closing, TEXTS)).max() < 0.5


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "transformers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from cmedteb.errors import MissingExtraError
from cmedteb.models import load_model
try:
    load_model(sys.argv[1])
except MissingExtraError as error:
    sys.stdout.write(str(error))
"""


def test_what_a_plain_install_says(closing: Path) -> None:
    load_tower(closing, **QWEN3)
    card = closing.parent / f"{closing.name}.toml"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(card)], capture_output=True, text=True, check=False
    )
    told = "transformers is not installed. Install it with: pip install 'cmedteb[models]'"
    assert done.stdout == told, done.stderr
