"""Models of mteb's registry. Run: pytest tests/models/test_mteb_model.py -q.

Skipped where mteb is not installed. The models are mteb's own baselines and small real ones that
are registered for a test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts
from runner.support import reranking, retrieval, sts
from small_models.cross_encoder import classifier_folder
from small_models.mteb_model import PROMPTS, encoder_of, registered

import cmedteb
from cmedteb.data import Access, Hub
from cmedteb.errors import MissingExtraError, ModelError, NotAvailableError, UsageError
from cmedteb.interop.mteb import as_task
from cmedteb.models import Encoder, ModelOptions, PairScorer, Role, TaskContext, load_model
from cmedteb.models.mteb_facts import runs_own_code
from cmedteb.models.mteb_model import card_of
from cmedteb.tasks import from_folder
from cmedteb.types import Similarity, TaskType

mteb = pytest.importorskip("mteb", reason="mteb is not installed")
TEXTS = smoke_texts()[:6]
RETRIEVAL = TaskContext("Some", TaskType.RETRIEVAL, instruction="Find it.")
RERANKING = TaskContext("Some", TaskType.RERANKING)
STS = TaskContext("Pairs", TaskType.STS)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("mteb") / "bert", prompts=PROMPTS)


@pytest.fixture
def spec(bert: Path) -> Iterator[str]:
    with registered(
        "small/bert",
        encoder_of(bert),
        max_tokens=512.0,
        n_parameters=7,
        license="mit",
        training_datasets={"B", "A"},
        embed_dim=32,
    ) as spec:
        yield spec


def plain(folder: Path, texts: list[str], prompt: str) -> Any:
    """CLS vectors by the recipe, scaled to length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer(
        [prompt + text for text in texts],
        padding=True,
        truncation=True,
        max_length=128,
        return_tensors="pt",
    )
    with torch.no_grad():
        states = model(**inputs).last_hidden_state[:, 0]
    return torch.nn.functional.normalize(states, dim=1).numpy()


@pytest.mark.parametrize(
    ("context", "query", "document"),
    [
        (RETRIEVAL, "q: ", "d: "),
        (RERANKING, "r: ", "d: "),
        (STS, "s: ", "s: "),
        (replace(RETRIEVAL, name="CmedqaRetrieval"), "cmedqa: ", "d: "),
    ],
)
def test_vectors_and_prompts_are_those_of_the_task(
    bert: Path, spec: str, context: TaskContext, query: str, document: str
) -> None:
    model: Any = load_model(spec, ModelOptions(device="cpu"))
    bound = model.for_task(context)
    assert bound.facts.prompts == {"query": query, "document": document}
    found, expected = bound.encode_queries(TEXTS), plain(bert, TEXTS, query)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    expected = plain(bert, TEXTS, document)
    np.testing.assert_allclose(bound.encode_documents(TEXTS), expected, atol=1e-5)


class Recorded:
    """A model of mteb's whose vectors are kept by text and side while mteb evaluates it."""

    def __init__(self, model: Any) -> None:
        self.model, self.vectors = model, {}
        self.mteb_model_meta = model.mteb_model_meta
        self.similarity, self.similarity_pairwise = model.similarity, model.similarity_pairwise

    def encode(self, inputs: Any, *, prompt_type: Any = None, **settings: Any) -> Any:
        texts = [text for batch in inputs for text in batch["text"]]
        found = self.model.encode(inputs, prompt_type=prompt_type, **settings)
        side = None if prompt_type is None else prompt_type.value
        for text, vector in zip(texts, np.asarray(found), strict=True):
            self.vectors[side, text] = vector
        return found


