"""sentence-transformers models through the real loader.

Run: pytest tests/models/test_sentence_transformer.py -q. The models are BERTs of two layers made
from a seed (tests/builders.py), saved and loaded as any other model.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import ModelCopies, bert_folder, smoke_texts

from cmedteb.errors import NotAvailableError, UsageError
from cmedteb.models import ModelOptions, load_model
from cmedteb.models.sentence_transformer import SentenceTransformer
from cmedteb.types import Float32Array, Similarity

TEXTS = [*smoke_texts()[:6], "\u9ad8\u8840\u538b", "CT \u68c0\u67e5", ""]
LONG = "\u8840" * 300


def load(folder: Path, **options: object) -> SentenceTransformer:
    system = load_model(str(folder), ModelOptions(**{"device": "cpu"} | options))  # type: ignore[arg-type]
    assert isinstance(system, SentenceTransformer)
    return system


def recipe(
    folder: Path, texts: list[str], *, pooling: str, normalise: bool, max_length: int = 128
) -> Float32Array:
    """The same vectors from transformers alone, text by text."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            states = model(**batch).last_hidden_state[0]
            vector = states[0] if pooling == "cls" else states.mean(dim=0)
            rows.append(vector / vector.norm() if normalise else vector)
    return np.asarray(torch.stack(rows).numpy(), dtype=np.float32)


