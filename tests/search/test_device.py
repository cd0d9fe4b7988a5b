"""The search that a GPU does, here with torch on the CPU.

Run: pytest tests/search/test_device.py -q.

Nothing of it depends on the device but the copies to it; on a machine with CUDA the same tests run
there too.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from builders import as_lists, strings

from cmedteb.search import Vectors, dense, device, search_vectors, tie_ranks
from cmedteb.search.collection import Collection
from cmedteb.search.sides import Side
from cmedteb.types import Float32Array, Similarity

torch = pytest.importorskip("torch", reason="needs torch")

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


def drawn(rows: int, width: int, *, seed: int) -> Float32Array:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def collection_of(vectors: Float32Array, similarity: Similarity) -> Collection:
    ids = strings(f"d{row:04d}" for row in range(len(vectors)))
    index = np.arange(len(vectors), dtype=np.int32)
    return Collection(Side.of(vectors, similarity), index, tie_ranks(ids))


@pytest.mark.parametrize("where", DEVICES)
@pytest.mark.parametrize("blocks", [(2**26, 2**25, 2**16), (100, 40, 3)])
@pytest.mark.parametrize("depth", [1, 10, 200])
def test_ties_are_settled_as_on_the_host(
    monkeypatch: pytest.MonkeyPatch, where: str, blocks: tuple[int, int, int], depth: int
) -> None:
    """Small integers: products are exact on every device, and most of them tie."""
    for name, size in zip(("BLOCK_FLOATS", "BLOCK_SCORES", "BLOCK_QUERIES"), blocks, strict=True):
        monkeypatch.setattr(device, name, size)
    draw = np.random.default_rng(1)
    vectors = draw.integers(-2, 3, (120, 6)).astype(np.float32)
    queries = draw.integers(-2, 3, (11, 6)).astype(np.float32)
    collection = collection_of(vectors, Similarity.DOT)
    found = device.best_on_device(queries, collection, depth, device=where)
    assert found is not None
    expected = dense.best_keys(queries, collection, depth, "cpu")
    assert as_lists(collection.run(found, depth)) == as_lists(collection.run(expected, depth))


@pytest.mark.parametrize("where", DEVICES)
@pytest.mark.parametrize("similarity", list(Similarity))
def test_scores_are_those_of_the_host(where: str, similarity: Similarity) -> None:
    collection = collection_of(drawn(500, 64, seed=2), similarity)
    queries = drawn(20, 64, seed=3)
    found = device.best_on_device(queries, collection, 30, device=where)
    assert found is not None
    run = collection.run(found, 30)
    expected = collection.run(dense.best_keys(queries, collection, 30, "cpu"), 30)
    np.testing.assert_array_equal(run.docs, expected.docs)
    np.testing.assert_allclose(run.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_a_full_device_leaves_the_search_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def full(queries: Float32Array, collection: Collection, k: int, where: str) -> None:
        asked.append(where)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(device, "_best", full)
    queries, documents = drawn(4, 8, seed=4), drawn(50, 8, seed=5)

    def search(where: str) -> list[list[tuple[int, float]]]:
        run = search_vectors(
            Vectors(queries, np.arange(4, dtype=np.int32)),
            Vectors(documents, np.arange(50, dtype=np.int32)),
            ids=strings(f"d{row}" for row in range(50)),
            similarity=Similarity.DOT,
            depth=5,
            device=where,
        )
        return as_lists(run)

    assert search("cuda") == search("cpu")
    assert asked == ["cuda"]


@pytest.mark.parametrize("there", [False, True])
def test_auto_takes_a_gpu_that_is_in_use_and_worth_it(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    much = device.WORTHWHILE
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.device_for("auto", much) == ("cuda" if there else "cpu")
    assert device.device_for("auto", much - 1) == "cpu"
    assert device.device_for("cpu", much) == "cpu"
    assert device.device_for("cuda:1", 1) == "cuda:1"
    monkeypatch.setitem(sys.modules, "torch", None)
    assert device.device_for("auto", much) == "cpu"


def test_products_are_not_tensorfloat_and_the_setting_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SimpleNamespace(now="medium")
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: settings.now)
    monkeypatch.setattr(
        torch, "set_float32_matmul_precision", lambda value: setattr(settings, "now", value)
    )
    with device.full_precision():
        assert settings.now == "highest"
    assert settings.now == "medium"