@pytest.mark.parametrize(
    ("make", "key"),
    [(retrieval, "ndcg_at_10"), (reranking, "map_at_10"), (sts, "cosine_spearman")],
)
def test_vectors_and_scores_are_those_of_mteb_s_own_evaluation(
    spec: str, tmp_path: Path, make: Any, key: str
) -> None:
    """Evaluated by mteb's own code, against ours."""
    task = from_folder(make(tmp_path / "Set"))
    data: Any = task.load(Access())
    theirs = Recorded(mteb.get_model("small/bert", device="cpu"))
    outcome = mteb.evaluate(
        theirs,
        as_task(task.card, data),
        cache=mteb.ResultCache(tmp_path / "cache"),
        show_progress_bar=False,
    )
    options = ModelOptions(device="cpu")
    how: Any = {"output": tmp_path / "out", "model_options": options, "depth": 1000}
    [ours] = cmedteb.evaluate(spec, [tmp_path / "Set"], **how)
    scores = outcome.task_results[0].scores["test"][0]
    assert ours.values[key] == pytest.approx(scores[key], abs=1e-5)
    kind = TaskType(task.card.type)
    bound: Any = load_model(spec, options).for_task(TaskContext("Set", kind))  # type: ignore[union-attr]
    assert len(theirs.vectors) > 10
    told_apart = np.unique(np.round(list(theirs.vectors.values()), 4), axis=0)
    assert len(told_apart) == len(theirs.vectors)
    for side, encode in (
        ("query", bound.encode_queries),
        ("document", bound.encode_documents),
        (None, bound.encode_queries),
    ):
        texts = [text for asked, text in theirs.vectors if asked == side]
        expected = [theirs.vectors[side, text] for text in texts]
        if texts:
            np.testing.assert_allclose(encode(texts), expected, atol=1e-6)


def test_facts_come_from_the_registry_and_over_it_from_the_network(spec: str) -> None:
    model: Any = load_model(spec, ModelOptions(device="cpu"))
    facts = model.facts
    assert isinstance(model, Encoder)
    assert (facts.name, facts.revision) == ("small/bert+mteb", "7")
    assert facts.similarity is Similarity.COSINE
    assert (facts.dimension, facts.max_length, facts.dtype) == (32, 128, "float32")
    count = sum(weight.numel() for weight in model.model.model.parameters())
    assert facts.parameters == {"query": count, "document": count}
    assert facts.reproducible
    assert facts.settings["loader"].endswith("tiny_encoder")
    assert "task" not in facts.settings


def test_kept_vectors_follow_prompt_and_side(spec: str) -> None:
    model: Any = load_model(spec, ModelOptions(device="cpu"))
    sides = [
        str(model.for_task(context).facts.side(role))
        for context in (RETRIEVAL, RERANKING, STS)
        for role in Role
    ]
    assert len(set(sides)) == 4, "documents of both rankings share, and the sides of pairs"
    same = model.for_task(replace(RETRIEVAL, name="Other", instruction="Look."))
    for role in Role:
        assert same.facts.side(role) == model.for_task(RETRIEVAL).facts.side(role)


def test_an_instruction_wrapper_gets_the_task_s_instruction(bert: Path) -> None:
    from mteb.models.instruct_wrapper import InstructSentenceTransformerModel

    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        return InstructSentenceTransformerModel(
            str(bert),
            revision,
            instruction_template="I: {instruction}\n",
            apply_instruction_to_passages=False,
        )

    with registered("small/instruct", loader) as spec:
        model: Any = load_model(spec)
        told = model.for_task(RETRIEVAL)
        assert told.facts.prompts == {"query": "I: Find it.\n", "document": ""}
        expected = plain(bert, TEXTS, "I: Find it.\n")
        np.testing.assert_allclose(told.encode_queries(TEXTS), expected, atol=1e-5)
        np.testing.assert_allclose(told.encode_documents(TEXTS), plain(bert, TEXTS, ""), atol=1e-5)
        # Where nobody says, mteb's own for the kind of task; where mteb knows the task, its own.
        silent = model.for_task(RERANKING)
        assert silent.facts.prompts["query"] == "I: Retrieve text based on user query.\n"
        pairs = model.for_task(replace(STS, instruction="Same meaning?"))
        assert set(pairs.facts.prompts.values()) == {"I: Same meaning?\n"}
        known = model.for_task(replace(RETRIEVAL, name="MedicalRetrieval"))
        official = mteb.get_task("MedicalRetrieval").metadata.prompt["query"]
        assert known.facts.prompts["query"] == f"I: {official}\n"
        other_kind = model.for_task(replace(STS, name="MedicalRetrieval", instruction="Same?"))
        assert other_kind.facts.prompts["query"] == "I: Same?\n"


