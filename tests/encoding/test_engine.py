"""The engine against sentence-transformers' own `encode`, and what it must survive.

Run: pytest tests/encoding/test_engine.py -q. The models are BERTs of two layers made from a seed
(tests/builders.py); lanes run on the CPU, one of them as late as a device would.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts, strings

from cmedteb.encoding.engine import Batch, Engine, Padding
from cmedteb.encoding.lanes import AtOnce, Collect, Forward, Ids, out_of_memory
from cmedteb.encoding.plan import MOST, Budget, open_budget
from cmedteb.encoding.tokens import ragged
from cmedteb.models import ModelOptions, Role, load_model
from cmedteb.models.sentence_transformer import SentenceTransformer
from cmedteb.types import Float32Array

PASSAGES = smoke_texts()
TEXTS = [f"{row} {text}"[: 3 + 11 * row] for row, text in enumerate(PASSAGES[:16])]
TEXTS = [*TEXTS, "", "x", " ".join(TEXTS), PASSAGES[0] * 80]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    folder = bert_folder(
        tmp_path_factory.mktemp("engine") / "bert", pooling="mean", prompts={"query": "\u95ee: "}
    )
    found = load_model(str(folder), ModelOptions(device="cpu"))
    assert isinstance(found, SentenceTransformer)
    return found


@pytest.fixture(scope="module")
def engine(system: SentenceTransformer) -> Engine:
    found = system._engine(Role.DOCUMENT)
    assert isinstance(found, Engine)
    return found


@dataclass
class Late:
    """A device that runs batches only when they are collected, or many behind.

    Attributes:
        limit: slots of a batch above which memory is said to have run out.
        fits: what `headroom` says.
    """

    window: int = 2
    limit: int | None = None
    fits: float = 1.0
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    tokens: int = 0
    relieved: int = 0

    def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
        if self.limit is not None and ids.size > self.limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.shapes.append(ids.shape)
        self.tokens += int(mask.sum())
        here = AtOnce("cpu")

        def collect() -> Float32Array:
            return here.submit(forward, ids, mask)()

        return collect

    def headroom(self) -> float:
        return self.fits

    def relieve(self) -> None:
        self.relieved += 1


def gathered(made: Iterator[Any], count: int = len(TEXTS)) -> Float32Array:
    """All vectors in the order of the texts; fails where a row is missing or comes twice."""
    parts = list(made)
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(count))
    vectors = np.concatenate([part.vectors for part in parts])
    return np.asarray(vectors[np.argsort(rows)], dtype=np.float32)


def theirs(system: SentenceTransformer, prompt: str = "") -> Float32Array:
    vectors = system.model.encode(TEXTS, prompt=prompt, batch_size=7, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


@pytest.mark.parametrize("budget", [None, 1, 300, 5000])
@pytest.mark.parametrize("role", list(Role))
def test_a_column_gets_the_librarys_vectors(
    system: SentenceTransformer, role: Role, budget: int | None
) -> None:
    assert system.path == "engine (sdpa, mask where padded)"
    found = gathered(system.source(role, budget)(strings(TEXTS)))
    expected = theirs(system, "\u95ee: " if role is Role.QUERY else "")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_lane_that_runs_late_gives_the_same_bytes(engine: Engine) -> None:
    column = strings(TEXTS)
    at_once = gathered(replace(engine, lane=AtOnce("cpu")).source("", 400)(column))
    for window in (1, 2, 50):
        late = Late(window=window)
        np.testing.assert_array_equal(
            gathered(replace(engine, lane=late).source("", 400)(column)), at_once
        )
        assert len(late.shapes) > 5


@pytest.mark.parametrize("window", [1, 3])
def test_a_window_is_collected_when_the_next_one_is_in_the_queue(
    engine: Engine, window: int
) -> None:
    """So a device is never without work while vectors are taken over: order, not time."""

    @dataclass
    class Watched(Late):
        collected: int = 0
        ahead: list[int] = field(default_factory=list)

        def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
            collect = super().submit(forward, ids, mask)

            def watched() -> Float32Array:
                self.collected += 1
                self.ahead.append(len(self.shapes) - self.collected)
                return collect()

            return watched

    lane = Watched(window=window)
    count = len(list(replace(engine, lane=lane).source("", 200)(strings(TEXTS))))
    assert count == len(lane.ahead) > 4 * window
    # Until the plan ends, a whole window is ahead of whatever is waited for, and never three.
    assert min(lane.ahead[: -2 * window]) >= window
    assert max(lane.ahead) <= 2 * window
    # One wait a window: the vectors of a window are asked for one after the other.
    assert lane.ahead[:window] == list(range(2 * window, window, -1))


def test_where_nothing_is_padded_the_network_has_no_mask(engine: Engine) -> None:
    seen = []

    def forward(ids: Any, mask: Any) -> Any:
        seen.append((tuple(ids.shape), mask is None))
        return engine.forward(ids, mask)

    watched = replace(engine, forward=forward)
    vectors = watched.encode(["a b", "c d"])
    watched.encode(["a b", "c d e"])
    assert [bare for _, bare in seen] == [True, False]
    ids, mask = engine.padding.pad(engine.tokenise(["a b", "c d"]), np.arange(2))
    with_mask = AtOnce("cpu").submit(
        lambda ids, _: engine.forward(ids, ids.new_ones(ids.shape)), ids, mask
    )()
    np.testing.assert_array_equal(vectors, with_mask)


def test_batches_keep_to_the_budget_with_little_padding(engine: Engine) -> None:
    """Many texts of a corpus' spread of lengths: slots are at most 1.05 of the tokens."""
    draw = np.random.default_rng(0)
    long = "".join(PASSAGES) * 3
    sizes = np.minimum(draw.lognormal(4.2, 0.7, 3000), 500).astype(int)
    texts = [long[start : start + size] for start, size in enumerate(sizes.tolist())]
    made = list(replace(engine, budget=Budget(4096)).plan()(strings(texts)))
    assert max(batch.ids.size for batch in made) <= 4096
    slots, tokens = sum(b.ids.size for b in made), sum(b.tokens for b in made)
    assert tokens <= slots <= 1.05 * tokens
    lengths = [batch.mask.sum(axis=1) for batch in made]
    assert all((np.diff(some) <= 0).all() for some in lengths)


