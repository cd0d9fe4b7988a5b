"""Tables at 80 columns, progress on a terminal. Run: pytest tests/cli/test_console.py.

The terminal is a real pseudo-terminal of 80 columns.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from runner.support import DRIVER, Counting, retrieval, sts

import cmedteb
from cli.conftest import Cli
from cmedteb.cli.console import duration, points, print_json, span

CJK = "\u4e2d\u6587\u533b\u5b66\u68c0\u7d22\u6a21\u578b"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\r")


def frames_of(shown: str) -> list[str]:
    """What stood on the screen between two movements of the cursor."""
    return MOVES.split(COLOURS.sub("", shown))


def on_a_terminal(*arguments: str | Path, **variables: str) -> tuple[int, str]:
    """Run the command line with stdout and stderr on a terminal; exit code and all it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", **variables}
        command = [sys.executable, str(DRIVER), *map(str, arguments)]
        os.execve(sys.executable, command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode()


def slow_run(tmp_path: Path, *flags: str, delay: float = 0.06) -> tuple[int, str]:
    data = [retrieval(tmp_path / "Set"), sts(tmp_path / "Pairs")]
    named = [part for folder in data for part in ("-t", folder)]
    return on_a_terminal(
        *("run", "-m", "hashing", "--output", tmp_path / "out", "--batch-tokens", "60", *flags),
        *named,
        DRIVER_LOG=str(tmp_path / "log"),
        DRIVER_DELAY=str(delay),
    )


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on a terminal: its folder, and all that it showed."""
    home = tmp_path_factory.mktemp("watched")
    code, shown = slow_run(home)
    assert code == 0
    return home, shown


def test_a_terminal_shows_progress_with_rate_and_time_left(watched: tuple[Path, str]) -> None:
    _, shown = watched
    frames = frames_of(shown)
    assert any("Set (1 of 2)" in frame for frame in frames)
    assert any("Pairs (2 of 2)" in frame for frame in frames)
    bars = [frame for frame in frames if "encode documents" in frame]
    assert any(re.search(r"\d+/24 .*\d+ texts/s .*\d\d:\d\d", frame) for frame in bars), bars
    counted = [int(found[1]) for frame in bars if (found := re.search(r"(\d+)/24", frame))]
    assert counted == sorted(counted), "a bar never goes back"
    assert len(set(counted)) > 2
    assert max(cell_len(line) for frame in bars for line in frame.splitlines()) <= 80


def test_a_terminal_ends_with_the_table_and_the_place(watched: tuple[Path, str]) -> None:
    home, shown = watched
    end = shown[shown.rindex("95 % interval") :]
    assert "texts/s" not in end
    place = home / "out" / "cmedteb__hashing" / "1"
    told = end.replace("\r\n", "\n")
    assert f"Results: {place}" in told
    assert f"cmedteb leaderboard serve --results {home / 'out'}" in told


@pytest.mark.parametrize("flag", ["-q", "--json"])
def test_quiet_on_a_terminal(tmp_path: Path, flag: str) -> None:
    """-q leaves the table, --json the document; neither draws, notes or names the place."""
    code, shown = slow_run(tmp_path, flag, delay=0)
    assert code == 0
    for part in ("texts/s", "(1 of 2)", "Results:", "leaderboard serve"):
        assert part not in shown
    assert not MOVES.search(shown.replace("\r\n", "\n"))
    assert ("95 % interval" in shown) == (flag == "-q")
    assert shown.lstrip().startswith("{") == (flag == "--json")


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose task and model have long names, in letters and in Chinese."""
    home = tmp_path_factory.mktemp("long")
    tasks = [retrieval(home / f"{name}{'x' * 50}-Retrieval") for name in ("A", "B")]
    for prefix, name in (("", "organisation" * 4 + "/model" + "-large" * 8), ("zz ", CJK * 4)):
        facts = replace(Counting().facts, name=name, revision="0123456789abcdef" * 2)
        cmedteb.evaluate(Counting(facts, prefix=prefix), tasks, output=home / "out")
    return home


@pytest.mark.parametrize(
    "command",
    [
        ["rescore", "--judgements", "original"],
        ["compare", "organisation" * 4 + "/model" + "-large" * 8, CJK * 4],
    ],
)
def test_tables_of_long_names_fit_80_columns(
    cli: Cli, long_names: Path, command: list[str]
) -> None:
    ended = cli(*command, "--results", long_names / "out")
    assert ended.code == 0
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert "\u2026" not in ended.out, "nothing is cut away"


def test_the_table_of_a_run_with_long_names_fits_80_columns(cli: Cli, long_names: Path) -> None:
    tasks = [part for folder in sorted(long_names.glob("[AB]*")) for part in ("-t", folder)]
    command = ("run", "-m", "hashing", *tasks, "--output", long_names / "run")
    for _ in range(2):
        ended = cli(*command)
        assert max(map(cell_len, ended.out.splitlines())) <= 80
        assert "\u2026" not in ended.out
    ended = cli(*command, "--limit", "3", "--overwrite", "always")
    assert max(map(cell_len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (7.25, "7.2 s"), (99.9, "99.9 s"), (100, "1 min 40 s"), (7384, "123 min 04 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_scores_are_points() -> None:
    assert points(0.60744) == "60.74"
    assert points(-0.5) == "-50.00"
    assert span(0.5191, 0.6951) == "[51.9, 69.5]"
    assert span(None, None) == "-"


def test_no_nan_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json({"score": float("nan")})
    print_json({"name": CJK})
    assert CJK in capsys.readouterr().out
