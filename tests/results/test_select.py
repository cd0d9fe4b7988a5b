"""Finding results by name. Run: pytest tests/results/test_select.py -q."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from runner.support import Counting, reranking, retrieval, write_overlay

import cmedteb
from cmedteb.errors import UsageError
from cmedteb.results import ResultStore
from cmedteb.results.select import select


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    """Two revisions of one model, another model, and one result under v1."""
    home = tmp_path_factory.mktemp("select")
    ranking, lists = retrieval(home / "Set"), reranking(home / "Lists")
    facts = Counting().facts
    cmedteb.evaluate(Counting(), [ranking, lists], output=home / "out")
    other = Counting(replace(facts, revision="2a4b6c"))
    cmedteb.evaluate(other, [ranking], output=home / "out")
    cmedteb.evaluate(Counting(replace(facts, name="org/other")), [ranking], output=home / "out")
    overlays = write_overlay(home / "overlays", "Set", ["+\tq:00\td:05\t1"])
    options = {"judgements": "v1", "overlays": overlays}
    cmedteb.evaluate(Counting(), [ranking], output=home / "out", **options)
    return ResultStore(home / "out")


def found(store: ResultStore, **selection: object) -> list[str]:
    stored = select(store, **selection)  # type: ignore[arg-type]
    return [one.path.relative_to(store.root).as_posix() for one in stored]


FIRST = ["test__counting/1/Lists.json", "test__counting/1/Set.json"]
SECOND = ["test__counting/2a4b6c/Set.json"]
OTHER = ["org__other/1/Set.json"]
VERSION = ["test__counting/1/v1/Set.json"]


def test_all_original_results(store: ResultStore) -> None:
    assert found(store) == [*OTHER, *FIRST, *SECOND]


def test_all_versions(store: ResultStore) -> None:
    assert found(store, judgements=None) == [*OTHER, *FIRST, *VERSION, *SECOND]
    assert found(store, judgements="v1") == VERSION
    assert found(store, judgements="v2") == []


@pytest.mark.parametrize("name", ["counting", "test/counting"])
def test_a_model_by_short_and_full_name(store: ResultStore, name: str) -> None:
    assert found(store, models=[name]) == [*FIRST, *SECOND]


def test_a_revision_by_its_beginning(store: ResultStore) -> None:
    assert found(store, models=["counting@2a4"]) == SECOND
    assert found(store, models=["test/counting@1"]) == FIRST


def test_a_revision_by_its_folder(store: ResultStore, tmp_path: Path) -> None:
    assert found(store, models=[str(store.root / "test__counting" / "1")]) == FIRST
    assert found(store, models=[str(store.root / "org__other")]) == OTHER


def test_several_models_and_tasks(store: ResultStore) -> None:
    assert found(store, models=["counting", "other"], tasks=["Set"]) == [
        *OTHER,
        FIRST[1],
        *SECOND,
    ]
    assert found(store, tasks=["Nothing"]) == []


@pytest.mark.parametrize("name", ["unknown", "counting@9", "Counting", "test"])
def test_a_missing_model_lists_those_there(store: ResultStore, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(store, models=[name])
    message = str(caught.value)
    assert f"holds no results of {name!r}" in message
    assert "It holds: org/other, test/counting" in message


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="It holds: none"):
        select(ResultStore(tmp_path), models=["bm25"])
