"""A system, a task and the record that is kept. Run: pytest tests/runner/test_latency_record.py -q.

Times come from a scripted clock. Degenerate inputs: sentence pairs alone, a retriever that cannot
index beforehand, a reranker, an endpoint, a model that returns too few vectors or fails, damaged
files of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmedteb.data import Access, Hub
from cmedteb.errors import ModelError, UsageError
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.models.pair import Pair
from cmedteb.models.stored import Stored
from cmedteb.results import ResultStore
from cmedteb.runner.latency import Filed, Setup, measure_tasks
from cmedteb.runner.latency import machine as machine_module
from cmedteb.runner.latency.devices import MemoryMeter
from cmedteb.runner.latency.machine import ask_smi, cpu_name, device_of, machine_of
from cmedteb.tasks import Task, from_folder
from cmedteb.types import Candidates, Corpus, Queries, Run, Similarity
from runner.latency_support import SHORT, FakeClock, Scripted, model_json, steady
from runner.support import reranking, retrieval, sts

ACCESS = Access(None, Hub.HF, offline=True)


class Ticking(FakeClock):
    """Every look at the clock takes a millisecond."""

    def now(self) -> float:
        self.time += 0.001
        return self.time


def task(tmp_path: Path, make: Any = retrieval) -> Task:
    return from_folder(make(tmp_path / "Set"))


def setup(out: Path, clock: FakeClock, **options: Any) -> Setup:
    return Setup(output=out, access=ACCESS, plan=SHORT, clock=clock, **options)


def measure(system: Any, tmp_path: Path, make: Any = retrieval, **options: Any) -> Filed:
    clock = getattr(system, "clock", Ticking())
    asked = task(tmp_path / make.__name__, make)
    [filed] = measure_tasks(system, [asked], setup(tmp_path / "out", clock, **options))
    return filed


def test_a_record_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    filed = measure(Scripted(FakeClock(), steady(0.010)), tmp_path)
    record = filed.record
    assert (filed.name, filed.revision) == ("test/scripted", "1")
    assert (record.task, record.measured, record.quick) == ("Set", "encode", False)
    assert (record.dtype, record.parameters) == ("float32", 7), "of the query side alone"
    assert record.queries.prompt == "find: "
    assert record.queries.distinct == 12
    assert record.single_stream.p50_ms.value == pytest.approx(10.0)
    assert {"cmedteb", "python", "numpy"} <= record.library_versions.keys()
    assert record.memory.peak_bytes >= record.memory.before_bytes > 0
    assert record.machine.cores > 0
    assert record.device == device_of(Hashing().facts)
    assert filed.path == model_json(tmp_path / "out")
    assert ResultStore(tmp_path / "out").latency("test/scripted", "1") == [record]


def test_the_index_is_searched_over_as_many_vectors_as_there_are_documents(tmp_path: Path) -> None:
    found = measure(Scripted(FakeClock(), steady(0.010)), tmp_path).record.index_search
    assert found is not None
    assert (found.documents, found.dimension, found.depth) == (24, 3, 24)
    assert (found.vectors, found.searches) == ("random float32", 3)


def test_candidates_are_not_searched_for(tmp_path: Path) -> None:
    record = measure(Scripted(FakeClock(), steady(0.010)), tmp_path, reranking).record
    assert (record.index_search, record.measured) == (None, "encode")


def test_coarse_vectors_have_no_search_of_their_own_yet(tmp_path: Path) -> None:
    model = Scripted(FakeClock(), steady(0.010))
    model.facts = replace(model.facts, storage="int8")  # type: ignore[arg-type]
    assert measure(model, tmp_path).record.index_search is None


def test_a_new_measurement_takes_the_place_of_the_old(tmp_path: Path) -> None:
    first = measure(Scripted(FakeClock(), steady(0.010)), tmp_path)
    second = measure(Scripted(FakeClock(), steady(0.020)), tmp_path)
    assert first.path == second.path
    [kept] = ResultStore(tmp_path / "out").latency("test/scripted", "1")
    assert kept.single_stream.p50_ms.value == pytest.approx(20.0)


def test_a_quick_look_is_kept_apart(tmp_path: Path) -> None:
    measure(Scripted(FakeClock(), steady(0.010)), tmp_path)
    model = Scripted(FakeClock(), steady(0.020))
    quick = replace(setup(tmp_path / "out", model.clock), plan=replace(SHORT, quick=True))
    measure_tasks(model, [task(tmp_path)], quick)
    kept = ResultStore(tmp_path / "out").latency("test/scripted", "1")
    assert [record.quick for record in kept] == [False, True]
    assert [record.single_stream.p50_ms.value for record in kept] == pytest.approx([10.0, 20.0])


def test_the_time_is_told_before_it_begins(tmp_path: Path) -> None:
    told: list[str] = []
    tasks = [from_folder(retrieval(tmp_path / "Set")), from_folder(sts(tmp_path / "Pairs"))]
    model = Scripted(FakeClock(), steady(0.001))
    measure_tasks(model, tasks, setup(tmp_path / "out", model.clock, tell=told.append))
    assert told[0] == "Pairs: sentence pairs have no query side; left out"
    assert told[1] == f"measuring 1 task(s): at most about {SHORT.longest / 60:.1f} min in all"
    assert told[2] == "Set: warming up"


def test_sentence_pairs_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no query side: name a retrieval or reranking task"):
        measure(Scripted(FakeClock(), steady(0.001)), tmp_path, sts)


@dataclass(frozen=True)
class Counted(Bm25):
    """BM25 that counts how often it builds its index."""

    built: list[int] = field(default_factory=list)

    def indexed(self, corpus: Corpus) -> Any:
        self.built.append(len(corpus))
        return super().indexed(corpus)


def test_a_retriever_is_measured_by_its_search_in_an_index_built_once(tmp_path: Path) -> None:
    system = Counted()
    filed = measure(system, tmp_path)
    assert filed.record.measured == "search"
    assert len(system.built) == 1
    assert filed.record.index_search is None, "the search is what was measured"
    assert filed.path == model_json(tmp_path / "out", "cmedteb__bm25")


def test_a_retriever_that_indexes_for_each_search_is_refused(tmp_path: Path) -> None:
    class Unindexed:
        facts = Bm25().facts

        def search(self, corpus: Corpus, queries: Queries, depth: int) -> Run:
            raise AssertionError("it is not asked")

    with pytest.raises(UsageError, match=r"bm25 .* builds its index anew .* `indexed\(corpus\)`"):
        measure(Unindexed(), tmp_path)
    with pytest.raises(UsageError, match="name a retrieval task"):
        measure(Bm25(), tmp_path, reranking)


def test_what_orders_given_documents_is_refused(tmp_path: Path) -> None:
    class Orders:
        facts = replace(Bm25().facts, name="test/orders")

        def rerank(self, corpus: Corpus, queries: Queries, candidates: Candidates) -> Run:
            raise AssertionError("it is not asked")

    with pytest.raises(UsageError, match=r"test/orders encodes no queries: .* its first stage"):
        measure(Orders(), tmp_path, reranking)


ENDPOINTS = {"api": r"asks an endpoint: .* are paid", "hyde": "a language model writes documents"}


@pytest.mark.parametrize("family", ENDPOINTS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_endpoints_are_refused_before_they_are_asked(
    tmp_path: Path, family: str, wrapped: bool
) -> None:
    model = Scripted(FakeClock(), steady(0.001))
    model.facts = replace(model.facts, family=family)
    with pytest.raises(UsageError, match=ENDPOINTS[family]):
        measure(pair(model, Hashing()) if wrapped else model, tmp_path)
    assert model.calls == []


def pair(query: Any, document: Any) -> Any:
    return Stored(Pair(query=query, document=document, name="pair/x", similarity=Similarity.DOT))


def test_of_a_pair_the_query_side_is_measured(tmp_path: Path) -> None:
    """The document side is on another device, of another type, and is never asked."""
    clock = FakeClock()
    small, big = Scripted(clock, steady(0.002)), Scripted(clock, steady(0.2))
    big.facts = replace(big.facts, device="NVIDIA H200", dtype="bfloat16", name="test/big")
    filed = measure_tasks(
        pair(small, big), [task(tmp_path / "retrieval")], setup(tmp_path / "out", clock)
    )[0]
    assert big.calls == []
    assert filed.name == "pair/x"
    assert filed.record.single_stream.p50_ms.value == pytest.approx(2.0)
    assert (filed.record.dtype, filed.record.parameters) == ("float32", 7)
    assert filed.record.device == device_of(Hashing().facts)
    assert filed.record.queries.tokens == filed.record.queries.characters


def test_a_model_that_fails_is_named(tmp_path: Path) -> None:
    def fail(number: int, _texts: Sequence[str]) -> float:
        if number == 30:
            raise RuntimeError("CUDA error")
        return 0.001

    with pytest.raises(ModelError, match="test/scripted failed: RuntimeError: CUDA error"):
        measure(Scripted(FakeClock(), fail), tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_model_that_loses_a_query_is_named(tmp_path: Path) -> None:
    class Lossy(Scripted):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return super().encode_queries(texts)[:1]

    with pytest.raises(ModelError, match="test/scripted returned 1 vectors for 4 queries"):
        measure(Lossy(FakeClock(), steady(0.001)), tmp_path)


def test_the_peak_is_of_what_happened_since() -> None:
    """64 MiB that are touched and given back show in the mark, not in what was before."""
    meter = MemoryMeter()
    held = np.ones(2**23)
    del held
    found = meter.read()
    if found.kind == "resident set":
        assert found.peak_bytes >= found.before_bytes + 2**25
        assert MemoryMeter().read().peak_bytes < found.peak_bytes
    else:
        assert found.peak_bytes >= found.before_bytes


def test_the_name_of_a_processor() -> None:
    entry = {"model name": "AMD EPYC", "cpu family": "26", "model": "2"}
    assert cpu_name([entry, {}]) == "AMD EPYC (family 26, model 2)"
    assert cpu_name([{"model name": "Cortex"}]) == "Cortex"
    assert cpu_name([])


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00 nonsense", b"cpu MHz\n\n:\n"])
def test_a_machine_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(machine_module, "CPUINFO", path)
    found = machine_of(Hashing().facts)
    assert found.cpu
    assert found.cpu_mhz is None


def test_a_gpu_is_named_by_its_product() -> None:
    assert device_of(replace(Hashing().facts, device="NVIDIA H200")) == "NVIDIA H200"


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("echo '1980, 312.55'", (1980.0, 312.55)),
        ("echo '[N/A], 312.55'", (None, 312.55)),
        ("echo 'Insufficient permissions'", (None, None)),
        ("exit 9", (None, None)),
        ('[ "$4" = GPU-1 ] && echo 7, 8', (7.0, 8.0)),
    ],
)
def test_what_nvidia_smi_says(
    tmp_path: Path, says: str, state: tuple[float | None, float | None]
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    assert ask_smi(str(program), "GPU-1") == state
    assert ask_smi(str(tmp_path / "gone"), "GPU-1") == (None, None)
