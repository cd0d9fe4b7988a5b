"""The vector store: kept, found, never mixed up. Run: pytest tests/encoding/test_cache.py -q."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cmedteb.encoding.cache import VectorStore, default_root, digests
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
