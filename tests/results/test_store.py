"""The results folder: what stands, what may be replaced. Run: pytest tests/results/test_store.py.

Degenerate inputs: names that climb out of the folder, a truncated result, an edited one, one of
another task under this name, a garbled, exchanged or missing receipt, changed judgements,
leftovers of a killed process, a stray file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runner.support import Counting, retrieval, sts

import cmedteb
from cmedteb.errors import CmedtebError, DataError, UsageError
from cmedteb.results import Overwrite, ResultStore, TaskResult
from cmedteb.results.receipts import write_table


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one retrieval and one STS result. Do not edit: copy."""
    home = tmp_path_factory.mktemp("store")
    tasks = [retrieval(home / "Set"), sts(home / "Pairs")]
    cmedteb.evaluate(Counting(), tasks, output=home / "out")
    return home / "out"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> ResultStore:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "results")
    return ResultStore(tmp_path / "results")


@pytest.fixture
def path(store: ResultStore) -> Path:
    """The retrieval result."""
    return store.path("test/counting", "1", "Set")


def edit(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **changes}), encoding="utf-8")


def test_layout(store: ResultStore, path: Path) -> None:
    home = store.root / "test__counting" / "1"
    assert path == home / "Set.json"
    assert store.path("test/counting", "1", "Set", "v2") == home / "v2" / "Set.json"
    assert store.receipt("test/counting", "1", "Set") == home / "receipts" / "Set.tsv.gz"
    assert (home / "model.json").is_file()
    judged = store.read(path).judgements.sha256
    assert (store.root / "judgements" / f"Set.{judged[:16]}.tsv.gz").is_file()


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "..", ".", "", "a/../../b", "\x00\n"])
def test_no_name_climbs_out(tmp_path: Path, name: str) -> None:
    store = ResultStore(tmp_path)
    folder = store.folder(name, name)
    assert folder.resolve().parents[1] == tmp_path.resolve()
    assert not folder.name.startswith(".")


def test_the_same_fingerprint_stands(store: ResultStore, path: Path) -> None:
    result = store.read(path)
    assert store.standing(path, result.fingerprint) == result
    assert store.standing(path, "0" * 64) is None


def test_an_edited_result_does_not_stand(store: ResultStore, path: Path) -> None:
    result = store.read(path)
    scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
    scores["test"][0]["main_score"] = 0.99
    edit(path, scores=scores)
    assert store.read(path).main_score == 0.99, "it can still be read, and be verified"
    assert store.standing(path, result.fingerprint) is None


@pytest.mark.parametrize("keep", [0, 1, 0.5, 0.999])
def test_a_truncated_result_does_not_stand(store: ResultStore, path: Path, keep: float) -> None:
    result = store.read(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else len(content) - 3])
    assert store.standing(path, result.fingerprint) is None
    with pytest.raises(DataError, match=r"Set\.json"):
        store.read(path)


def test_a_result_of_another_task_does_not_stand(store: ResultStore, path: Path) -> None:
    result = store.read(path)
    shutil.copy(path.with_name("Pairs.json"), path)
    assert store.standing(path, result.fingerprint) is None


