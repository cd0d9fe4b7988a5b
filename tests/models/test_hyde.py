"""HyDE with documents of a file: vectors by the authors' recipe, longer queries, what is refused.

Run: pytest tests/models/test_hyde.py -q. The encoder is a BERT of two layers made from a seed.
Degenerate inputs: one query, a document of zeros, texts that differ in white space only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import SHARED, as_lists, bert_folder, candidates, corpus, queries, smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.hyde import smoke_queries, write_generations

import cmedteb
from cmedteb.encoding import Encoded
from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models import (
    Encoder,
    ModelFacts,
    ModelOptions,
    Retriever,
    Role,
    Streaming,
    TaskContext,
    load_model,
)
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hyde import HydeEncoder, HydeWords, with_hyde
from cmedteb.types import Float32Array, QueryForm, Similarity, TaskType

QUERIES = smoke_queries()[:5]
PASSAGES = smoke_texts()
RETRIEVAL = TaskContext("T", TaskType.RETRIEVAL, query_form=QueryForm.QUESTION)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mean pooling without normalisation, with a prompt on each side."""
    return bert_folder(
        tmp_path_factory.mktemp("hyde") / "encoder",
        pooling="mean",
        normalise=False,
        prompts={"query": "\u95ee: ", "document": "\u6587: "},
        similarity_fn_name="cosine",
    )


def write(folder: Path, documents: dict[str, list[str]], name: str = "hyde-qwen.jsonl") -> Path:
    rows = [{"text": query, "rewrite_query": written} for query, written in documents.items()]
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def load(spec: Path | str, hyde: Path, **more: Any) -> Any:
    return load_model(str(spec), ModelOptions(device="cpu", hyde=str(hyde), **more))


