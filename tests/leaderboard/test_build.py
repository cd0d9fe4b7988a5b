"""From receipts to a board. Run: pytest tests/leaderboard/test_build.py -q.

On generated results (`generated.py`, written by the real writers). Every number of the board is
held against what the runner computes from the same receipts. Degenerate inputs: an empty folder,
a partial result, another data set, a receipt that was changed, a task without a card.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cmedteb.annotations.released import released
from cmedteb.errors import DataError, UsageError
from cmedteb.leaderboard import score
from cmedteb.leaderboard.build import Built, build
from cmedteb.leaderboard.load import Release
from cmedteb.leaderboard.workers import Workers
from cmedteb.results import ResultStore
from cmedteb.runner.rescore import recompute, rescore
from cmedteb.tasks import catalogue
from leaderboard.generated import OVERLAID, Sizes, write_results
from leaderboard.submissions import edit

SIZES = Sizes(models=5, scale=0.02, depth=10, intervals=False)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`results` and `overlays`. Do not edit."""
    folder = tmp_path_factory.mktemp("generated")
    write_results(folder / "results", SIZES, overlays=folder / "overlays")
    return folder


def made(home: Path, judgements: str = "original", results: str = "results") -> Built:
    releases = {
        task: [Release(one.overlay, one.header) for one in versions]
        for task, versions in released(home / "overlays").items()
    }
    return build(
        home / results, catalogue(), releases=releases, data={}, published=[], judgements=judgements
    )


@pytest.fixture(scope="session")
def board(home: Path) -> Built:
    return made(home)


def test_every_cell_is_what_the_receipt_gives(home: Path, board: Built) -> None:
    store = ResultStore(home / "results")
    cells = {(cell.model, cell.task): cell for cell in board.board.cells}
    slugs = {(one.name, one.revision): one.slug for one in board.board.models}
    count = 0
    for path, result in store.results():
        again = recompute(store, path, result)
        cell = cells[slugs[result.model.name, result.model.revision], result.task_name]
        assert cell.score == pytest.approx(again.main_score, abs=1e-6)
        assert cell.scores == pytest.approx(again.scores, abs=1e-6)
        assert (cell.low, cell.high) == pytest.approx(again.interval[:2], abs=0.02)
        count += 1
    assert count == len(cells) == 5 * 18


