"""ModelScope, by a server on the loopback (run: `pytest tests/data/test_hub_modelscope.py`).

Degenerate cases: no such repository or revision, busy for a while, an interrupted file, a garbled
file, offline without a cache, a cache of an old client, the client not installed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmedteb.data import Hub, hub_folder
from cmedteb.errors import MissingExtraError

pytest.importorskip("modelscope_hub", reason="the extra cmedteb[modelscope] is not installed")

Client = Callable[..., dict[str, Any]]
LARGE = [{"id": f"d{row}", "text": f"text {row} " + "x" * 400} for row in range(6000)]
CMIRB = {
    "README.md": "# Set\n",
    "corpus.jsonl": LARGE[:3],
    "queries.jsonl": [{"id": "q1", "text": "first"}],
    "qrels/dev.jsonl": [{"q_id": "q1", "p_id": "d1", "score": 1}],
    "weights.bin": b"not wanted",
}
SOURCE = {"hf": "org/hf", "modelscope": "org/set", "layout": "c-mteb-v1"}
SOURCE |= {"modelscope_layout": "cmirb"}


@pytest.fixture
def small(make: Callable[..., Path]) -> Path:
    return make(CMIRB, bare=True, name="small")


@pytest.fixture
def large(make: Callable[..., Path]) -> Path:
    return make(CMIRB | {"corpus.jsonl": LARGE}, bare=True, name="large")


@pytest.fixture
def load(client: Client) -> Client:
    def run(environment: dict[str, str] | None = None, **job: Any) -> dict[str, Any]:
        return client(environment, hub="modelscope", **({"source": SOURCE} | job))

    return run


def fault(**more: Any) -> Any:
    from hub_server import Fault

    return Fault(**more)


def test_only_data_files_are_fetched(hub: Any, load: Client, small: Path) -> None:
    hub.add("dataset", "org/set", small)
    answer = load()
    assert (answer["rows"], answer["origin"]) == (3, "modelscope:org/set")
    assert answer["revision"] == "master"
    assert not hub.requests("weights.bin")


def test_a_pinned_revision_is_loaded_though_master_has_moved(
    hub: Any, load: Client, small: Path, large: Path
) -> None:
    old = hub.add("dataset", "org/set", small)
    hub.add("dataset", "org/set", large)
    pinned = load(source=SOURCE | {"modelscope_revision": old})
    assert (pinned["revision"], pinned["rows"]) == (old, 3)
    assert load()["rows"] == len(LARGE)


def test_the_second_run_needs_no_connection(hub: Any, load: Client, small: Path) -> None:
    source = SOURCE | {"modelscope_revision": hub.add("dataset", "org/set", small)}
    first = load(source=source)
    hub.log.clear()
    second = load(source=source, offline=True, blocked=True)
    assert (second["hash"], second["revision"]) == (first["hash"], first["revision"])
    assert hub.log == []
    assert load(source=source)["hash"] == first["hash"]
    assert hub.bytes_sent("FilePath") == 0


def test_offline_and_not_cached_says_how_to_fetch(hub: Any, load: Client) -> None:
    answer = load(offline=True, blocked=True)
    assert answer["error"] == "NotAvailableError"
    assert "cmedteb fetch -t Task" in answer["message"]


@pytest.mark.parametrize("change", [{"modelscope": "org/none"}, {"modelscope_revision": "0" * 40}])
def test_what_does_not_exist_is_named(
    hub: Any, load: Client, small: Path, change: dict[str, str]
) -> None:
    hub.add("dataset", "org/set", small)
    answer = load(source=SOURCE | change)
    assert answer["error"] == "NotAvailableError"
    for part in [hub.endpoint, *change.values(), "--hub hf"]:
        assert part in answer["message"]


def test_an_interrupted_file_continues(hub: Any, load: Client, large: Path) -> None:
    hub.add("dataset", "org/set", large)
    size = (large / "corpus.jsonl").stat().st_size
    hub.faults = [fault(match="FilePath=corpus.jsonl", cut=size // 2)]
    assert load()["rows"] == len(LARGE)
    assert hub.requests("FilePath=corpus.jsonl")[-1].range is not None
    assert hub.bytes_sent("FilePath=corpus.jsonl") < 1.5 * size


def test_a_busy_hub_is_asked_again(hub: Any, load: Client, small: Path) -> None:
    hub.add("dataset", "org/set", small)
    hub.faults = [
        fault(match="/repo/tree", status=429, retry_after="0"),
        fault(match="FilePath=corpus.jsonl", status=503, retry_after="0"),
    ]
    assert load()["rows"] == 3
    assert [seen.status for seen in hub.requests("FilePath=corpus.jsonl")] == [503, 200]


def test_a_garbled_file_is_not_used(hub: Any, load: Client, small: Path) -> None:
    hub.add("dataset", "org/set", small)
    hub.faults = [fault(match="FilePath=corpus.jsonl", garble=True, times=99)]
    few = {"MODELSCOPE_DOWNLOAD_HASH_RETRY_TIMES": "1", "DOWNLOAD_HASH_RETRY_TIMES": "1"}
    answer = load(few)
    assert answer["error"] == "DataError"
    hub.faults = []
    assert load()["rows"] == 3


def test_a_card_pins_files_by_checksum(hub: Any, load: Client, small: Path) -> None:
    hub.add("dataset", "org/set", small)
    good = hashlib.sha256((small / "corpus.jsonl").read_bytes()).hexdigest()
    assert load(source=SOURCE | {"files": {"corpus.jsonl": good}})["rows"] == 3
    answer = load(source=SOURCE | {"files": {"corpus.jsonl": "0" * 64}})
    assert (answer["error"], good in answer["message"]) == ("DataError", True)


def test_the_cache_of_an_old_client_is_not_taken_for_a_revision(
    hub: Any, load: Client, small: Path, large: Path, tmp_path: Path
) -> None:
    legacy = tmp_path / "home" / "modelscope" / "datasets" / "org" / "set"
    legacy.parent.mkdir(parents=True)
    large.rename(legacy)
    assert load(offline=True, blocked=True)["error"] == "NotAvailableError"
    hub.add("dataset", "org/set", small)
    assert load()["rows"] == 3


def test_models(hub: Any, client: Client, make: Callable[..., Path]) -> None:
    files = {"config.json": "{}", "model.safetensors": b"w" * 5000, "onnx/model.onnx": b"o"}
    hub.add("model", "org/model", make(files, bare=True, name="model"))
    answer = client(repository="org/model", hub="modelscope", ignore=["onnx/*"])
    assert answer["files"] == ["config.json", "model.safetensors"]


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope_hub", None)
    with pytest.raises(MissingExtraError, match=r"cmedteb\[modelscope\]"):
        hub_folder("org/set", None, kind="dataset", hub=Hub.MODELSCOPE, offline=False)
