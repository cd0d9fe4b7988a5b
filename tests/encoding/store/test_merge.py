"""Merging shards: nothing is lost at any step. Run: pytest tests/encoding/store/test_merge.py -q.

Whoever merges is killed before every single flush, rename and removal; afterwards all rows must be
there, and the next merge must leave no trace of the dead one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmedteb.encoding.cache import VectorStore, digests
from cmedteb.encoding.store import merge as merging
from cmedteb.encoding.store.merge import MANY_SHARDS, Merged, merge, repair
from cmedteb.encoding.store.presence import Presence
from cmedteb.encoding.store.shards import shards_in
from cmedteb.types import Float32Array

SIDE = {"model": "a"}
WIDTH = 4
TEXTS = [f"text {number}" for number in range(2 * (MANY_SHARDS + 1))]
SCRIPT = Path(__file__).with_name("support.py")


def unmerged(*_: object) -> Merged:
    """Stands in for a merge where shards are wanted as they are."""
    return Merged(0, 0)


def values() -> Float32Array:
    return np.random.default_rng(3).normal(size=(len(TEXTS), WIDTH)).astype(np.float32)


def write_shards(root: Path, *, each: int = 2) -> VectorStore:
    """One shard after another without a merge between them, as killed processes leave them."""
    store = VectorStore(root, SIDE)
    for start in range(0, len(TEXTS), each):
        rows = slice(start, start + each)
        lone = VectorStore(root, SIDE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cmedteb.encoding.cache.merge", unmerged)
            lone.add(digests(TEXTS[rows]), values()[rows])
            lone.close()
    return store


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many") / "vectors"
    store = write_shards(root)
    # One text twice, and a row that changed on the disk.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmedteb.encoding.cache.merge", unmerged)
        twice = VectorStore(root, SIDE)
        twice.add(digests([TEXTS[0], "spoilt"]), values()[:2])
        twice.close()
    spoil(max(store.folder.glob("*.f32"), key=lambda path: path.stat().st_mtime_ns), row=1)
    return root


def spoil(path: Path, *, row: int) -> None:
    held = bytearray(path.read_bytes())
    held[row * 4 * WIDTH] ^= 1
    path.write_bytes(held)


def check(root: Path) -> None:
    """Every whole row is found, in any order."""
    shards = shards_in(VectorStore(root, SIDE).folder)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    store = VectorStore(root, SIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmedteb.encoding.cache.merge", unmerged)
        found = store.find(digests([*(TEXTS[row] for row in order), "spoilt"]))
        store.close()
    assert found.rows.tolist() == list(range(len(TEXTS)))
    np.testing.assert_array_equal(found.vectors, values()[order])
    assert shards


def copy(many: Path, folder: Path) -> Path:
    return Path(shutil.copytree(many, folder / "vectors"))


def side_of(root: Path) -> str:
    return VectorStore(root, SIDE).folder.name


def test_many_small_shards_become_one(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    done = merge(root, side_of(root))
    assert done.shards == MANY_SHARDS + 2
    [shard] = shards_in(root / side_of(root))
    assert shard.rows == len(TEXTS), "each text once, and the changed row is gone"
    assert done.freed == 2 * (32 + 4 * WIDTH)
    check(root)


def test_opening_a_side_merges_it(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    store = VectorStore(root, SIDE)
    assert len(store.find(digests(TEXTS)).rows) == len(TEXTS)
    assert len(shards_in(store.folder)) == 1
    store.close()


def test_few_shards_are_left_alone(tmp_path: Path) -> None:
    store = write_shards(tmp_path, each=len(TEXTS) // 2)
    before = sorted(store.folder.iterdir())
    assert merge(tmp_path, store.folder.name) == Merged(0, 0)
    assert sorted(store.folder.iterdir()) == before


def test_a_large_shard_is_not_copied_again(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    large = VectorStore(root, SIDE)
    large.add(digests(map(str, range(5 * len(TEXTS)))), np.ones((5 * len(TEXTS), WIDTH), "f4"))
    large.close()
    sizes = sorted(shard.rows for shard in shards_in(root / side_of(root)))
    assert sizes == [len(TEXTS), 5 * len(TEXTS)]
    check(root)


def test_what_a_living_process_writes_is_left_alone(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    writer = VectorStore(root, SIDE)
    writer.add(digests(["new"]), values()[:1])
    merge(root, side_of(root))
    writer.add(digests(["newer"]), values()[1:2])
    merge(root, side_of(root))
    assert writer.find(digests(["newer", "new"])).rows.tolist() == [0, 1]
    writer.close()


def test_one_process_merges_at_a_time(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    with merging.merging(root, side_of(root)) as first:
        assert first
        assert merge(root, side_of(root)) == Merged(0, 0)
        check(root)


def test_a_full_disk_stops_a_merge_and_loses_nothing(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(many, tmp_path)
    before = sorted(path.name for path in (root / side_of(root)).iterdir())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            merge(root, side_of(root))
        store = VectorStore(root, SIDE)
        found = store.find(digests(TEXTS))
        assert len(found.rows) == len(TEXTS), "opening goes on without the merge"
        store.close()
    after = sorted(path.name for path in (root / side_of(root)).iterdir())
    assert after == before
    check(root)


# Vectors, keys, rename, folder; then two files for each old shard.
STEPS = 4 + 2 * (MANY_SHARDS + 2)


@pytest.mark.parametrize("step", [*range(1, 9), STEPS // 2, STEPS - 1, STEPS])
def test_a_merge_killed_before_any_step(many: Path, tmp_path: Path, step: int) -> None:
    root = copy(many, tmp_path)
    assert run_until(root, step, "merge") == -signal.SIGKILL
    check(root)
    merge(root, side_of(root))
    repair(root, side_of(root))
    check(root)
    names = {path.suffix for path in (root / side_of(root)).iterdir()}
    assert names <= {".keys", ".f32", ".json", ""}, "no part of a file is left"
    held = {name: list((root / side_of(root)).glob(f"*{name}")) for name in (".keys", ".f32")}
    assert len(held[".keys"]) == len(held[".f32"])


def test_no_step_of_a_merge_is_left_out(many: Path, tmp_path: Path) -> None:
    root = copy(many, tmp_path)
    assert run_until(root, STEPS + 1, "merge") == 0


def run_until(root: Path, step: int, verb: str) -> int:
    command = [sys.executable, str(SCRIPT), str(step), verb, str(root)]
    return subprocess.run(command, check=False, timeout=60).returncode


def test_repair_drops_what_is_damaged_and_nothing_else(tmp_path: Path) -> None:
    store = write_shards(tmp_path, each=len(TEXTS) // 2)
    first, second = sorted(store.folder.glob("*.f32"))
    kept = second.stat().st_ino
    spoil(first, row=0)
    os.truncate(first, first.stat().st_size - 1)
    (store.folder / "orphan-0.4.f32").write_bytes(bytes(48))
    (store.folder / "lonely-0.keys").write_bytes(bytes(32))
    done = repair(tmp_path, store.folder.name)
    # Two rows and the orphans; a byte of the torn row was gone already.
    assert done == Merged(1, 2 * (32 + 4 * WIDTH) - 1 + 48 + 32)
    assert second.stat().st_ino == kept
    assert sum(shard.rows for shard in shards_in(store.folder)) == len(TEXTS) - 2
    assert repair(tmp_path, store.folder.name) == Merged(0, 0)


def test_repair_removes_a_shard_without_one_whole_row(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, SIDE)
    store.add(digests(["x"]), values()[:1])
    store.close()
    spoil(next(store.folder.glob("*.f32")), row=0)
    assert repair(tmp_path, store.folder.name).shards == 1
    assert shards_in(store.folder) == []


def test_repair_leaves_what_is_being_written(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, SIDE)
    store.add(digests(["x"]), values()[:1])
    alone = Presence(tmp_path, store.folder.name)
    alone.enter()
    fresh = store.folder / f"{alone.name}-0.keys"
    fresh.write_bytes(b"")
    assert repair(tmp_path, store.folder.name) == Merged(0, 0)
    assert fresh.is_file()
    alone.leave()
    store.close()