def test_a_plan_that_goes_on_is_the_rest_of_the_plan(engine: Engine) -> None:
    """Killed between any two batches, a run makes the batches that it would have made."""
    engine = replace(engine, budget=Budget(250))
    whole = list(engine.plan()(strings(TEXTS)))
    assert len(whole) > 8
    for done in range(1, len(whole), 3):
        left = np.sort(np.concatenate([batch.rows for batch in whole[done:]]))
        again = engine.plan()(strings([TEXTS[row] for row in left]))
        for one, other in zip(again, whole[done:], strict=True):
            np.testing.assert_array_equal(left[one.rows], other.rows)
            np.testing.assert_array_equal(one.ids, other.ids)


@pytest.mark.parametrize("limit", [130, 200, 500])
def test_running_out_of_memory_is_survived(engine: Engine, limit: int) -> None:
    lane, budget = Late(limit=limit), Budget(4096)
    engine = replace(engine, lane=lane, budget=budget)
    column = strings(TEXTS)
    expected = gathered(replace(engine, lane=AtOnce("cpu")).source("")(column))
    lane.tokens, counted = 0, []
    found = gathered(replace(engine, count=counted.append).source("")(column))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert lane.relieved > 0
    assert budget.tokens <= limit
    assert sum(counted) == lane.tokens == sum(b.tokens for b in engine.plan()(column))
    refused, lane.relieved = lane.relieved, 0
    gathered(engine.source("")(column))
    assert lane.relieved < refused
    assert lane.relieved == 0