def test_a_wrapper_that_cannot_be_asked_is_bound_to_its_task() -> None:
    model: Any = load_model("mteb:mteb/baseline-random-encoder")
    assert model.encode_queries(TEXTS).shape == (6, 32)
    first, second = (
        model.for_task(replace(RETRIEVAL, name=name)).facts for name in ("First", "Second")
    )
    assert first.prompts == {}
    assert first.settings["task_prompt"] == {"query": "Find it."}
    assert first.identity != second.identity
    assert first.side(Role.QUERY) != second.side(Role.QUERY)
    assert first.parameters == {"query": 0, "document": 0}


def test_a_cross_encoder_scores_pairs_as_the_library_does(tmp_path: Path) -> None:
    from mteb.models import CrossEncoderWrapper
    from sentence_transformers import CrossEncoder

    folder = str(classifier_folder(tmp_path / "classifier"))

    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        return CrossEncoderWrapper(folder, device="cpu")

    with registered(
        "small/reranker", loader, model_type=["cross-encoder"], similarity_fn_name=None
    ) as spec:
        model: Any = load_model(spec)
        assert isinstance(model, PairScorer)
        assert not isinstance(model, Encoder)
        expected = CrossEncoder(folder, device="cpu").predict(
            list(zip(TEXTS[:4], TEXTS[2:], strict=True))
        )
        np.testing.assert_allclose(model.score_pairs(TEXTS[:4], TEXTS[2:]), expected, atol=1e-5)
        assert model.facts.parameters["document"] == 0
        assert model.facts.similarity is None
        assert model.facts.sts_sides == (Role.QUERY, Role.DOCUMENT)
        [result] = cmedteb.evaluate(model, "SmokeReranking", output=tmp_path / "out", limit=5)
        assert 0 < result.main_score <= 1


