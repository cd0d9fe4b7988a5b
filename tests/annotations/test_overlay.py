"""Reading versions of judgements. Run: pytest tests/annotations/test_overlay.py.

Degenerate inputs: no lines, lines with too few columns, a wrong operation, a grade that is no
whole number, a pair twice, a missing header, a header of another task or version, a header that is
no JSON, an unknown version, a cut gzip file, one byte flipped, another encoding.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from runner.support import write_overlay

from cmedteb import resources
from cmedteb.annotations import read_overlay
from cmedteb.errors import DataError, UsageError


def test_plus_sets_and_minus_clears(tmp_path: Path) -> None:
    lines = ["+\tq1\td1\t2", "-\tq1\td2\t0", "-\tq2\td1\t3", "+\tq2\td:2\t0"]
    overlay = read_overlay("T", "v1", write_overlay(tmp_path, "T", lines))
    assert overlay.grades == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 0, "d:2": 0}}
    assert (overlay.task, overlay.version, overlay.parent) == ("T", "v1", None)


def test_a_header_line_and_further_columns_are_allowed(tmp_path: Path) -> None:
    lines = ["op\tqid\tdocid\tgrade\tjudges\tsource", "+\tq\td\t1\t1,0,1\tpool of 2026"]
    assert read_overlay("T", "v1", write_overlay(tmp_path, "T", lines)).grades == {"q": {"d": 1}}


def test_the_header_file_may_say_more(tmp_path: Path) -> None:
    header = {"parent": "ab" * 32, "panel": ["one", "two"], "kappa": 0.7}
    overlay = read_overlay("T", "v1", write_overlay(tmp_path, "T", ["+\tq\td\t1"], header=header))
    assert overlay.parent == "ab" * 32


def test_a_header_line_alone_changes_nothing(tmp_path: Path) -> None:
    folder = write_overlay(tmp_path, "T", ["op\tqid\tdocid\tgrade"])
    assert read_overlay("T", "v1", folder).grades == {}


BAD: dict[str, tuple[Sequence[str], str]] = {
    "too few columns": (["+\tq\td"], "line 1: expected `+` or `-`, query id, document id and gr"),
    "spaces for tabs": (["+ q d 1"], "line 1: expected"),
    "a wrong operation": (["+\tq\td\t1", "*\tq\te\t1"], "line 2: expected"),
    "a blank line": (["+\tq\td\t1", "", "+\tq\te\t1"], "line 2: expected"),
    "no line": ([], "line 1: expected"),
    "a header further down": (["+\tq\td\t1", "op\tqid\tdocid\tgrade"], "line 2: expected"),
    "a fraction": (["+\tq\td\t0.5"], "line 1: the grade '0.5' is no whole number"),
    "a word": (["+\tq\td\thigh"], "line 1: the grade 'high' is no whole number"),
    "no grade": (["+\tq\td\t"], "line 1: the grade '' is no whole number"),
    "the same line twice": (["+\tq\td\t1"] * 2, "line 2: q d stands twice"),
    "a contradiction": (["+\tq\td\t1", "-\tq\td\t0"], "line 2: q d stands twice"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD.keys())
def test_malformed_lines_are_named(tmp_path: Path, lines: Sequence[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_overlay("T", "v1", write_overlay(tmp_path, "T", lines))
    assert f"v1.tsv.gz: {message}" in str(caught.value)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = write_overlay(tmp_path, "T", [f"+\tq{row}\td{row**3}\t1" for row in range(200)])
    path = folder / "T" / "v1.tsv.gz"
    whole = path.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in (15, 300, -6)]
    latin = gzip.compress("+\tq\td\u00e9\t1\n".encode("latin-1"))
    for content in (whole[:-3], whole[:40], b"+\tq\td\t1\n", latin, *flipped):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"v1\.tsv\.gz: not a whole gzip file of UTF-8 lines"):
            read_overlay("T", "v1", folder)


def test_a_missing_header_is_named(tmp_path: Path) -> None:
    folder = write_overlay(tmp_path, "T", ["+\tq\td\t1"])
    (folder / "T" / "v1.json").unlink()
    with pytest.raises(DataError, match=r"v1\.json is missing: an overlay needs its header"):
        read_overlay("T", "v1", folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"task": "T"}', '{"task": 1, "version": "v1"}'])
def test_a_malformed_header_is_named(tmp_path: Path, text: str) -> None:
    folder = write_overlay(tmp_path, "T", ["+\tq\td\t1"])
    (folder / "T" / "v1.json").write_text(text)
    with pytest.raises(DataError, match=r"v1\.json: not a valid overlay header"):
        read_overlay("T", "v1", folder)


@pytest.mark.parametrize("header", [{"task": "Other"}, {"version": "v2"}])
def test_a_header_of_something_else_is_named(tmp_path: Path, header: dict[str, str]) -> None:
    folder = write_overlay(tmp_path, "T", ["+\tq\td\t1"], header=header)
    with pytest.raises(DataError, match=r"says it is .* but lies where v1 of T belongs"):
        read_overlay("T", "v1", folder)


def test_an_unknown_version_lists_what_there_is(tmp_path: Path) -> None:
    for version in ("v2", "v1"):
        write_overlay(tmp_path, "T", ["+\tq\td\t1"], version=version)
    with pytest.raises(UsageError, match=r"no judgements 'v3' of T .*There are: original, v1, v2"):
        read_overlay("T", "v3", tmp_path)
    with pytest.raises(UsageError, match=r"no judgements 'v1' of U .*There are: original$"):
        read_overlay("U", "v1", tmp_path)


def test_the_shipped_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_overlay(tmp_path / "annotations" / "overlays", "T", ["+\tq\td\t1"])
    monkeypatch.setattr(resources, "data_root", lambda: tmp_path)
    assert read_overlay("T", "v1").grades == {"q": {"d": 1}}
