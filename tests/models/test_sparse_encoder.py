"""Sparse encoders through the real loader, against recipes written out here.

Run: pytest tests/models/test_sparse_encoder.py -q. The models are made from a seed
(tests/small_models/sparse_encoder.py); the recipes use transformers, torch and files alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, queries, smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.sparse_encoder import (
    csr_folder,
    inference_free_folder,
    masked_folder,
    splade_folder,
)

from cmedteb.errors import DataError, ScoreError, UsageError
from cmedteb.models import (
    Encoder,
    ModelOptions,
    PairScorer,
    Reranker,
    Retriever,
    Role,
    TaskContext,
    load_model,
)
from cmedteb.models.sparse_encoder import SparseEncoder
from cmedteb.types import Similarity, TaskType

TEXTS = [*smoke_texts()[:6], "\u9ad8\u8840\u538b", "CT \u68c0\u67e5", ""]
STS = TaskContext("pairs", TaskType.STS)


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return splade_folder(tmp_path_factory.mktemp("sparse") / "splade")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inference_free_folder(tmp_path_factory.mktemp("sparse") / "free")


@pytest.fixture(scope="module")
def csr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return csr_folder(tmp_path_factory.mktemp("sparse") / "csr")


def load(folder: Path, **options: Any) -> SparseEncoder:
    system = load_model(str(folder), ModelOptions(**({"device": "cpu"} | options)))
    assert isinstance(system, SparseEncoder)
    return system


def load_card(folder: Path, place: Path, **fields: Any) -> SparseEncoder:
    said = {"name": "mine", "family": "sparse-encoder", "title": "x", "hf": str(folder)}
    card = write_card(place / "card.toml", **(said | fields))
    system = load_model(str(card), ModelOptions(device="cpu"))
    assert isinstance(system, SparseEncoder)
    return system


def dense(system: SparseEncoder, texts: list[str], role: Role) -> NDArray[Any]:
    return np.asarray(system.encode(texts, role).toarray())


def splade_recipe(
    home: Path, texts: list[str], *, log1p_twice: bool = False, cut: int = 128
) -> NDArray[Any]:
    """Max over tokens of log(1 + relu(logits)), text by text."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(home)
    model = AutoModelForMaskedLM.from_pretrained(home, dtype=torch.float32).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=cut, return_tensors="pt")
            weights = torch.log1p(torch.relu(model(**batch).logits[0]))
            rows.append((torch.log1p(weights) if log1p_twice else weights).amax(dim=0))
    return np.asarray(torch.stack(rows).numpy())


