"""A model on several workers is the same model. Run: pytest tests/runner/test_workers.py -q."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders import text_column

from cmedteb.api import prepare
from cmedteb.encoding import Encoded, encode_distinct
from cmedteb.encoding.workers import Plan, Split, split_texts
from cmedteb.encoding.workers.split import ByLength
from cmedteb.errors import ModelError, UsageError
from cmedteb.models import Encoder, ModelOptions, Role, TaskContext, load_model
from cmedteb.models.custom import facts_of
from cmedteb.models.hashing import Hashing
from cmedteb.runner import Outcome, run_tasks
from cmedteb.runner.workers import (
    LoadedModel,
    Side,
    SpreadEncoder,
    identity_of,
    opened_model,
    split_of,
)
from cmedteb.types import TaskType
from runner.support import retrieval, sts

TWO = "cpu,cpu"
TEXTS = [f"text {number} " + "word " * (number % 40) for number in range(120)]


def evaluated(spec: str, folder: Path, output: Path, **spread: str) -> list[Outcome]:
    tasks = (retrieval(folder / "found"), sts(folder / "alike"))
    plan = prepare(tasks, output=output)
    with opened_model(spec, ModelOptions(device="cpu"), **spread) as system:
        return run_tasks(system, plan.tasks, plan.options)


def test_results_of_workers_stand_for_those_of_one_process(tmp_path: Path) -> None:
    output = tmp_path / "results"
    first = evaluated("hashing", tmp_path, output, devices=TWO)
    assert [outcome.error for outcome in first] == [None, None]
    again = evaluated("hashing", tmp_path, output)
    assert [outcome.reused for outcome in again] == [True, True]
    alone = evaluated("hashing", tmp_path, tmp_path / "alone")
    for one, other in zip(first, alone, strict=True):
        assert one.result is not None
        assert other.result is not None
        assert one.result.values == other.result.values
        assert one.result.receipts.sha256 == other.result.receipts.sha256


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As a worker on a CPU has; sums in several threads round differently."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_network_gives_the_bytes_of_one_process(mean_folder: Path, one_thread: None) -> None:
    column = text_column(TEXTS)
    with opened_model(str(mean_folder), ModelOptions(), devices=TWO) as system:
        assert isinstance(system, SpreadEncoder)
        bound = system.for_task(TaskContext("T", TaskType.RETRIEVAL)).with_budget(500)
        found = encode_distinct(bound.source(Role.DOCUMENT), column).vectors
        assert bound.tokens
        assert bound.path == "engine (sdpa, mask where padded)"
        facts = system.facts
    here = load_model(str(mean_folder), ModelOptions(device="cpu"))
    assert isinstance(here, Encoder)
    assert facts_of(here) == facts
    alone = encode_distinct(split_of(here, Role.DOCUMENT, 500).source, column).vectors
    assert found.tobytes() == alone.tobytes()


def test_wrappers_go_around_the_workers() -> None:
    options = ModelOptions(truncate_dim=64)
    with opened_model("hashing", options, devices=TWO) as system:
        narrow = system.encode_documents(TEXTS[:9])  # type: ignore[union-attr]
        facts = system.facts  # type: ignore[union-attr]
    here = load_model("hashing", options)
    np.testing.assert_array_equal(narrow, here.encode_documents(TEXTS[:9]))  # type: ignore[union-attr]
    assert facts == here.facts  # type: ignore[union-attr]


def test_a_model_whose_work_cannot_be_shared() -> None:
    with (
        pytest.raises(UsageError, match=r"workers could not share its work.*--devices and --ray"),
        opened_model("bm25", ModelOptions(), devices=TWO),
    ):
        pass


def test_a_model_that_nobody_asked_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, a machine of many GPUs runs what cannot be shared in one process."""
    gpus = "cmedteb.runner.workers.devices_of"
    monkeypatch.setattr(gpus, lambda *_: pytest.fail("no device is looked for"))
    with opened_model("bm25", ModelOptions()) as system:
        assert type(system).__name__ == "Bm25"
    monkeypatch.setattr(gpus, lambda *_: ("cpu", "cpu"))
    with opened_model("fusion:bm25+hashing", ModelOptions(), devices="auto") as system:
        assert type(system).__name__ == "Fusion"
    monkeypatch.setattr("cmedteb.runner.workers.ELSEWHERE", set())
    with opened_model("bm25", ModelOptions(), devices="auto") as system:
        assert type(system).__name__ == "Bm25"


def test_one_device_is_this_process() -> None:
    with opened_model("hashing", ModelOptions(), devices="1") as system:
        assert isinstance(system, Hashing)


def test_devices_by_name_are_not_for_ray() -> None:
    with (
        pytest.raises(UsageError, match="Ray places the workers, so say how many"),
        opened_model("hashing", ModelOptions(), devices=TWO, ray="local"),
    ):
        pass


def test_a_worker_with_another_model_is_refused() -> None:
    model = LoadedModel(Hashing(dimension=64))
    here = json.loads(identity_of(Hashing(dimension=64).facts, Role.QUERY))
    asked = json.dumps({**here, "revision": "2"})
    with pytest.raises(ModelError, match="revision is '1' on one and '2' on another"):
        model.encode(Side(None, Role.QUERY, None, asked), ())


class _Halved(Hashing):
    """A model that has a plan of its own."""

    def split(self, role: Role, budget: int | None = None) -> Split:
        encode = self.encode_queries if role is Role.QUERY else self.encode_documents
        return split_texts(encode, budget=budget or 7)


def test_the_plan_of_a_model_is_followed() -> None:
    model = LoadedModel(_Halved(dimension=64))
    side = Side(None, Role.DOCUMENT, None, identity_of(_Halved(64).facts, Role.DOCUMENT))
    plan = model.describe(side)
    assert plan == ByLength(7)
    assert model.describe(side._replace(budget=9)) == ByLength(9)
    assert model.describe(None) == _Halved(dimension=64).facts


def vectors_of(plan: Plan, split: Split, texts: list[str]) -> np.ndarray:
    """By a plan that has travelled, with the other half here."""
    travelled: Plan = pickle.loads(pickle.dumps(plan))

    def source(column: object) -> Iterator[Encoded]:
        for batch in travelled(column):  # type: ignore[arg-type]
            yield from split.run([pickle.loads(pickle.dumps(batch))])

    return encode_distinct(source, text_column(texts)).vectors


def test_an_engine_in_two_halves_gives_what_it_gives_whole(mean_folder: Path) -> None:
    from cmedteb.encoding.engine import Engine
    from cmedteb.encoding.workers import split_engine
    from cmedteb.models.sbert.fast import engine_of
    from cmedteb.models.sentence_transformer import SentenceTransformer

    model = load_model(str(mean_folder), ModelOptions(device="cpu"))
    assert isinstance(model, SentenceTransformer)
    engine = engine_of(model.loaded, model.bound.routes[Role.QUERY], "ask: ")
    assert isinstance(engine, Engine)
    split = split_engine(engine, "ask: ", budget=200)
    whole = encode_distinct(engine.source("ask: ", 200), text_column(TEXTS)).vectors
    assert vectors_of(split.plan, split, TEXTS).tobytes() == whole.tobytes()
    assert encode_distinct(split.source, text_column(TEXTS)).vectors.tobytes() == whole.tobytes()
