"""Small data sets and encoders for the tests of runner, results, interop, cli and API.

The texts are strings of letters whose overlap decides who ranks first, so `cmedteb/hashing` gives
scores between 0 and 1 that differ from query to query.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from builders import reranking_folder, retrieval_folder, sts_folder

import cmedteb
from cmedteb.models import ModelFacts
from cmedteb.models.hashing import Hashing
from cmedteb.results import TaskResult
from cmedteb.results.files import read_json
from cmedteb.types import Float32Array, Similarity

DRIVER = Path(__file__).with_name("driver.py")
DOCUMENTS = 24
QUERIES = 12
TIMES = ("date", "evaluation_time", "evaluation_phases", "checksum")


def words(seed: int, count: int = 6) -> str:
    """A text of three-letter words drawn from a small vocabulary."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefgh"))
    return " ".join("".join(rng.choice(letters, 3)) for _ in range(count))


def retrieval(folder: Path, *, documents: int = DOCUMENTS, queries: int = QUERIES) -> Path:
    """A retrieval set: each query is half of one document, and that document and another answer."""
    texts = {f"d:{row:02d}": words(row) for row in range(documents)}
    asked = {f"q:{row:02d}": f"{words(row)[:12]} {words(900 + row, 2)}" for row in range(queries)}
    judged = {
        f"q:{row:02d}": {f"d:{row:02d}": 1, f"d:{(row * 7 + 3) % documents:02d}": 2}
        for row in range(queries)
    }
    return retrieval_folder(folder, texts, asked, judged)


def reranking(folder: Path, *, queries: int = 8) -> Path:
    """A reranking set of one good and four bad candidates a query."""
    return reranking_folder(
        folder,
        [
            (
                f"{words(row)[:7]} {words(900 + row, 3)}",
                [words(row)],
                [words(100 + 4 * row + bad) for bad in range(4)],
            )
            for row in range(queries)
        ],
    )


def sts(folder: Path, *, pairs: int = 16) -> Path:
    """Pairs that share more words the higher their gold score is."""
    return sts_folder(
        folder,
        [
            (words(row), " ".join([*words(row).split()[: row % 6], words(500 + row, 3)]), row % 6)
            for row in range(pairs)
        ],
    )


@dataclass
class Counting:
    """The hashing encoder under a name of its own, counting calls, with facts to be changed."""

    facts: ModelFacts = field(
        default_factory=lambda: ModelFacts(
            name="test/counting", revision="1", family="test", similarity=Similarity.COSINE
        )
    )
    calls: int = 0
    prefix: str = ""

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Float32Array:
        self.calls += 1
        return Hashing().encode_queries([self.prefix + text for text in texts])


@dataclass
class Bare:
    """An object with the two methods and nothing else."""

    calls: int = 0

    def encode_queries(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        return Hashing().encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        return Hashing().encode_documents(texts)


def write_overlay(
    folder: Path,
    task: str,
    lines: Sequence[str] = (),
    *,
    version: str = "v1",
    header: Mapping[str, Any] | None = None,
) -> Path:
    """Write one version of judgements; returns the folder of overlays."""
    home = folder / task
    home.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    (home / f"{version}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    document = {"task": task, "version": version, **(header or {})}
    (home / f"{version}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a results folder that is no lock and no leftover; times and dates left out."""
    found: dict[str, Any] = {}
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".locks/") or path.name.endswith(".tmp"):
            continue
        found[name] = _without_times(path) if path.suffix == ".json" else path.read_bytes()
    return found


def _without_times(path: Path) -> dict[str, Any]:
    document = read_json(path)
    return {key: value for key, value in document.items() if key not in TIMES}


def start(*arguments: str | Path, cwd: Path | None = None, **variables: Any) -> Any:
    """Start the command line in a process of its own, through `driver.py` (see there)."""
    kept = {key: value for key, value in os.environ.items() if key[:7] != "CMEDTEB"}
    environment = kept | {"CMEDTEB_CACHE": os.environ["CMEDTEB_CACHE"]}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), *map(str, arguments)],
        env=environment | {key: str(value) for key, value in variables.items()},
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def lines_of(path: Path) -> list[str]:
    """The lines of a file; none where there is no file yet."""
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def evaluate(model: Any, task: Path, out: Path, **options: Any) -> TaskResult:
    """Evaluate on one set, keeping the result."""
    [result] = cmedteb.evaluate(model, [task], output=out, **options)
    return result


def file_of(out: Path, name: str = "Set") -> Path:
    """Where the result of `Counting` lies."""
    return out / "test__counting" / "1" / f"{name}.json"
