"""Who is at work. Run: pytest tests/encoding/store/test_presence.py -q."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from cmedteb.encoding.store.presence import Presence, gate, merging, present

SIDE = "0" * 32


def names(root: Path) -> set[str]:
    with gate(root, SIDE):
        return present(root, SIDE)


def test_all_who_came_in_and_did_not_leave_are_present(tmp_path: Path) -> None:
    first, second, elsewhere = (
        Presence(tmp_path, SIDE),
        Presence(tmp_path, SIDE),
        Presence(tmp_path, "1" * 32),
    )
    for one in (first, second, elsewhere):
        one.enter()
    assert names(tmp_path) == {first.name, second.name}
    first.leave()
    first.leave()
    assert names(tmp_path) == {second.name}
    second.leave()
    elsewhere.leave()
    assert names(tmp_path) == set()
    assert not list((tmp_path / ".locks").glob("*.live"))


def test_a_file_that_nobody_holds_is_nobody(tmp_path: Path) -> None:
    left = tmp_path / ".locks" / f"{SIDE}.dead.live"
    left.parent.mkdir()
    left.touch()
    assert names(tmp_path) == set()
    assert not left.exists()


def test_one_may_leave_in_another_thread(tmp_path: Path) -> None:
    presence = Presence(tmp_path, SIDE)
    presence.enter()
    thread = Thread(target=presence.leave)
    thread.start()
    thread.join()
    assert names(tmp_path) == set()


def test_one_merges_at_a_time(tmp_path: Path) -> None:
    with merging(tmp_path, SIDE) as first, merging(tmp_path, SIDE) as second:
        assert (first, second) == (True, False)
    with merging(tmp_path, SIDE) as third:
        assert third
