"""What was published stays. Run: pytest tests/leaderboard/test_history.py -q.

The base is a folder and a commit of a real git repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cmedteb.errors import UsageError
from cmedteb.leaderboard.check.history import Base, folder_base, git_base
from leaderboard.submissions import HOME, edit, run, told

MODEL = f"{HOME}/model.json"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose only commit holds results. Do not edit."""
    home = tmp_path_factory.mktemp("history") / "repository"
    run(home / "results")
    git(home, "init", "-q", "-b", "main")
    (home / ".gitignore").write_text(".locks/\n", encoding="utf-8")
    git(home, "add", ".")
    git(home, "commit", "-q", "-m", "results")
    return home


@pytest.fixture(params=["folder", "git"])
def state(
    request: pytest.FixtureRequest, published: Path, tmp_path: Path
) -> tuple[Path, Callable[[], Base]]:
    """A copy to change, and its base."""
    home = Path(shutil.copytree(published, tmp_path / "repository"))
    root = home / "results"
    if request.param == "git":
        return root, lambda: git_base(root, "main")
    return root, lambda: folder_base(published / "results")


def test_nothing_changed(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    assert told(root, base()) == []


def test_only_what_changed_is_checked(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    shutil.copytree(root / HOME, root / "new__model" / "1")
    lines = told(root, base())
    assert lines
    assert all(line.startswith("new__model/") for line in lines)


def test_a_changed_result_is_told(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    edit(root / HOME / "SmokeSts.json", lambda one: one.update(tokens=1))
    assert any("SmokeSts.json: was published and has changed" in one for one in told(root, base()))


def test_a_removed_result_is_told(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    shutil.rmtree(root / "cmedteb__bm25")
    gone = [line for line in told(root, base()) if "is gone" in line]
    assert len(gone) == 7
    assert all(line.startswith("cmedteb__bm25/1/") for line in gone)


def test_a_model_may_gain_latency_only(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    path = root / MODEL
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    assert told(root, base()) == []
    path.write_text(json.dumps(document | {"dimension": 7}), encoding="utf-8")
    assert any("model.json: was published and has changed" in one for one in told(root, base()))


def test_a_new_revision_is_welcome(state: tuple[Path, Callable[[], Base]]) -> None:
    root, base = state
    (root / "new__model").mkdir()
    assert told(root, base()) == []


def test_bases_that_are_none(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        folder_base(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="merge-base"):
        git_base(published / "results", "no-such-commit")
    with pytest.raises(UsageError, match="is no commit"):
        git_base(published / "results", "--output=/tmp/x")
    with pytest.raises(UsageError, match="git"):
        git_base(tmp_path, "main")
