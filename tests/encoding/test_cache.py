"""The vector store: kept, found, never mixed up. Run: pytest tests/encoding/test_cache.py -q."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cmedteb.encoding.cache import VectorStore, default_root, digests
from cmedteb.encoding.store import shards
from cmedteb.encoding.store.shards import SYNC_SECONDS, shards_in
from cmedteb.errors import CmedtebError
from cmedteb.types import Float32Array

SIDE = {"model": "a", "revision": "1", "prompt": ""}


def vectors(rows: int, *, width: int = 3, seed: int = 5) -> Float32Array:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def kept(root: Path, texts: Sequence[str], values: Float32Array) -> VectorStore:
    store = VectorStore(root, SIDE)
    store.add(digests(texts), values)
    store.close()
    return store


def test_what_was_kept_is_found_in_the_order_asked(tmp_path: Path) -> None:
    values = vectors(3)
    kept(tmp_path, ["x", "y", "z"], values)
    found = VectorStore(tmp_path, SIDE).find(digests(["z", "new", "x"]))
    assert found.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(found.vectors, values[[2, 0]])


def test_an_empty_store_holds_nothing(tmp_path: Path) -> None:
    found = VectorStore(tmp_path, SIDE).find(digests(["x"]))
    assert len(found.rows) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"model": "b"}, {"revision": "2"}, {"prompt": "query: "}])
def test_two_sides_never_share_a_vector(tmp_path: Path, change: dict[str, str]) -> None:
    kept(tmp_path, ["x"], vectors(1))
    other = VectorStore(tmp_path, {**SIDE, **change})
    assert len(other.find(digests(["x"])).rows) == 0


def test_several_writers_share_a_folder(tmp_path: Path) -> None:
    first, second = vectors(2, seed=1), vectors(2, seed=2)
    kept(tmp_path, ["x", "y"], first)
    kept(tmp_path, ["u", "v"], second)
    found = VectorStore(tmp_path, SIDE).find(digests(["v", "y", "u", "x"]))
    np.testing.assert_array_equal(
        found.vectors, np.stack([second[1], first[1], second[0], first[0]])
    )


def test_a_store_reads_what_it_is_still_writing(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, SIDE)
    store.add(digests(["x"]), vectors(1))
    store.add(digests(["y"]), vectors(1, seed=9))
    assert store.find(digests(["y", "x"])).rows.tolist() == [0, 1]
    store.close()


@pytest.mark.parametrize("cut", [1, 11, 12, 13, 35])
@pytest.mark.parametrize("suffix", [".keys", ".f32"])
def test_a_torn_tail_costs_the_last_rows_only(tmp_path: Path, cut: int, suffix: str) -> None:
    """Whatever a killed process left half written is not read."""
    values = vectors(4)
    store = kept(tmp_path, list("abcd"), values)
    path = next(store.folder.glob(f"*{suffix}"))
    os.truncate(path, path.stat().st_size - cut)
    found = VectorStore(tmp_path, SIDE).find(digests(list("abcd")))
    size = 32 if suffix == ".keys" else 12
    assert found.rows.tolist() == list(range(4 - -(-cut // size)))
    np.testing.assert_array_equal(found.vectors, values[found.rows])


def test_a_vector_that_changed_on_the_disk_is_not_read(tmp_path: Path) -> None:
    store = kept(tmp_path, ["x", "y"], vectors(2))
    path = next(store.folder.glob("*.f32"))
    held = bytearray(path.read_bytes())
    held[3] ^= 1
    path.write_bytes(held)
    assert VectorStore(tmp_path, SIDE).find(digests(["x", "y"])).rows.tolist() == [1]


def test_a_newer_vector_of_another_width_is_not_mixed_in(tmp_path: Path) -> None:
    kept(tmp_path, ["x"], vectors(1, width=3))
    kept(tmp_path, ["y"], vectors(1, width=5))
    found = VectorStore(tmp_path, SIDE).find(digests(["x", "y"]))
    assert len(found.rows) == 1


WRITER = """
import os, sys
from pathlib import Path
import numpy as np
from cmedteb.encoding.cache import VectorStore, digests
store = VectorStore(Path(sys.argv[1]), {"model": "a", "revision": "1", "prompt": ""})
store.add(digests(["x", "y"]), np.eye(2, dtype=np.float32))
os.kill(os.getpid(), 9)
"""


def test_what_was_added_outlives_a_killed_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False)
    assert done.returncode == -9
    found = VectorStore(tmp_path, SIDE).find(digests(["y", "x"]))
    np.testing.assert_array_equal(found.vectors, np.eye(2)[::-1])


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = VectorStore(tmp_path / "file", SIDE)
    with pytest.raises(CmedtebError, match=r"cannot keep vectors in .*--vectors none"):
        store.add(digests(["x"]), vectors(1))


def test_the_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CMEDTEB_CACHE", str(tmp_path))
    assert default_root() == tmp_path / "vectors"
    monkeypatch.delenv("CMEDTEB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "cmedteb" / "vectors"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root() == Path.home() / ".cache" / "cmedteb" / "vectors"


def test_digests_with_trailing_zero_bytes_stay_apart(tmp_path: Path) -> None:
    """Numpy's byte strings drop trailing zeros; of fixed width that must not matter."""
    keys = np.frombuffer(bytes(15) + b"\1" + bytes(16) + b"\1" + bytes(15), dtype="V16")
    store = VectorStore(tmp_path, SIDE)
    values = vectors(3)
    store.add(keys, values)
    found = store.find(keys)
    np.testing.assert_array_equal(found.vectors, values)
    store.close()


