"""The command line in this process: arguments in; exit code, stdout and stderr out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runner.support import reranking, retrieval, sts

from cmedteb.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


Cli = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `cmedteb ARGUMENTS`."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["cmedteb", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A retrieval, a reranking and an STS set. Do not edit."""
    home = tmp_path_factory.mktemp("cli")
    return [retrieval(home / "Set"), reranking(home / "Lists"), sts(home / "Pairs")]


@pytest.fixture
def tasks_dir(tmp_path: Path) -> Path:
    """A user's own cards: a benchmark of two local sets, and a set of a hub."""
    home = tmp_path / "cards"
    (home / "mine").mkdir(parents=True)
    for name, kind, source in (
        ("Set", "retrieval", 'kind = "local"\nlayout = "beir"'),
        ("Lists", "reranking", 'kind = "local"\nlayout = "beir"'),
        ("Far", "retrieval", 'kind = "hub"\nlayout = "beir"\nhf = "nobody/nothing"'),
    ):
        main_score = "map_at_10" if kind == "reranking" else "ndcg_at_10"
        (home / "mine" / f"{name}.toml").write_text(
            f'name = "{name}"\ntype = "{kind}"\nversion = 1\nmain_score = "{main_score}"\n'
            f'splits = ["test"]\n[title]\nzh = "\u8bd5"\nen = "{name}"\n'
            f'[source]\n{source}\n[licence]\nname = "none"\n',
            encoding="utf-8",
        )
    (home / "benchmarks.toml").write_text(
        '[Mine]\ntasks = ["Set", "Lists"]\n[Mine.title]\nzh = "\u8bd5"\nen = "two sets"\n',
        encoding="utf-8",
    )
    return home
