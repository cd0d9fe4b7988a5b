"""Pairs of encoders through the real loader; CARE's scheme against its authors' recipe.

Run: pytest tests/models/test_pair.py -q. The query side is a BERT of two layers, the document side
a Qwen3 of two layers with wider states, both made from a seed; one test serves them from a hub on
the loopback.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts
from hub_server import HubServer
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.pair import DOCUMENT_WIDTH, WIDTH, care_card
from small_models.qwen3 import END, qwen3_folder
from small_models.towers import LONG, parts_of

from cmedteb.errors import DataError, ScoreError, UsageError
from cmedteb.models import ModelOptions, Role, TaskContext, load_model
from cmedteb.models.pair import Pair, StreamingPair
from cmedteb.types import Similarity, TaskType

DOCUMENTS = [*smoke_texts()[:8], "\u9ad8\u8840\u538b", "CT \u68c0\u67e5", LONG, ""]
QUERIES = ["\u9ad8\u8840\u538b\u5403\u4ec0\u4e48\u836f", "\u53d1\u70e7", "CT", "", LONG]
LOADING = """
import dataclasses, json, sys
from cmedteb.models import ModelOptions, load_model
pair = load_model(sys.argv[1], ModelOptions(device="cpu"))
if pair.encode_queries(["CT"]).shape != pair.encode_documents(["CT"]).shape:
    raise SystemExit("the sides differ in shape")
sys.stdout.write(json.dumps(dataclasses.asdict(pair.facts)))
"""
RETRIEVAL = TaskContext("Some", TaskType.RETRIEVAL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CARE's two sides in small, in the folders that `care_card` names. Do not edit."""
    home = tmp_path_factory.mktemp("pair")
    bert_folder(home / "query-bert", pooling="cls")
    qwen3_folder(home / "document-qwen3", width=DOCUMENT_WIDTH, closed_by=None, eos=END)
    return home


@pytest.fixture(scope="module")
def berts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two BERTs of one width and one similarity, and one of another. Do not edit."""
    home = tmp_path_factory.mktemp("berts")
    bert_folder(home / "one", pooling="cls", similarity_fn_name="cosine")
    bert_folder(home / "two", pooling="mean", seed=1, similarity_fn_name="cosine")
    bert_folder(home / "dotted", seed=2, similarity_fn_name="dot")
    return home


def load(spec: Path | str, **options: Any) -> Pair:
    system = load_model(str(spec), ModelOptions(**{"device": "cpu"} | options))
    assert isinstance(system, Pair)
    return system


def two(query: Path | str, document: Path | str, **options: Any) -> Pair:
    return load("pair", query_model=str(query), document_model=str(document), **options)


def query_recipe(folder: Path, texts: list[str]) -> NDArray[Any]:
    """CARE's query tower: first token, scaled at full width, the first dimensions kept."""
    import torch

    tokenizer, model = parts_of(folder)
    batch = tokenizer(texts, truncation=True, max_length=96, padding=True, return_tensors="pt")
    with torch.no_grad():
        vectors = model(**batch).last_hidden_state[:, 0]
    return np.asarray(torch.nn.functional.normalize(vectors, dim=-1)[..., :WIDTH].numpy())


def document_recipe(folder: Path, texts: list[str], *, closed: bool = True) -> NDArray[Any]:
    """CARE's document tower: padded on the left, last token, scaled at full width, then cut."""
    import torch

    tokenizer, model = parts_of(folder)
    tokenizer.padding_side = "left"
    rows = tokenizer(texts, truncation=True, max_length=80 - closed)["input_ids"]
    if closed:
        rows = [[*ids, tokenizer.eos_token_id] for ids in rows]
    batch = tokenizer.pad({"input_ids": rows}, padding=True, return_tensors="pt")
    with torch.no_grad():
        vectors = model(**batch).last_hidden_state[:, -1]
    return np.asarray(torch.nn.functional.normalize(vectors, dim=-1)[..., :WIDTH].numpy())


def test_care(home: Path, tmp_path: Path) -> None:
    pair = load(care_card(home)).for_task(RETRIEVAL)
    instruction = "Find documents that answer the question."
    asked = [f"<instruct>{instruction}\n<query>{text}" for text in QUERIES]
    queries = query_recipe(home / "query-bert", asked)
    documents = document_recipe(home / "document-qwen3", DOCUMENTS)
    np.testing.assert_allclose(pair.encode_queries(QUERIES), queries, atol=1e-5)
    np.testing.assert_allclose(pair.encode_documents(DOCUMENTS), documents, atol=1e-5)