def test_a_hit_in_order_stays_on_the_disk(tmp_path: Path) -> None:
    values = vectors(5)
    kept(tmp_path, list("abcde"), values)
    store = VectorStore(tmp_path, SIDE)
    found = store.find(digests(["b", "c", "d"]))
    np.testing.assert_array_equal(found.vectors, values[1:4])
    assert isinstance(found.vectors, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.vectors[0, 0] = 1
    assert not isinstance(store.find(digests(["d", "c"])).vectors, np.memmap)
    store.close()


def test_a_changed_vector_is_not_mapped(tmp_path: Path) -> None:
    store = kept(tmp_path, list("abc"), vectors(3))
    path = next(store.folder.glob("*.f32"))
    held = bytearray(path.read_bytes())
    held[12] ^= 1
    path.write_bytes(held)
    found = store.find(digests(list("abc")))
    assert found.rows.tolist() == [0, 2]
    assert not isinstance(found.vectors, np.memmap)
    store.close()


def test_a_matrix_is_filled_as_far_as_it_goes(tmp_path: Path) -> None:
    values = vectors(2)
    kept(tmp_path, ["x", "y"], values)
    store = VectorStore(tmp_path, SIDE)
    rows, matrix = store.fill(digests(["new", "y", "x"]))
    assert (rows.tolist(), matrix.shape) == ([1, 2], (3, 3))
    np.testing.assert_array_equal(matrix[rows], values[::-1])
    assert isinstance(store.fill(digests(["x", "y"])).vectors, np.memmap)
    rows, matrix = VectorStore(tmp_path / "none", SIDE).fill(digests(["x"]))
    assert (len(rows), matrix.shape) == (0, (0, 0))
    store.close()


def test_vectors_of_several_shards_come_in_the_order_asked(tmp_path: Path) -> None:
    values = vectors(6)
    kept(tmp_path, list("abc"), values[:3])
    kept(tmp_path, list("def"), values[3:])
    found = VectorStore(tmp_path, SIDE).find(digests(list("fabced")))
    np.testing.assert_array_equal(found.vectors, values[[5, 0, 1, 2, 4, 3]])


def test_a_shard_of_another_width_is_not_read_even_in_order(tmp_path: Path) -> None:
    store = kept(tmp_path, ["a"], vectors(1))
    kept(tmp_path, ["b", "c"], vectors(2, width=7))
    first = shards_in(store.folder)[0]
    other = ["b", "c"] if first.width == 3 else ["a"]
    assert len(VectorStore(tmp_path, SIDE).find(digests(other)).rows) == 0


def test_reads_are_cut_at_gaps_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows far apart, in any order, give the same vectors as a read of the whole."""
    texts, values = list(map(str, range(200))), vectors(200)
    kept(tmp_path, texts, values)
    monkeypatch.setattr(shards, "BLOCK_BYTES", 5 * 12)
    monkeypatch.setattr(shards, "GAP_BYTES", 3 * 12)
    chosen = np.random.default_rng(0).permutation(200)[:60]
    found = VectorStore(tmp_path, SIDE).find(digests([texts[row] for row in chosen]))
    np.testing.assert_array_equal(found.vectors, values[chosen])


def test_what_was_merged_while_it_was_read_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process replaces the files after this one has listed them."""
    values = vectors(2)
    store = kept(tmp_path, ["x", "y"], values)
    original, looks = shards.Shard.read, []

    def read(shard: shards.Shard, rows: object, **where: object) -> object:
        looks.append(shard.name)
        if len(looks) == 1:
            for path in shard.files:
                path.rename(path.with_name(path.name.replace(shard.name, "merged")))
        return original(shard, rows, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(shards.Shard, "read", read)
    np.testing.assert_array_equal(store.find(digests(["y", "x"])).vectors, values[::-1])
    assert looks[1:] == ["merged"]
    store.close()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_flushed_by_time_and_not_by_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, flushed = Clock(), []
    store = VectorStore(tmp_path, SIDE, clock=clock)
    store.add(digests(["first"]), vectors(1))
    original = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(clock.now)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for number in range(100):
        clock.now += 0.25
        store.add(digests([str(number)]), vectors(1))
    moments = sorted(set(flushed))
    assert moments == [100 + SYNC_SECONDS * turn for turn in range(1, 6)]
    flushed.clear()
    clock.now += 1
    store.add(digests(["last"]), vectors(1))
    assert not flushed
    store.close()
    assert len(flushed) == 2, "vectors, then keys"


def test_a_full_disk_loses_nothing_that_was_added(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for the disk: a write ends in the middle."""
    values = vectors(8, width=256)
    store = VectorStore(tmp_path, SIDE)
    store.add(digests(list("abcd")), values[:4])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 1024 + 100, hard))
        with pytest.raises(CmedtebError, match=r"File too large.*What was kept before is safe"):
            store.add(digests(list("efgh")), values[4:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert store.find(digests(list("abcdefgh"))).rows.tolist() == [0, 1, 2, 3]
    store.add(digests(list("efgh")), values[4:])
    store.close()
    found = VectorStore(tmp_path, SIDE).find(digests(list("abcdefgh")))
    np.testing.assert_array_equal(found.vectors, values)
    assert sum(path.stat().st_size for path in store.folder.glob("*.f32")) == values.nbytes
    assert len(shards_in(store.folder)) == 2


def test_a_store_without_locks_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared store that only its owner may write to."""
    values = vectors(2)
    kept(tmp_path, ["x", "y"], values)

    def refuse(presence: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cmedteb.encoding.store.presence.Presence.enter", refuse)
    store = VectorStore(tmp_path, SIDE)
    np.testing.assert_array_equal(store.find(digests(["y", "x"])).vectors, values[::-1])
    with pytest.raises(CmedtebError, match="Permission denied"):
        store.add(digests(["z"]), vectors(1))
    store.close()


def test_two_digests_that_share_their_first_half(tmp_path: Path) -> None:
    keys = np.frombuffer(b"".join(b"same----" + bytes([n]) * 8 for n in (3, 1, 2)), dtype="V16")
    store = VectorStore(tmp_path, SIDE)
    store.add(keys, vectors(3))
    np.testing.assert_array_equal(store.find(keys[::-1]).vectors, vectors(3)[::-1])
    store.close()


TOGETHER = """
import sys
from pathlib import Path
import numpy as np
from cmedteb.encoding.cache import VectorStore, digests
root, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(seed)
for turn in range(12):
    store = VectorStore(root, {"model": "a", "revision": "1", "prompt": ""})
    numbers = rng.permutation(400)[:120]
    found = store.find(digests(map(str, numbers)))
    assert (found.vectors == numbers[found.rows, None]).all()
    for number in np.setdiff1d(numbers, numbers[found.rows]).reshape(-1, 1):
        store.add(digests(map(str, number)), np.full((1, 5), number, dtype=np.float32))
    store.close()
"""


def test_processes_share_a_side_and_merge_it_under_each_other(tmp_path: Path) -> None:
    """Three at once, each opening the side again and again: nothing is lost or mixed up."""
    command = [sys.executable, "-c", TOGETHER, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(seed)]) for seed in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    numbers = np.arange(400)
    store = VectorStore(tmp_path, SIDE)
    found = store.find(digests(map(str, numbers)))
    assert len(found.rows) > 390
    assert (found.vectors == found.rows[:, None]).all()
    store.close()
    assert len(shards_in(store.folder)) < 36, "some were merged"
    assert not list((tmp_path / ".locks").glob("*.live"))


def test_a_full_hit_is_in_memory_once(tmp_path: Path) -> None:
    """The peak above the matrix itself is a fraction of it."""
    rows, width = 20_000, 256
    texts = list(map(str, range(rows)))
    kept(tmp_path, texts, vectors(rows, width=width))
    program = (
        "import sys, pathlib, resource, numpy as np\n"
        "from cmedteb.encoding.cache import VectorStore, digests\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        f"store = VectorStore(pathlib.Path(sys.argv[1]), {SIDE!r})\n"
        f"keys = digests(map(str, reversed(range({rows}))))\n"
        "before = peak()\n"
        "assert len(store.fill(keys).rows) == len(keys)\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.6 * rows * width * 4 / 2**20