def test_cls_vectors_equal_the_recipe(cls_folder: Path) -> None:
    vectors = load(cls_folder).encode_queries(TEXTS)
    expected = recipe(cls_folder, TEXTS, pooling="cls", normalise=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors.dtype == np.float32


def test_mean_vectors_equal_the_recipe(mean_folder: Path) -> None:
    vectors = load(mean_folder).encode_documents(TEXTS)
    expected = recipe(mean_folder, TEXTS, pooling="mean", normalise=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.linalg.norm(vectors, axis=1).std() > 0.01


def test_a_batch_gives_the_vectors_of_each_text_alone(mean_folder: Path) -> None:
    system = load(mean_folder)
    alone = np.concatenate([system.encode_queries([text]) for text in TEXTS])
    np.testing.assert_allclose(system.encode_queries(TEXTS), alone, atol=1e-5)


def test_a_prompt_stands_before_the_text(copies: ModelCopies) -> None:
    from cmedteb.models import TaskContext
    from cmedteb.types import TaskType

    folder = copies(prompts={"query": "\u9ad8: ", "document": "\u8840"})
    system = load(folder).for_task(TaskContext("x", TaskType.RETRIEVAL))
    for encode, prompt in (
        (system.encode_queries, "\u9ad8: "),
        (system.encode_documents, "\u8840"),
    ):
        expected = recipe(folder, [prompt + t for t in TEXTS], pooling="cls", normalise=True)
        np.testing.assert_allclose(encode(TEXTS), expected, atol=1e-5)


def test_no_prompt_where_none_is_stated(cls_folder: Path) -> None:
    system = load(cls_folder)
    np.testing.assert_array_equal(system.encode_queries(TEXTS), system.encode_documents(TEXTS))


def test_facts_are_read_from_the_model(cls_folder: Path, mean_folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    facts = load(cls_folder, device="cpu").facts
    weights = sum(tensor.numel() for tensor in load_file(cls_folder / "model.safetensors").values())
    assert weights > 50_000
    assert facts.parameters == {"query": weights, "document": weights}
    assert facts.name == "local/cls-bert"
    assert facts.family == "sentence-transformer"
    assert (facts.dimension, facts.max_length, facts.dtype) == (32, 128, "float32")
    assert facts.pooling == "cls > Normalize"
    assert facts.similarity is Similarity.COSINE
    assert facts.device == "cpu"
    assert "torch" in facts.libraries
    assert facts.reproducible
    other = load(mean_folder).facts
    assert other.pooling == "mean"
    assert other.similarity is Similarity.DOT
    assert torch.float32.itemsize == 4


@pytest.mark.parametrize("stated", ["manhattan", "euclidean"])
def test_a_similarity_that_is_not_supported_is_refused(copies: ModelCopies, stated: str) -> None:
    system = load(copies(similarity_fn_name=stated))
    with pytest.raises(UsageError, match=f"by '{stated}'; cmedteb scores dot and cosine only"):
        _ = system.facts


def test_tokens_are_counted_as_the_tokenizer_counts(cls_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(cls_folder)
    lengths = [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    system = load(cls_folder)
    assert system.tokens == 0
    system.encode_queries(TEXTS)
    assert system.tokens == sum(lengths)
    system.encode_documents(TEXTS[:2])
    assert system.tokens == sum(lengths) + sum(lengths[:2])
    assert len({length for length in lengths if length > 2}) > 3


def test_max_length_cuts_texts(cls_folder: Path) -> None:
    system = load(cls_folder, max_length=10)
    assert system.facts.max_length == 10
    vectors = system.encode_queries([LONG, LONG[:8]])
    assert system.tokens == 20
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    expected = recipe(cls_folder, [LONG], pooling="cls", normalise=True, max_length=10)
    np.testing.assert_allclose(vectors[:1], expected, atol=1e-5)


def test_the_models_own_max_length_cuts_texts(cls_folder: Path) -> None:
    system = load(cls_folder)
    system.encode_queries([LONG])
    assert system.tokens == 128


@pytest.fixture(scope="module")
def bfloat16_folder(mean_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mean model with weights saved in bfloat16."""
    import torch
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("bf16") / "model"
    shutil.copytree(mean_folder, folder)
    BertModel.from_pretrained(mean_folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    return folder


def test_a_model_saved_in_bfloat16_runs_in_float32_on_cpu(bfloat16_folder: Path) -> None:
    system = load(bfloat16_folder, device="cpu")
    assert system.facts.dtype == "float32"
    expected = recipe(bfloat16_folder, TEXTS, pooling="mean", normalise=False)
    np.testing.assert_allclose(system.encode_queries(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("wanted", ["bfloat16", "bf16"])
def test_a_type_that_is_asked_for_is_used(mean_folder: Path, wanted: str) -> None:
    system = load(mean_folder, device="cpu", dtype=wanted)
    assert system.facts.dtype == "bfloat16"
    vectors = system.encode_queries(TEXTS)
    assert vectors.dtype == np.float32
    exact = recipe(mean_folder, TEXTS, pooling="mean", normalise=False)
    assert 1e-4 < np.abs(vectors - exact).max() < 1


def test_an_unknown_type_is_refused(cls_folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown dtype 'int4'"):
        load(cls_folder, dtype="int4")


def test_an_unknown_device_is_refused(cls_folder: Path) -> None:
    with pytest.raises(UsageError, match="torch knows no device 'gpu'"):
        load(cls_folder, device="gpu")


def test_a_device_that_is_not_there_is_not_available(cls_folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(NotAvailableError, match="sees no CUDA device"):
        load(cls_folder, device="cuda")


def test_another_seed_is_another_revision(cls_folder: Path, tmp_path: Path) -> None:
    other = bert_folder(tmp_path / "cls-bert", pooling="cls", seed=1)
    again = bert_folder(tmp_path / "again", pooling="cls", seed=0)
    first = load(cls_folder).facts.revision
    assert load(other).facts.revision != first
    assert load(again).facts.revision == first


def test_code_in_the_model_needs_consent(copies: ModelCopies) -> None:
    folder = copies()
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise RuntimeError('this code was run')\n")
    with pytest.raises(UsageError, match="--trust-remote-code"):
        load(folder)


def test_code_in_the_model_runs_with_consent(copies: ModelCopies) -> None:
    folder = copies()
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("import no_such_package_of_anybody\n")
    with pytest.raises(NotAvailableError, match="no_such_package_of_anybody"):
        load(folder, trust_remote_code=True)


def truncate_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def break_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def name_an_unknown_default(folder: Path) -> None:
    text = json.dumps({"prompts": {"a": "x"}, "default_prompt_name": "b"})
    (folder / "config_sentence_transformers.json").write_text(text)


@pytest.mark.parametrize("damage", [truncate_weights, break_configuration, name_an_unknown_default])
def test_a_damaged_folder_is_not_available(copies: ModelCopies, damage: object) -> None:
    folder = copies()
    damage(folder)  # type: ignore[operator]
    with pytest.raises(NotAvailableError, match=r"cannot load local/copy-0 from .* on "):
        load(folder)


def test_a_model_without_its_tokenizer_is_refused(copies: ModelCopies) -> None:
    """Transformers would load it and take every character for unknown."""
    folder = copies()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(NotAvailableError, match="has no tokenizer"):
        load(folder)
