"""The house rules that a machine can check, read from the source.

Run: pytest tests/test_house.py -q. Nothing is imported to be checked: modules are parsed. One test
starts the command line in a process of its own to see what it loads.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

import cmedteb
from cmedteb.errors import NotAvailableError
from cmedteb.resources import data_folder

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cmedteb"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(
    path for folder in ("cmedteb", "tests", "perf") for path in (ROOT / folder).rglob("*.py")
)
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
# A module may import its own room, and rooms on a level further down. `api` is a room of its own;
# the facade `cmedteb/__init__.py` stands above all and loads what it shows by name.
LEVELS = (
    {"__main__"},
    {"cli", "interop"},
    {"api"},
    {"leaderboard", "annotations"},
    {"runner"},
    {"tasks", "models"},
    {"search", "encoding", "endpoints"},
    {"data", "results"},
    {"metrics"},
    {"types", "resources", "cards"},
    {"errors"},
)
# `cmedteb export` writes what interop makes.
SIDEWAYS = {("cli/export.py", "interop")}
HEAVY = {
    "datasets",
    "faiss",
    "modelscope",
    "mteb",
    "openai",
    "pandas",
    "pyarrow",
    "ray",
    "sentence_transformers",
    "torch",
    "transformers",
}
MTEB_ROOMS = {"interop/mteb.py", "models/mteb_model.py"}
# Each data folder belongs to the package of its name. One reader stands outside by design: model
# cards lie in leaderboard/models.
DATA_FOLDERS = {"tasks", "annotations", "leaderboard"}
OTHER_READERS = {("models/card.py", "leaderboard")}


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=_name)
every_source = pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


class Import(NamedTuple):
    """One imported module, where it stands, and whether it runs when its module is imported."""

    module: str
    line: int
    at_load: bool


def _room(module: str) -> str:
    """The room of `cmedteb.ROOM...`; empty for the facade."""
    return [*module.split("."), ""][1]


def _level(room: str) -> int:
    found = [level for level, rooms in enumerate(LEVELS) if room in rooms]
    assert found, f"give the room {room!r} its place in LEVELS"
    return found[0]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _walk(node: ast.AST, *, at_load: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, with whether it runs when the module is loaded."""
    yield node, at_load
    later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        skipped = _is_type_checking(node) and child in getattr(node, "body", [])
        yield from _walk(child, at_load=at_load and not later and not skipped)


def imports(path: Path) -> list[Import]:
    """Everything that a module imports, anywhere in it, with full names."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found = []
    for node, at_load in _walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_load) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inside = base == "cmedteb" and (PACKAGE / f"{alias.name}.py").exists()
                inside |= base == "cmedteb" and (PACKAGE / alias.name).is_dir()
                name = f"{base}.{alias.name}" if inside else base
                found.append(Import(name, node.lineno, at_load))
    return found


@every_source
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(_tree(path))
    assert docstring
    assert len(docstring) > 20


@every_source
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def _own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        first = function.body[0]
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@every_source
def test_functions_are_short(path: Path) -> None:
    long = [
        f"{node.name} ({_own_lines(node)} lines)"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _own_lines(node) > MAX_FUNCTION_LINES
    ]
    assert not long


@every_module
def test_no_broad_except(path: Path) -> None:
    broad = {"Exception", "BaseException"}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            named = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert not named & broad, f"line {node.lineno}: except {ast.unparse(node.type)}"


@every_module
def test_only_the_command_line_prints(path: Path) -> None:
    if _name(path).startswith("cli/"):
        return
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "click.echo", "sys.stdout.write"}, node.lineno


@every_source
def test_source_is_in_english(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        chinese = [c for c in line if 0x2E80 <= ord(c) < 0xA000 or 0xF900 <= ord(c) < 0xFB00]
        wide = [c for c in line if 0xFF00 <= ord(c) < 0xFFF0 or ord(c) >= 0x20000]
        assert not chinese + wide, f"line {number}"


@every_module
def test_imports_run_one_way(path: Path) -> None:
    name = _name(path)
    if name == "__init__.py":
        return
    room = Path(name).parts[0].removesuffix(".py")
    for imported in imports(path):
        if imported.module.split(".")[0] != "cmedteb":
            continue
        other = _room(imported.module)
        allowed = other in {"", room} or _level(other) > _level(room) or (name, other) in SIDEWAYS
        assert allowed, f"line {imported.line}: {room} must not import {imported.module}"


@every_module
def test_the_facade_is_asked_for_the_version_only(path: Path) -> None:
    """Whatever else it shows lies in rooms that may not be imported from below."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "cmedteb":
            names = {alias.name for alias in node.names}
            rooms = {child.stem for child in PACKAGE.iterdir()}
            assert names <= rooms | {"__version__"}, node.lineno