def test_a_reranker_of_several_labels_is_refused_when_it_answers() -> None:
    class TwoLabels:
        def __init__(self, name: str, revision: str | None = None, **settings: Any) -> None:
            self.mteb_model_meta: Any = None

        def predict(self, inputs1: Any, inputs2: Any, **settings: Any) -> Any:
            return np.zeros((settings["batch_size"], 2))

    with registered("small/two-labels", TwoLabels, model_type=["cross-encoder"]) as spec:
        model: Any = load_model(spec)
        with pytest.raises(ModelError, match=r"shape \(3, 2\) for 3 pairs"):
            model.score_pairs(TEXTS[:3], TEXTS[:3])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mteb/baseline-bm25s", "-m bm25$"),
        ("lightonai/GTE-ModernColBERT-v1", "late interaction .* -m lightonai/GTE-ModernColBERT-v1"),
        ("naver/splade-v3", "sparse encoders .* -m naver/splade-v3"),
        ("mteb/baseline-hybrid-rrf-baseline-bm25s-multilingual-e5-small", "-m fusion:bm25"),
        ("openai/text-embedding-ada-002", "-m api:text-embedding-ada-002"),
        ("BAAI/bge-m4", "Did you mean BAAI/bge-m3 "),
        ("bge-m3", "Did you mean BAAI/bge-m3"),
        ("BAAI/bge-m3@0000", "at another revision"),
        ("jinaai/jina-reranker-v2-base-multilingual", "--trust-remote-code"),
    ],
)
def test_what_does_not_run_here_is_refused_before_anything_is_loaded(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_model(f"mteb:{name}")


def test_a_model_that_searches_by_itself_is_refused() -> None:
    class Searches:
        mteb_model_meta: Any = None

        def __init__(self, name: str, revision: str | None = None, **settings: Any) -> None:
            pass

        def index(self, corpus: Any, **settings: Any) -> None: ...

        def search(self, queries: Any, **settings: Any) -> None: ...

    with (
        registered("small/searches", Searches) as spec,
        pytest.raises(UsageError, match="searches by itself"),
    ):
        load_model(spec)


def test_a_registry_entry_without_code_or_text() -> None:
    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        raise AssertionError("never loaded")

    with (
        registered("small/none", None) as spec,  # type: ignore[arg-type]
        pytest.raises(NotAvailableError, match="no code that runs it"),
    ):
        load_model(spec)
    with (
        registered("small/eyes", loader, modalities=["image"]) as spec,
        pytest.raises(UsageError, match="reads image, and no text"),
    ):
        load_model(spec)


@pytest.mark.parametrize("error", [OSError("no such file"), ValueError("odd"), KeyError("k")])
def test_what_mteb_raises_while_loading_names_the_model(error: Exception) -> None:
    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        raise error

    with (
        registered("small/broken", loader) as spec,
        pytest.raises(NotAvailableError, match=f"cannot load small/broken: {type(error).__name__}"),
    ):
        load_model(spec)


def test_code_of_the_model_s_own_is_asked_for() -> None:
    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        return mteb.get_model("mteb/baseline-random-encoder")

    kept = {"model_kwargs": {"trust_remote_code": True}}
    with registered("small/own-code", loader, loader_kwargs=kept) as spec:
        with pytest.raises(UsageError, match="--trust-remote-code"):
            load_model(spec)
        load_model(spec, ModelOptions(trust_remote_code=True))
    assert runs_own_code(mteb.get_model_meta("jinaai/jina-reranker-v2-base-multilingual"))
    assert not runs_own_code(mteb.get_model_meta("BAAI/bge-m3"))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (ModelOptions(dtype="bf16"), "--dtype"),
        (ModelOptions(hub=Hub.MODELSCOPE), "--hub"),
        (ModelOptions(max_length=9), "--max-length"),
        (ModelOptions(query_prompt="q"), "--query-prompt"),
    ],
)
def test_what_mteb_decides_cannot_be_set(spec: str, options: ModelOptions, flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        load_model(spec, options)


def test_offline_no_loader_connects(bert: Path) -> None:
    from huggingface_hub import constants

    seen: list[bool] = []

    def loader(name: str, revision: str | None = None, **settings: Any) -> Any:
        seen.append(constants.is_offline_mode())
        return encoder_of(bert)(name, revision, **settings)

    before = constants.is_offline_mode()
    with registered("small/offline", loader) as spec:
        load_model(spec, ModelOptions(offline=True))
    assert seen == [True]
    assert constants.is_offline_mode() is before
    with (
        registered("small/api", loader, framework=["API"]) as spec,
        pytest.raises(NotAvailableError, match="no connection may be opened"),
    ):
        load_model(spec, ModelOptions(offline=True))


def test_without_a_revision_no_result_is_reused(bert: Path) -> None:
    with registered("small/loose (v=1)", encoder_of(bert), revision=None) as spec:
        model: Any = load_model(spec)
    assert model.facts.name == "small/loose--v-1-+mteb"
    assert not model.facts.reproducible


def test_the_registry_as_a_card(spec: str) -> None:
    card = card_of("small/bert")
    assert (card.licence, card.training_sets) == ("mit", ("A", "B"))
    assert (card.max_length, card.dimension, card.revision) == (512, 32, "7")
    assert card.parameters.query == card.parameters.document == 7
    assert card.settings == {"model": "small/bert"}
    assert card.similarity is Similarity.COSINE
    silent = card_of("mteb/baseline-random-cross-encoder")
    assert (silent.max_length, silent.similarity) == ("unknown", "cosine")


def test_without_mteb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cmedteb\[mteb\]'"):
        load_model("mteb:BAAI/bge-m3")
