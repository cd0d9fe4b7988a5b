"""What every family of models keeps to, with a small real model each, through the real loader.

Run: pytest tests/models/test_contract.py -q. A family enters by a module in tests/small_models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from builders import smoke_texts

import cmedteb
from cmedteb.errors import CmedtebError, UsageError
from cmedteb.models import (
    CollectionScorer,
    Composite,
    Described,
    Encoder,
    ModelOptions,
    PairScorer,
    Reranker,
    Retriever,
    Role,
    Streaming,
    System,
    TaskAware,
    TaskContext,
    load_model,
)
from cmedteb.models.card import Family
from cmedteb.models.registry import MODULES
from cmedteb.results import TaskResult
from cmedteb.types import TaskType

HOME = Path(__file__).parents[1] / "small_models"
BUILDERS = sorted(path.stem for path in HOME.glob("*.py") if "def small(" in path.read_text())
TEXTS = smoke_texts()[:7]


@pytest.fixture(params=BUILDERS)
def small(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ModelOptions]]:
    builder = import_module(f"small_models.{request.param}")
    with builder.small(tmp_path_factory.mktemp(request.param)) as asked:
        yield asked


@pytest.fixture
def system(small: tuple[str, ModelOptions]) -> System:
    return load_model(*small)


def test_every_family_is_here() -> None:
    """A family whose modules no builder names would pass by not being asked."""
    sources = "".join((HOME / f"{name}.py").read_text() for name in BUILDERS)
    built_in = {Family.BM25, Family.HASHING}
    for family in set(Family) - built_in:
        named = MODULES[family] in BUILDERS or f'"{family}"' in sources
        assert named, f"tests/small_models has no {family}"


def test_it_says_what_it_is(system: System) -> None:
    assert isinstance(system, Described)
    facts = system.facts
    assert facts.name.count("/") == 1
    assert facts.revision
    assert set(facts.parameters) <= {"query", "document"}
    assert json.loads(json.dumps(facts.identity)) == json.loads(json.dumps(system.facts.identity))
    for role in Role:
        json.dumps(facts.side(role))


def test_it_offers_a_way_to_be_scored(system: System) -> None:
    kinds = (Encoder, Retriever, Reranker, PairScorer, CollectionScorer, Composite)
    assert isinstance(system, kinds)


def test_loaded_twice_it_is_the_same(small: tuple[str, ModelOptions]) -> None:
    first, second = load_model(*small), load_model(*small)
    assert isinstance(first, Described)
    assert isinstance(second, Described)
    assert first.facts.identity == second.facts.identity


def test_its_vectors_are_what_its_facts_say(system: System) -> None:
    if not isinstance(system, Encoder) or isinstance(system, Composite):
        pytest.skip("it has no vectors")
    for encode in (system.encode_queries, system.encode_documents):
        vectors = np.asarray(encode(TEXTS))
        assert vectors.shape[0] == len(TEXTS)
        assert np.isfinite(vectors).all()
        assert isinstance(system, Described)
        assert system.facts.dimension in {None, vectors.shape[1]}
        one_by_one = np.concatenate([np.asarray(encode([text])) for text in TEXTS])
        np.testing.assert_allclose(vectors, one_by_one, atol=1e-5)
        np.testing.assert_allclose(np.asarray(encode(TEXTS)), vectors, atol=1e-6)


def test_a_stream_gives_every_row_once(system: System) -> None:
    if not isinstance(system, Streaming):
        pytest.skip("it does not stream")
    for role, encode in (
        (Role.QUERY, getattr(system, "encode_queries")),  # noqa: B009
        (Role.DOCUMENT, getattr(system, "encode_documents")),  # noqa: B009
    ):
        parts = list(system.stream(TEXTS, role))
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows.tolist()) == list(range(len(TEXTS)))
        vectors = np.concatenate([part.vectors for part in parts])[np.argsort(rows)]
        np.testing.assert_allclose(vectors, encode(TEXTS), atol=1e-6)


def test_pairs_are_scored_alone(system: System) -> None:
    if not isinstance(system, PairScorer):
        pytest.skip("it scores no pairs")
    left, right = TEXTS[:4], TEXTS[3:]
    together = np.asarray(system.score_pairs(left, right))
    assert together.shape == (4,)
    alone = [float(system.score_pairs([a], [b])[0]) for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_bound_to_a_task_it_keeps_its_name(system: System) -> None:
    if not isinstance(system, TaskAware) or not isinstance(system, Described):
        pytest.skip("tasks are all the same to it")
    context = TaskContext("T", TaskType.RETRIEVAL, instruction="Find it.", query_form=None)
    try:
        bound = system.for_task(context)
    except UsageError:
        bound = system.for_task(replace(context, query_form="question"))
    assert (bound.facts.name, bound.facts.revision) == (system.facts.name, system.facts.revision)


def test_an_option_that_it_does_not_read_is_refused(small: tuple[str, ModelOptions]) -> None:
    spec, options = small
    refused = []
    for name, value in (("dimensions", 3), ("fusion", "rrf"), ("max_length", 9)):
        if getattr(options, name) is None:
            try:
                load_model(spec, replace(options, **{name: value}))
            except UsageError as error:
                refused.append((f"--{name.replace('_', '-')}", str(error)))
    assert refused
    assert all(flag in told for flag, told in refused)


def test_it_runs_on_the_smoke_tasks(small: tuple[str, ModelOptions], tmp_path: Path) -> None:
    """Ranking and reranking always; pairs where the family has a similarity, else it says so."""
    spec, options = small
    results: list[TaskResult] = []
    tasks = ["SmokeReranking"] if _needs_a_first_stage(spec, options) else ["SmokeRetrieval"]
    for task in [*tasks, "SmokeReranking"]:
        results += cmedteb.evaluate(
            spec, task, output=tmp_path, model_options=options, limit=6, vectors=tmp_path / "v"
        )
    for result in results:
        assert 0 <= result.main_score <= 1
        assert result.receipts.sha256
    try:
        pairs = cmedteb.evaluate(spec, "SmokeSts", output=tmp_path, model_options=options)
    except CmedtebError as error:
        told = str(error)
    else:
        told = "sentence" if -1 <= pairs[0].main_score <= 1 else "no correlation"
    assert any(word in told for word in ("sentence", "pairs", "--sts-sides", "no variance"))


def _needs_a_first_stage(spec: str, options: ModelOptions) -> bool:
    system = load_model(spec, options)
    searches = isinstance(system, Retriever | Encoder | Composite)
    if not searches:
        with pytest.raises(UsageError, match="--first-stage"):
            cmedteb.evaluate(spec, "SmokeRetrieval", model_options=options, limit=3)
    return not searches
