"""What a stored result must say. Run: pytest tests/results/test_schema.py -q.

Degenerate inputs: NaN in a score and in an interval, a key that is not known, a key that lacks, a
result of another schema.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from runner.support import Counting, retrieval, sts

import cmedteb
from cmedteb.results import TaskResult, fingerprint
from cmedteb.results.files import read_json
from cmedteb.results.schema import score_entry

# What DESIGN says a result adds to mteb's TaskResult.
DEMANDED = {
    "prompts",
    "pooling",
    "similarity",
    "max_length",
    "dtype",
    "dimension",
    "device",
    "library_versions",
    "dataset_revision",
    "dataset_content_hash",
    "judgements",
    "evaluation_phases",
    "tokens",
    "texts_encoded",
    "cache_hits",
    "fingerprint",
    "receipts",
    "partial",
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A result as it lies on the disk."""
    home = tmp_path_factory.mktemp("schema")
    cmedteb.evaluate(Counting(), [retrieval(home / "Set")], output=home / "out")
    document: dict[str, Any] = read_json(home / "out" / "test__counting" / "1" / "Set.json")
    return document


def test_a_stored_result_says_what_design_demands(stored: dict[str, Any]) -> None:
    assert set(stored) >= DEMANDED
    assert [phase["name"] for phase in stored["evaluation_phases"]] == [
        "load data",
        "encode documents",
        "encode queries",
        "search",
        "score",
    ]
    spent = sum(phase["end"] - phase["start"] for phase in stored["evaluation_phases"])
    assert stored["evaluation_time"] == pytest.approx(spent)
    assert stored["texts_encoded"] == 24 + 12
    assert stored["units"] == 12


def test_scores_are_by_mteb_s_names(stored: dict[str, Any]) -> None:
    [entry] = stored["scores"]["test"]
    measures = ("ndcg", "map", "recall", "precision", "mrr")
    at = (1, 3, 5, 10, 20, 100, 1000)
    # 24 documents, all of them returned: every rank is deep enough.
    assert {f"{measure}_at_{k}" for measure in measures for k in at} <= set(entry)
    assert entry["main_score"] == entry["ndcg_at_10"]
    assert all(0 <= value <= 1 for value in entry.values() if isinstance(value, float))
    assert (entry["hf_subset"], entry["languages"]) == ("default", ["cmn-Hans"])


def test_reading_back_changes_nothing(stored: dict[str, Any]) -> None:
    result = TaskResult.model_validate(stored)
    assert result.model_dump(mode="json") == stored
    assert result.checksum == result.content_checksum
    assert result.main_score == stored["scores"]["test"][0]["ndcg_at_10"]
    assert result.split == "test"
    assert result.values["recall_at_5"] == stored["scores"]["test"][0]["recall_at_5"]


def test_any_edit_shows_in_the_checksum(stored: dict[str, Any]) -> None:
    for key, value in stored.items():
        if key == "checksum":
            continue
        edited = {**stored, key: _other(value)}
        try:
            result = TaskResult.model_validate(edited)
        except ValidationError:
            continue
        assert result.checksum != result.content_checksum, key


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case dict():
            return {**value, "x": 1}
        case list():
            return [*value, *value]
    return 1


def test_an_edited_score_shows_in_the_checksum(stored: dict[str, Any]) -> None:
    edited = json.loads(json.dumps(stored))
    edited["scores"]["test"][0]["main_score"] += 1e-9
    result = TaskResult.model_validate(edited)
    assert result.checksum != result.content_checksum


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("surprise", 1),
        ("cmedteb_schema", "cmedteb-result/2"),
        ("interval", {"low": math.nan, "high": 1.0, "level": 0.95, "method": "m", "seed": 0}),
        ("evaluation_time", math.inf),
        ("units", "many"),
    ],
)
def test_what_is_no_result_is_refused(stored: dict[str, Any], key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        TaskResult.model_validate({**stored, key: value})


@pytest.mark.parametrize("key", ["fingerprint", "receipts", "judgements", "scores", "partial"])
def test_what_lacks_a_key_is_refused(stored: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        TaskResult.model_validate({name: value for name, value in stored.items() if name != key})


def test_one_query_has_no_interval(tmp_path: Path) -> None:
    """A single query cannot be resampled; null is written, not NaN."""
    data = retrieval(tmp_path / "Set", queries=1)
    [result] = cmedteb.evaluate(Counting(), [data], output=tmp_path / "out")
    assert (result.interval.low, result.interval.high) == (None, None)
    document = read_json(tmp_path / "out" / "test__counting" / "1" / "Set.json")
    assert document["interval"]["low"] is None


def test_sts_says_which_side_read_which_sentence(tmp_path: Path) -> None:
    [result] = cmedteb.evaluate(Counting(), [sts(tmp_path / "Pairs")])
    assert result.sts_sides == {"sentence1": "query", "sentence2": "query"}
    assert result.receipts.depth is None
    assert {"pearson", "spearman", "cosine_pearson", "cosine_spearman"} <= set(result.values)


def test_fingerprint_is_of_content_not_of_order() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1, "b": [1, 2]}) != fingerprint({"a": 1, "b": [2, 1]})
    assert fingerprint({"a": None}) != fingerprint({"a": ""})
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": math.nan})


def test_score_entry_is_sorted_and_complete() -> None:
    entry = score_entry({"b": 0.5, "a": 0.25}, 0.5)
    assert list(entry) == ["a", "b", "main_score", "hf_subset", "languages"]
