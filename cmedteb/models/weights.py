"""Finds a model's files: a local folder, or a pinned commit of a hub repository.

Whatever a model is called, it ends as a folder and a revision that names these very weights: the
hub's commit, or a hash over the folder's files.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cmedteb.data import Hub, hub_folder
from cmedteb.errors import UsageError

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
OTHER_FORMATS = (
    "onnx/*",
    "openvino/*",
    "*.onnx",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.gguf",
    "*.tflite",
)
PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
NOT_WEIGHTS = {"README.md"}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's files.

    Attributes:
        name: `org/model` of the hub, or `local/<folder>`.
        revision: 40-hex commit of the hub, or `sha256-` and 16 hex digits for a local folder.
        folder: where the files lie.
        offline: whether nothing more may be fetched while loading.
    """

    name: str
    revision: str
    folder: Path
    offline: bool


def from_folder(folder: Path) -> Weights:
    """A model in a local folder; its revision is a hash over names and contents of its files.

    Hidden files do not count: download tools keep notes there that differ from copy to copy.
    """
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder} holds neither modules.json nor config.json, so it is no model folder. "
            "Give the folder that a model was saved to."
        )
    digest = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in NOT_WEIGHTS or "__pycache__" in name or f"/{name}".count("/."):
            continue
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(2**22):
                digest.update(block)
    name = re.sub(r"[^\w.-]", "-", folder.resolve().name)
    return Weights(f"local/{name}", f"sha256-{digest.hexdigest()[:16]}", folder, offline=True)


def from_hub(repository: str, revision: str | None, *, hub: Hub, offline: bool) -> Weights:
    """A model of a hub, at a branch, tag or commit; the commit found is its revision.

    Weights are often stored twice: safetensors are taken, pickled ones only where there are none.
    """
    bring = partial(hub_folder, repository, kind="model", hub=hub, offline=offline)
    found = bring(revision, ignore=(*OTHER_FORMATS, *PICKLED))
    if not any(found.folder.glob("*.safetensors")):
        found = bring(found.revision, ignore=OTHER_FORMATS)
    return Weights(repository, found.revision, found.folder, offline)
