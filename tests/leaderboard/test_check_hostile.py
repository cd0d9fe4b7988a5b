"""Submissions by someone who means harm. Run: pytest tests/leaderboard/test_check_hostile.py -q.

Every one must end as a line of text: no crash, no file read outside, no memory for a bomb, nothing
on the terminal but printable characters.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.leaderboard import bounded
from cmedteb.leaderboard.bounded import read_bytes, read_json, unpack
from cmedteb.leaderboard.check.faults import Fault, plain
from leaderboard.submissions import HOME, edit, found, run, told
from leaderboard.test_check import model


@pytest.fixture(scope="session")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems on the smoke tasks. Do not edit."""
    return run(tmp_path_factory.mktemp("harmless") / "results")


@pytest.fixture
def root(harmless: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(harmless, tmp_path / "results"))


RESULT = f"{HOME}/SmokeRetrieval.json"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested more than"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested more than"),
        (b'{"scores": NaN}', "NaN is no JSON number"),
        (b'{"scores": -Infinity}', "no JSON number"),
        (b'{"scores": 1e999}', "no finite number"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": "\\ud800"}', "not strict JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not strict JSON"),
        (b"\xff\xfe{}", "not strict JSON"),
        (b"", "not strict JSON"),
        (b'"' + b"x" * (2 << 20) + b'"', "larger than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:14].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_json_that_is_none_or_too_much(root: Path, content: bytes, expected: str) -> None:
    (root / RESULT).write_bytes(content)
    lines = told(root)
    assert any(line.startswith(RESULT) and expected in line for line in lines), lines


def test_names_with_markup_are_refused_and_shown_harmless(root: Path) -> None:
    edit(root / RESULT, model(name="<script>alert(1)</script>/\x1b[31m\n::error::x"))
    lines = told(root)
    assert any("not org/model in plain letters" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_folder_with_a_hostile_name(root: Path) -> None:
    (root / "evil__<img src=x onerror=alert(1)>\n::set-output" / "1").mkdir(parents=True)
    lines = told(root)
    assert any("a name of letters, digits" in line for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["../../outside", "..", "/etc/passwd", "a/../../b", ".hidden"])
def test_a_task_that_climbs(root: Path, name: str) -> None:
    def climb(document: dict[str, object]) -> None:
        document["task_name"] = name

    edit(root / RESULT, climb)
    assert any("no task is called" in line for line in told(root))


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copytree(root / HOME / "receipts", secret / "receipts")
    shutil.rmtree(root / HOME / "receipts")
    (root / HOME / "receipts").symlink_to(secret / "receipts")
    (root / "linked__model").symlink_to(root / "cmedteb__bm25")
    lines = told(root)
    assert any("receipts: a link" in line for line in lines)
    assert any("linked__model: only folders belong here" in line for line in lines)
    (tmp_path / "link").symlink_to(root / "cmedteb__bm25" / "1" / "model.json")
    with pytest.raises(DataError, match="plain file"):
        read_bytes(tmp_path / "link", 100)


def test_a_pipe_does_not_hold_the_check_up(root: Path) -> None:
    (root / HOME / "model.json").unlink()
    os.mkfifo(root / HOME / "model.json")
    assert any("neither a file nor a folder" in line for line in told(root))


def bomb(size: int) -> bytes:
    """Zeros that pack a thousandfold."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            stream.write(block)
    return buffer.getvalue()


def test_a_bomb_is_unpacked_no_further_than_its_limit() -> None:
    content = bomb(100 << 20)
    tracemalloc.start()
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(Path("bomb.gz"), content, limit=8 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


def test_bombs_one_after_another_count_together() -> None:
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(Path("bomb.gz"), bomb(5 << 20) * 4, limit=8 << 20)


def test_a_bomb_as_a_receipt_and_as_judgements(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_UNPACKED", 8 << 20)
    content = bomb(9 << 20)
    (root / HOME / "receipts" / "SmokeRetrieval.tsv.gz").write_bytes(content)
    next((root / "judgements").glob("SmokeSts.*")).write_bytes(content)
    lines = told(root)
    assert any("judgements/SmokeSts" in line and "unpacks to more" in line for line in lines)
    assert any("SmokeRetrieval.tsv.gz" in line and "is not the receipt" in line for line in lines)
    edit(root / RESULT, lambda one: one["receipts"].update(sha256=sha256(content).hexdigest()))
    assert any("SmokeRetrieval.tsv.gz: unpacks to more" in line for line in told(root))


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"PK\x03\x04zip", gzip.compress(b"x") + b"!"]
)
def test_what_is_no_gzip(content: bytes) -> None:
    with pytest.raises(DataError, match="not a whole gzip file"):
        unpack(Path("a.gz"), content)


def test_whole_gzip_is_unpacked() -> None:
    assert unpack(Path("a.gz"), gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"


def test_a_card_that_nests_without_end(root: Path) -> None:
    (root / HOME / "card.toml").write_text("a = " + "[" * 50_000, encoding="utf-8")
    assert any("card.toml: nested more than" in line for line in told(root))


def test_many_files(root: Path) -> None:
    for number in range(500):
        (root / HOME / f"T{number}.json").write_text("{}", encoding="utf-8")
    assert any("more than 400 files" in line for line in told(root))


def test_depth_is_counted_outside_of_strings(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": "' + "[{" * 100 + '\\"["}', encoding="utf-8")
    assert read_json(path) == {"a": "[{" * 100 + '"['}


def test_a_line_stays_a_line() -> None:
    fault = Fault(Path("a\nb\x1b[2J"), "x\r\n::error::" + "y" * 1000)
    assert str(fault).isprintable()
    assert len(str(fault)) < 650
    assert plain("\u202ereversed").startswith("\\u202e")


def test_nothing_hostile_is_needed_to_pass(harmless: Path) -> None:
    assert found(harmless) == []
