"""When a result is reused and when it is computed anew. Run: pytest tests/runner/test_reuse.py.

Degenerate inputs: an edited, truncated or foreign result, a garbled or renamed receipt, leftovers
of a killed process, an object that cannot say what it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cmedteb
from cmedteb.errors import UsageError
from cmedteb.models import Role
from cmedteb.results import ResultStore
from cmedteb.results.files import read_gzip, read_json
from cmedteb.runner import record as record_module
from cmedteb.types import Similarity
from runner.support import (
    Bare,
    Counting,
    contents,
    evaluate,
    file_of,
    reranking,
    retrieval,
    sts,
    write_overlay,
)


@pytest.mark.parametrize("make", [retrieval, reranking, sts])
def test_an_unchanged_result_is_reused(
    tmp_path: Path, out: Path, make: Callable[[Path], Path]
) -> None:
    """Same name and content, whatever the kind of task: no call of the encoder, no write."""
    task = make(tmp_path / "Set")
    first = evaluate(Counting(), task, out)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = Counting()
    assert evaluate(again, task, out) == first
    assert again.calls == 0
    now = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    now = {path: stamp for path, stamp in now.items() if ".locks" not in path.parts}
    assert now == {path: stamp for path, stamp in files.items() if ".locks" not in path.parts}


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": {"query": "find: ", "document": ""}},
        {"max_length": 128},
        {"similarity": Similarity.DOT},
        {"pooling": "cls"},
        {"dtype": "bfloat16"},
        {"dimension": 512},
        {"family": "other"},
        {"settings": {"k1": 1.2}},
        {"libraries": ("click",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_changed_model_is_computed_anew(data: Path, out: Path, changes: dict[str, Any]) -> None:
    first = evaluate(Counting(), data, out)
    model = Counting(replace(Counting().facts, **changes))
    second = evaluate(model, data, out)
    assert model.calls > 0
    assert second.fingerprint != first.fingerprint
    key = {"libraries": "libraries"}.get(next(iter(changes)), next(iter(changes)))
    assert record_module.differences(first.fingerprint_of, second.fingerprint_of) == [key]


def test_what_cannot_move_a_score_is_no_reason(data: Path, out: Path) -> None:
    """Device, count of weights, and the tokens of a batch."""
    evaluate(Counting(), data, out)
    model = Counting(replace(Counting().facts, device="cuda:1", parameters={"query": 7}))
    evaluate(model, data, out, batch_tokens=64)
    assert model.calls == 0


def test_sides_count_for_sts_only(tmp_path: Path, data: Path, out: Path) -> None:
    facts = replace(Counting().facts, sts_sides=(Role.QUERY, Role.DOCUMENT))
    pairs = sts(tmp_path / "Pairs")
    evaluate(Counting(), data, out)
    evaluate(Counting(), pairs, out)
    ranking, similar = Counting(facts), Counting(facts)
    evaluate(ranking, data, out)
    evaluate(similar, pairs, out)
    assert (ranking.calls, similar.calls > 0) == (0, True)


def test_a_new_major_version_of_a_library_is_computed_anew(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(Counting(), data, out)
    real = record_module._version
    monkeypatch.setattr(record_module, "_version", lambda name: f"{real(name)}.post9")
    same = Counting()
    evaluate(same, data, out)
    monkeypatch.setattr(record_module, "_version", lambda _: "99.0")
    other = Counting()
    evaluate(other, data, out)
    assert (same.calls, other.calls > 0) == (0, True)


def edit_text(data: Path) -> None:
    corpus = data / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    rows[3]["text"] += " x"
    corpus.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def edit_judgement(data: Path) -> None:
    qrels = data / "qrels.tsv"
    qrels.write_text(qrels.read_text().replace("q:03\td:03\t1", "q:03\td:04\t1"))


@pytest.mark.parametrize("edit", [edit_text, edit_judgement])
def test_changed_data_is_computed_anew(data: Path, out: Path, edit: Callable[[Path], None]) -> None:
    first = evaluate(Counting(), data, out)
    edit(data)
    model = Counting()
    second = evaluate(model, data, out)
    assert model.calls > 0
    assert first.dataset_content_hash != second.dataset_content_hash
    assert read_json(file_of(out))["fingerprint"] == second.fingerprint


def test_the_same_data_in_another_place_is_reused(data: Path, out: Path, tmp_path: Path) -> None:
    evaluate(Counting(), data, out)
    moved = shutil.copytree(data, tmp_path / "moved" / "Set")
    model = Counting()
    evaluate(model, moved, out)
    assert model.calls == 0


@pytest.mark.parametrize("options", [{"depth": 10}, {"limit": 5, "overwrite": "always"}])
def test_changed_settings_are_computed_anew(data: Path, out: Path, options: dict[str, Any]) -> None:
    evaluate(Counting(), data, out)
    model = Counting()
    evaluate(model, data, out, **options)
    assert model.calls > 0
    back = Counting()
    evaluate(back, data, out)
    assert back.calls > 0, "and so are the first settings, when they come back"


def test_depth_is_no_reason_where_it_has_no_meaning(tmp_path: Path, out: Path) -> None:
    tasks = [reranking(tmp_path / "Lists"), sts(tmp_path / "Pairs")]
    cmedteb.evaluate(Counting(), tasks, output=out)
    model = Counting()
    cmedteb.evaluate(model, tasks, output=out, depth=10)
    assert model.calls == 0


def test_other_judgements_lie_beside_and_stand_for_themselves(
    data: Path, out: Path, tmp_path: Path
) -> None:
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1"])
    options = {"judgements": "v1", "overlays": overlays}
    first = evaluate(Counting(), data, out)
    under = evaluate(Counting(), data, out, **options)
    assert under.judgements.version == "v1"
    assert under.fingerprint != first.fingerprint
    assert read_json(out / "test__counting/1/v1/Set.json")["fingerprint"] == under.fingerprint
    model = Counting()
    assert evaluate(model, data, out, **options) == under
    assert evaluate(model, data, out) == first, "the original one stands too"
    assert model.calls == 0
    write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:06\t1"])
    assert evaluate(model, data, out, **options) != under
    assert model.calls > 0, "another overlay under the same name"


@pytest.mark.parametrize("damage", ["edited", "truncated", "other task", "garbled", "renamed"])
def test_what_is_not_as_it_was_written_is_computed_anew(
    data: Path, out: Path, tmp_path: Path, damage: str
) -> None:
    cmedteb.evaluate(Counting(), [data, reranking(tmp_path / "Lists")], output=out)
    intact = contents(out)
    result, receipt = file_of(out), out / "test__counting/1/receipts/Set.tsv.gz"
    if damage == "edited":
        value = str(read_json(result)["scores"]["test"][0]["main_score"])
        result.write_text(result.read_text().replace(value, "0.987"))
    elif damage == "truncated":
        result.write_bytes(result.read_bytes()[:700])
    elif damage == "other task":
        shutil.copy(file_of(out, "Lists"), result)
    elif damage == "garbled":
        receipt.write_bytes(receipt.read_bytes()[:-4] + b"\0\0\0\0")
    else:
        receipt.rename(receipt.with_name("Lists2.tsv.gz"))
    model = Counting()
    evaluate(model, data, out)
    assert model.calls > 0
    receipt.with_name("Lists2.tsv.gz").unlink(missing_ok=True)
    assert contents(out) == intact


def test_leftovers_of_a_killed_process_disturb_nobody(data: Path, out: Path) -> None:
    first = evaluate(Counting(), data, out)
    home = file_of(out).parent
    for place in (home, home / "receipts", out / "judgements"):
        (place / ".Set.json.x7d1.tmp").write_bytes(b'{"cmedteb_schema": ')
    model = Counting()
    assert evaluate(model, data, out) == first
    assert model.calls == 0
    assert [one.name for one, _ in ResultStore(out).results()] == ["Set.json"]


def test_overwrite_always(data: Path, out: Path) -> None:
    first = evaluate(Counting(), data, out)
    model = Counting()
    again = evaluate(model, data, out, overwrite="always")
    assert model.calls > 0
    assert again.values == first.values


def test_overwrite_never(data: Path, out: Path) -> None:
    """It keeps what is there, uses it where it answers, and adds what is missing."""
    first = evaluate(Counting(), data, out, overwrite="never")
    model = Counting()
    assert evaluate(model, data, out, overwrite="never") == first
    assert model.calls == 0
    with pytest.raises(UsageError, match=r"Set\.json holds a result .*--overwrite never keeps"):
        evaluate(model, data, out, overwrite="never", depth=10)
    assert model.calls == 0, "refused before the model worked"
    assert read_json(file_of(out))["fingerprint"] == first.fingerprint


def test_a_limited_run_is_stamped(data: Path, out: Path) -> None:
    result = evaluate(Counting(), data, out, limit=5)
    assert (result.partial, result.limit, result.units) == (True, 5, 5)
    stored = read_json(file_of(out))
    assert (stored["partial"], stored["limit"]) == (True, 5)
    assert len(read_gzip(out / "test__counting/1" / stored["receipts"]["path"])) == 5
    whole = evaluate(Counting(), data, out)
    assert (whole.partial, whole.limit, whole.units) == (False, None, 12)


def test_a_limited_run_never_replaces_a_whole_one(data: Path, out: Path, tmp_path: Path) -> None:
    evaluate(Counting(), data, out)
    before = contents(out)
    model = Counting()
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1"])
    for options in ({}, {"judgements": "v1", "overlays": overlays}):
        with pytest.raises(UsageError, match="a --limit run does not replace it"):
            evaluate(model, data, out, limit=5, **options)
    assert model.calls == 0
    assert contents(out) == before
    assert evaluate(model, data, out, limit=5, overwrite="always").partial


def test_an_object_that_cannot_say_what_it_is_is_never_reused(data: Path, out: Path) -> None:
    first, second = Bare(), Bare()
    evaluate(first, data, out)
    evaluate(second, data, out)
    assert second.calls == first.calls > 0
    [(path, result)] = ResultStore(out).results()
    assert path.parent == out / "custom__Bare" / "unversioned"
    assert result.model.name == "custom/Bare"