def test_care_is_scored_by_dot_which_is_not_cosine(home: Path) -> None:
    pair = load(care_card(home))
    assert pair.facts.similarity is Similarity.DOT
    queries, documents = pair.encode_queries(QUERIES), pair.encode_documents(DOCUMENTS)
    lengths = np.linalg.norm(documents, axis=1)
    assert lengths.max() < 0.99
    assert lengths.std() > 0.01
    dots = queries @ documents.T
    assert (np.argsort(-dots) != np.argsort(-dots / lengths)).any()


def test_documents_that_nothing_closes(home: Path) -> None:
    """What CARE's code does under the transformers it pins, whose Qwen tokenizer adds no end."""
    side = {
        "family": "instruct",
        "hf": str(home / "document-qwen3"),
        "pooling": "last",
        "max_length": 80,
        "settings": {"normalize": True, "truncate_dim": WIDTH, "last_token": ""},
    }
    pair = load(care_card(home, document=side))
    texts = [text for text in DOCUMENTS if text]
    expected = document_recipe(home / "document-qwen3", texts, closed=False)
    np.testing.assert_allclose(pair.encode_documents(texts), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "instruction", "document"),
    [
        (TaskType.RETRIEVAL, "Find documents that answer the question.", ""),
        (TaskType.RERANKING, "Order documents by how they answer the question.", ""),
        (TaskType.STS, "Find similar text.", "<instruct>Find similar text.\n<query>"),
    ],
)
def test_instructions_by_kind_of_task(
    home: Path, kind: TaskType, instruction: str, document: str
) -> None:
    facts = load(care_card(home)).for_task(TaskContext("x", kind)).facts
    assert facts.prompts == {
        "query": f"<instruct>{instruction}\n<query>",
        "document": document,
    }


def test_facts_of_both_sides(home: Path) -> None:
    from safetensors.torch import load_file

    facts = load(care_card(home)).facts
    counted = {
        side: sum(
            tensor.numel() for tensor in load_file(home / folder / "model.safetensors").values()
        )
        for side, folder in (("query", "query-bert"), ("document", "document-qwen3"))
    }
    assert facts.parameters == counted
    assert (facts.name, facts.family) == ("pair/small-pair", "pair")
    assert facts.revision.startswith("sha256-")
    assert facts.dimension == WIDTH
    assert facts.pooling == "cls > normalize > first 32 | last > normalize > first 32"
    assert (facts.max_length, facts.dtype) == (96, "float32")
    assert facts.sts_sides == (Role.QUERY, Role.DOCUMENT)
    assert facts.settings["query"]["model"] == "local/query-bert"
    assert facts.settings["document"]["model"] == "local/document-qwen3"
    json.dumps(facts.identity)


def test_a_side_is_known_by_what_makes_its_vectors(home: Path) -> None:
    """So that vectors of the large side serve every pair that has it."""
    pair = load(care_card(home))
    alone = pair.facts.side(Role.DOCUMENT)
    other = load(care_card(home, prompts={"query": "other: ", "document": ""}))
    assert other.facts.side(Role.DOCUMENT) == alone
    assert other.facts.side(Role.QUERY) != pair.facts.side(Role.QUERY)
    assert other.facts.identity != pair.facts.identity
    assert other.facts.revision == pair.facts.revision


def test_tokens_of_both_sides_are_counted(home: Path) -> None:
    pair = load(care_card(home))
    pair.encode_queries(["\u53d1\u70e7"])
    query = pair.tokens
    assert query > 3
    pair.for_task(RETRIEVAL).encode_documents([LONG])
    assert pair.tokens == query + 80


def test_flags_reach_the_side_they_mean(home: Path) -> None:
    said = {"query_prompt": "Q", "document_prompt": "D", "max_length": 60}
    pair = load(care_card(home), **said)
    assert pair.facts.prompts == {"query": "Q", "document": "D"}
    assert pair.facts.max_length == 60
    expected = document_recipe(home / "document-qwen3", [f"D{text}" for text in DOCUMENTS[8:10]])
    np.testing.assert_allclose(pair.encode_documents(DOCUMENTS[8:10]), expected, atol=1e-5)


@pytest.mark.parametrize("side", ["card", "flag", "nobody"])
def test_who_says_which_side_reads_which_sentence(home: Path, side: str) -> None:
    flags = {"sts_sides": (Role.DOCUMENT, Role.DOCUMENT)} if side == "flag" else {}
    stated = "unknown" if side == "nobody" else ["query", "query"]
    facts = load(care_card(home, sts_sides=stated), **flags).facts
    assert facts.sts_sides == {
        "card": (Role.QUERY, Role.QUERY),
        "flag": (Role.DOCUMENT, Role.DOCUMENT),
        "nobody": None,
    }.get(side)


def test_widths_that_differ_are_refused_before_anything_is_encoded(home: Path) -> None:
    side = {
        "family": "instruct",
        "hf": str(home / "document-qwen3"),
        "pooling": "last",
        "settings": {"normalize": True, "append_eos": True},
    }
    told = r"query-bert gives queries 32 dimensions, local/document-qwen3 gives documents 48"
    with pytest.raises(UsageError, match=told):
        load(care_card(home, document=side))


def test_two_models(berts: Path) -> None:
    pair = two(berts / "one", berts / "two")
    one, other = load_model(str(berts / "one")), load_model(str(berts / "two"))
    np.testing.assert_array_equal(pair.encode_queries(QUERIES), one.encode_queries(QUERIES))
    np.testing.assert_array_equal(
        pair.encode_documents(DOCUMENTS), other.encode_documents(DOCUMENTS)
    )
    assert pair.facts.name == "pair/one--two"
    assert pair.facts.similarity is Similarity.COSINE
    assert pair.facts.sts_sides is None
    assert two(berts / "two", berts / "one").facts.revision != pair.facts.revision
    assert two(berts / "one", berts / "two").facts == pair.facts


def test_one_model_as_both_sides_is_loaded_once(berts: Path) -> None:
    pair = two(berts / "one", berts / "one", query_prompt="Q", document_prompt="D")
    assert pair.query is pair.document
    bound = pair.for_task(RETRIEVAL)
    assert bound.query is bound.document
    assert bound.facts.prompts == {"query": "Q", "document": "D"}
    bound.encode_queries(["\u53d1\u70e7"])
    assert bound.tokens == 5
    alone = load_model(str(berts / "one"), ModelOptions(document_prompt="D"))
    np.testing.assert_array_equal(
        bound.encode_documents(DOCUMENTS), alone.encode_documents(DOCUMENTS)
    )


def test_similarities_that_differ_are_refused(berts: Path) -> None:
    with pytest.raises(UsageError, match="one compares vectors by cosine, local/dotted by dot"):
        two(berts / "one", berts / "dotted")


def test_half_a_pair_is_refused(berts: Path) -> None:
    with pytest.raises(UsageError, match="give both --query-model"):
        load("pair", query_model=str(berts / "one"))


def test_a_side_without_vectors_is_refused(berts: Path) -> None:
    with pytest.raises(UsageError, match="cmedteb/bm25 does not make one vector"):
        two("bm25", berts / "one")


def test_a_pair_as_a_side_is_refused(home: Path) -> None:
    with pytest.raises(DataError, match="a side of a pair cannot be a pair"):
        load(care_card(home, query={"family": "pair", "hf": str(home / "query-bert")}))


def test_a_prompt_that_a_side_does_not_take_is_refused(berts: Path) -> None:
    with pytest.raises(UsageError, match="hashing takes no --query-prompt"):
        two("hashing", berts / "one", query_prompt="Q")


@pytest.mark.parametrize("role", list(Role))
def test_a_pair_streams_where_a_side_does(role: Role) -> None:
    """The other side gives its vectors batch by batch."""
    pair = two("hashing", "small_models.streaming:Streaming")
    assert isinstance(pair, StreamingPair)
    texts = [*DOCUMENTS, *QUERIES[:3]]
    found = np.full((len(texts), 1024), np.nan, dtype=np.float32)
    blocks = list(pair.stream(texts, role))
    for rows, vectors in blocks:
        found[rows] = vectors
    encode = pair.encode_queries if role is Role.QUERY else pair.encode_documents
    np.testing.assert_array_equal(found, encode(texts))
    assert sum(len(rows) for rows, _ in blocks) == len(texts)
    assert not pair.facts.reproducible
    assert not isinstance(two("hashing", "hashing"), StreamingPair)


def test_a_width_that_shows_late_is_refused() -> None:
    pair = two("hashing", "small_models.streaming:Narrow")
    told = r"the document side gives an array of shape \(5, 3\).*of 1024 dimensions"
    with pytest.raises(ScoreError, match=told):
        pair.encode_documents(QUERIES)


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def test_both_sides_lie_in_one_repository(home: Path, hub: HubServer, tmp_path: Path) -> None:
    """As CARE's are: each in a folder of the pair's own repository, at the card's revision."""
    commit = hub.add("model", "org/small-care", home)
    sides = {
        "query": {"subfolder": "query-bert", "pooling": "cls"},
        "document": {
            "subfolder": "document-qwen3",
            "pooling": "last",
            "settings": {"append_eos": True, "truncate_dim": WIDTH},
        },
    }
    card = write_card(
        tmp_path / "card.toml",
        name="small-care",
        family="pair",
        title="x",
        hf="org/small-care",
        revision=commit,
        similarity="dot",
        **{side: {"family": "instruct", **said} for side, said in sides.items()},
    )
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(card)],
        capture_output=True,
        text=True,
        check=False,
        env=hub.environment(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["name"], told["revision"]) == ("org/small-care", commit)
    assert told["settings"]["query"]["settings"]["subfolder"] == "query-bert"
    assert told["parameters"]["query"] != told["parameters"]["document"]
