"""`cmedteb annotate demo` as a user starts it, in a process that is kept on this machine.

One run of about half a minute: it is the promise that the whole way works on a fresh clone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from annotations.offline import finished, start


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def told(home: Path) -> Any:
    return json.loads(finished(home, "annotate", "demo", "--keep", home / "kept", "--json"))


def test_it_finds_what_was_planted_and_says_how_sure_it_is(told: Any) -> None:
    planted = told["planted"]
    assert 0 < planted["pooled"] <= planted["hidden"]
    assert planted["found"] >= 0.8 * planted["pooled"]
    assert planted["rejected"] >= planted["wrong"] - 2
    kappa = told["agreement"]["binary"]["fleiss_kappa"]
    assert kappa["low"] < kappa["value"] < kappa["high"]
    assert told["found"]["per_query"]["value"] > 0
    assert told["simulated"] is True


def test_the_system_that_was_unfairly_low_rises(told: Any) -> None:
    moves = {move["model"]: move for move in told["scores"]["moves"]}
    better = moves["cmedteb/bm25"]
    assert better["after"] > better["before"]
    assert better["rank_after"] < better["rank_before"]


def test_faults_happened_and_the_budget_held(told: Any) -> None:
    kinds = {kind for faults in told["server"]["faults"].values() for kind in faults}
    assert {"rate", "risk", "cut"} <= kinds
    assert 0 < told["calls"]["cost"] <= told["budget"]
    assert all(judge["unanswered"] == 0 for judge in told["calls"]["judges"])


def test_the_replay_is_byte_identical_and_the_pages_are_kept(told: Any, home: Path) -> None:
    assert told["replay"]["files"] > 0
    assert told["replay"]["differing"] == []
    kept = home / "kept" / "annotation"
    assert (kept / "report" / "report.html").is_file()
    assert len(list(kept.glob("review/blind/*/review.html"))) == 2


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    process = start(tmp_path, "annotate", "demo", "--keep", tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is not empty" in err
