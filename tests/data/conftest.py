"""Small data sets written on the fly, and the loaders to read them with."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cmedteb.data import Access, Layout, Located, Source, load_pairs, load_ranking, locate
from cmedteb.types import PairData, RankingData, TaskType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

Files = dict[str, Any]
CORPUS = [{"_id": "d1", "text": "one"}, {"_id": "d2", "text": "two"}, {"_id": "d3", "text": "3"}]
QUERIES = [{"_id": "q1", "text": "first"}, {"_id": "q2", "text": "second"}]
QRELS = "q1\td1\t1\nq2\td2\t2\nq2\td3\t0\n"


def write_files(folder: Path, files: Files) -> Path:
    """Write text, bytes, or rows (as jsonl, or parquet by the suffix); None leaves one out."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            write_file(path, content)
    return folder


def write_file(path: Path, content: Any) -> None:
    if path.name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(content), path)
        return
    if isinstance(content, list):
        content = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in content)
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)


@pytest.fixture
def write_one() -> Callable[[Path, Any], None]:
    return write_file


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a retrieval set; files given replace those of the same name or come on top."""

    def write(files: Files | None = None, *, bare: bool = False, name: str = "Set") -> Path:
        base: Files = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels.tsv": QRELS}
        return write_files(tmp_path / name, ({} if bare else base) | (files or {}))

    return write


def located(folder: Path, layout: Layout = Layout.BEIR, qrels: Path | None = None) -> Located:
    return Located(folder, qrels, layout, "local", str(folder))


@pytest.fixture
def ranking() -> Callable[..., RankingData]:
    def load(folder: Path, **more: Any) -> RankingData:
        where = located(folder, more.pop("layout", Layout.BEIR), more.pop("qrels", None))
        more = {"name": "Set", "split": "test", "task_type": TaskType.RETRIEVAL} | more
        return load_ranking(where, **more)

    return load


@pytest.fixture
def reranking(ranking: Callable[..., RankingData]) -> Callable[..., RankingData]:
    def load(folder: Path, **more: Any) -> RankingData:
        return ranking(folder, task_type=TaskType.RERANKING, **more)

    return load


@pytest.fixture
def sts() -> Callable[..., PairData]:
    def load(folder: Path, **more: Any) -> PairData:
        layout = more.pop("layout", Layout.BEIR)
        return load_pairs(located(folder, layout), **({"name": "Set", "split": "test"} | more))

    return load


@pytest.fixture
def find_local() -> Callable[..., Located]:
    def find(data_dir: Path, name: str = "Set") -> Located:
        return locate(name, Source(kind="local"), Access(data_dir=data_dir))

    return find


@pytest.fixture
def hub() -> Iterator[Any]:
    """A hub on the loopback (see hub_server.HubServer)."""
    from hub_server import HubServer

    with HubServer() as server:
        yield server


@pytest.fixture
def client(hub: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Do a job in a process of its own that knows only this hub (see hub_client.py)."""
    script = Path(__file__).with_name("hub_client.py")

    def run(environment: dict[str, str] | None = None, **job: Any) -> dict[str, Any]:
        home = tmp_path / "home"
        more = {"PYTHONPATH": str(script.parents[2])} | (environment or {})
        done = subprocess.run(
            [sys.executable, str(script), json.dumps(job)],
            env=hub.environment(home, **more),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(json.loads(done.stdout)) | {"stderr": done.stderr}

    return run
