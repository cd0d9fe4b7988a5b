"""What a run tells, writes and saves. Run: pytest tests/runner/test_evaluate.py.

Degenerate inputs: a failing encoder, an interrupt, an overlay for other judgements, a benchmark
that is not complete.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cmedteb
from cmedteb.errors import DataError, ModelError, UsageError
from cmedteb.results import ResultStore
from cmedteb.results.files import read_gzip
from cmedteb.runner import Outcome, RunOptions, averages, run_tasks
from cmedteb.tasks.registry import Catalogue, resolve
from runner.support import (
    Bare,
    Counting,
    contents,
    evaluate,
    file_of,
    retrieval,
    sts,
    write_overlay,
)


class Notes:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def task_started(self, name: str, *, number: int, total: int) -> None:
        self.heard.append((name, number, total))

    def phase_started(self, name: str, *, units: int | None = None) -> None:
        self.heard.append((name, units))

    def advanced(self, units: int) -> None:
        self.heard.append(units)

    def task_ended(self, outcome: str) -> None:
        self.heard.append(outcome)

    def note(self, text: str) -> None:
        self.heard.append(text)


def test_the_observer_hears_of_every_step(data: Path, out: Path) -> None:
    notes = Notes()
    result = evaluate(Counting(), data, out, observer=notes)
    named = [one for one in notes.heard if isinstance(one, tuple)]
    assert named == [
        ("Set", 1, 1),
        ("load data", None),
        ("encode documents", 24),
        ("encode queries", 12),
        ("search", None),
        ("score", None),
    ]
    assert sum(one for one in notes.heard if isinstance(one, int)) == 24 + 12
    assert notes.heard[-1].startswith(f"ndcg_at_10 {result.main_score:.4f} (in ")


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        (Counting(), {"depth": 10}, "other depth"),
        (Counting(), {"overwrite": "always"}, "asked for"),
        (Counting(replace(Counting().facts, pooling="cls")), {}, "other pooling"),
    ],
)
def test_why_a_result_is_computed_anew_is_told(
    data: Path, out: Path, model: Any, options: dict[str, Any], reason: str
) -> None:
    evaluate(Counting(), data, out)
    notes = Notes()
    evaluate(model, data, out, observer=notes, **options)
    assert f"{file_of(out)} is computed anew ({reason})" in notes.heard


def test_why_is_told_of_damage_and_of_unknown_objects(data: Path, out: Path) -> None:
    notes = Notes()
    evaluate(Counting(), data, out)
    (out / "test__counting/1/receipts/Set.tsv.gz").write_bytes(b"")
    evaluate(Counting(), data, out, observer=notes)
    evaluate(Bare(), data, out)
    evaluate(Bare(), data, out, observer=notes)
    told = [one for one in notes.heard if isinstance(one, str) and "computed anew" in one]
    assert "the result or its receipt is not as it was written" in told[0]
    assert "this model cannot say whether it has changed" in told[1]


class Failing(Counting):
    """An encoder that fails on its nth call."""

    at = 1

    def _encode(self, texts: Any) -> Any:
        vectors = super()._encode(texts)
        if self.calls == self.at:
            raise RuntimeError("CUDA out of memory")
        return vectors


def outcomes(model: Any, folders: list[Path], out: Path, *, keep_going: bool) -> list[Outcome]:
    tasks = resolve(folders, Catalogue({}, {}))
    return run_tasks(model, tasks, RunOptions(output=out, keep_going=keep_going))


def test_a_failed_task_leaves_nothing_and_the_others_are_saved(tmp_path: Path, out: Path) -> None:
    folders = [retrieval(tmp_path / f"Set{number}") for number in range(3)]
    model = Failing()
    model.at = 3
    done = outcomes(model, folders, out, keep_going=False)
    assert [one.error is None for one in done] == [True, False]
    assert isinstance(done[1].error, ModelError)
    assert [path.stem for path, _ in ResultStore(out).results()] == ["Set0"]
    model = Failing()
    model.at = 1
    done = outcomes(model, folders, out, keep_going=True)
    assert [one.reused for one in done] == [True, False, False]
    assert [path.stem for path, _ in ResultStore(out).results()] == ["Set0", "Set2"]


def test_the_error_of_a_model_names_it_and_gives_advice(data: Path, out: Path) -> None:
    with pytest.raises(ModelError) as caught:
        evaluate(Failing(), data, out)
    message = str(caught.value)
    assert message.startswith("test/counting failed: RuntimeError: CUDA out of memory.")
    assert "Try a smaller --batch-tokens" in message
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_interrupt_passes_through(data: Path, out: Path) -> None:
    class Interrupted(Counting):
        def _encode(self, texts: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), data, out)
    assert list(ResultStore(out).results()) == []
    evaluate(Counting(), data, out)


def test_receipt_depth(tmp_path: Path, out: Path) -> None:
    """100 at most; all where all documents are returned, and said so."""
    big = retrieval(tmp_path / "Big", documents=130, queries=4)
    cases = {10: 10, 100: 100, 120: 100, 200: 100}
    for depth, kept in cases.items():
        result = evaluate(Counting(), big, out / str(depth), depth=depth)
        assert result.receipts.depth == kept
        lines = read_gzip(out / str(depth) / "test__counting/1/receipts/Big.tsv.gz")
        assert [line.count("\t") for line in lines] == [kept] * 4
        assert ("recall_at_1000" in result.values) == (depth == 200), "130 documents are all"
        assert ("recall_at_100" in result.values) == (depth >= 100)
    small = retrieval(tmp_path / "Small")
    assert evaluate(Counting(), small, out / "small", depth=24).receipts.depth is None
    assert evaluate(Counting(), small, out / "small", depth=23).receipts.depth == 23


def test_receipts_are_the_same_bytes_again(data: Path, out: Path, tmp_path: Path) -> None:
    evaluate(Counting(), data, out)
    evaluate(Counting(), data, tmp_path / "other")
    assert contents(out) == contents(tmp_path / "other")


def test_no_text_reaches_the_results_folder(data: Path, out: Path) -> None:
    evaluate(Counting(), data, out)
    words = {word for path in data.glob("*.jsonl") for word in path.read_text().split('"')}
    texts = {word for word in words if len(word) > 12}
    assert len(texts) == 24 + 12
    for path in out.rglob("*"):
        if path.suffix == ".gz":
            stored = "\n".join(read_gzip(path))
        else:
            stored = path.read_text() if path.is_file() else ""
        assert not [text for text in texts if text in stored], path


def test_pairs_have_original_judgements_only(tmp_path: Path, out: Path) -> None:
    overlays = write_overlay(tmp_path / "overlays", "Pairs", ["+\tp\td\t1"])
    with pytest.raises(UsageError, match="pairs have original judgements only"):
        evaluate(Counting(), sts(tmp_path / "Pairs"), out, judgements="v1", overlays=overlays)


def test_an_overlay_for_other_judgements_is_refused(data: Path, out: Path, tmp_path: Path) -> None:
    overlays = write_overlay(
        tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1"], header={"parent": "0" * 64}
    )
    model = Counting()
    with pytest.raises(
        DataError, match=r"judgements v1 of Set were made for others .* 000000000000"
    ):
        evaluate(model, data, out, judgements="v1", overlays=overlays)
    assert model.calls == 0
    assert evaluate(Counting(), data, out, limit=3, judgements="v1", overlays=overlays).partial


def test_averages_are_plain_means_and_never_of_a_part(data: Path, tmp_path: Path) -> None:
    first, second = (
        Outcome(f"T{number}", cmedteb.evaluate(model, [data])[0])
        for number, model in enumerate([Counting(), Counting(prefix="zz ")])
    )
    assert first.result is not None
    assert second.result is not None
    failed = Outcome("T2", error=DataError("no"))
    members = {"both": ("T0", "T1"), "all": ("T0", "T1", "T2"), "one": ("T1",)}
    means = averages([first, second, failed], members)
    expected = (first.result.main_score + second.result.main_score) / 2
    assert means == {"both": expected, "all": None, "one": second.result.main_score}