def test_what_a_result_claims_is_not_looked_at(home: Path, board: Built, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    path = next((tmp_path / "home" / "results").glob("lab-*/*/CmedqaRetrieval.json"))

    def boast(document: dict[str, object]) -> None:
        scores = document["scores"]
        assert isinstance(scores, dict)
        scores["dev"][0].update(main_score=0.99, ndcg_at_10=0.99)

    edit(path, boast, sealed=False)
    assert made(tmp_path / "home").board == board.board


def test_two_builds_are_equal(home: Path, board: Built) -> None:
    again = made(home)
    assert again.board.model_dump_json() == board.board.model_dump_json()
    assert again.comparisons == board.comparisons


def test_processes_change_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ResultStore(home / "results")
    task = "DuBaikeRetrieval"
    stored = [(path, one) for path, one in store.results() if one.task_name == task]
    batches = [
        score.Batch(
            task=task,
            main_score="ndcg_at_10",
            pairs=False,
            judgements=store.judgement_file(task, result.judgements.sha256),
            sha256=result.judgements.sha256,
            overlays={},
            receipts=(
                score.ReceiptFile(
                    path.parent / result.receipts.path,
                    result.receipts.sha256,
                    result.receipts.depth,
                ),
            ),
        )
        for path, result in stored
    ]
    with Workers() as workers:
        here = score.score_batches(batches, workers)
        monkeypatch.setattr(score, "_WORTH_PROCESSES", 0)
        there = score.score_batches(batches, workers)
    for one, other in zip(here, there, strict=True):
        assert one[0]["original"].scores == other[0]["original"].scores
        assert (one[0]["original"].values == other[0]["original"].values).all()


def test_only_complete_models_have_an_average(home: Path, board: Built, tmp_path: Path) -> None:
    standings = [one for one in board.board.standings if one.benchmark == "CMIRB"]
    assert len(standings) == 5
    cells = {(cell.model, cell.task): cell.score for cell in board.board.cells}
    tasks = catalogue().benchmarks["CMIRB"].tasks
    for one in standings:
        assert one.score == pytest.approx(np.mean([cells[one.model, t] for t in tasks]), abs=2e-6)
    shutil.copytree(home, tmp_path / "home")
    gone = next((tmp_path / "home" / "results").glob("lab-*/*/CovidRetrieval.json"))
    gone.unlink()
    fewer = made(tmp_path / "home").board
    assert sum(one.benchmark == "CMIRB" for one in fewer.standings) == 4
    assert sum(one.benchmark == "CMedTEB" for one in fewer.standings) == 5


def test_newer_judgements_move_scores_and_ranks(home: Path, board: Built, tmp_path: Path) -> None:
    moved = {one.task: one for one in board.board.relabelled}
    assert sorted(moved) == sorted(OVERLAID)
    shutil.copytree(home, tmp_path / "home")
    store = ResultStore(tmp_path / "home" / "results")
    releases = released(home / "overlays")
    slugs = {(one.name, one.revision): one.slug for one in board.board.models}
    for path, result in list(store.results()):
        if result.task_name in OVERLAID:
            after = rescore(store, path, result, releases[result.task_name][0].overlay).after
            slug = slugs[result.model.name, result.model.revision]
            move = next(one for one in moved[result.task_name].moves if one.model == slug)
            assert move.original == pytest.approx(result.main_score, abs=1e-6)
            assert move.relabelled == pytest.approx(after.main_score, abs=1e-6)
    # Results of vN beside the original ones are not counted as models or cells of their own.
    assert len(made(tmp_path / "home").board.cells) == len(board.board.cells)


def test_the_board_under_newer_judgements(home: Path, board: Built) -> None:
    newest = made(home, "latest").board
    shown = {task.name: task.shown for task in newest.tasks}
    assert {name for name, version in shown.items() if version == "v1"} == set(OVERLAID)
    before = {
        (moves.task, move.model): move.relabelled
        for moves in board.board.relabelled
        for move in moves.moves
    }
    after = {(one.task, one.model): one.score for one in newest.cells if one.task in OVERLAID}
    assert after == before
    assert made(home, "v1").board.cells == newest.cells
    with pytest.raises(UsageError, match="There are: original, latest, v1"):
        made(home, "v2")


def test_what_does_not_fit_is_left_out_with_a_reason(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    results = tmp_path / "home" / "results"
    one, two = sorted(results.glob("lab-*/*/MedExamRetrieval.json"))[:2]
    edit(one, lambda document: document.update(partial=True, limit=3), sealed=False)
    edit(two, lambda document: document.update(dataset_content_hash="f" * 64), sealed=False)
    left = made(tmp_path / "home").board.left_out
    assert [entry.task for entry in left] == ["MedExamRetrieval"] * 2
    assert any("some of the queries" in entry.reason for entry in left)
    assert any("other data" in entry.reason for entry in left)


def test_a_task_without_a_card_is_shown_as_its_results_say(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    results = tmp_path / "home" / "results"
    for path in sorted(results.glob("*/*/MedExamRetrieval.json")):
        edit(path, lambda document: document.update(task_name="Ours"), sealed=False)
        path.rename(path.with_name("Ours.json"))
    judged = next((results / "judgements").glob("MedExamRetrieval.*"))
    shutil.copy(judged, judged.with_name(judged.name.replace("MedExamRetrieval", "Ours")))
    ours = next(task for task in made(tmp_path / "home").board.tasks if task.name == "Ours")
    assert ours.benchmarks == ()
    assert ours.title.en == "Ours"


def test_a_changed_receipt_stops_the_build(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    receipts = sorted((tmp_path / "home" / "results").glob("*/*/receipts/CovidRetrieval.tsv.gz"))
    shutil.copy(receipts[1], receipts[0])
    with pytest.raises(DataError, match="is not the receipt"):
        made(tmp_path / "home")


def test_an_empty_folder_gives_an_empty_board(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "overlays").mkdir()
    board = made(tmp_path).board
    assert board.models == board.cells == board.standings == ()
    assert board.generated_from is None
    assert len(board.tasks) == 18


def test_models_are_described(board: Built) -> None:
    models = {one.name: one for one in board.board.models}
    bm25 = models["cmedteb/bm25"]
    assert (bm25.open_weights, bm25.asymmetric, bm25.training_sets) == (True, False, ())
    assert set(bm25.trained_on.values()) == {False}
    pair = models["lab-3/embed-003"]
    assert pair.asymmetric
    assert pair.training_sets is None
    assert set(pair.trained_on.values()) == {None}
    seen = models["lab-2/embed-002"].trained_on
    assert seen["CMedTEBRetrieval"] is True
    assert seen["CovidRetrieval"] is False
    without_card = models["lab-4/embed-004"]
    assert without_card.title == without_card.name
    assert without_card.licence is None
    assert models["lab-1/embed-001"].latency[0].p50 > 0
    assert board.board.generated_from == max(one.date for one in board.board.models)


def test_cells_are_best_first_and_comparisons_cover_all_pairs(board: Built) -> None:
    for task in board.board.tasks:
        placed = [cell.rank for cell in board.board.cells if cell.task == task.name]
        assert placed == sorted(placed)
    assert sum(len(one.against) for one in board.comparisons) == 5 * 4 // 2
    assert board.comparisons[0].columns[-3:] == ("CMedTEB", "CMIRB", "smoke")
