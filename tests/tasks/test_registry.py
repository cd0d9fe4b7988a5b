"""From what -t says to tasks. Run: pytest tests/tasks/test_registry.py -q."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import reranking_folder, retrieval_folder, sts_folder

from cmedteb.data import Access
from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.resources import data_folder
from cmedteb.tasks import (
    RerankingTask,
    RetrievalTask,
    StsTask,
    Task,
    catalogue,
    from_folder,
    resolve,
)

UNPUBLISHED = ["CMedTEBRetrieval", "CMedTEBReranking", "CMedTEBSynonymSTS"]
DOCUMENTS, QUERIES = {"d1": "one", "d2": "two"}, {"q1": "one?"}
QRELS = {"q1": {"d1": 1, "d2": 0}}
BENCHMARK = '[{name}]\ntitle = {{ zh = "B", en = "B" }}\ntasks = {tasks}\n'


def named(tasks: list[Task]) -> list[str]:
    return [task.card.name for task in tasks]


def own_tasks(root: Path, *, benchmarks: str = "", name: str = "Mine") -> Path:
    """A user's folder of cards."""
    shipped = data_folder("tasks") / "smoke" / "SmokeRetrieval.toml"
    text = shipped.read_text(encoding="utf-8").replace('"SmokeRetrieval"', f'"{name}"')
    (root / "own").mkdir(parents=True)
    (root / "own" / f"{name}.toml").write_text(text, encoding="utf-8")
    if benchmarks:
        (root / "benchmarks.toml").write_text(benchmarks, encoding="utf-8")
    return root


def test_benchmarks_name_cards_and_every_card_belongs_to_one() -> None:
    known = catalogue()
    assert set(known.benchmarks) == {"CMedTEB", "CMIRB", "smoke"}
    assert [len(known.benchmarks[name].tasks) for name in ("CMedTEB", "CMIRB", "smoke")] == [
        5,
        10,
        3,
    ]
    listed = [task for benchmark in known.benchmarks.values() for task in benchmark.tasks]
    assert sorted(listed) == sorted(known.cards)


def test_a_benchmark_stands_in_the_folder_of_its_name() -> None:
    for name, benchmark in catalogue().benchmarks.items():
        for task in benchmark.tasks:
            assert (data_folder("tasks") / name.lower() / f"{task}.toml").is_file()