def test_every_room_has_a_level() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    leveled = set().union(*LEVELS)
    assert rooms - {"__init__", "__pycache__", "_data"} <= leveled


@every_module
def test_nothing_heavy_is_imported_on_loading(path: Path) -> None:
    for imported in imports(path):
        heavy = imported.at_load and imported.module.split(".")[0] in HEAVY
        assert not heavy, f"line {imported.line}: {imported.module} belongs into a function"


@every_module
def test_only_two_files_know_mteb(path: Path) -> None:
    if _name(path) not in MTEB_ROOMS:
        assert "mteb" not in {imported.module.split(".")[0] for imported in imports(path)}


def _folders_asked_for(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(_tree(path)):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called.rpartition(".")[2] == "data_folder":
            argument = node.args[0]
            assert isinstance(argument, ast.Constant), f"line {node.lineno}: name the folder"
            yield str(argument.value), node.lineno


def test_each_data_folder_is_read_by_the_package_of_its_name() -> None:
    seen = set()
    for path in MODULES:
        name = _name(path)
        for folder, line in _folders_asked_for(path):
            assert folder in DATA_FOLDERS
            owned = name.startswith(f"{folder}/") or (name, folder) in OTHER_READERS
            assert owned, f"{name}, line {line}, reads {folder}/"
            seen.add((name.partition("/")[0], folder))
    assert ("tasks", "tasks") in seen
    assert ("models", "leaderboard") in seen


def test_data_folders_hold_no_code() -> None:
    for folder in DATA_FOLDERS:
        assert not sorted((ROOT / folder).rglob("*.py"))


def test_a_data_folder_that_is_not_there() -> None:
    with pytest.raises(NotAvailableError, match=r"'secrets' is not under .* reinstall cmedteb"):
        data_folder("secrets")


def test_the_facade_shows_what_exists() -> None:
    assert sorted(cmedteb.__all__) == dir(cmedteb)
    for name in cmedteb.__all__:
        assert getattr(cmedteb, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = cmedteb.nothing  # type: ignore[attr-defined]


def test_the_facade_lists_all_that_type_checkers_see() -> None:
    tree = _tree(PACKAGE / "__init__.py")
    block = next(node for node in tree.body if _is_type_checking(node))
    shown = {
        alias.name
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert shown | {"__version__"} == set(cmedteb.__all__)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name == "__init__.py"], ids=_name
)
def test_what_a_room_offers_is_there(path: Path) -> None:
    """Every name of `__all__` is bound in the file, and every public import is in `__all__`."""
    tree = _tree(path)
    offered = {
        str(ast.literal_eval(element))
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for element in getattr(node.value, "elts", [])
    }
    room = ".".join(path.parent.relative_to(ROOT).parts)
    brought = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{room}.")
        for alias in node.names
    }
    assert brought <= offered or path.parent == PACKAGE
    if offered and path.parent != PACKAGE:
        assert offered == brought


PROBE = """
import sys
from cmedteb.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as end:
    code = end.code
heavy = sorted({heavy!r} & set(sys.modules))
sys.stderr.write(f"{{code}} {{heavy}}")
"""


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [(["--help"], set()), (["tasks"], set()), (["models"], set()), (["run", "--help"], set())],
    ids=" ".join,
)
def test_looking_around_loads_nothing_heavy(arguments: list[str], allowed: set[str]) -> None:
    program = PROBE.format(arguments=arguments, heavy=HEAVY - allowed)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr == "0 []"
    assert done.stdout
