"""A model's files and the revision that names them. Run: pytest tests/models/test_weights.py -q."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cmedteb.errors import UsageError
from cmedteb.models.weights import from_folder


@pytest.fixture
def folder(cls_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cls_folder, tmp_path / "my model"))


def test_name_and_revision(folder: Path) -> None:
    weights = from_folder(folder)
    assert weights.name == "local/my-model"
    assert weights.offline
    kind, _, digits = weights.revision.partition("-")
    assert kind == "sha256"
    assert len(digits) == 16
    int(digits, 16)


def test_the_same_files_elsewhere_are_the_same_revision(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert from_folder(copy).revision == from_folder(folder).revision


def flip_one_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def rename(folder: Path) -> None:
    (folder / "tokenizer_config.json").rename(folder / "renamed.json")


def change_pooling(folder: Path) -> None:
    path = folder / "1_Pooling" / "config.json"
    path.write_text(path.read_text().replace("cls", "max"))


@pytest.mark.parametrize("change", [flip_one_bit, rename, change_pooling])
def test_a_change_makes_another_revision(folder: Path, change: Callable[[Path], None]) -> None:
    before = from_folder(folder).revision
    change(folder)
    assert from_folder(folder).revision != before


@pytest.mark.parametrize(
    "name", ["README.md", ".gitattributes", ".cache/huggingface/x.metadata", "__pycache__/a.pyc"]
)
def test_files_that_are_no_part_of_the_model_do_not_count(folder: Path, name: str) -> None:
    before = from_folder(folder).revision
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("something else")
    assert from_folder(folder).revision == before


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(UsageError, match="no model folder"):
        from_folder(tmp_path)
