"""What is kept, and what is taken away. Run: pytest tests/encoding/store/test_upkeep.py -q."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cmedteb.encoding.cache import VectorStore, digests
from cmedteb.encoding.store.upkeep import (
    MOST_BYTES,
    empty_trash,
    inventory,
    limit_of,
    make_room,
    parse_size,
    remove,
)
from cmedteb.errors import UsageError

SCRIPT = Path(__file__).with_name("support.py")
HOUR = 3600.0


def keep(root: Path, model: str, *, rows: int = 10, hours_ago: float = 0) -> str:
    store = VectorStore(root, {"model": model})
    store.add(digests(map(str, range(rows))), np.ones((rows, 8), dtype=np.float32))
    store.close()
    then = time.time() - hours_ago * HOUR
    for path in [store.folder / "used", *store.folder.glob("*.keys")]:
        os.utime(path, (then, then))
    return store.folder.name


def test_an_inventory(tmp_path: Path) -> None:
    old, new = keep(tmp_path, "old", rows=3, hours_ago=5), keep(tmp_path, "new")
    first, second = inventory(tmp_path)
    assert (first.name, second.name) == (new, old)
    assert (second.identity, second.rows, second.width) == ({"model": "old"}, 3, 8)
    assert (second.damaged, second.shards, second.in_use) == (0, 1, False)
    assert second.bytes == sum(p.stat().st_size for p in (tmp_path / old).iterdir())
    assert second.used == pytest.approx(time.time() - 5 * HOUR, abs=60)


def test_no_folder_holds_nothing(tmp_path: Path) -> None:
    assert inventory(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_damage_is_counted(tmp_path: Path) -> None:
    name = keep(tmp_path, "a")
    vectors = next((tmp_path / name).glob("*.f32"))
    held = bytearray(vectors.read_bytes())
    held[0] ^= 1
    vectors.write_bytes(held[:-1])
    [side] = inventory(tmp_path)
    assert (side.rows, side.damaged) == (9, 31 + 32)
    [side] = inventory(tmp_path, verify=True)
    assert (side.rows, side.damaged) == (8, 31 + 32 + 64)
    (tmp_path / name / "identity.json").write_text("{")
    assert inventory(tmp_path)[0].identity == {}


def test_what_is_being_written_is_not_damaged(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, {"model": "a"})
    store.add(digests(["x"]), np.ones((1, 8), dtype=np.float32))
    with next(store.folder.glob("*.f32")).open("ab") as stream:
        stream.write(b"half")
    [side] = inventory(tmp_path)
    assert (side.in_use, side.damaged) == (True, 0)
    store.close()
    [side] = inventory(tmp_path)
    assert (side.in_use, side.damaged) == (False, 4)


def test_a_side_in_use_is_not_taken_away(tmp_path: Path) -> None:
    name = keep(tmp_path, "a")
    reader = VectorStore(tmp_path, {"model": "a"})
    assert len(reader.find(digests(["1"])).rows) == 1
    assert not remove(tmp_path, name)
    reader.close()
    assert remove(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]
    assert remove(tmp_path, name), "it is gone already"


def test_a_dead_process_uses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib, numpy as np\n"
        "from cmedteb.encoding.cache import VectorStore, digests\n"
        "store = VectorStore(pathlib.Path(sys.argv[1]), {'model': 'a'})\n"
        "store.add(digests(['x']), np.ones((1, 8), dtype=np.float32))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60)
    [side] = inventory(tmp_path)
    assert (side.in_use, side.rows) == (False, 1)
    assert not list((tmp_path / ".locks").glob("*.live"))
    assert remove(tmp_path, side.name)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_removal_killed_before_any_step(tmp_path: Path, step: int) -> None:
    """The side is there as a whole, or not at all; what is left is cleared away later."""
    keep(tmp_path, "a")
    command = [sys.executable, str(SCRIPT), str(step), "remove", str(tmp_path)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert [side.rows for side in inventory(tmp_path)] == ([10] if step == 1 else [])
    assert len(list(tmp_path.glob(".trash-*"))) == (step > 1)
    empty_trash(tmp_path)
    assert not list(tmp_path.glob(".trash-*"))


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    names = [keep(tmp_path, str(hours), hours_ago=hours) for hours in (2, 9, 5)]
    size = inventory(tmp_path)[0].bytes
    assert make_room(tmp_path, 2 * size + 10) == [names[1]]
    assert make_room(tmp_path, None) == []
    assert make_room(tmp_path, 0) == [names[2], names[0]]


def test_what_was_used_just_now_stays(tmp_path: Path) -> None:
    """The next task of the same run will ask for it."""
    keep(tmp_path, "a", hours_ago=0.5)
    assert make_room(tmp_path, 0) == []
    assert len(make_room(tmp_path, 0, recent=60)) == 1


def test_room_is_not_made_of_what_is_in_use(tmp_path: Path) -> None:
    used, other = keep(tmp_path, "a", hours_ago=9), keep(tmp_path, "b", hours_ago=8)
    reader = VectorStore(tmp_path, {"model": "a"})
    reader.find(digests(["1"]))
    os.utime(tmp_path / used / "used", (0, 0))
    for path in (tmp_path / used).glob("*.keys"):
        os.utime(path, (0, 0))
    assert make_room(tmp_path, 0) == [other]
    reader.close()


def test_a_writer_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = keep(tmp_path, "old", hours_ago=2)
    monkeypatch.setenv("CMEDTEB_CACHE_LIMIT", "100")
    new = keep(tmp_path, "new")
    assert [side.name for side in inventory(tmp_path)] == [new]
    assert old != new


def test_a_folder_named_by_mistake_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.keys").write_text("x")
    assert inventory(tmp_path) == []
    assert make_room(tmp_path, 0, recent=0) == []
    assert (tmp_path / "thesis" / "chapter.keys").is_file()


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("20GB", 20 * 10**9), ("1.5 GiB", 3 * 2**29), ("7k", 7000)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "-1", "20 parsecs", "GB"])
def test_a_wrong_size_says_what_to_give(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMEDTEB_CACHE_LIMIT", text)
    with pytest.raises(UsageError, match=r"CMEDTEB_CACHE_LIMIT is .* like 20GB, or none"):
        limit_of(Path("none"))


def test_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = limit_of(tmp_path / "not" / "there")
    assert default is not None
    assert 0 < default <= MOST_BYTES
    monkeypatch.setenv("CMEDTEB_CACHE_LIMIT", "none")
    assert limit_of(tmp_path) is None
    monkeypatch.setenv("CMEDTEB_CACHE_LIMIT", "3MB")
    assert limit_of(tmp_path) == 3_000_000
