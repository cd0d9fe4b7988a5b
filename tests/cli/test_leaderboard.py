"""`cmedteb leaderboard`. Run: pytest tests/cli/test_leaderboard.py -q.

The site is read from the disk and from the served address; a submission is checked as CI does it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import cmedteb
from cli.conftest import Cli
from cmedteb.cli.leaderboard.serve import serving
from cmedteb.errors import UsageError


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems on the smoke tasks. Do not edit."""
    root = tmp_path_factory.mktemp("board") / "results"
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks=["smoke"], output=root)
    return root


def test_build_writes_the_same_site_twice(cli: Cli, results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = cli("leaderboard", "build", "--results", results, "--to", tmp_path / name)
        assert done.code == 0
        assert done.out.strip() == str(tmp_path / name / "index.html")
        assert "2 models, 6 results" in done.err
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    document = json.loads((tmp_path / "one" / "leaderboard.json").read_text(encoding="utf-8"))
    assert document["format"] == "cmedteb-leaderboard/1"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("verb", ["build", "check", "serve"])
def test_without_results(cli: Cli, tmp_path: Path, verb: str) -> None:
    done = cli("leaderboard", verb, "--results", tmp_path / "nothing")
    assert done.code == 2
    assert "there is no results folder" in done.err


def test_judgements_that_nobody_released(cli: Cli, results: Path, tmp_path: Path) -> None:
    to = tmp_path / "site"
    done = cli("leaderboard", "build", "--results", results, "--judgements", "v9", "--to", to)
    assert done.code == 2
    assert "There are: original, latest" in done.err
    assert not to.exists()


def test_check_passes_and_fails(cli: Cli, results: Path, tmp_path: Path) -> None:
    done = cli("leaderboard", "check", "--results", results)
    assert (done.code, done.out) == (0, "")
    root = Path(shutil.copytree(results, tmp_path / "results"))
    (root / "cmedteb__hashing" / "1" / "SmokeSts.json").write_text("{}", encoding="utf-8")
    done = cli("leaderboard", "check", "--results", root)
    assert done.code == 3
    assert all(line.startswith(str(root)) for line in done.out.splitlines())
    assert "SmokeSts.json: not a result" in done.out
    other = cli("leaderboard", "check", "--results", root, root / "cmedteb__bm25")
    assert (other.code, other.out) == (0, "")


def test_check_against_a_base(cli: Cli, results: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(results, tmp_path / "results"))
    shutil.rmtree(root / "cmedteb__bm25")
    done = cli("leaderboard", "check", "--results", root, "--base", results)
    assert done.code == 3
    assert done.out.count("history is append-only") == 7
    both = cli("leaderboard", "check", "--results", root, "--base", results, "--changed", "main")
    assert both.code == 2


def test_check_of_a_folder_elsewhere(cli: Cli, results: Path, tmp_path: Path) -> None:
    done = cli("leaderboard", "check", "--results", results, tmp_path)
    assert done.code == 2
    assert "does not lie in" in done.err


def test_what_is_served_is_the_site_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "site" / "model").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("board", encoding="utf-8")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with serving(tmp_path / "site", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.server_address[1]
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{address}/index.html", timeout=10) as answer:
            assert answer.read() == b"board"
            assert answer.headers["Cache-Control"] == "no-store"
        for path in ("model/", "../secret", "%2e%2e/secret"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{address}/{path}", timeout=10)
        with (
            pytest.raises(UsageError, match=f"port {port} cannot be had"),
            serving(tmp_path / "site", port),
        ):
            pass
        server.shutdown()
        thread.join(timeout=10)


def test_serve_builds_says_where_and_ends_with_the_interrupt(results: Path) -> None:
    command = [sys.executable, "-m", "cmedteb", "leaderboard", "serve", "--results", str(results)]
    with subprocess.Popen(
        [*command, "--port", "0", "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert b"<table" in answer.read()
            process.send_signal(2)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def test_a_board_loads_no_torch(results: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom cmedteb.cli import main\n"
        f"sys.argv[1:] = {['leaderboard', 'build', '--results', str(results)]!r}\n"
        f"sys.argv += ['--to', {str(tmp_path / 'site')!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        "print(code, sorted({'torch', 'transformers', 'mteb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "0 []"