def lookup_recipe(home: Path, texts: list[str]) -> NDArray[Any]:
    """The table's weight of every token that occurs, special tokens left out."""
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(home)
    table = load_file(home / "model.safetensors")["weight"]
    rows = np.zeros((len(texts), len(table)), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        ids = sorted(set(tokenizer(text, add_special_tokens=False)["input_ids"]))
        row[ids] = table[ids]
    return rows


def csr_recipe(home: Path, texts: list[str], kept: int) -> NDArray[Any]:
    """The largest features of the mean state, those below zero left out."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(home)
    model = AutoModel.from_pretrained(home, dtype=torch.float32).eval()
    layer = load_file(home / "2_SparseAutoEncoder" / "model.safetensors")
    # Encoder and decoder are one matrix, saved under one of its names.
    matrix = layer.get("encoder.weight", layer.get("decoder.linear.weight"))
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
            state = model(**batch).last_hidden_state[0].mean(dim=0) - layer["pre_bias"]
            features = state @ matrix.T + layer["latent_bias"]
            best = features.topk(kept)
            row = torch.zeros_like(features)
            row[best.indices] = best.values.relu()
            rows.append(row)
    return np.asarray(torch.stack(rows).numpy())


def test_splade_vectors_equal_the_recipe(splade: Path) -> None:
    expected = splade_recipe(splade, TEXTS)
    assert 0.02 < (expected == 0).mean() < 0.98
    for role in Role:
        np.testing.assert_allclose(dense(load(splade), TEXTS, role), expected, atol=1e-5)


def test_inference_free_vectors_equal_the_recipe(free: Path) -> None:
    system = load(free)
    expected = lookup_recipe(free / "query_0_SparseStaticEmbedding", TEXTS)
    np.testing.assert_allclose(dense(system, TEXTS, Role.QUERY), expected, atol=1e-6)
    expected = splade_recipe(free / "document_0_Transformer", TEXTS, log1p_twice=True)
    np.testing.assert_allclose(dense(system, TEXTS, Role.DOCUMENT), expected, atol=1e-5)


def test_csr_vectors_equal_the_recipe(csr: Path) -> None:
    vectors = dense(load(csr), TEXTS, Role.QUERY)
    np.testing.assert_allclose(vectors, csr_recipe(csr, TEXTS, 8), atol=1e-5)
    assert (np.count_nonzero(vectors, axis=1) <= 8).all()


def test_a_bare_masked_language_model_is_splade(tmp_path: Path) -> None:
    folder = masked_folder(tmp_path / "bare")
    system = load_card(folder, tmp_path, pooling="max")
    np.testing.assert_allclose(
        dense(system, TEXTS, Role.QUERY), splade_recipe(folder, TEXTS), atol=1e-5
    )
    width = dense(system, TEXTS, Role.QUERY).shape[1]
    assert load_card(folder, tmp_path).facts.dimension == width > 1_000


def test_facts_of_splade(splade: Path) -> None:
    from safetensors.numpy import load_file

    facts = load(splade).facts
    weights = sum(weight.size for weight in load_file(splade / "model.safetensors").values())
    assert facts.family == "sparse-encoder"
    assert facts.similarity is Similarity.DOT
    assert facts.pooling == "max(relu)"
    assert facts.dimension == dense(load(splade), ["a"], Role.QUERY).shape[1] > 1_000
    assert facts.parameters == {"query": weights, "document": weights}
    assert (facts.max_length, facts.dtype, facts.settings) == (128, "float32", {})
    assert facts.sts_sides == (Role.QUERY, Role.QUERY)


def test_facts_of_an_inference_free_model(free: Path) -> None:
    facts = load(free).facts
    assert facts.parameters["query"] == facts.dimension
    assert facts.parameters["document"] > 50_000
    assert facts.pooling == "query: SparseStaticEmbedding; document: max(log1p_relu)"
    assert facts.sts_sides is None


def test_it_ranks_by_itself_and_is_no_encoder(splade: Path) -> None:
    system = load(splade)
    assert isinstance(system, Retriever)
    assert isinstance(system, Reranker)
    assert isinstance(system, PairScorer)
    assert not isinstance(system, Encoder)


@pytest.mark.parametrize("budget", [1, 60, 4_096])
def test_search_and_rerank_score_by_dot_product(free: Path, budget: int) -> None:
    """Whatever the batches, also where a text stands twice."""
    system = load(free).with_budget(budget)
    texts = [*TEXTS, TEXTS[2], TEXTS[0]]
    documents, asked = corpus(texts), queries([TEXTS[7], TEXTS[3], TEXTS[7], ""])
    left = lookup_recipe(free / "query_0_SparseStaticEmbedding", list(asked.texts))
    right = splade_recipe(free / "document_0_Transformer", texts, log1p_twice=True)
    scores = left @ right.T
    found = as_lists(system.search(documents, asked, 5))
    for query, ranked in enumerate(found):
        got = [score for _, score in ranked]
        np.testing.assert_allclose(got, np.sort(scores[query])[::-1][:5], atol=1e-4)
        np.testing.assert_allclose(got, scores[query][[row for row, _ in ranked]], atol=1e-4)
    assert found[0] == found[2]
    assert [row for row, _ in found[3]] == [10, 9, 8, 7, 6]
    listed = [[3, 10, 0], [1], [], [5, 2]]
    reranked = as_lists(system.rerank(documents, asked, candidates(listed)))
    whole = as_lists(system.search(documents, asked, 11))
    for given, ranked, everything in zip(listed, reranked, whole, strict=True):
        assert ranked == [one for one in everything if one[0] in given]


def test_a_distinct_text_is_encoded_once(splade: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(splade)
    system = load(splade)
    system.search(corpus([TEXTS[0]] * 5 + [TEXTS[1]]), queries([TEXTS[6]] * 3), 2)
    lengths = [len(tokenizer(text)["input_ids"]) for text in (TEXTS[0], TEXTS[1], TEXTS[6])]
    assert system.tokens == sum(lengths)
    before = system.tokens
    system.score_pairs([TEXTS[0]] * 4, [TEXTS[1]] * 4)
    assert system.tokens - before == sum(lengths[:2])


def test_pairs_are_scored_by_dot_product(splade: Path) -> None:
    system = load(splade).for_task(STS)
    left, right = TEXTS[:4], [TEXTS[4], TEXTS[4], TEXTS[3], ""]
    a, b = splade_recipe(splade, left), splade_recipe(splade, right)
    np.testing.assert_allclose(system.score_pairs(left, right), (a * b).sum(axis=1), rtol=1e-4)
    assert system.score_pairs([], []).shape == (0,)


def test_pairs_of_a_two_sided_model_need_a_statement(free: Path) -> None:
    """On ranking tasks the left text is the query; in sentence pairs someone must say."""
    left, right = TEXTS[:3], TEXTS[3:6]
    query = {
        text: lookup_recipe(free / "query_0_SparseStaticEmbedding", [text])[0] for text in TEXTS
    }
    document = {
        text: splade_recipe(free / "document_0_Transformer", [text], log1p_twice=True)[0]
        for text in TEXTS
    }
    ranking = load(free).for_task(TaskContext("r", TaskType.RERANKING))
    as_ranked = [query[a] @ document[b] for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(ranking.score_pairs(left, right), as_ranked, rtol=1e-4)
    with pytest.raises(UsageError, match="--sts-sides"):
        load(free).for_task(STS).score_pairs(left, right)
    turned = load(free, sts_sides=(Role.DOCUMENT, Role.QUERY)).for_task(STS)
    expected = [document[a] @ query[b] for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(turned.score_pairs(left, right), expected, rtol=1e-4)


def test_a_model_that_compares_by_cosine(tmp_path: Path) -> None:
    folder = splade_folder(tmp_path / "cosine", similarity_fn_name="cosine")
    system = load(folder).for_task(STS)
    assert system.facts.similarity is Similarity.COSINE
    scores = system.score_pairs(TEXTS[:3], TEXTS[1:4])
    vectors = splade_recipe(folder, TEXTS[:4])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(scores, (vectors[:3] * vectors[1:]).sum(axis=1), rtol=1e-4)
    found = as_lists(system.search(corpus(TEXTS[:4]), queries(TEXTS[:4]), 1))
    assert [ranked[0][0] for ranked in found] == [0, 1, 2, 3]
    np.testing.assert_allclose([ranked[0][1] for ranked in found], 1, rtol=1e-5)


def test_a_card_limits_the_columns_of_a_vector(splade: Path, tmp_path: Path) -> None:
    system = load_card(splade, tmp_path, settings={"max_active_dims": 5})
    assert system.facts.settings == {"max_active_dims": 5}
    vectors, expected = dense(system, TEXTS, Role.DOCUMENT), splade_recipe(splade, TEXTS)
    for row, whole in zip(vectors, expected, strict=True):
        best = np.sort(whole)[::-1][:5]
        np.testing.assert_allclose(np.sort(row)[::-1][:5], best, atol=1e-5)
        assert np.count_nonzero(row) == 5


def test_the_models_own_limit_is_stated_and_the_cards_is_over_it(csr: Path, tmp_path: Path) -> None:
    assert load(csr).facts.settings == {"max_active_dims": 8}
    own = splade_folder(tmp_path / "own", max_active_dims=7)
    assert load(own).facts.settings == {"max_active_dims": 7}
    system = load_card(csr, tmp_path, settings={"max_active_dims": 3})
    np.testing.assert_allclose(
        dense(system, TEXTS, Role.QUERY), csr_recipe(csr, TEXTS, 3), atol=1e-5
    )


@pytest.mark.parametrize("limit", [0, -1, "5", True, 2.5])
def test_a_limit_that_is_no_number_of_columns(splade: Path, tmp_path: Path, limit: object) -> None:
    with pytest.raises(DataError, match="max_active_dims is how many columns a vector keeps"):
        load_card(splade, tmp_path, settings={"max_active_dims": limit})


def test_prompts_and_maximum_length(tmp_path: Path) -> None:
    prompts = {"query": "\u9ad8: ", "document": "\u8840"}
    folder = splade_folder(tmp_path / "prompted", prompts=prompts)
    system = load(folder, max_length=6)
    assert system.facts.prompts == prompts
    assert system.facts.max_length == 6
    for role in Role:
        expected = splade_recipe(folder, [prompts[role] + text for text in TEXTS], cut=6)
        np.testing.assert_allclose(dense(system, TEXTS, role), expected, atol=1e-5)


def test_a_maximum_length_holds_for_looked_up_queries_too(free: Path) -> None:
    system = load(free, max_length=4)
    found = dense(system, [TEXTS[0]], Role.QUERY)
    whole = lookup_recipe(free / "query_0_SparseStaticEmbedding", [TEXTS[0]])
    assert 0 < np.count_nonzero(found) <= 4 < np.count_nonzero(whole)
    assert system.facts.max_length == 4


def test_vectors_that_are_no_numbers_are_refused(splade: Path) -> None:
    import torch

    system = load(splade)
    with torch.no_grad():
        system.model[0].model.cls.predictions.bias[7] = torch.nan
    with pytest.raises(ScoreError, match="local/splade gave NaN or infinity for one of 2 texts"):
        system.search(corpus(TEXTS[:2]), queries(TEXTS[:1]), 1)


def test_a_dense_model_is_not_made_sparse_at_random(cls_folder: Path, tmp_path: Path) -> None:
    """The library would put an auto-encoder on top that nobody trained."""
    with pytest.raises(DataError, match="was saved as a dense model, which sentence-transformer"):
        load_card(cls_folder, tmp_path)


def test_a_bare_network_without_its_head_is_refused(cls_folder: Path, tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(cls_folder, bare)
    (bare / "modules.json").unlink()
    with pytest.raises(DataError, match="a bare BertModel: only a masked language model"):
        load_card(bare, tmp_path)


def test_cards_that_disagree_with_what_is_loaded(splade: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pooling = 'sum', but what was loaded pools by 'max"):
        load_card(splade, tmp_path, pooling="sum")
    with pytest.raises(DataError, match="dimension = 12, but the model that was loaded makes"):
        load_card(splade, tmp_path, dimension=12)
    width = load(splade).facts.dimension
    assert load_card(splade, tmp_path, pooling="max", dimension=width).facts.dimension == width


def test_the_size_of_the_index_is_told(csr: Path) -> None:
    """Eight entries of eight bytes a document."""
    system = load(csr)
    assert system.bytes_per_document is None
    system.search(corpus(TEXTS), queries(TEXTS[:2]), 3)
    vectors = csr_recipe(csr, TEXTS, 8)
    assert system.bytes_per_document == pytest.approx(8 * np.count_nonzero(vectors) / len(TEXTS))
