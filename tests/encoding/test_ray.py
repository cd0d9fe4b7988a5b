"""Workers that are Ray actors, on a real cluster of this machine: two CPUs, nothing but loopback.

Run: pytest tests/encoding/test_ray.py -q. Skipped where Ray is not installed. What a pool does is
tested with processes in test_workers.py; here is what Ray does differently.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import worker_support
from builders import strings, text_column
from worker_support import vectors

from cmedteb.encoding import encode_distinct, planned
from cmedteb.encoding.workers import Open, Processes, RayActors, Workers
from cmedteb.encoding.workers.split import ByLength
from cmedteb.errors import ModelError, NotAvailableError, UsageError
from cmedteb.types import Float32Array

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'cmedteb[ray]'")

TEXTS = [f"text {number} " + "x" * (number * 7 % 60) for number in range(400)]
BUDGET = 300


@pytest.fixture(scope="module")
def how() -> Iterator[dict[str, Any]]:
    """How to start a cluster that writes to a folder of its own; Ray wants a short path."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HOME", folder)
        patch.setenv("PYTHONPATH", str(Path(worker_support.__file__).parent))
        yield {
            "num_cpus": 2,
            "num_gpus": 0,
            "object_store_memory": 100 * 2**20,
            "_temp_dir": folder,
            "_node_ip_address": "127.0.0.1",
        }


@pytest.fixture(scope="module")
def cluster(how: dict[str, Any]) -> Iterator[None]:
    """A cluster that the caller is connected to already, as a notebook may be."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, **how)
    yield
    ray.shutdown()


def crew(opened: Open, **options: Any) -> RayActors:
    return RayActors(opened, "auto", **options)


def alone(texts: Sequence[str]) -> Float32Array:
    return encode_distinct(planned(vectors, budget=BUDGET), text_column(texts)).vectors


def encode(workers: Workers, texts: Sequence[str]) -> Float32Array:
    return encode_distinct(workers.source(1.0, ByLength(BUDGET)), text_column(texts)).vectors


def test_two_actors_give_the_bytes_of_one_process_and_of_two(cluster: None) -> None:
    actors = crew(worker_support.lengths)
    assert actors.size == 2
    with Workers(actors, model="lengths") as workers:
        by_actors = encode(workers, TEXTS).tobytes()
        assert workers.tokens == sum(map(len, TEXTS))
        with pytest.raises(
            ModelError, match=r"lengths failed on cpu .Ray actor [01].: RuntimeError"
        ):
            encode(workers, ["a", "raise"])
        assert encode(workers, TEXTS[:5]).tobytes() == alone(TEXTS[:5]).tobytes()
        assert workers.replaced == 0
    with Workers(Processes(worker_support.lengths, ["cpu", "cpu"]), model="lengths") as workers:
        assert encode(workers, TEXTS).tobytes() == by_actors
    assert alone(TEXTS).tobytes() == by_actors


def test_an_actor_killed_midway_costs_at_most_its_chunk(cluster: None, tmp_path: Path) -> None:
    opened = partial(worker_support.marked, tmp_path, 0.005)
    actors = crew(opened)
    with Workers(actors, model="lengths", chunk_texts=20) as workers:
        ready = workers.describe(None)["pid"]
        parts = workers.source(1.0, ByLength(BUDGET))(strings(TEXTS))
        found = [next(parts)]
        os.kill(ready, signal.SIGKILL)
        found += parts
        assert workers.replaced == 1
        assert workers.tokens == sum(map(len, TEXTS))
    together = np.full((len(TEXTS), 3), np.nan, dtype=np.float32)
    for part in found:
        assert np.isnan(together[part.rows]).all()
        together[part.rows] = part.vectors
    assert together.tobytes() == alone(TEXTS).tobytes()


def test_a_chunk_that_kills_three_actors_is_named(cluster: None) -> None:
    with (
        Workers(crew(worker_support.lengths), model="lengths") as workers,
        pytest.raises(ModelError, match="3 workers died, one after the other, of the same chunk"),
    ):
        encode(workers, ["a", "b", "kill"])


def test_a_model_that_cannot_be_loaded(cluster: None) -> None:
    with (
        Workers(crew(worker_support.broken), model="lengths") as workers,
        pytest.raises(NotAvailableError, match=r"^no weights for cpu$"),
    ):
        workers.describe(None)


def test_more_workers_than_the_cluster_has_room_for(cluster: None) -> None:
    with pytest.raises(UsageError, match="has 0 GPUs and 2 CPUs, and 3 workers on CPUs"):
        crew(worker_support.lengths, workers=3)
    with pytest.raises(UsageError, match="1 workers on GPUs are asked for"):
        crew(worker_support.lengths, workers=1, device="cuda")
    assert ray.is_initialized()


def test_a_process_that_is_connected_elsewhere(cluster: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"already, and {address} is asked for"):
            RayActors(worker_support.lengths, address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_no_cluster_at_the_address(address: str) -> None:
    with pytest.raises(NotAvailableError, match=f"no Ray cluster answers at '{address}'"):
        RayActors(worker_support.lengths, address)


def test_a_cluster_of_our_own_ends_with_its_workers_and_says_nothing(
    how: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Last in this file: it takes the connection of the others."""
    ray.shutdown()
    capsys.readouterr()
    opened = partial(worker_support.marked, tmp_path, 0.0)
    with Workers(RayActors(opened, "local", init=how, workers=1), model="lengths") as workers:
        texts = [*TEXTS[:30], "kill once"]
        assert encode(workers, texts).tobytes() == alone(texts).tobytes()
        time.sleep(2)  # Ray tells of a death a little later
    assert not ray.is_initialized()
    assert capsys.readouterr().out == ""
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 2
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.1)