def by_transformers(folder: Path, texts: Sequence[str]) -> NDArray[Any]:
    """Mean-pooled vectors from transformers alone, text by text."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=128, return_tensors="pt")
            rows.append(model(**batch).last_hidden_state[0].mean(dim=0).numpy())
    return np.stack(rows).astype(np.float64)


@pytest.mark.parametrize("count", [1, 3])
def test_query_vectors_equal_the_recipe(encoder_folder: Path, tmp_path: Path, count: int) -> None:
    """The mean over query and documents, each of length 1, not normalised again."""
    documents = {q: PASSAGES[3 * n : 3 * n + count] for n, q in enumerate(QUERIES)}
    system = load(encoder_folder, write(tmp_path, documents)).for_task(RETRIEVAL)
    expected = []
    for query in QUERIES:
        texts = [f"\u95ee: {query}", *(f"\u6587: {one}" for one in documents[query])]
        vectors = by_transformers(encoder_folder, texts)
        expected.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0))
    vectors = system.encode_queries(QUERIES)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert vectors.dtype == np.float32
    assert (np.linalg.norm(vectors, axis=1) < 0.9999).all()
    np.testing.assert_allclose(system.encode_queries(QUERIES[:1]), vectors[:1], atol=1e-6)


def test_documents_stay_what_they_are(encoder_folder: Path, tmp_path: Path) -> None:
    plain: Any = load_model(str(encoder_folder), ModelOptions(device="cpu"))
    system = load(encoder_folder, write_generations(tmp_path / "h.jsonl", QUERIES))
    assert isinstance(system, Encoder)
    assert not isinstance(system, Retriever | Streaming)
    expected = plain.encode_documents(PASSAGES[:4])
    np.testing.assert_array_equal(system.encode_documents(PASSAGES[:4]), expected)
    assert system.facts.side(Role.DOCUMENT) == plain.facts.side(Role.DOCUMENT)
    assert system.facts.side(Role.QUERY) != plain.facts.side(Role.QUERY)
    assert system.facts.similarity is Similarity.COSINE


def test_the_facts_say_what_was_used(encoder_folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path, dict.fromkeys(QUERIES, PASSAGES[:2]))
    facts = load(encoder_folder, path).facts
    assert facts.name == "local/encoder+hyde-qwen"
    assert facts.family == "hyde"
    stated = facts.settings["hyde"]
    assert stated["documents"] == 2
    assert stated["label"] == "qwen"
    assert stated["generator"] == "unknown"
    assert len(stated["generations"]) == 64
    assert facts.prompts == {"query": "\u95ee: ", "document": "\u6587: "}
    assert set(facts.parameters) == {"document"}, "the language model's weights are not known"


def test_a_changed_file_is_another_system(encoder_folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path, dict.fromkeys(QUERIES, PASSAGES[:2]))
    first = load(encoder_folder, path).facts
    assert load(encoder_folder, path).facts.identity == first.identity
    fewer = load(encoder_folder, path, hyde_documents=1).facts
    write(tmp_path, {q: [PASSAGES[0], f"{PASSAGES[1]}."] for q in QUERIES})
    changed = load(encoder_folder, path).facts
    hashes = {one.settings["hyde"]["generations"] for one in (first, fewer, changed)}
    assert len(hashes) == 3
    sides = {json.dumps(one.side(Role.QUERY)) for one in (first, fewer, changed)}
    assert len(sides) == 3


def test_a_query_without_a_document_is_an_error(encoder_folder: Path, tmp_path: Path) -> None:
    system = load(encoder_folder, write_generations(tmp_path / "h.jsonl", QUERIES[1:]))
    with pytest.raises(DataError, match=r"no document for 1 of these 5 queries.*--hyde MODEL"):
        system.encode_queries(QUERIES)


def test_pairs_have_no_queries(encoder_folder: Path, tmp_path: Path) -> None:
    system = load(encoder_folder, write_generations(tmp_path / "h.jsonl", QUERIES))
    with pytest.raises(UsageError, match="Sts compares pairs of sentences, which have no queries"):
        system.for_task(TaskContext("Sts", TaskType.STS))


def test_prompts_of_the_task_reach_the_encoder(tmp_path: Path, cls_folder: Path) -> None:
    card = write_card(
        tmp_path / "asked.toml",
        name="asked",
        family="sentence-transformer",
        title="A BERT with an instruction",
        hf=str(cls_folder),
        prompts={"query": "{instruction}: "},
        instructions={"default": "Any"},
    )
    system = load(card, write_generations(tmp_path / "h.jsonl", QUERIES))
    bound = system.for_task(replace(RETRIEVAL, instruction="Find it"))
    assert bound.facts.prompts["query"] == "Find it: "
    assert bound.facts.name == system.facts.name


@pytest.mark.parametrize("document", ["", "   "])
def test_an_encoder_that_gives_zeros_is_no_division_by_zero(tmp_path: Path, document: str) -> None:
    """The hashing encoder has no vector for a document without a character of its own."""

    class Zeros:
        def encode_queries(self, texts: Sequence[str]) -> Float32Array:
            return np.ones((len(texts), 4), dtype=np.float32)

        def encode_documents(self, texts: Sequence[str]) -> Float32Array:
            return np.zeros((len(texts), 4), dtype=np.float32)

    hyde = str(write(tmp_path, {"a": [f"{document}x"]}))
    system: Any = with_hyde(Zeros(), ModelOptions(hyde=hyde))
    np.testing.assert_allclose(system.encode_queries(["a"]), np.full((1, 4), 0.25))
    assert not system.facts.reproducible


class Stream:
    """An encoder that gives its vectors in an order of its own."""

    facts = ModelFacts("test/stream", "1", "test", similarity=Similarity.DOT, dimension=8)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self._vectors(texts, 1)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        return self._vectors(texts, 2)

    def stream(self, texts: Sequence[str], role: Role) -> Any:
        encode = self.encode_queries if role is Role.QUERY else self.encode_documents
        for rows in np.array_split(np.random.default_rng(0).permutation(len(texts)), 3):
            yield Encoded(rows, encode([texts[row] for row in rows]))

    def _vectors(self, texts: Sequence[str], seed: int) -> Float32Array:
        seeds = [[seed, *text.encode()] for text in texts]
        rows = [np.random.default_rng(one).standard_normal(8) for one in seeds]
        return np.array(rows, dtype=np.float32).reshape(-1, 8)


def test_a_stream_gives_the_same_vectors(tmp_path: Path) -> None:
    documents = {q: PASSAGES[n : n + 2] for n, q in enumerate(QUERIES)}
    system: Any = with_hyde(Stream(), ModelOptions(hyde=str(write(tmp_path, documents))))
    for role, encode in (
        (Role.QUERY, system.encode_queries),
        (Role.DOCUMENT, system.encode_documents),
    ):
        parts = list(system.stream(QUERIES, role))
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
        found = np.concatenate([part.vectors for part in parts])[np.argsort(rows)]
        np.testing.assert_allclose(found, encode(QUERIES), atol=1e-6)


# Systems that search with words


def test_bm25_is_asked_with_query_and_documents(tmp_path: Path) -> None:
    """The query five times, then its documents: written out and searched by plain BM25."""
    documents = {q: PASSAGES[n : n + 2] for n, q in enumerate(QUERIES)}
    system = load("bm25", write(tmp_path, documents))
    longer = [" ".join([q, q, q, q, q, *documents[q]]) for q in QUERIES]
    plain = load_model("bm25")
    assert isinstance(system, HydeWords)
    assert isinstance(plain, Bm25)
    found = system.search(corpus(PASSAGES), queries([*QUERIES, QUERIES[0]]), 10)
    expected = plain.search(corpus(PASSAGES), queries([*longer, longer[0]]), 10)
    assert as_lists(found) == as_lists(expected)
    given = candidates([[n, n + 1, n + 9] for n in range(5)])
    ordered = system.rerank(corpus(PASSAGES), queries(QUERIES), given)
    assert as_lists(ordered) == as_lists(plain.rerank(corpus(PASSAGES), queries(longer), given))
    facts = system.facts
    assert facts.name == "cmedteb/bm25+hyde-qwen"
    assert facts.settings["hyde"]["combined"] == "the query 5 times, then the documents"
    assert facts.settings["k1"] == plain.k1


def test_what_only_scores_pairs_or_fuses_is_refused(tmp_path: Path) -> None:
    hyde = write_generations(tmp_path / "h.jsonl", QUERIES)
    with pytest.raises(UsageError, match=r"fusion/.* takes no hypothetical documents"):
        load("fusion:bm25+hashing", hyde)

    class Scorer:
        def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float32Array:
            return np.zeros(len(left), dtype=np.float32)

    with pytest.raises(UsageError, match=r"custom/Scorer takes no hypothetical documents"):
        with_hyde(Scorer(), ModelOptions(hyde=str(hyde)))


def test_late_interaction_reads_tokens_and_is_refused(tmp_path: Path) -> None:
    """A query of five repetitions would fill the few tokens that such a model reads."""

    class Late(Bm25):
        @property
        def facts(self) -> ModelFacts:
            return ModelFacts("test/late", "1", "multi-vector")

    hyde = write_generations(tmp_path / "h.jsonl", QUERIES)
    with pytest.raises(UsageError, match=r"test/late takes no hypothetical documents"):
        with_hyde(Late(), ModelOptions(hyde=str(hyde)))


# Cards and options


def card_of(folder: Path, **settings: Any) -> Path:
    return write_card(
        folder / "small-hyde.toml",
        name="small-hyde",
        family="hyde",
        title="A BERT with hypothetical documents",
        settings=settings,
    )


def test_a_card_names_encoder_and_generator(tmp_path: Path, cls_folder: Path) -> None:
    hyde = write_generations(tmp_path / "sl-hyde-qwen2.jsonl", QUERIES)
    card = card_of(tmp_path, encoder=str(cls_folder), generator="Qwen2-7B-Instruct")
    system = load(card, hyde, max_length=64)
    assert isinstance(system, HydeEncoder)
    assert system.facts.name == f"local/{cls_folder.name}+hyde-sl-hyde-qwen2"
    assert system.facts.settings["hyde"]["generator"] == "Qwen2-7B-Instruct"
    assert system.facts.max_length == 64
    with pytest.raises(UsageError, match="takes no --dimensions"):
        load(card, hyde, dimensions=3)


def test_a_card_may_name_the_file(tmp_path: Path, cls_folder: Path) -> None:
    hyde = write_generations(tmp_path / "h.jsonl", QUERIES)
    card = card_of(tmp_path, encoder=str(cls_folder), generations=str(hyde))
    system: Any = load_model(str(card), ModelOptions(device="cpu"))
    assert system.facts.name.endswith("+hyde-h")
    fusion = write_card(
        tmp_path / "fused.toml",
        name="fused",
        family="fusion",
        title="Fused with BM25",
        settings={"systems": ["bm25", str(card)]},
    )
    fused: Any = load_model(str(fusion), ModelOptions(device="cpu"))
    assert fused.parts[1].facts.identity == system.facts.identity


def test_a_card_without_documents_says_what_to_give(tmp_path: Path, cls_folder: Path) -> None:
    card = card_of(tmp_path, encoder=str(cls_folder), generator="Qwen2-7B-Instruct")
    with pytest.raises(NotAvailableError, match=r"by Qwen2-7B-Instruct: give .*--hyde FILE"):
        load_model(str(card))
    with pytest.raises(DataError, match="names no encoder"):
        load_model(str(card_of(tmp_path, generator="x")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hyde_base", "http://localhost"),
        ("hyde_key_env", "KEY"),
        ("hyde_prompt", "title"),
        ("hyde_cache", "x.jsonl"),
    ],
)
def test_a_file_takes_no_option_of_a_chat_model(tmp_path: Path, name: str, value: str) -> None:
    hyde = write_generations(tmp_path / "h.jsonl", QUERIES)
    with pytest.raises(UsageError, match=rf"--{name.replace('_', '-')} out"):
        load("bm25", hyde, **{name: value})


@pytest.mark.parametrize("name", ["none.jsonl", "none.jsonl.gz", "none.parquet", "", "."])
def test_a_file_that_is_not_there_is_no_chat_model(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load("bm25", tmp_path / name)


# Whole runs


def test_the_score_of_a_run_changes_with_the_file(tmp_path: Path, cls_folder: Path) -> None:
    """The same model with good documents, with others, and again: what is computed anew."""
    queries_ = list(dict.fromkeys(smoke_queries()))
    good = write_generations(tmp_path / "good.jsonl", queries_)
    scores = {}
    for spec in ("bm25", str(cls_folder)):
        for offset in (1, 1, 7):
            write_generations(good, queries_, offset=offset)
            (result,) = cmedteb.evaluate(
                spec,
                "SmokeRetrieval",
                output=tmp_path / "results",
                model_options=ModelOptions(device="cpu", hyde=str(good)),
                vectors=tmp_path / "vectors",
            )
            scores.setdefault((spec, offset), []).append((result.main_score, result.fingerprint))
        assert scores[spec, 1][0] == scores[spec, 1][1]
        assert scores[spec, 1][0][1] != scores[spec, 7][0][1]


GOLD = SHARED / "cmirb_gold"


@pytest.mark.skipif(not (GOLD / "hyde").is_dir(), reason="the published generations are not here")
def test_published_generations_give_bm25_other_queries(tmp_path: Path) -> None:
    """The first 40 of the real queries, whose ideographic spaces this copy has lost."""
    scores = {}
    for name in (None, "hyde-qwen2-7b", "sl-hyde-qwen2-7b"):
        hyde = None if name is None else str(GOLD / "hyde" / f"{name}.jsonl.gz")
        (result,) = cmedteb.evaluate(
            "bm25", str(GOLD), output=tmp_path, model_options=ModelOptions(hyde=hyde), limit=40
        )
        scores[result.model.name] = result.main_score
    assert set(scores) == {
        "cmedteb/bm25",
        "cmedteb/bm25+hyde-qwen2-7b",
        "cmedteb/bm25+hyde-sl-hyde-qwen2-7b",
    }
    assert min(scores.values()) > 0.8
    assert len(set(scores.values())) == 3