def test_names_benchmarks_and_order() -> None:
    tasks = resolve(["SmokeSts", "smoke"], catalogue())
    assert named(tasks) == ["SmokeSts", "SmokeRetrieval", "SmokeReranking"]
    assert [type(task) for task in tasks] == [StsTask, RetrievalTask, RerankingTask]


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("smokeretrieval", "SmokeRetrieval"),
        ("SmokeRetreival", "SmokeRetrieval"),
        ("cmirb", "CMIRB"),
        ("CMEDTEB", "CMedTEB"),
        ("medexam-retrieval", "MedExamRetrieval"),
    ],
)
def test_an_unknown_name_hints_at_near_ones(spec: str, hint: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown task '{spec}'.*Did you mean .*\b{hint}\b"):
        resolve([spec], catalogue())


def test_an_unknown_name_like_no_other_gets_no_hint() -> None:
    with pytest.raises(UsageError, match="no task, no benchmark and no folder") as caught:
        resolve(["xyzzy"], catalogue())
    assert "Did you mean" not in str(caught.value)


def test_a_folder_becomes_a_task_of_the_type_of_its_files(tmp_path: Path) -> None:
    folders = [
        retrieval_folder(tmp_path / "my retrieval", DOCUMENTS, QUERIES, QRELS),
        reranking_folder(tmp_path / "reranking.v1", [("q", ["a"], ["b", "c"])]),
        sts_folder(tmp_path / "_sts", [("a", "b", 0.5), ("c", "d", 1.0)]),
    ]
    tasks = resolve([str(folder) for folder in folders], catalogue())
    assert named(tasks) == ["my-retrieval", "reranking.v1", "sts"]
    assert [type(task) for task in tasks] == [RetrievalTask, RerankingTask, StsTask]
    assert [task.card.main_score for task in tasks] == ["ndcg_at_10", "map_at_10", "pearson"]
    for task in tasks:
        assert task.load(Access()).provenance.revision == "local"


def test_a_folder_whose_name_has_no_ascii_letter(tmp_path: Path) -> None:
    folder = sts_folder(tmp_path / "\u68c0\u7d22", [("a", "b", 0.5), ("c", "d", 1.0)])
    assert from_folder(folder).card.name == "local"


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises((DataError, UsageError), match=str(tmp_path)):
        resolve([str(tmp_path)], catalogue())


def test_the_same_folder_twice_is_one_task(tmp_path: Path) -> None:
    folder = retrieval_folder(tmp_path / "mine", DOCUMENTS, QUERIES, QRELS)
    assert named(resolve([str(folder), f"{folder}/", "SmokeSts"], catalogue())) == [
        "mine",
        "SmokeSts",
    ]


def test_the_same_folder_by_two_paths_is_one_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = retrieval_folder(tmp_path / "mine", DOCUMENTS, QUERIES, QRELS)
    monkeypatch.chdir(tmp_path)
    assert named(resolve(["mine", str(folder)], catalogue())) == ["mine"]


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    first = retrieval_folder(tmp_path / "a" / "mine", DOCUMENTS, QUERIES, QRELS)
    second = Path(shutil.copytree(first, tmp_path / "b" / "mine"))
    with pytest.raises(UsageError, match=r"two tasks are called mine: .*a/mine and .*b/mine"):
        resolve([str(first), str(second)], catalogue())


def test_a_folder_called_as_a_card_is_refused_beside_it(tmp_path: Path) -> None:
    folder = retrieval_folder(tmp_path / "SmokeRetrieval", DOCUMENTS, QUERIES, QRELS)
    with pytest.raises(UsageError, match="two tasks are called SmokeRetrieval: the card and"):
        resolve(["SmokeRetrieval", str(folder)], catalogue())


def test_a_users_own_cards_stand_beside_the_shipped(tmp_path: Path) -> None:
    benchmarks = BENCHMARK.format(name="ours", tasks='["Mine", "SmokeSts"]')
    known = catalogue(own_tasks(tmp_path, benchmarks=benchmarks))
    assert named(resolve(["ours"], known)) == ["Mine", "SmokeSts"]
    assert "CMIRB" in known.benchmarks


def test_a_users_own_card_is_over_the_shipped(tmp_path: Path) -> None:
    root = own_tasks(tmp_path, name="SmokeRetrieval")
    path = root / "own" / "SmokeRetrieval.toml"
    text = path.read_text(encoding="utf-8").replace("version = 1", "version = 7")
    path.write_text(text, encoding="utf-8")
    assert catalogue(root).cards["SmokeRetrieval"].version == 7


def test_a_benchmark_without_a_card_is_refused(tmp_path: Path) -> None:
    benchmarks = BENCHMARK.format(name="ours", tasks='["Mine", "Nowhere"]')
    with pytest.raises(DataError, match="benchmark ours names tasks without a card: Nowhere"):
        catalogue(own_tasks(tmp_path, benchmarks=benchmarks))


BAD_BENCHMARKS = [
    "[ours\n",
    '[ours]\ntasks = ["Mine"]\n',
    "[ours]\nx = 1\n",
    '[ours]\ntitle = { zh = "a", en = "a" }\ntasks = []\naverage = "median"\n',
]


@pytest.mark.parametrize("text", BAD_BENCHMARKS)
def test_bad_benchmarks_are_refused_with_their_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"benchmarks\.toml: not (a )?valid "):
        catalogue(own_tasks(tmp_path, benchmarks=text))


@pytest.mark.parametrize("name", UNPUBLISHED)
def test_an_unpublished_set_says_how_to_run_it(name: str) -> None:
    task = resolve([name], catalogue())[0]
    with pytest.raises(
        NotAvailableError, match=rf"not been published.*--data-dir DIR.*DIR/{name}/"
    ):
        task.load(Access())


def test_an_unpublished_set_runs_from_a_copy(tmp_path: Path) -> None:
    retrieval_folder(tmp_path / "CMedTEBRetrieval", DOCUMENTS, QUERIES, QRELS)
    data = resolve(["CMedTEBRetrieval"], catalogue())[0].load(Access(tmp_path))
    assert data.provenance.revision == "local"


def test_an_unpublished_set_ends_the_command_with_4(tmp_path: Path) -> None:
    program = "from cmedteb.cli import main; main()"
    arguments = ["run", "-t", "CMedTEBRetrieval", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr
