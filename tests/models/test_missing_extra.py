"""What a plain install says when a model needs more.

Run: pytest tests/models/test_missing_extra.py -q. Each test starts a process of its
own in which the library cannot be imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from cmedteb.cli import main
main()
"""


@pytest.mark.parametrize("blocked", ["sentence_transformers", "torch"])
def test_a_model_without_its_libraries(cls_folder: Path, tmp_path: Path, blocked: str) -> None:
    program = PROGRAM.format(blocked=blocked)
    arguments = ["run", "-m", str(cls_folder), "-t", "SmokeSts", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    line = f"{blocked} is not installed. Install it with: pip install 'cmedteb[models]'"
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_built_in_systems_need_none_of_them(tmp_path: Path) -> None:
    program = PROGRAM.format(blocked="torch")
    arguments = ["run", "-m", "hashing", "-t", "SmokeSts", "--output", str(tmp_path), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"task": "SmokeSts"' in done.stdout