@pytest.mark.parametrize("damage", ["missing", "garbled", "cut", "other"])
def test_a_result_without_its_receipt_does_not_stand(
    store: ResultStore, path: Path, damage: str
) -> None:
    result = store.read(path)
    receipt = store.receipt("test/counting", "1", "Set")
    if damage == "missing":
        receipt.rename(receipt.with_name("Elsewhere.tsv.gz"))
    elif damage == "garbled":
        content = bytearray(receipt.read_bytes())
        content[len(content) // 2] ^= 1
        receipt.write_bytes(content)
    elif damage == "cut":
        receipt.write_bytes(receipt.read_bytes()[:-1])
    else:
        write_table(receipt, ["q:00\td:00:1"])
    assert store.standing(path, result.fingerprint) is None
    with pytest.raises(DataError, match=r"receipt of .*Set\.json is missing or was changed since"):
        store.receipt_table(path, result)


def test_the_receipt_reads_back(store: ResultStore, path: Path) -> None:
    table = store.receipt_table(path, store.read(path))
    assert len(table) == 12
    assert all(len(row) == 24 for row in table.values())
    for row in table.values():
        assert list(row.values()) == sorted(row.values(), reverse=True), "best first"


def test_changed_judgements_are_refused(store: ResultStore, path: Path) -> None:
    result = store.read(path)
    assert store.judgement_table(result)["q:01"] == {"d:01": 1, "d:10": 2}
    file = store.judgement_file("Set", result.judgements.sha256)
    write_table(file, ["q:01\td:01:2"])
    with pytest.raises(DataError, match=r"Set\..*tsv\.gz was changed since it was written"):
        store.judgement_table(result)
    file.unlink()
    with pytest.raises(DataError, match="is missing"):
        store.judgement_table(result)


def partial(store: ResultStore, path: Path) -> None:
    """Make the stored result one over some queries."""
    result = store.read(path)
    store.write(path, result.model_copy(update={"partial": True, "limit": 3}))


def test_what_may_replace_a_whole_result(store: ResultStore, path: Path) -> None:
    store.may_write(path, partial=False, overwrite=Overwrite.MISSING)
    store.may_write(path, partial=True, overwrite=Overwrite.ALWAYS)
    with pytest.raises(UsageError, match="over all queries; a --limit run does not replace it"):
        store.may_write(path, partial=True, overwrite=Overwrite.MISSING)
    for limited in (True, False):
        with pytest.raises(UsageError, match="--overwrite never keeps it"):
            store.may_write(path, partial=limited, overwrite=Overwrite.NEVER)


def test_a_partial_result_may_be_replaced(store: ResultStore, path: Path) -> None:
    partial(store, path)
    for limited in (True, False):
        store.may_write(path, partial=limited, overwrite=Overwrite.MISSING)


def test_a_partial_run_keeps_the_receipt_that_other_judgements_share(
    store: ResultStore, path: Path
) -> None:
    """Original and vN results name one receipt: a limited run of either would replace it."""
    versioned = store.path("test/counting", "1", "Set", "v1")
    with pytest.raises(UsageError, match=r"Set\.json holds a result over all queries"):
        store.may_write(versioned, partial=True, overwrite=Overwrite.MISSING)
    versioned.parent.mkdir()
    path.rename(versioned)
    with pytest.raises(UsageError, match=r"v1.Set\.json holds a result over all queries"):
        store.may_write(path, partial=True, overwrite=Overwrite.MISSING)
    store.may_write(path, partial=False, overwrite=Overwrite.NEVER)


def test_what_cannot_be_read_may_be_replaced(store: ResultStore, path: Path) -> None:
    path.write_bytes(b"{")
    for overwrite in Overwrite:
        store.may_write(path, partial=True, overwrite=overwrite)


def test_all_results_by_path(store: ResultStore, path: Path) -> None:
    """Locks, judgements, models' records and leftovers of a killed process are no results."""
    versioned = store.path("test/counting", "1", "Set", "v1")
    versioned.parent.mkdir()
    shutil.copy(path, versioned)
    (path.parent / ".Set.json.abc123.tmp").write_text('{"half": ')
    (path.parent / "receipts" / ".Set.tsv.gz.abc123.tmp").write_bytes(b"\x1f\x8b")
    (path.parent / "model_meta.json").write_text("{}")
    found = [file.relative_to(store.root).as_posix() for file, _ in store.results()]
    home = "test__counting/1"
    assert found == [f"{home}/Pairs.json", f"{home}/Set.json", f"{home}/v1/Set.json"]


def test_a_stray_file_is_named(store: ResultStore, path: Path) -> None:
    path.with_name("notes.json").write_text("{}")
    with pytest.raises(DataError, match=r"notes\.json: not a cmedteb result"):
        list(store.results())


def test_an_empty_or_absent_folder_has_no_results(tmp_path: Path) -> None:
    assert list(ResultStore(tmp_path).results()) == []
    assert list(ResultStore(tmp_path / "gone").results()) == []


def test_writing_gives_a_checksum(store: ResultStore, path: Path) -> None:
    result = store.read(path).model_copy(update={"units": 7, "checksum": ""})
    written = store.write(path, result)
    assert isinstance(written, TaskResult)
    assert written == store.read(path)
    assert written.checksum == written.content_checksum != ""


HOLDER = """
import sys, time
from pathlib import Path
from cmedteb.results import ResultStore
with ResultStore(Path(sys.argv[1])).locked("a/b", "1", "T"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(root: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    process = hold(tmp_path, 0.5)
    began = time.monotonic()
    with ResultStore(tmp_path).locked("a/b", "1", "T") as waited:
        assert waited
        assert time.monotonic() - began > 0.2
    assert process.wait() == 0
    with ResultStore(tmp_path).locked("a/b", "1", "T") as waited:
        assert not waited


def test_other_tasks_models_and_revisions_are_not_locked(tmp_path: Path) -> None:
    process = hold(tmp_path, 60)
    store = ResultStore(tmp_path)
    for name in (("a/b", "1", "U"), ("a/c", "1", "T"), ("a/b", "2", "T")):
        with store.locked(*name) as waited:
            assert not waited
    process.kill()
    process.wait()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = hold(tmp_path, 60)
    process.kill()
    process.wait()
    with ResultStore(tmp_path).locked("a/b", "1", "T") as waited:
        assert not waited


def test_a_lock_is_freed_by_an_error(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    with pytest.raises(RuntimeError, match="inside"), store.locked("a/b", "1", "T"):
        raise RuntimeError("inside")
    with store.locked("a/b", "1", "T") as waited:
        assert not waited


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ResultStore(tmp_path / "file")
    with pytest.raises(CmedtebError, match="cannot write"), store.locked("a/b", "1", "T"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        pytest.raises(CmedtebError, match="Permission denied"),
        ResultStore(tmp_path / "results").locked("a/b", "1", "T"),
    ):
        pass
