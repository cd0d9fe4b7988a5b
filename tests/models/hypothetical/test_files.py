"""Files of hypothetical documents, read as published and appended to as they are generated.

Run: pytest tests/models/hypothetical/test_files.py -q. Degenerate files: empty, documents that are
empty, lines torn by a killed process, documents of two prompts for one query.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from builders import SHARED, write_jsonl

from cmedteb.errors import CmedtebError, DataError, UsageError
from cmedteb.models.hypothetical.cache import GenerationCache, birth_of
from cmedteb.models.hypothetical.files import read_generations

GOLD = SHARED / "cmirb_gold"
needs_gold = pytest.mark.skipif(
    not (GOLD / "hyde").is_dir(), reason="the published generations are not here"
)


def row(text: str, document: str | list[str], **more: Any) -> dict[str, Any]:
    return {"id": "1", "text": text, "rewrite_query": document, **more}


def written(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    return write_jsonl(folder / "hyde.jsonl", rows)


# Reading


def test_a_document_belongs_to_the_text_of_its_query(tmp_path: Path) -> None:
    path = written(tmp_path, [row("a  b", "x"), row("c", "y")])
    assert read_generations(path).of(["c", " a\u3000b", "c"]) == [("y",), ("x",), ("y",)]


def test_several_documents_as_a_list_or_as_lines(tmp_path: Path) -> None:
    rows = [row("a", ["x", "y"]), row("b", "x"), row("b", "y"), row("b", "x")]
    found = read_generations(written(tmp_path, rows))
    assert found.count == 2
    assert found.of(["a", "b"]) == [("x", "y"), ("x", "y")]


def test_the_first_documents_of_each_query_can_be_taken(tmp_path: Path) -> None:
    path = written(tmp_path, [row("a", ["x", "y"]), row("b", "z")])
    assert read_generations(path, 1).of(["a", "b"]) == [("x",), ("z",)]
    with pytest.raises(UsageError, match=r"1 to 2 documents a query .*--hyde-documents 1"):
        read_generations(path)


def test_too_few_documents_are_told_with_their_number_and_the_first(tmp_path: Path) -> None:
    found = read_generations(written(tmp_path, [row("a", ["x", "y"]), row("b", "z")]), 2)
    with pytest.raises(DataError, match=r"no 2 documents for 2 of these 3 queries.*'b'; 'new'"):
        found.of(["a", "b", "new"])


def test_an_empty_document_is_none(tmp_path: Path) -> None:
    found = read_generations(written(tmp_path, [row("a", " \n"), row("b", ["", "z"])]))
    with pytest.raises(DataError, match=r"no document for 1 of these 2 queries, the first: 'a'"):
        found.of(["b", "a"])
    assert found.of(["b"]) == [("z",)]


def test_numbered_documents_stand_in_their_order(tmp_path: Path) -> None:
    rows = [row("a", "two", number=2), row("a", "zero", number=0), row("a", "one", number=1)]
    again = row("a", "late", number=1)
    assert read_generations(written(tmp_path, [*rows, again])).of(["a"]) == [("zero", "one", "two")]


def test_documents_of_two_prompts_for_one_query_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [row("a", "x", recipe="1"), row("a", "y", recipe="2")])
    with pytest.raises(DataError, match=r"hyde\.jsonl line 2: documents of two models or prompts"):
        read_generations(path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "b"}', "line 2: rewrite_query is NoneType"),
        ('{"text": "b", "rewrite_query": [1]}', "line 2: rewrite_query is list"),
        ('{"rewrite_query": "z"}', "line 2 has no text"),
        ('{"text": " ", "rewrite_query": "z"}', "line 2 has no text"),
        ("[1]", "line 2 is no JSON object"),
        ("{", "line 2 is no JSON object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "hyde.jsonl"
    path.write_text(f"{json.dumps(row('a', 'x'))}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=fault):
        read_generations(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no hypothetical document"):
        read_generations(written(tmp_path, []))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hyde.xlsx"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"known format; use one of \.jsonl"):
        read_generations(path)


def test_a_damaged_archive_is_told_with_the_last_good_line(tmp_path: Path) -> None:
    lines = "".join(f"{json.dumps(row(str(n), os.urandom(40).hex()))}\n" for n in range(200))
    path = tmp_path / "hyde.jsonl.gz"
    path.write_bytes(gzip.compress(lines.encode())[:-2000])
    with pytest.raises(DataError, match=r"readable up to line \d+ only"):
        read_generations(path)


def test_other_tables_are_read_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "hyde.parquet"
    pq.write_table(pa.table({"text": ["a"], "rewrite_query": [["x", "y"]]}), path)
    assert read_generations(path).of(["a"]) == [("x", "y")]


def test_the_hash_follows_the_documents_and_not_the_file(tmp_path: Path) -> None:
    rows = [row("a", "x"), row("b", "y")]
    plain = read_generations(written(tmp_path, rows))
    packed = tmp_path / "other.jsonl.gz"
    lines = [json.dumps({**one, "id": "other"}) for one in reversed(rows)]
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read_generations(packed).sha256 == plain.sha256
    other = read_generations(written(tmp_path, [row("a", "x"), row("b", "y.")]))
    assert other.sha256 != plain.sha256


@needs_gold
@pytest.mark.parametrize("name", ["hyde-qwen2-7b", "sl-hyde-qwen2-7b"])
def test_the_published_generations_are_there_for_every_query(name: str) -> None:
    """Their texts have the ideographic spaces that this copy of the queries has lost."""
    found = read_generations(GOLD / "hyde" / f"{name}.jsonl.gz")
    lines = (GOLD / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line) for line in lines]
    documents = found.of([query["text"] for query in queries])
    assert len(documents) == 2739
    assert found.count == 1
    with gzip.open(GOLD / "hyde" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        by_id = {one["id"]: one["rewrite_query"] for one in map(json.loads, stream)}
    assert [only for (only,) in documents] == [by_id[query["_id"]] for query in queries]


# Keeping


def test_what_is_kept_is_read_back_and_is_a_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept.jsonl"
    cache = GenerationCache(path, "r1")
    assert not cache.get("a")
    cache.add("a", 1, "second", {"generator": "m"})
    cache.add("a", 0, "first", {"generator": "m"})
    GenerationCache(path, "r2").add("b", 0, "other", {"generator": "m"})
    again = GenerationCache(path, "r1")
    assert again.get(" a ") == {0: "first", 1: "second"} == cache.get("a")
    assert not again.get("b")
    found = read_generations(path, 1)
    assert found.of(["a", "b"]) == [("first",), ("other",)]
    assert found.generators == ("m",)


@pytest.mark.parametrize("torn", ['{"text": "b", "rewr', '{"text": "\u8840'])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "kept.jsonl"
    GenerationCache(path, "r").add("a", 0, "x", {})
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode()[:-1])
    assert read_generations(path).of(["a"]) == [("x",)]
    cache = GenerationCache(path, "r")
    assert cache.get("a") == {0: "x"}
    assert not cache.get("b")
    cache.add("c", 0, "y", {})
    assert path.read_bytes().startswith(whole + b'{"id"')
    assert read_generations(path).of(["a", "c"]) == [("x",), ("y",)]


def test_a_last_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    GenerationCache(path, "r").add("a" * 100_000, 0, "x", {})
    path.write_bytes(path.read_bytes().rstrip())
    cache = GenerationCache(path, "r")
    cache.add("b", 0, "y", {})
    assert GenerationCache(path, "r").get("a" * 100_000) == {0: "x"}
    assert GenerationCache(path, "r").get("b") == {0: "y"}


def test_a_file_begun_anew_is_told_from_the_old(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    assert birth_of(path) is None
    GenerationCache(path, "r").add("a", 0, "x", {"time": "1"})
    first = birth_of(path)
    GenerationCache(path, "r").add("b", 0, "y", {"time": "2"})
    assert birth_of(path) == first is not None
    path.unlink()
    GenerationCache(path, "r").add("a", 0, "x", {"time": "3"})
    assert birth_of(path) != first


@pytest.mark.parametrize("name", ["kept.jsonl.gz", "kept.parquet", ""])
def test_only_json_lines_can_be_appended_to(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"must be a \.jsonl file"):
        GenerationCache(tmp_path / name, "r")


def test_a_published_file_is_no_cache(tmp_path: Path) -> None:
    path = written(tmp_path, [row("a", "x")])
    with pytest.raises(UsageError, match=r"line 1 was not generated by cmedteb.*--hyde "):
        GenerationCache(path, "r").get("a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CmedtebError, match=r"cannot keep a generated document .*--hyde-cache"):
        GenerationCache(tmp_path / "kept.jsonl", "r").add("a", 0, "x", {})


def test_a_path_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CmedtebError, match=r"cannot keep a generated document .*--hyde-cache"):
        GenerationCache(tmp_path / "file" / "kept.jsonl", "r").add("a", 0, "x", {})


APPEND = """
import sys
from pathlib import Path
from cmedteb.models.hypothetical.cache import GenerationCache
cache = GenerationCache(Path(sys.argv[1]), "r")
for row in range(int(sys.argv[3])):
    cache.add(f"{sys.argv[2]}-{row}", 0, "document " * 50, {})
    print(row, flush=True)
"""


def test_two_processes_append_to_one_file_and_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    killed, other = (
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(path), name, count],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, count in (("a", "100000"), ("b", "60"))
    )
    assert killed.stdout is not None
    told = [killed.stdout.readline() for _ in range(20)][-1]
    killed.send_signal(signal.SIGKILL)
    assert other.wait(60) == 0
    killed.communicate(timeout=60)
    kept = GenerationCache(path, "r")
    assert all(kept.get(f"a-{row}") for row in range(int(told) + 1))
    assert all(kept.get(f"b-{row}") for row in range(60))
    read_generations(path)
