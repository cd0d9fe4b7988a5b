"""The Hugging Face Hub, by a server on the loopback (run: `pytest tests/data/test_hub_hf.py`).

Degenerate cases: no such repository or revision, gated, busy for a while and for ever, an
interrupted file, a garbled file, offline without a cache, a mirror that is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Client = Callable[..., dict[str, Any]]
LARGE = [{"id": f"d{row}", "text": f"text {row} " + "x" * 400} for row in range(6000)]
SMALL = LARGE[:3]
QUERIES = [{"id": "q1", "text": "first", "doc": "GOLD"}]
QRELS = [{"q_id": "q1", "p_id": "d1", "score": 1}]
CMIRB = {"corpus.jsonl": SMALL, "queries.jsonl": QUERIES, "qrels/dev.jsonl": QRELS}
SOURCE = {"hf": "org/set", "layout": "cmirb"}
NOBODY = "0" * 40


@pytest.fixture
def set_folder(make: Callable[..., Path]) -> Path:
    extra = {"README.md": "# Set\n", "figure.png": b"not wanted", "corpus.npy": b"not wanted"}
    return make(CMIRB | extra, bare=True, name="small")


@pytest.fixture
def large_folder(make: Callable[..., Path]) -> Path:
    return make(CMIRB | {"corpus.jsonl": LARGE}, bare=True, name="large")


def test_only_data_files_are_fetched_and_the_commit_is_recorded(
    hub: Any, client: Client, set_folder: Path
) -> None:
    commit = hub.add("dataset", "org/set", set_folder)
    answer = client(source=SOURCE)
    assert (answer["rows"], answer["revision"], answer["origin"]) == (3, commit, "hf:org/set")
    assert answer["texts"] == [SMALL[0]["text"].strip(), "first"]
    assert not hub.requests("figure.png")
    assert not hub.requests("corpus.npy")
    assert hub.requests("README.md")


def test_a_pinned_revision_is_loaded_though_main_has_moved(
    hub: Any, client: Client, set_folder: Path, large_folder: Path
) -> None:
    old = hub.add("dataset", "org/set", set_folder)
    new = hub.add("dataset", "org/set", large_folder)
    assert client(source=SOURCE | {"revision": old})["rows"] == 3
    pinned, current = client(source=SOURCE | {"revision": old}), client(source=SOURCE)
    assert (pinned["revision"], pinned["rows"]) == (old, 3)
    assert (current["revision"], current["rows"]) == (new, len(LARGE))


def test_what_is_cached_needs_no_connection(hub: Any, client: Client, set_folder: Path) -> None:
    commit = hub.add("dataset", "org/set", set_folder)
    source = SOURCE | {"revision": commit}
    first = client(source=source)
    hub.log.clear()
    second = client(source=source)
    assert hub.log == []
    blocked = client(source=source, offline=True, blocked=True)
    by_variable = client({"HF_HUB_OFFLINE": "1"}, source=source, blocked=True)
    assert first["hash"] == second["hash"] == blocked["hash"] == by_variable["hash"]
    assert hub.log == []


def test_offline_an_unpinned_set_is_the_one_fetched_last(
    hub: Any, client: Client, set_folder: Path, large_folder: Path
) -> None:
    commit = hub.add("dataset", "org/set", set_folder)
    assert client(source=SOURCE)["revision"] == commit
    hub.add("dataset", "org/set", large_folder)
    answer = client(source=SOURCE, offline=True, blocked=True)
    assert (answer["revision"], answer["rows"]) == (commit, 3)


def test_offline_and_not_cached_says_how_to_fetch(hub: Any, client: Client) -> None:
    for source in (SOURCE, SOURCE | {"revision": NOBODY}):
        answer = client(source=source, offline=True, blocked=True)
        assert answer["error"] == "NotAvailableError"
        assert "cmedteb fetch -t Task" in answer["message"]
    assert hub.log == []


def test_half_a_snapshot_is_not_taken_for_a_whole_one_offline(
    hub: Any, client: Client, set_folder: Path
) -> None:
    source = SOURCE | {"revision": hub.add("dataset", "org/set", set_folder)}
    hub.faults = [fault(match="queries.jsonl", status=404, times=99, method="*")]
    assert client(source=source)["error"] == "NotAvailableError"
    answer = client(source=source, offline=True, blocked=True)
    assert (answer["error"], "(wholly)" in answer["message"]) == ("NotAvailableError", True)


def fault(**more: Any) -> Any:
    from hub_server import Fault

    return Fault(**more)


def test_an_interrupted_file_continues_within_a_run(
    hub: Any, client: Client, large_folder: Path
) -> None:
    hub.add("dataset", "org/set", large_folder)
    size = (large_folder / "corpus.jsonl").stat().st_size
    hub.faults = [fault(match="corpus.jsonl", cut=size // 2)]
    assert client(source=SOURCE)["rows"] == len(LARGE)
    assert hub.bytes_sent("corpus.jsonl") == size
    assert [seen.range for seen in hub.requests("corpus.jsonl")] == [None, f"bytes={size // 2}-"]


def test_a_server_that_ignores_ranges_does_no_harm(
    hub: Any, client: Client, large_folder: Path
) -> None:
    hub.add("dataset", "org/set", large_folder)
    size = (large_folder / "corpus.jsonl").stat().st_size
    hub.faults = [
        fault(match="corpus.jsonl", cut=size // 2),
        fault(match="corpus.jsonl", whole=True),
    ]
    assert client(source=SOURCE)["rows"] == len(LARGE)
    assert hub.bytes_sent("corpus.jsonl") == size // 2 + size


def test_an_interrupted_file_continues_on_the_next_run(
    hub: Any, client: Client, large_folder: Path, tmp_path: Path
) -> None:
    hub.add("dataset", "org/set", large_folder)
    size = (large_folder / "corpus.jsonl").stat().st_size
    hub.faults = [
        fault(match="corpus.jsonl", cut=size // 2),
        fault(match="corpus.jsonl", status=403, times=1),
    ]
    assert client(source=SOURCE)["error"] == "NotAvailableError"
    parts = list((tmp_path / "home").rglob("*.part"))
    assert [part.stat().st_size for part in parts] == [size // 2]
    assert client(source=SOURCE)["rows"] == len(LARGE)
    assert hub.bytes_sent("corpus.jsonl") == size + len(b"{}")
    assert hub.requests("corpus.jsonl")[-1].range == f"bytes={size // 2}-"
    assert not list((tmp_path / "home").rglob("*.part"))


@pytest.mark.parametrize(
    ("source", "fragments"),
    [
        ({"hf": "org/none"}, ["has no dataset org/none"]),
        ({"hf": "org/set", "revision": NOBODY}, ["org/set", f"no revision '{NOBODY}'"]),
        ({"hf": "org/set", "revision": "v9"}, ["org/set", "no revision 'v9'"]),
        ({"hf": "org/gated"}, ["org/gated is gated", "accept its terms", "HF_TOKEN"]),
    ],
)
def test_what_does_not_exist_is_named(
    hub: Any, client: Client, set_folder: Path, source: dict[str, str], fragments: list[str]
) -> None:
    hub.add("dataset", "org/set", set_folder)
    hub.add("dataset", "org/gated", set_folder)
    hub.gated.add("org/gated")
    answer = client(source=source)
    assert answer["error"] == "NotAvailableError"
    for fragment in [*fragments, hub.endpoint]:
        assert fragment in answer["message"]


@pytest.mark.parametrize(
    ("match", "status"),
    [("/api/datasets", 429), ("/tree/", 503), ("corpus.jsonl", 429), ("corpus.jsonl", 500)],
)
def test_a_busy_hub_is_asked_again(
    hub: Any, client: Client, large_folder: Path, match: str, status: int
) -> None:
    hub.add("dataset", "org/set", large_folder)
    hub.faults = [fault(match=match, status=status, retry_after="1")]
    assert client(source=SOURCE)["rows"] == len(LARGE)
    assert status in {seen.status for seen in hub.requests(match)}


def test_a_hub_that_stays_busy_is_an_error_with_a_way_out(
    hub: Any, client: Client, set_folder: Path
) -> None:
    commit = hub.add("dataset", "org/set", set_folder)
    hub.faults = [fault(match="/", status=429, retry_after="0", times=10**6, method="*")]
    for source in (SOURCE, SOURCE | {"revision": commit}):
        hub.log.clear()
        answer = client(source=source)
        assert answer["error"] == "NotAvailableError"
        for part in (hub.endpoint, "429", "HF_ENDPOINT", "--hub modelscope", "--data-dir"):
            assert part in answer["message"]
        assert "cmedteb fetch" in answer["message"]
        assert 3 <= len(hub.log) <= 12


def test_a_hub_that_asks_for_a_very_long_wait_is_not_waited_for(
    hub: Any, client: Client, set_folder: Path
) -> None:
    hub.add("dataset", "org/set", set_folder)
    hub.faults = [fault(match="/", status=429, retry_after="3600", times=10**6, method="*")]
    assert client(source=SOURCE)["error"] == "NotAvailableError"


def test_a_mirror_that_is_not_there_is_named(hub: Any, client: Client) -> None:
    endpoint = "http://127.0.0.1:9"
    answer = client({"HF_ENDPOINT": endpoint}, source=SOURCE)
    assert (answer["error"], endpoint in answer["message"]) == ("NotAvailableError", True)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_garbled_file_is_refused_and_fetched_again(
    hub: Any, client: Client, large_folder: Path, name: str, tmp_path: Path
) -> None:
    hub.add("dataset", "org/set", large_folder)
    hub.faults = [fault(match=name, garble=True)]
    answer = client(source=SOURCE)
    assert (answer["error"], f"{name} of dataset" in answer["message"]) == ("DataError", True)
    assert client(source=SOURCE, offline=True)["error"] == "NotAvailableError"
    assert client(source=SOURCE)["rows"] == len(LARGE)


def test_a_card_pins_files_by_checksum(
    hub: Any, client: Client, set_folder: Path, large_folder: Path
) -> None:
    good = hashlib.sha256((set_folder / "corpus.jsonl").read_bytes()).hexdigest()
    hub.add("dataset", "org/set", large_folder)
    source = SOURCE | {"files": {"corpus.jsonl": good}}
    answer = client(source=source)
    bad = hashlib.sha256((large_folder / "corpus.jsonl").read_bytes()).hexdigest()
    assert answer["error"] == "DataError"
    assert f"its SHA-256 is {bad}, expected {good}" in answer["message"]
    sent = hub.bytes_sent("corpus.jsonl")
    assert client(source=source)["error"] == "DataError"
    assert hub.bytes_sent("corpus.jsonl") == 2 * sent
    hub.add("dataset", "org/set", set_folder)
    assert client(source=source)["rows"] == 3


def test_c_mteb_v1_with_its_twin(hub: Any, client: Client, make: Callable[..., Path]) -> None:
    rows = {"data/corpus-00000-of-00001.parquet": SMALL, "data/queries-0.parquet": QUERIES[:1]}
    main = hub.add("dataset", "org/set", make(rows, bare=True, name="main"))
    qrels = [{"qid": "q1", "pid": "d2", "score": 1}]
    twin = make({"data/dev-00000-of-00001.parquet": qrels}, bare=True, name="twin")
    hub.add("dataset", "org/set-qrels", twin)
    source = {"hf": "org/set", "layout": "c-mteb-v1", "qrels_hf": "org/set-qrels"}
    answer = client(source=source)
    assert (answer["rows"], answer["revision"]) == (3, main)
    assert client(source=source, offline=True, blocked=True)["hash"] == answer["hash"]


def test_mteb_v2_reranking_and_sts(hub: Any, client: Client, make: Callable[..., Path]) -> None:
    files = {
        "corpus/dev-00000-of-00001.parquet": SMALL,
        "queries/dev-00000-of-00001.parquet": QUERIES,
        "data/dev-00000-of-00001.parquet": [{"query-id": "q1", "corpus-id": "d1", "score": 1}],
        "top_ranked/dev-00000-of-00001.parquet": [{"query-id": "q1", "corpus-ids": ["d1", "d2"]}],
    }
    hub.add("dataset", "org/rerank", make(files, bare=True, name="rerank"))
    source = {"hf": "org/rerank", "layout": "mteb-v2"}
    assert client(source=source, type="reranking")["rows"] == 3
    rows = [{"sentence1": "a", "sentence2": "b", "score": float(row)} for row in range(4)]
    hub.add("dataset", "org/sts", make({"data/dev.parquet": rows}, bare=True, name="sts"))
    source = {"hf": "org/sts", "layout": "mteb-v2"}
    assert client(source=source, type="sts")["rows"] == 4


def test_models_are_fetched_whole_but_for_what_is_ignored(
    hub: Any, client: Client, make: Callable[..., Path]
) -> None:
    files = {"config.json": "{}", "model.safetensors": b"w" * 2_000_000, "onnx/model.onnx": b"o"}
    commit = hub.add("model", "org/model", make(files, bare=True, name="model"))
    answer = client(repository="org/model", ignore=["onnx/*"])
    assert answer["revision"] == commit
    assert answer["files"] == ["config.json", "model.safetensors"]
    again = client(repository="org/model", ignore=["onnx/*"], offline=True, blocked=True)
    assert again["files"] == answer["files"]
    assert "no model org/none" in client(repository="org/none")["message"]
    assert client(repository="not a name")["error"] == "UsageError"


def test_a_variable_without_effect_is_told(hub: Any, client: Client, set_folder: Path) -> None:
    hub.add("dataset", "org/set", set_folder)
    answer = client({"HF_HUB_ENDPOINT": "https://mirror"}, source=SOURCE)
    assert "HF_HUB_ENDPOINT has no effect" in answer["stderr"]
    assert "HF_ENDPOINT" not in client(source=SOURCE)["stderr"]


def test_the_answer_is_json(hub: Any, client: Client, set_folder: Path) -> None:
    hub.add("dataset", "org/set", set_folder)
    assert json.dumps(client(source=SOURCE))
