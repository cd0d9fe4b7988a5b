"""Writing and reading whole files. Run: pytest tests/results/test_files.py -q.

Degenerate inputs: NaN, half a JSON document, a cut gzip file, one byte flipped, not UTF-8, a
folder that cannot be written to, no lines at all.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from cmedteb.errors import CmedtebError, DataError
from cmedteb.results.files import (
    read_gzip,
    read_json,
    sha256_of,
    write_atomic,
    write_gzip,
    write_json,
)


def test_written_json_reads_back(tmp_path: Path) -> None:
    document = {"\u8bc4\u6d4b": [1, 2.5, None, True, "\u00e9\n"], "a": {"b": []}}
    write_json(tmp_path / "deep" / "er" / "x.json", document)
    assert read_json(tmp_path / "deep" / "er" / "x.json") == document
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["x.json"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_that_json_lacks_is_written(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "x.json", {"score": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": value})
    assert read_json(tmp_path / "x.json") == {"score": 0.5}, "the earlier file was touched"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_no_number_that_json_lacks_is_read(tmp_path: Path, constant: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(f'{{"score": {constant}}}')
    with pytest.raises(DataError, match=rf"x\.json: holds {constant}"):
        read_json(path)


@pytest.mark.parametrize("content", [b"", b'{"a": [1,', b"\xff\xfe", b'{"a": 1} {"b": 2}'])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json: not valid JSON .* run the task again"):
        read_json(path)


def test_a_failed_write_leaves_the_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CmedtebError, match=r"cannot write .*x\.json: No space left on device"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(CmedtebError, match=r"cannot write .*choose another folder"):
        write_atomic(tmp_path / "results" / "m" / "x.json", b"")


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", b"1")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_gzip_lines_read_back(tmp_path: Path) -> None:
    lines = ["a\tb:1", "\u4e2d\u6587 \u2028 text", "", "last"]
    digest = write_gzip(tmp_path / "x.gz", lines)
    assert read_gzip(tmp_path / "x.gz") == lines
    assert digest == sha256_of(tmp_path / "x.gz")


def test_equal_lines_give_equal_bytes(tmp_path: Path) -> None:
    """No file name and no time of writing in the gzip header."""
    write_gzip(tmp_path / "a.gz", ["x", "y"])
    write_gzip(tmp_path / "another.gz", iter(["x", "y"]))
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "another.gz").read_bytes()
    assert content[4:8] == bytes(4), "a time stands in the gzip header"


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    whole = gzip.compress("\n".join(str(number**3) for number in range(500)).encode())
    damaged = [whole[:-1], whole[: len(whole) // 2], whole[:5], b"plain text"]
    damaged += [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in (12, 200, -6)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.gz: not a whole gzip file .*Run the task again"):
            read_gzip(path)


def test_gzip_of_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress("\u4e2d".encode("gb18030")))
    with pytest.raises(DataError, match=r"x\.gz"):
        read_gzip(tmp_path / "x.gz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.gz is missing: run the task again"):
        read_gzip(tmp_path / "gone.gz")
    assert sha256_of(tmp_path / "gone.gz") is None


def test_json_is_readable_by_people(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "\u533b\u5b66"})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "\u533b\u5b66" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"name": "\u533b\u5b66"}
