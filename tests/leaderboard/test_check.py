"""What a submission must pass. Run: pytest tests/leaderboard/test_check.py -q.

One fault a test, each made from results of real runs that pass. Degenerate inputs: an empty folder,
a model without results, a claim that is NaN, a receipt that is cut.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmedteb.leaderboard.check import submission
from leaderboard.submissions import HOME, edit, edit_receipt, found, run, told

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems on the smoke tasks. Do not edit."""
    return run(tmp_path_factory.mktemp("submissions") / "results")


@pytest.fixture
def root(passing: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(passing, tmp_path / "results"))


def test_what_was_really_run_passes(passing: Path) -> None:
    assert found(passing) == []


def test_an_empty_folder_has_no_fault(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_results_of_the_repository_pass() -> None:
    shipped = Path(__file__).resolve().parents[2] / "leaderboard" / "results"
    assert told(shipped) == []


def test_a_folder_without_a_result(root: Path) -> None:
    (root / "org__model" / "1").mkdir(parents=True)
    assert any("holds no result" in line for line in told(root))


def set_score(value: float) -> Change:
    def change(document: dict[str, Any]) -> None:
        entry = document["scores"]["test"][0]
        entry["main_score"] = entry["ndcg_at_10"] = value

    return change


def both(**values: Any) -> Change:
    """Set fields of a result, and of its fingerprint what is called the same."""

    def change(document: dict[str, Any]) -> None:
        document.update(values)
        covered = document["fingerprint_of"]
        covered.update({name: one for name, one in values.items() if name in covered})

    return change


def model(**values: Any) -> Change:
    """Set fields of the model, and of the fingerprint."""

    def change(document: dict[str, Any]) -> None:
        document["model"].update(values)
        named = {"model" if name == "name" else name: one for name, one in values.items()}
        document["fingerprint_of"].update(named)

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "a better score": (set_score(0.9), "main_score is claimed as 0.9, the receipt gives"),
    "a score beyond 1": (set_score(1.5), "a score is beyond [0, 1]"),
    "a score that is a text": (
        lambda one: one["scores"]["test"][0].update(ndcg_at_10="0.9"),
        "numbers only",
    ),
    "no score": (lambda one: one.update(scores={}), "has no scores of one split"),
    "a score more": (
        lambda one: one["scores"]["test"][0].update(magic_at_10=0.5),
        "the receipt does not give: magic_at_10",
    ),
    "a narrower interval": (
        lambda one: one["interval"].update(low=one["scores"]["test"][0]["main_score"]),
        "interval.low is claimed as",
    ),
    "a part": (both(partial=True, limit=5), "covers some queries only"),
    "another split": (
        lambda one: one.update(scores={"dev": one["scores"].pop("test")}),
        "its split is not test",
    ),
    "another main score": (both(main_score_name="map_at_10"), "its main score is not ndcg_at_10"),
    "another version": (both(task_version=2), "another version of the task"),
    "an unknown task": (both(task_name="Made"), "no task is called 'Made'"),
    "other data": (both(dataset_content_hash="0" * 64), "content hash of the data is unknown"),
    "another data revision": (both(dataset_revision="main"), "data revision is not local"),
    "other judgements": (
        lambda one: one["judgements"].update(sha256="0" * 64),
        "judgements are unknown",
    ),
    "fewer queries": (both(units=70), "covers 70 queries of 71"),
    "an unpinned revision": (model(revision="main", family="instruct"), "is not pinned"),
    "an undated endpoint": (model(revision="unversioned", family="api"), "is not pinned"),
    "a fingerprint with a hole": (
        lambda one: one["fingerprint_of"].pop("prompts"),
        "does not cover prompts",
    ),
    "a fingerprint of another model": (
        lambda one: one["fingerprint_of"].update(model="other/model"),
        "says other than the result: model",
    ),
    "no date": (both(date="yesterday"), "not an ISO date"),
    "a climbing receipt": (
        lambda one: one["receipts"].update(path="../../../../etc/passwd"),
        "its receipt is not receipts/<Task>.tsv.gz",
    ),
    "an absolute receipt": (
        lambda one: one["receipts"].update(path="/etc/passwd"),
        "its receipt is not receipts/<Task>.tsv.gz",
    ),
    "an uncut receipt": (lambda one: one["receipts"].update(depth=None), "is cut between"),
    "a key too many": (lambda one: one.update(admin=True), "not a result"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_result_is_told(root: Path, name: str) -> None:
    change, expected = FAULTS[name]
    path = root / HOME / "SmokeRetrieval.json"
    edit(path, change, sealed=name not in {"a key too many", "no score", "a score that is a text"})
    lines = told(root)
    assert any(expected in line for line in lines), lines
    assert all(line.startswith(f"{HOME}/") for line in lines)


def test_an_edited_result_is_told(root: Path) -> None:
    path = root / HOME / "SmokeRetrieval.json"
    edit(path, lambda one: one.update(tokens=7), sealed=False)
    assert any("was edited since it was written" in line for line in told(root))


@pytest.mark.parametrize(
    ("name", "revision"),
    [("someone/else", "1"), ("cmedteb/hashing", "2")],
    ids=["model", "revision"],
)
def test_the_folder_is_model_and_revision(root: Path, name: str, revision: str) -> None:
    edit(root / HOME / "SmokeRetrieval.json", model(name=name, revision=revision))
    lines = told(root)
    assert any("lies elsewhere than its model" in line for line in lines)
    assert any("says other than the results beside it" in line for line in lines)


@pytest.mark.parametrize(
    ("family", "revision"),
    [
        ("sentence-transformer", "0123456789abcdef0123456789abcdef01234567"),
        ("api", "2026-05-01"),
        ("fusion", "sha256-0123456789abcdef"),
    ],
)
def test_revisions_that_are_pinned(root: Path, family: str, revision: str) -> None:
    edit(root / HOME / "SmokeRetrieval.json", model(revision=revision, family=family))
    assert not any("is not pinned" in line for line in told(root))


def swap_first_two(lines: list[str]) -> list[str]:
    query, first, second, *others = lines[0].split("\t")
    return ["\t".join([query, second, first, *others]), *lines[1:]]


def repeat_a_document(lines: list[str]) -> list[str]:
    query, first, _, *others = lines[0].split("\t")
    return ["\t".join([query, first, first, *others]), *lines[1:]]


RECEIPTS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "a query less": (lambda lines: lines[1:], "lacks 1 of 71 queries"),
    "a query more": (lambda lines: [*lines, "q999\td0001:1"], "names 1 queries or pairs that"),
    "a query twice": (lambda lines: [*lines, lines[0]], "stands twice"),
    "no answer": (lambda lines: [lines[0].split("\t")[0], *lines[1:]], "a query has no answer"),
    "too many answers": (
        lambda lines: [f"{lines[0]}\tdeep:-9", *lines[1:]],
        "a query has more than 100 answers",
    ),
    "out of order": (swap_first_two, "not in order"),
    "a document twice": (repeat_a_document, "has a document twice"),
    "not a number": (lambda lines: ["q001\td0234:nan", *lines[1:]], "no finite number"),
    "infinity": (lambda lines: ["q001\td0234:inf", *lines[1:]], "no finite number"),
    "beyond float32": (lambda lines: ["q001\td0234:1e300", *lines[1:]], "range of float32"),
    "words": (lambda lines: ["q001\td0234:much", *lines[1:]], "no key:number"),
    "nothing": (lambda lines: lines[:0], "lacks 71 of 71"),
}


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_fault_in_a_receipt_is_told(root: Path, name: str) -> None:
    change, expected = RECEIPTS[name]
    edit_receipt(root / HOME / "SmokeRetrieval.json", change)
    lines = told(root)
    assert any(expected in line for line in lines), lines


def test_another_receipt_than_was_scored(root: Path) -> None:
    edit_receipt(root / HOME / "SmokeRetrieval.json", lambda lines: lines[::-1], sealed=False)
    assert any("is not the receipt that its result was scored from" in one for one in told(root))


def test_a_receipt_that_is_cut_or_missing(root: Path) -> None:
    receipts = root / HOME / "receipts"
    whole = (receipts / "SmokeSts.tsv.gz").read_bytes()
    (receipts / "SmokeSts.tsv.gz").write_bytes(whole[: len(whole) // 2])
    (receipts / "SmokeRetrieval.tsv.gz").unlink()
    lines = told(root)
    assert any("SmokeSts.tsv.gz" in line for line in lines)
    assert any("SmokeRetrieval.tsv.gz: cannot be read" in line for line in lines)


def test_other_candidates_than_were_given(root: Path) -> None:
    def change(lines: list[str]) -> list[str]:
        query, *entries = lines[0].split("\t")
        return ["\t".join([query, *entries[:-1]]), *lines[1:]]

    edit_receipt(root / HOME / "SmokeReranking.json", change)
    lines = told(root)
    assert any("ranks other candidates" in line for line in lines) or any(
        "claimed as" in line for line in lines
    )


def copied(root: Path, **changes: Any) -> Path:
    """The hashing model again, as another model's submission."""
    folder = root / "copy__cat" / "sha256-0123456789abcdef"
    shutil.copytree(root / HOME, folder)
    facts = {"name": "copy/cat", "revision": "sha256-0123456789abcdef", "family": "fusion"}
    for path in sorted(folder.glob("Smoke*.json")):
        edit(path, model(**facts))
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(document | facts | changes), encoding="utf-8")
    card = 'name = "cat"\nfamily = "fusion"\ntitle = "a copy"\ntraining_sets = []\n'
    (folder / "card.toml").write_text(card, encoding="utf-8")
    return folder


def test_the_receipts_of_another_model(root: Path) -> None:
    copied(root)
    lines = told(root)
    assert any("its receipt is that of cmedteb/hashing" in line for line in lines)
    assert any("its receipt is that of copy/cat" in line for line in lines)
    assert all("its receipt is that of" in line for line in lines), lines


def test_the_same_ranking_is_worth_a_look(root: Path) -> None:
    folder = copied(root)

    def shift(lines: list[str]) -> list[str]:
        return [line.replace(":0.", ":00.") for line in lines]

    for task in ("SmokeRetrieval", "SmokeReranking", "SmokeSts"):
        edit_receipt(folder / f"{task}.json", shift)
    warnings = [str(one) for one in found(root) if one.warning]
    assert told(root) == []
    assert any("of every query as cmedteb/hashing does" in line for line in warnings)


def test_processes_tell_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(root)
    edit(root / HOME / "SmokeRetrieval.json", set_score(0.9))
    here = found(root)
    monkeypatch.setattr(submission, "_WORTH_PROCESSES", 0)
    assert here
    assert found(root) == here


def test_a_jump_is_worth_a_look(root: Path) -> None:
    shutil.rmtree(root / "cmedteb__bm25")
    weak = root / HOME / "SmokeRetrieval.json"
    folder = copied(root)
    edit_receipt(weak, lambda lines: [line.replace(":0.", ":00.") for line in lines])
    edit(weak, set_score(0.2))
    warnings = [str(one) for one in found(root) if one.warning]
    expected = f"{folder / 'SmokeRetrieval.json'}: warning:"
    assert any(line.startswith(expected) and "above the best" in line for line in warnings)


def test_training_sets_are_declared(root: Path) -> None:
    folder = copied(root)
    card = folder / "card.toml"
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("training_sets = []\n", ""), encoding="utf-8")
    assert any("does not declare training_sets" in line for line in told(root))
    card.unlink()
    assert any("is missing: it says what the model is" in line for line in told(root))
    card.write_text(text.replace("[]", '"unknown"'), encoding="utf-8")
    assert any("training sets are unknown" in str(one) for one in found(root) if one.warning)


def test_files_that_have_no_business_there(root: Path) -> None:
    home = root / HOME
    (home / "install.sh").write_text("true", encoding="utf-8")
    shutil.copy(home / "receipts" / "SmokeSts.tsv.gz", home / "receipts" / "Other.tsv.gz")
    (root / "loose.txt").write_text("", encoding="utf-8")
    (root / "noorg").mkdir()
    lines = told(root)
    assert any("install.sh: no file of a submission is called this" in line for line in lines)
    assert any("Other.tsv.gz: is the receipt of no result" in line for line in lines)
    assert any("loose.txt: only folders belong here" in line for line in lines)
    assert any("noorg: a folder of a model is called" in line for line in lines)


def test_judgements_that_nobody_knows(root: Path) -> None:
    folder = root / "judgements"
    there = next(folder.glob("SmokeSts.*"))
    shutil.copy(there, folder / "SmokeSts.0123456789abcdef.tsv.gz")
    assert any("does not hold the judgements that its name says" in one for one in told(root))


def test_documents_that_nobody_else_returns_are_worth_a_look(root: Path) -> None:
    path = root / HOME / "SmokeRetrieval.json"
    edit_receipt(path, lambda lines: [line.replace("\td", "\tx") for line in lines])
    warnings = [str(one) for one in found(root) if one.warning]
    assert any("shares 0.0 % of its first 10 documents" in line for line in warnings)
