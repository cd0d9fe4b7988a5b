"""Models whose sides go different ways, and static embeddings, against recipes written out here.

Run: pytest tests/models/sbert/test_routes.py -q.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.router import router_folder
from small_models.static import extend, static_folder

from cmedteb.errors import DataError, UsageError
from cmedteb.models import ModelOptions, Role, TaskContext, load_model
from cmedteb.models.sentence_transformer import SentenceTransformer
from cmedteb.types import TaskType

TEXTS = [*smoke_texts()[:5], "\u9ad8\u8840\u538b", "CT \u68c0\u67e5", ""]
STS = TaskContext("pairs", TaskType.STS)
SIDES = (Role.QUERY, Role.DOCUMENT)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return router_folder(tmp_path_factory.mktemp("routes") / "router")


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return static_folder(tmp_path_factory.mktemp("routes") / "static")


def load(folder: Path, **options: Any) -> SentenceTransformer:
    system = load_model(str(folder), ModelOptions(**({"device": "cpu"} | options)))
    assert isinstance(system, SentenceTransformer)
    return system


def load_card(folder: Path, place: Path, **fields: Any) -> SentenceTransformer:
    said = {"name": "mine", "family": "sentence-transformer", "title": "x", "hf": str(folder)}
    system = load_model(
        str(write_card(place / "card.toml", **(said | fields))), ModelOptions(device="cpu")
    )
    assert isinstance(system, SentenceTransformer)
    return system


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def mean_of_table(folder: Path, texts: list[str], *, cut: int | None = None) -> NDArray[Any]:
    """The mean of the table's rows, special tokens left out; zero for a text without tokens."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = load_file(folder / "model.safetensors")["embedding.weight"].astype(np.float32)
    rows = [tokenizer.encode(text, add_special_tokens=False).ids[:cut] for text in texts]
    nothing = np.zeros(table.shape[1], dtype=np.float32)
    return np.stack([table[ids].mean(axis=0) if ids else nothing for ids in rows])


def cls_and_projection(folder: Path, texts: list[str], *, cut: int = 128) -> NDArray[Any]:
    """The first token's state, through the projection and tanh."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    home = folder / "document_0_Transformer"
    tokenizer = AutoTokenizer.from_pretrained(home)
    model = AutoModel.from_pretrained(home, dtype=torch.float32).eval()
    dense = load_file(folder / "document_2_Dense" / "model.safetensors")
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=cut, return_tensors="pt")
            state = model(**batch).last_hidden_state[0, 0]
            rows.append(torch.tanh(state @ dense["linear.weight"].T + dense["linear.bias"]))
    return np.asarray(torch.stack(rows).numpy())


def test_each_side_takes_its_route(router: Path) -> None:
    system = load(router)
    queries = unit(mean_of_table(router / "query_0_StaticEmbedding", TEXTS))
    np.testing.assert_allclose(system.encode_queries(TEXTS), queries, atol=1e-5)
    documents = unit(cls_and_projection(router, TEXTS))
    np.testing.assert_allclose(system.encode_documents(TEXTS), documents, atol=1e-5)
    assert np.abs(queries - documents).max() > 0.1


def test_facts_are_true_of_both_routes(router: Path) -> None:
    from safetensors.numpy import load_file

    facts = load(router).facts
    counted = {
        name: sum(
            weight.size
            for path in router.glob(f"{name}_*/model.safetensors")
            for weight in load_file(path).values()
        )
        for name in ("query", "document")
    }
    assert facts.parameters == counted
    assert counted["query"] < counted["document"]
    assert facts.pooling == "query: StaticEmbedding > Normalize; document: cls > Dense > Normalize"
    assert facts.max_length is None
    assert facts.settings == {"max_length": {"query": None, "document": 128}}
    assert (facts.dimension, facts.dtype) == (32, "float32")


def test_the_sides_of_a_router_never_share_vectors(router: Path, cls_folder: Path) -> None:
    """Their prompts are equal, so nothing else would tell a stored vector's side."""
    facts = load(router).facts
    assert facts.prompts["query"] == facts.prompts["document"]
    assert facts.side(Role.QUERY) != facts.side(Role.DOCUMENT)
    symmetric = load(cls_folder).facts
    assert symmetric.side(Role.QUERY) == symmetric.side(Role.DOCUMENT)


