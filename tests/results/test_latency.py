"""What `model.json` keeps of queries' cost. Run: pytest tests/results/test_latency.py -q.

Degenerate inputs: no file yet, a broken file, a file of before there were such records, an entry
that is none, several processes at once, NaN.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from runner.support import Counting, retrieval

import cmedteb
from cmedteb.results import ResultStore
from cmedteb.results.latency import LatencyRecord, ModelFile
from cmedteb.results.schema import ModelRecord

BOUNDED = {"value": 1.5, "low": 1.0, "high": 2.0}
DOCUMENT: dict[str, Any] = {
    "quick": False,
    "measured": "encode",
    "task": "Set",
    "dataset_content_hash": "0" * 64,
    "device": "a device",
    "dtype": "float32",
    "seed": 0,
    "date": "2026-01-01T00:00:00+00:00",
    "queries": {
        "distinct": 3,
        "asked": 3,
        "prompt": None,
        "characters": [4.5, 9],
        "tokens": None,
    },
    "warm_up": {"first_call_ms": 9.0, "calls": 20, "settled": True},
    "single_stream": {
        "calls": 40,
        "seconds": 0.1,
        "p50_ms": BOUNDED,
        "p95_ms": BOUNDED,
        "p99_ms": None,
        "level": 0.95,
    },
    "control": {"first_p50_ms": 1.0, "second_p50_ms": 1.0, "difference": 0.0, "flagged": False},
    "server": {"limit_ms": 50.0, "batch": 4, "queries_per_second": 0.0, "rates": []},
    "offline": {"batch": 4, "queries_per_second": 100.0, "sizes": []},
    "index_search": None,
    "parameters": None,
    "memory": {"kind": "resident set", "peak_bytes": 2, "before_bytes": 1},
    "machine": {
        "device": "cpu",
        "cpu": "a processor",
        "cores": 2,
        "threads": None,
        "cpu_mhz": None,
        "gpu_mhz": None,
        "gpu_watts": None,
        "system": "a system",
    },
    "library_versions": {"cmedteb": "1"},
}
MODEL = ModelRecord(
    name="a/b",
    revision="1",
    family="test",
    parameters={},
    similarity=None,
    dimension=None,
    pooling=None,
    max_length=None,
    settings={},
)


def record(**changes: Any) -> LatencyRecord:
    return LatencyRecord.model_validate({**DOCUMENT, **changes})


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def test_a_record_reads_back(store: ResultStore) -> None:
    assert store.latency("a/b", "1") == []
    path = store.add_latency(MODEL, record())
    assert path == store.root / "a__b" / "1" / "model.json"
    assert store.latency("a/b", "1") == [record()]
    document = json.loads(path.read_text(encoding="utf-8"))
    assert ModelFile.model_validate(document).latency == (record(),)
    assert {key: value for key, value in document.items() if key != "latency"} == (
        MODEL.model_dump()
    ), "the model stands where it always stood"


@pytest.mark.parametrize(
    "changes",
    [{"device": "another"}, {"dtype": "bfloat16"}, {"dtype": None}, {"task": "T"}, {"quick": True}],
    ids=str,
)
def test_records_of_other_keys_stand_beside(store: ResultStore, changes: dict[str, Any]) -> None:
    store.add_latency(MODEL, record())
    store.add_latency(MODEL, record(**changes))
    assert len(store.latency("a/b", "1")) == 2
    store.add_latency(MODEL, record(**changes, seed=7))
    seeds = {one.key: one.seed for one in store.latency("a/b", "1")}
    assert seeds == {record().key: 0, record(**changes).key: 7}


def test_a_record_of_the_same_key_is_replaced(store: ResultStore) -> None:
    for seed in (1, 2):
        store.add_latency(MODEL, record(seed=seed, date=str(seed)))
    assert [one.seed for one in store.latency("a/b", "1")] == [2]


def test_other_revisions_are_other_models(store: ResultStore) -> None:
    store.add_latency(MODEL, record())
    assert store.latency("a/b", "2") == []


def test_a_run_keeps_what_was_measured(tmp_path: Path) -> None:
    task, out = retrieval(tmp_path / "Set"), tmp_path / "out"
    store = ResultStore(out)
    counting = MODEL.model_copy(update={"name": "test/counting"})
    store.add_latency(counting, record())
    cmedteb.evaluate(Counting(), [task], output=out)
    assert store.latency("test/counting", "1") == [record()]
    document = json.loads((out / "test__counting/1/model.json").read_text(encoding="utf-8"))
    assert document["similarity"] == "cosine", "the model's own record is the run's"
    assert [path.name for path, _ in store.results()] == ["Set.json"]
    store.add_latency(counting, record(task="Other"))
    assert len(store.latency("test/counting", "1")) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"latency": 3}',
        b'{"latency": [{"quick": true}, 1, null]}',
        b'{"latency": [NaN]}',
        json.dumps(MODEL.model_dump()).encode(),
    ],
)
def test_what_cannot_be_read_is_replaced(store: ResultStore, content: bytes) -> None:
    """A finished result is worth more than the file beside it."""
    path = store.root / "a__b" / "1" / "model.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert store.latency("a/b", "1") == []
    store.add_latency(MODEL, record())
    assert store.latency("a/b", "1") == [record()]


def test_one_broken_entry_costs_no_other(store: ResultStore) -> None:
    path = store.add_latency(MODEL, record())
    document = json.loads(path.read_text(encoding="utf-8"))
    document["latency"].insert(0, {**DOCUMENT, "surprise": 1})
    path.write_text(json.dumps(document), encoding="utf-8")
    assert store.latency("a/b", "1") == [record()]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("surprise", 1),
        ("protocol", "cmedteb-latency/0"),
        ("measured", "guess"),
        ("seed", "many"),
        ("single_stream", {**DOCUMENT["single_stream"], "seconds": math.nan}),
        ("memory", {**DOCUMENT["memory"], "kind": "swap"}),
        ("queries", {**DOCUMENT["queries"], "characters": [1.0]}),
    ],
)
def test_what_is_no_record_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        record(**{key: value})


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_what_lacks_a_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        LatencyRecord.model_validate({name: DOCUMENT[name] for name in DOCUMENT if name != key})


WRITER = """
import json, sys
from pathlib import Path
from cmedteb.results import ResultStore
from cmedteb.results.latency import LatencyRecord
from cmedteb.results.schema import ModelRecord
root, model, document, number = sys.argv[1:]
for task in range(8):
    entry = {**json.loads(document), "task": f"{number}-{task}"}
    ResultStore(Path(root)).add_latency(
        ModelRecord.model_validate_json(model), LatencyRecord.model_validate(entry)
    )
"""


def test_processes_that_write_at_once_lose_nothing(store: ResultStore) -> None:
    arguments = [str(store.root), MODEL.model_dump_json(), json.dumps(DOCUMENT)]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, *arguments, str(number)])
        for number in range(2)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert len(store.latency("a/b", "1")) == 16
