"""Finds a model's files: a local folder, or a pinned commit of a hub repository.

Whatever a model is called, it ends as a folder and a revision that names these very weights: the
hub's commit, or a hash over the folder's files.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cmedteb.data import Hub, hub_folder
from cmedteb.errors import UsageError
from cmedteb.models.card import Family, Tower, known
from cmedteb.models.options import ModelOptions

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
# What sentence-transformers writes into config_sentence_transformers.json; ColBERT is PyLate's.
SAVED_AS = {
    "SentenceTransformer": Family.SENTENCE_TRANSFORMER,
    "SparseEncoder": Family.SPARSE_ENCODER,
    "CrossEncoder": Family.CROSS_ENCODER,
    "MultiVectorEncoder": Family.MULTI_VECTOR,
    "ColBERT": Family.MULTI_VECTOR,
}


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


def of_tower(tower: Tower, options: ModelOptions, *, whose: str) -> Weights:
    """The weights that a card names; a subfolder of the repository where it says so.

    Raises:
        UsageError: the card names no repository.
        NotAvailableError: they cannot be had.
    """
    if tower.hf is None:
        raise UsageError(
            f"the card of {whose} names no repository (hf = ...), so its weights are not known: "
            "give -m the folder they lie in"
        )
    local = Path(tower.hf).expanduser()
    if local.is_absolute() and local.is_dir():
        return from_folder(local / (tower.subfolder or ""))
    found = from_hub(tower.hf, known(tower.revision), hub=options.hub, offline=options.offline)
    if tower.subfolder is None:
        return found
    folder = found.folder / tower.subfolder
    if not folder.is_dir():
        raise UsageError(f"{tower.hf} @ {found.revision} has no folder {tower.subfolder}")
    return Weights(found.name, found.revision, folder, found.offline)


def find_weights(spec: str, options: ModelOptions) -> Weights | None:
    """The weights that a folder's path or a hub id (`org/name[@revision]`) names; None if neither.

    Raises:
        UsageError: the folder holds no model.
        NotAvailableError: the hub does not give it.
    """
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return from_folder(folder)
    repository, _, revision = spec.partition("@")
    if HUB_ID.match(repository):
        return from_hub(repository, revision or None, hub=options.hub, offline=options.offline)
    return None


def family_of(folder: Path) -> Family:
    """Which family runs the model in a folder, by what it was saved as."""
    saved = _json(folder / "config_sentence_transformers.json").get("model_type")
    if saved in SAVED_AS:
        return SAVED_AS[saved]
    architectures = _json(folder / "config.json").get("architectures") or [""]
    if "HF_ColBERT" in architectures:
        return Family.MULTI_VECTOR
    bare = not (folder / "modules.json").is_file()
    if bare and str(architectures[0]).endswith("ForSequenceClassification"):
        return Family.CROSS_ENCODER
    return Family.SENTENCE_TRANSFORMER


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, and where it is damaged, which loading tells."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
    if not any(found.folder.rglob("*.safetensors")):
        found = bring(found.revision, ignore=OTHER_FORMATS)
    return Weights(repository, found.revision, found.folder, offline)
