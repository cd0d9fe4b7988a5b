"""`cmedteb cache`. Run: pytest tests/cli/test_cache.py -q."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from cli.conftest import Cli
from cmedteb.encoding import default_root
from cmedteb.encoding.cache import VectorStore, digests

LONG = "an-organisation-of-some-length/and-a-model-with-a-very-long-name-v1.5"


def keep(root: Path, model: str, *, days: float = 0, prompt: str = "", rows: int = 5) -> Path:
    side = {"model": model, "revision": "0123456789abcdef", "prompts": prompt}
    store = VectorStore(root, side)
    store.add(digests(map(str, range(rows))), np.ones((rows, 4), dtype=np.float32))
    store.close()
    then = time.time() - days * 86400
    for path in [store.folder / "used", *store.folder.glob("*.keys")]:
        os.utime(path, (then, then))
    return store.folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two models, one of them with two sides."""
    root = tmp_path / "vectors"
    keep(root, LONG, prompt="\u4e3a\u8fd9\u4e2a\u53e5\u5b50\u751f\u6210\u8868\u793a:\n", days=40)
    keep(root, LONG, days=3, rows=1234)
    keep(root, "org/small")
    return root


def test_what_is_kept_fits_80_columns(cli: Cli, root: Path) -> None:
    with next(root.glob("*/*.f32")).open("ab") as stream:
        stream.write(b"x")
    ended = cli("cache", "--vectors", root)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    for told in ("org/small", "an-organisation", "1,234", "40 d ago", "01234567", "3 sides"):
        assert told in ended.out
    assert "1 B are damaged or half written: `cmedteb cache clean`" in " ".join(ended.out.split())
    assert cli("cache", "show", "--vectors", root).out == ended.out


def test_what_is_kept_as_one_document(cli: Cli, root: Path) -> None:
    ended = cli("cache", "--vectors", root, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.document
    assert document["root"] == str(root)
    assert document["bytes"] == sum(side["bytes"] for side in document["sides"])
    assert [side["model"] for side in document["sides"]] == ["org/small", LONG, LONG]
    assert [side["rows"] for side in document["sides"]] == [5, 1234, 5]
    assert document["sides"][0].keys() >= {"revision", "prompt", "width", "last_used", "in_use"}
    assert cli("cache", "--vectors", root, "show", "--json").document == document
    assert cli("cache", "--json", "show", "--vectors", root).document == document


def test_an_empty_store_is_shown(cli: Cli) -> None:
    ended = cli("cache")
    assert ended.code == 0
    assert str(default_root()) in "".join(ended.out.split())
    assert "0 B in 0 sides, limit" in ended.out
    assert not default_root().exists()


def test_verify_reads_every_vector(cli: Cli, root: Path) -> None:
    spoil(root)
    shown = cli("cache", "show", "--vectors", root, "--json").document
    assert sum(side["damaged_bytes"] for side in shown["sides"]) == 0
    shown = cli("cache", "show", "--vectors", root, "--json", "--verify").document
    assert [side["damaged_bytes"] for side in shown["sides"]] == [48, 0, 0]


def spoil(root: Path) -> None:
    """Change a row of the small model on the disk."""
    for folder in root.iterdir():
        if "small" in _text(folder / "identity.json"):
            path = next(folder.glob("*.f32"))
            path.write_bytes(b"????" + path.read_bytes()[4:])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (["--all"], []),
        (["--model", LONG], [5]),
        (["--model", f"{LONG}@0123"], [5]),
        (["--older-than", "30d"], [5, 1234]),
        (["--older-than", "2d"], [5]),
        (["--model", "org/small", "--older-than", "1h"], [5, 1234, 5]),
    ],
)
def test_clean(cli: Cli, root: Path, choice: list[str], left: list[int]) -> None:
    before = cli("cache", "--vectors", root, "--json").document
    ended = cli("cache", "clean", "--vectors", root, "--yes", "--json", *choice)
    assert (ended.code, ended.err) == (0, "")
    after = cli("cache", "--vectors", root, "--json").document
    assert [side["rows"] for side in after["sides"]] == left
    assert ended.document["freed"] == before["bytes"] - after["bytes"]
    assert len(ended.document["removed"]) == 3 - len(left)
    assert not list(root.glob(".trash-*"))


def test_nobody_to_ask_ends_with_2(cli: Cli, root: Path) -> None:
    ended = cli("cache", "clean", "--vectors", root, "--all")
    assert ended.code == 2
    assert "this would remove 3 sides" in ended.err
    assert "add --yes" in ended.err
    assert len(cli("cache", "--vectors", root, "--json").document["sides"]) == 3


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 130, 3)])
def test_it_asks(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    ended = cli("cache", "clean", "--vectors", root, "--all")
    assert ended.code == code
    assert len(cli("cache", "--vectors", root, "--json").document["sides"]) == left


def test_the_folder_may_stand_before_the_verb(cli: Cli, root: Path) -> None:
    """It is not the default one that is cleaned then."""
    mine = keep(default_root(), "org/mine")
    assert cli("cache", "--vectors", root, "clean", "--all", "--yes").code == 0
    assert mine.is_dir()
    assert cli("cache", "--vectors", root, "--json").document["sides"] == []


def test_a_side_in_use_stays(cli: Cli, root: Path) -> None:
    store = VectorStore(root, {"model": "at work"})
    store.add(digests(["x"]), np.ones((1, 4), dtype=np.float32))
    assert "in use" in cli("cache", "--vectors", root).out
    ended = cli("cache", "clean", "--vectors", root, "--all", "--yes")
    assert "1 side in use by a running process" in ended.err
    [side] = cli("cache", "--vectors", root, "--json").document["sides"]
    assert (side["model"], side["in_use"]) == ("at work", True)
    store.add(digests(["y"]), np.ones((1, 4), dtype=np.float32))
    assert len(store.find(digests(["x", "y"])).rows) == 2
    store.close()


def test_without_a_choice_only_damage_goes(cli: Cli, root: Path) -> None:
    spoil(root)
    refused = cli("cache", "clean", "--vectors", root)
    assert refused.code == 2
    assert "this would repair 1 side" in refused.err
    ended = cli("cache", "clean", "--vectors", root, "--yes", "--json")
    assert len(ended.document["repaired"]) == 1
    assert ended.document["freed"] == 48
    shown = cli("cache", "show", "--vectors", root, "--verify", "--json").document
    assert [side["rows"] for side in shown["sides"]] == [4, 1234, 5]
    assert not any(side["damaged_bytes"] for side in shown["sides"])
    assert "nothing to clean" in cli("cache", "clean", "--vectors", root).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "org/other"], "no vectors of org/other are kept. `cmedteb cache` lists"),
        (["--all", "--model", "x"], "leave out --model"),
        (["--older-than", "soon"], "give hours, days or weeks"),
    ],
)
def test_what_cannot_be_cleaned(cli: Cli, root: Path, arguments: list[str], told: str) -> None:
    ended = cli("cache", "clean", "--vectors", root, "--yes", *arguments)
    assert ended.code == 2
    assert told in " ".join(ended.err.split())
    assert len(list(root.glob("*/identity.json"))) == 3


def test_a_wrong_limit_ends_with_2(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMEDTEB_CACHE_LIMIT", "much")
    ended = cli("cache")
    assert ended.code == 2
    assert "CMEDTEB_CACHE_LIMIT" in ended.err
