"""The group itself: help, versions, environment, exit codes. Run: pytest tests/cli/test_main.py.

The mirror of cmedteb/cli/__init__.py and cmedteb/__main__.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cmedteb
from cli.conftest import Cli
from cmedteb.cli import VERBS
from cmedteb.cli import cli as group

HEAVY = ("torch", "pyarrow", "pydantic", "numpy", "scipy", "rich", "datasets", "huggingface_hub")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_imports_nothing_heavy(flag: str) -> None:
    code = (
        f"import sys; sys.argv = ['cmedteb', {flag!r}]\n"
        "from cmedteb.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    ended = python(code)
    assert ended.stderr == ""
    assert ended.stdout.endswith("[]\n"), ended.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    ended = python(f"import sys, cmedteb; print(sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_loads_no_model_library(verb: str) -> None:
    code = (
        f"import sys; sys.argv = ['cmedteb', {verb!r}, '--help']\n"
        "from cmedteb.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'sentence_transformers', 'datasets', 'mteb'} & set(sys.modules)))"
    )
    ended = python(code)
    assert ended.stdout.endswith("[]\n"), ended.stdout + ended.stderr
    assert f"Usage: cmedteb {verb}" in ended.stdout


def test_help_lists_every_verb_in_80_columns(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"cmedteb, version {cmedteb.__version__}\n"


def test_python_m_is_the_same_command(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cmedteb", "models", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    assert {"bm25", "hashing"} <= {card["name"] for card in json.loads(ended.stdout)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["run", "--unknown"],
        ["run", "--limit", "0"],
        ["run", "--depth", "9"],
        ["run", "--overwrite", "maybe"],
        ["run", "--batch-tokens", "none"],
        ["run", "--data-dir", "no-such-folder"],
        ["run", "extra"],
        ["export"],
        ["rescore"],
        ["compare", "one"],
        ["score"],
    ],
)
def test_a_wrong_command_line_ends_with_2(cli: Cli, arguments: list[str]) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


def variables(command: click.Command, prefix: str) -> dict[str, str]:
    """Every flag with the variable that sets it."""
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            flag = max(parameter.opts, key=len)
            found[f"{prefix} {flag}"] = str(parameter.envvar)
    if isinstance(command, click.Group):
        for name, verb in command.commands.items():
            found |= variables(verb, f"{prefix} {name}")
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_has_its_variable(verb: str) -> None:
    """`CMEDTEB_<VERB>_<FLAG>`, whatever the parameter is called in the code."""
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    for flag, variable in variables(command, verb).items():
        assert (
            variable
            == "CMEDTEB_" + flag.replace(" --", "_").replace(" ", "_").replace("-", "_").upper()
        )


def test_variables_are_read(
    cli: Cli, tasks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "MODEL": "hashing",
        "TASK": f"{tasks[0]} {tasks[1]}",
        "OUTPUT": str(tmp_path / "out"),
        "LIMIT": "3",
        "JSON": "1",
        "BATCH_TOKENS": "100",
    }
    for flag, value in settings.items():
        monkeypatch.setenv(f"CMEDTEB_RUN_{flag}", value)
    document = cli("run").document
    assert document["model"] == "hashing"
    assert [one["task"] for one in document["results"]] == ["Set", "Lists"]
    assert all(one["partial"] for one in document["results"])
    assert cli("run", "-m", "bm25").document["model"] == "bm25", "a flag goes before a variable"


def test_a_closed_pipe_is_no_traceback() -> None:
    """`cmedteb tasks | head -1`."""
    ended = subprocess.run(
        f"{sys.executable} -m cmedteb tasks | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