def test_a_model_that_runs_out_of_memory_is_survived(
    system: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    expected, forward, tries = theirs(system), system.model.forward, []

    def small(features: dict[str, Any], **told: Any) -> Any:
        tries.append(features["input_ids"].numel())
        if tries[-1] > 600:
            raise torch.OutOfMemoryError("HIP out of memory")
        return forward(features, **told)

    monkeypatch.setattr(system.model, "forward", small)
    before = system.tokens
    found = gathered(system.source(Role.DOCUMENT, 5000)(strings(TEXTS)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(tries) > 600
    read = system.model.tokenizer(TEXTS, truncation=True)["input_ids"]
    assert system.tokens - before == sum(map(len, read))


def test_one_text_that_does_not_fit_is_an_error(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        list(replace(engine, lane=Late(limit=10)).source("", 500)(strings(TEXTS)))


def test_another_failure_is_not_taken_for_memory(engine: Engine) -> None:
    def broken(_ids: object, _mask: object) -> Any:
        raise RuntimeError("the size of tensor a must match the size of tensor b")

    with pytest.raises(RuntimeError, match="tensor a"):
        list(replace(engine, forward=broken).source("")(strings(TEXTS)))


@pytest.mark.parametrize(
    "told",
    [
        "CUDA out of memory.",
        "DefaultCPUAllocator: can't allocate memory: you tried",
        "not enough memory",
    ],
)
def test_torchs_words_for_no_memory(told: str) -> None:
    assert out_of_memory(RuntimeError(told))
    assert not out_of_memory(RuntimeError("an illegal memory access was encountered"))


@pytest.mark.parametrize(("fits", "tokens"), [(1.9, 512), (2.0, 1024), (5.0, 2048), (1e9, MOST)])
def test_an_open_budget_is_found_by_one_batch(engine: Engine, fits: float, tokens: int) -> None:
    lane, budget = Late(fits=fits), Budget(512, open=True)
    tower = replace(engine, lane=lane, budget=budget)
    gathered(tower.source("")(strings(TEXTS)))
    assert lane.shapes[0][0] * lane.shapes[0][1] <= 512
    assert budget.tokens == tokens
    assert not budget.open
    assert open_budget("cuda:1").open
    assert not open_budget("cpu").open


def test_an_open_budget_that_does_not_fit_is_halved(engine: Engine) -> None:
    lane, budget = Late(limit=700, fits=8), Budget(2048, open=True)
    gathered(replace(engine, lane=lane, budget=budget).source("")(strings(TEXTS)))
    assert budget.tokens <= 700


def test_a_plan_that_went_to_another_process_gives_the_same_bytes(engine: Engine) -> None:
    """What workers do: they run the batches of a plan that was made elsewhere, in any order."""
    import pickle

    engine = replace(engine, budget=Budget(400))
    column = strings(TEXTS)
    expected = gathered(engine.source("x")(column))
    made = list(pickle.loads(pickle.dumps(engine.plan("x")))(column))
    for lane in (AtOnce("cpu"), Late()):
        worker = replace(engine, lane=lane, budget=Budget(9))
        found = gathered(worker.run(reversed(made)))
        np.testing.assert_array_equal(found, expected)


def test_a_worker_learns_what_does_not_fit(engine: Engine) -> None:
    column, lane = strings(TEXTS), Late(limit=300)
    made = list(replace(engine, budget=Budget(400)).plan()(column))
    expected = gathered(engine.source("", 400)(column))
    worker = replace(engine, lane=lane, budget=Budget(400))
    np.testing.assert_allclose(gathered(worker.run(made)), expected, atol=1e-6)
    failed = lane.relieved
    gathered(worker.run(made))
    assert lane.relieved == failed > 0


def test_encode_keeps_the_order(engine: Engine) -> None:
    source = gathered(engine.source("")(strings(TEXTS)))
    np.testing.assert_allclose(engine.encode(TEXTS), source, atol=1e-6)
    np.testing.assert_allclose(engine.encode(TEXTS[3:4]), source[3:4], atol=1e-6)


def test_no_texts_no_batches(engine: Engine) -> None:
    assert list(engine.source("")(strings([]))) == []


def test_nothing_runs_on_after_the_consumer_left(engine: Engine) -> None:
    running = {thread.name for thread in threading.enumerate()}
    source = replace(engine, lane=Late(window=1)).source("", 200)(strings(TEXTS))
    next(source)
    source.close()  # type: ignore[attr-defined]
    del source
    assert {thread.name for thread in threading.enumerate()} <= running


@pytest.mark.parametrize("left", [False, True])
def test_padding_and_halves(left: bool) -> None:
    texts = ragged([[5, 6, 7], [], [8], [9, 10]])
    padding = Padding(1, left=left)
    ids, mask = padding.pad(texts, np.asarray([0, 3, 2, 1]))
    if left:
        assert ids.tolist() == [[5, 6, 7], [1, 9, 10], [1, 1, 8], [1, 1, 1]]
        assert mask.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    else:
        assert ids.tolist() == [[5, 6, 7], [9, 10, 1], [8, 1, 1], [1, 1, 1]]
        assert mask.tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    first, second = Batch(np.arange(4), ids, mask).halves()
    assert (first.rows.tolist(), second.rows.tolist()) == ([0, 1], [2, 3])
    assert first.ids.shape == (2, 3)
    assert (second.ids.tolist(), second.mask.tolist()) == ([[8], [1]], [[1], [0]])
    ids, mask = padding.pad(texts, np.asarray([1]))
    assert (ids.tolist(), mask.tolist()) == ([[1]], [[0]])
