"""The Python API: evaluate, load_model, load_task. Run: pytest tests/test_api.py.

Degenerate inputs: vectors as lists, in float64, as tensors; an unknown similarity; a failing
encoder; NaN; no such task; a task given as a bare string.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner.support import Bare, Counting, reranking, retrieval, sts, write_overlay

import cmedteb
from cmedteb.errors import CmedtebError, ModelError, NotAvailableError, ScoreError, UsageError
from cmedteb.models import ModelOptions
from cmedteb.models.hashing import Hashing
from cmedteb.results import ResultStore


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("api")
    return [retrieval(home / "Set"), reranking(home / "Lists"), sts(home / "Pairs")]


class Minimal:
    """An object of two methods, as a training loop would hold it."""

    def encode_queries(self, texts: Sequence[str]) -> Any:
        return Hashing().encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Any:
        return Hashing().encode_documents(texts)


def test_two_methods_are_enough(tasks: list[Path]) -> None:
    """Every kind of task, with the scores of the same encoder by its name."""
    results = cmedteb.evaluate(Minimal(), tasks=tasks)
    named = cmedteb.evaluate("hashing", tasks=tasks)
    assert [one.values for one in results] == [one.values for one in named]
    assert [one.task_name for one in results] == ["Set", "Lists", "Pairs"]
    assert all(isinstance(one, cmedteb.TaskResult) for one in results)
    for one in results:
        assert (one.model.name, one.model.revision) == ("custom/Minimal", "unversioned")
        assert one.similarity == "cosine", "said, not silent"


def as_torch(vectors: Any) -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return torch.from_numpy(vectors)


@pytest.mark.parametrize(
    "convert",
    [
        lambda vectors: vectors.tolist(),
        list,
        lambda vectors: tuple(map(tuple, vectors.tolist())),
        lambda vectors: vectors.astype(np.float64),
        np.asfortranarray,
        as_torch,
        lambda vectors: list(as_torch(vectors)),
    ],
    ids=["lists", "rows", "tuples", "float64", "fortran", "tensor", "list of tensors"],
)
def test_vectors_of_any_kind_give_the_same_scores(tasks: list[Path], convert: Any) -> None:
    class Converting(Minimal):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return convert(super().encode_queries(texts))

        def encode_documents(self, texts: Sequence[str]) -> Any:
            return convert(super().encode_documents(texts))

    found = [one.values for one in cmedteb.evaluate(Converting(), tasks=tasks)]
    assert found == [one.values for one in cmedteb.evaluate(Minimal(), tasks=tasks)]


def test_a_tensor_that_wants_gradients_is_told_what_is_wrong(tasks: list[Path]) -> None:
    class Training(Minimal):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            return as_torch(super().encode_documents(texts)).requires_grad_()

    with pytest.raises(ModelError, match=r"custom/Training failed: .*detach\(\)"):
        cmedteb.evaluate(Training(), tasks=tasks[:1])


def test_float16_is_widened(tasks: list[Path]) -> None:
    class Half(Minimal):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            return super().encode_documents(texts).astype(np.float16)

    [result] = cmedteb.evaluate(Half(), tasks=tasks[:1])
    assert 0 < result.main_score <= 1


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_a_stated_similarity_is_used_and_recorded(tasks: list[Path], similarity: str) -> None:
    class Stating(Minimal):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            vectors = super().encode_documents(texts)
            return vectors * np.array([[1.0 + 9 * (text < "d")] for text in texts])

    model = Stating()
    model.similarity = similarity  # type: ignore[attr-defined]
    [result] = cmedteb.evaluate(model, tasks=tasks[:1])
    assert result.similarity == similarity
    plain = cmedteb.evaluate(Minimal(), tasks=tasks[:1])[0].main_score
    assert (result.main_score == plain) == (similarity == "cosine")


def test_an_unknown_similarity_is_refused(tasks: list[Path]) -> None:
    model = Minimal()
    model.similarity = "euclidean"  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="must be 'dot' or 'cosine', not 'euclidean'"):
        cmedteb.evaluate(model, tasks=tasks[:1])


def test_name_and_revision_of_an_object(tasks: list[Path], tmp_path: Path) -> None:
    model = Minimal()
    model.name, model.revision = "my org/epoch 3", "step-1200"  # type: ignore[attr-defined]
    cmedteb.evaluate(model, tasks=tasks[:1], output=tmp_path)
    assert (tmp_path / "my-org__epoch-3" / "step-1200" / "Set.json").is_file()


def test_output_is_kept_where_it_is_asked_for(tasks: list[Path], tmp_path: Path) -> None:
    results = cmedteb.evaluate(Counting(), tasks=tasks, output=str(tmp_path / "out"))
    stored = {result.task_name: result for _, result in ResultStore(tmp_path / "out").results()}
    assert stored == {result.task_name: result for result in results}


def test_without_output_nothing_is_kept(
    tasks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path / "here")
    model = Counting()
    for _ in range(2):
        cmedteb.evaluate(model, tasks=tasks[:1])
    assert model.calls == 4, "nothing to reuse"
    assert os.listdir(tmp_path / "scratch") == os.listdir(tmp_path / "here") == []  # noqa: PTH208


def test_the_first_failure_is_raised_and_the_rest_is_saved(
    tasks: list[Path], tmp_path: Path
) -> None:
    class Failing(Minimal):
        def encode_documents(self, texts: Sequence[str]) -> Any:
            if len(texts) > 30:
                raise MemoryError("host memory")
            return super().encode_documents(texts)

    big = retrieval(tmp_path / "Big", documents=50)
    with pytest.raises(CmedtebError, match="custom/Failing failed"):
        cmedteb.evaluate(Failing(), tasks=[tasks[0], big], output=tmp_path / "out")
    assert [one.task_name for _, one in ResultStore(tmp_path / "out").results()] == ["Set"]


def test_an_encoder_that_raises_is_named_with_its_cause(tasks: list[Path]) -> None:
    class Broken(Minimal):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            raise KeyError("input_ids")

    with pytest.raises(ModelError, match="custom/Broken failed: KeyError: 'input_ids'") as caught:
        cmedteb.evaluate(Broken(), tasks=tasks[:1])
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_nan_is_never_a_score(tasks: list[Path], number: int) -> None:
    class Nan(Minimal):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            vectors = super().encode_queries(texts)
            vectors[-1] = np.nan
            return vectors

    with pytest.raises(ScoreError, match="NaN or infinity"):
        cmedteb.evaluate(Nan(), tasks=[tasks[number]])


def test_a_constant_encoder_has_no_correlation(tasks: list[Path]) -> None:
    class Constant(Minimal):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return np.ones((len(texts), 4))

    with pytest.raises(ScoreError):
        cmedteb.evaluate(Constant(), tasks=[tasks[2]])


def test_zero_vectors_are_a_ranking_by_id_only(tasks: list[Path]) -> None:
    class Zero(Minimal):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return np.zeros((len(texts), 4))

        encode_documents = encode_queries

    [result] = cmedteb.evaluate(Zero(), tasks=tasks[:1])
    assert np.isfinite(list(result.values.values())).all()


def test_tasks_by_name_folder_and_object(tasks: list[Path]) -> None:
    card = cmedteb.load_task("SmokeReranking")
    assert card.card.type == "reranking"
    folder = cmedteb.load_task(str(tasks[0]))
    names = [
        [one.task_name for one in cmedteb.evaluate("hashing", wanted)]
        for wanted in (
            "SmokeReranking",
            [card, folder],
            (str(tasks[0]),),
            str(tasks[1]),
            [tasks[1]],
        )
    ]
    assert names == [["SmokeReranking"], ["SmokeReranking", "Set"], ["Set"], ["Lists"], ["Lists"]]


def test_the_default_is_the_smoke_benchmark() -> None:
    results = cmedteb.evaluate("bm25")
    assert [one.task_name for one in results] == ["SmokeRetrieval", "SmokeReranking", "SmokeSts"]


def test_unknown_names_are_told_before_anything_runs(tasks: list[Path]) -> None:
    model = Bare()
    with pytest.raises(UsageError, match=r"unknown task 'SmokeRetrieva'.* Did you mean SmokeRet"):
        cmedteb.evaluate(model, [tasks[0], "SmokeRetrieva"])
    with pytest.raises(UsageError, match="unknown model 'bm52'"):
        cmedteb.evaluate("bm52", tasks)
    with pytest.raises(UsageError, match="unknown task"):
        cmedteb.load_task("Nothing")
    assert model.calls == 0


def test_options_are_those_of_the_command_line(tasks: list[Path], tmp_path: Path) -> None:
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t1"])
    [result] = cmedteb.evaluate(
        "hashing",
        [tasks[0]],
        limit=4,
        depth=10,
        judgements="v1",
        overlays=str(overlays),
        batch_tokens=50,
        overwrite="always",
    )
    assert (result.limit, result.depth, result.judgements.version) == (4, 10, "v1")
    with pytest.raises(TypeError, match="colour"):
        cmedteb.evaluate("hashing", tasks, colour="red")


def test_a_data_folder_may_be_a_string(tmp_path: Path) -> None:
    data = retrieval(tmp_path / "elsewhere" / "CMedTEBRetrieval")
    for given in (str(data.parent), data.parent, str(data)):
        [result] = cmedteb.evaluate("hashing", ["CMedTEBRetrieval"], data_dir=given)
        assert result.units == 12


@pytest.mark.parametrize("options", [None, ModelOptions(device="cpu")])
def test_offline_holds_for_the_model_too(
    tasks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    """It fails at once by what is not in the cache, and never by a connection."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotAvailableError, match="nobody/nothing") as caught:
        cmedteb.evaluate("nobody/nothing", tasks, offline=True, model_options=options)
    assert "offline" in str(caught.value).lower()


def test_a_loaded_model_is_a_system(tasks: list[Path]) -> None:
    system = cmedteb.load_model("hashing")
    [first] = cmedteb.evaluate(system, tasks[:1])
    [second] = cmedteb.evaluate("hashing", tasks[:1])
    assert first.fingerprint == second.fingerprint


def test_the_facade_is_complete_and_lazy() -> None:
    assert {"evaluate", "load_model", "load_task", "TaskResult", "__version__"} <= set(dir(cmedteb))
    for name in cmedteb.__all__:
        assert getattr(cmedteb, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        cmedteb.nothing  # noqa: B018