def test_a_router_needs_a_statement_for_sentence_pairs(router: Path, tmp_path: Path) -> None:
    assert load(router).for_task(STS).facts.sts_sides is None
    assert load(router, sts_sides=SIDES).for_task(STS).facts.sts_sides == SIDES
    card = load_card(router, tmp_path, sts_sides=["document", "document"])
    assert card.for_task(STS).facts.sts_sides == (Role.DOCUMENT, Role.DOCUMENT)


def test_a_flag_for_the_sides_is_over_the_card(cls_folder: Path, tmp_path: Path) -> None:
    assert load(cls_folder).for_task(STS).facts.sts_sides == (Role.QUERY, Role.QUERY)
    assert load(cls_folder, sts_sides=SIDES).facts.sts_sides == SIDES
    card = write_card(
        tmp_path / "card.toml",
        name="mine",
        family="sentence-transformer",
        title="x",
        hf=str(cls_folder),
        sts_sides=["document", "document"],
    )
    system = load_model(str(card), ModelOptions(device="cpu", sts_sides=SIDES))
    assert isinstance(system, SentenceTransformer)
    assert system.facts.sts_sides == SIDES


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"query": "Q: ", "document": "D: "}, {"query": "Q: ", "document": "D: "}),
        ({"query": "Q: ", "STS": "S: "}, {"query": "S: ", "document": "S: "}),
        ({}, {"query": "", "document": ""}),
    ],
)
def test_prompts_of_a_routers_sides_in_sentence_pairs(
    tmp_path: Path, prompts: dict[str, str], expected: dict[str, str]
) -> None:
    """Each encoder reads a sentence as the texts of its side, unless a prompt is for pairs."""
    folder = router_folder(tmp_path / "prompted", prompts=prompts)
    assert load(folder).for_task(STS).facts.prompts == expected


def test_a_routers_prompt_takes_the_instruction_for_sentence_pairs(
    router: Path, tmp_path: Path
) -> None:
    system = load_card(
        router,
        tmp_path,
        prompts={"query": "{instruction}: "},
        instructions={"retrieval": "find", "sts": "compare", "default": "any"},
    )
    assert system.for_task(STS).facts.prompts == {"query": "compare: ", "document": ""}
    ranking = system.for_task(TaskContext("r", TaskType.RETRIEVAL))
    assert ranking.facts.prompts == {"query": "find: ", "document": ""}


def test_a_route_with_another_name_is_named_by_the_card(tmp_path: Path) -> None:
    folder = router_folder(tmp_path / "asym", names=("short", "long"))
    with pytest.raises(UsageError, match=r"has routes short, long and none for 'query'"):
        load(folder)
    tasks = {"tasks": {"query": "short", "document": "long", "sts": "long"}}
    system = load_card(folder, tmp_path, settings=tasks)
    queries = unit(mean_of_table(folder / "short_0_StaticEmbedding", TEXTS))
    np.testing.assert_allclose(system.encode_queries(TEXTS), queries, atol=1e-5)
    assert system.facts.settings["tasks"] == tasks["tasks"]
    assert system.facts.sts_sides is None


def test_pairs_by_one_route_are_symmetric(tmp_path: Path) -> None:
    folder = router_folder(tmp_path / "asym")
    tasks = {"tasks": {"sts": "document"}}
    system = load_card(folder, tmp_path, settings=tasks).for_task(STS)
    assert system.facts.sts_sides == (Role.QUERY, Role.QUERY)
    expected = unit(cls_and_projection(folder, TEXTS))
    np.testing.assert_allclose(system.encode_queries(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("tasks", ["query", {"queries": "a"}, {"query": 1}])
def test_tasks_that_are_no_table_of_names(router: Path, tmp_path: Path, tasks: object) -> None:
    with pytest.raises(DataError, match=r"\[settings.tasks\] says what to tell the model"):
        load_card(router, tmp_path, settings={"tasks": tasks})


def test_routes_of_other_dimensions_share_no_space(tmp_path: Path) -> None:
    folder = router_folder(tmp_path / "broken", query_width=16)
    with pytest.raises(DataError, match="vectors of 16 dimensions and its documents of 32"):
        load(folder)


def test_a_maximum_length_holds_on_both_routes(router: Path) -> None:
    system = load(router, max_length=6)
    assert system.facts.max_length == 6
    assert "max_length" not in system.facts.settings
    queries = unit(mean_of_table(router / "query_0_StaticEmbedding", TEXTS, cut=6))
    np.testing.assert_allclose(system.encode_queries(TEXTS), queries, atol=1e-5)
    documents = unit(cls_and_projection(router, TEXTS, cut=6))
    np.testing.assert_allclose(system.encode_documents(TEXTS), documents, atol=1e-5)


def test_a_short_type_holds_behind_the_transformer_of_a_route(router: Path) -> None:
    """The library leaves a route's projection in float32, whose product with the states fails."""
    system = load(router, dtype="bfloat16")
    assert system.facts.dtype == "bfloat16"
    documents = unit(cls_and_projection(router, TEXTS))
    assert 1e-4 < np.abs(system.encode_documents(TEXTS) - documents).max() < 0.5


def test_static_vectors_equal_the_recipe(static: Path) -> None:
    expected = mean_of_table(static, TEXTS)
    np.testing.assert_allclose(load(static).encode_queries(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(load(static).encode_documents(TEXTS), expected, atol=1e-5)
    assert not expected[-1].any()


def test_facts_of_static_embeddings(static: Path) -> None:
    facts = load(static).facts
    assert facts.pooling == "StaticEmbedding"
    assert facts.max_length is None
    assert (facts.dimension, facts.dtype) == (32, "float32")
    assert facts.parameters["query"] == facts.parameters["document"] > 50_000
    json.dumps(facts.identity, allow_nan=False)


def test_tokens_of_static_embeddings_are_counted(static: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(static / "tokenizer.json"))
    lengths = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    system = load(static)
    system.encode_queries(TEXTS)
    assert system.tokens == sum(lengths) > 0


def test_static_embeddings_are_cut_where_their_tokenizer_or_the_user_says(
    static: Path, tmp_path: Path
) -> None:
    system = load(static, max_length=4)
    assert system.facts.max_length == 4
    expected = mean_of_table(static, TEXTS, cut=4)
    np.testing.assert_allclose(system.encode_queries(TEXTS), expected, atol=1e-5)
    own = static_folder(tmp_path / "cut")
    truncation = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    extend(own / "tokenizer.json", truncation=truncation)
    assert load(own).facts.max_length == 7
    np.testing.assert_allclose(
        load(own).encode_queries(TEXTS), mean_of_table(static, TEXTS, cut=7), atol=1e-5
    )


def test_a_table_saved_in_float16_runs_in_the_type_that_is_stated(tmp_path: Path) -> None:
    folder = static_folder(tmp_path / "half", half=True)
    system = load(folder)
    assert system.facts.dtype == "float32"
    np.testing.assert_allclose(
        system.encode_queries(TEXTS), mean_of_table(folder, TEXTS), atol=1e-5
    )
    assert load(folder, dtype="bfloat16").facts.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("stated", "fits"), [("mean", True), ("StaticEmbedding", True), ("cls", False)]
)
def test_a_static_models_pooling_on_its_card(
    static: Path, tmp_path: Path, stated: str, *, fits: bool
) -> None:
    if fits:
        assert load_card(static, tmp_path, pooling=stated).facts.pooling == "StaticEmbedding"
        return
    with pytest.raises(DataError, match="pooling = 'cls', but what was loaded pools by 'Static"):
        load_card(static, tmp_path, pooling=stated)


def test_a_shorter_dimension_of_the_models_own(tmp_path: Path) -> None:
    """Cut after normalising and not normalised again, as the library does."""
    folder = bert_folder(tmp_path / "cut", truncate_dim=8)
    whole = bert_folder(tmp_path / "whole")
    system = load(folder)
    assert system.facts.dimension == 8
    vectors = system.encode_queries(TEXTS)
    assert vectors.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(vectors, load(whole).encode_queries(TEXTS)[:, :8], atol=1e-6)
    assert np.linalg.norm(vectors, axis=1).max() < 0.99


def test_a_length_beyond_the_positions_is_refused(cls_folder: Path) -> None:
    """Else torch would fail at the first long text, and name neither model nor reason."""
    assert load(cls_folder, max_length=128).facts.max_length == 128
    with pytest.raises(UsageError, match=r"128 positions: texts cannot be cut at 129 tokens"):
        load(cls_folder, max_length=129)
