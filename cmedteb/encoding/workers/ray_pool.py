"""Workers that are Ray actors: on the GPUs of one machine or of many.

Ray starts them, places them and says when one is gone; which texts they get is our queue's business
(no Ray Data, no contiguous split). An actor that dies with its node is replaced wherever there is
room. What is refused: more GPUs than the cluster has, which Ray would wait for without a word.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
from contextlib import ExitStack, redirect_stdout, suppress
from typing import Any

from cmedteb.encoding.workers.messages import (
    Bench,
    Caught,
    Died,
    Done,
    Event,
    Failed,
    Job,
    Open,
    Ready,
    failed,
)
from cmedteb.encoding.workers.work import answer, opened
from cmedteb.errors import MissingExtraError, NotAvailableError, UsageError

LOCAL = "local"
PATIENCE = 10.0


class Actor:
    """What runs in an actor: the same work as in a process."""

    def __init__(self, open_bench: bytes, device: str, threads: int) -> None:
        self._start = (open_bench, device, threads)
        self._bench: Bench | None = None

    def load(self) -> Ready | Failed:
        """Load the model."""
        pickled, device, threads = self._start
        caught = Caught()
        with caught:
            open_bench: Open = pickle.loads(pickled)
        if caught.error is not None:
            return failed(caught.error, None)
        bench = opened(open_bench, device, threads=threads)
        if isinstance(bench, Failed):
            return bench
        self._bench = bench
        return Ready()

    def answer(self, job: Job) -> Done | Failed:
        """Do a job."""
        if self._bench is None:
            return failed(RuntimeError("no model is loaded"), job.number)
        return answer(self._bench, job)

    def process(self) -> int:
        """Its process id."""
        return os.getpid()


class RayActors:
    """A crew of Ray actors.

    Args:
        open_bench: loads the model on a device; must be picklable, and importable on all nodes.
        address: of the cluster (`HOST:PORT`, `ray://HOST:PORT`, `auto`), or `local` for one that
            is started here and ends with it.
        workers: how many; None takes every GPU of the cluster, or every CPU where it has none.
        device: of each worker; `auto` is a GPU where the cluster has them, else a CPU.
        init: more for `ray.init`.

    Raises:
        MissingExtraError: Ray is not installed.
        NotAvailableError: there is no cluster at the address.
        UsageError: the cluster has fewer GPUs than are asked for, or this process is connected to
            another one.
    """

    def __init__(
        self,
        open_bench: Open,
        address: str,
        *,
        workers: int | None = None,
        device: str = "auto",
        init: dict[str, Any] | None = None,
    ) -> None:
        self._ray, self._ours = _connected(address, init or {})
        self._aside = ExitStack()
        if self._ours:
            # Ray tells of dead actors on stdout, from a thread and whatever `log_to_driver` says;
            # there, only results are wanted.
            self._aside.enter_context(redirect_stdout(sys.stderr))
        self._pickled = pickle.dumps(open_bench)
        self._actors: dict[int, Any] = {}
        self._refs: dict[Any, int] = {}
        resources = self._ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
        self._gpu = device.startswith("cuda") or (device == "auto" and gpus > 0)
        self._device = "cuda" if self._gpu else ("cpu" if device == "auto" else device)
        there = gpus if self._gpu else cpus
        self._size = there if workers is None else workers
        if not 1 <= self._size <= there:
            self._leave()
            raise UsageError(
                f"the Ray cluster at {address} has {gpus} GPUs and {cpus} CPUs, and {self._size} "
                f"workers on {'GPUs' if self._gpu else 'CPUs'} are asked for. Ask for at most "
                "so many with --devices, or add nodes to the cluster."
            )
        self._threads = max(1, cpus // self._size)

    @property
    def size(self) -> int:
        """How many workers there are to be."""
        return self._size

    @property
    def actors(self) -> dict[int, Any]:
        """Ray's handles, by number of worker."""
        return dict(self._actors)

    def hire(self, worker: int) -> None:
        """Start an actor; Ray places it where there is room."""
        remote = self._ray.remote(Actor).options(
            num_cpus=0 if self._gpu else 1, num_gpus=1 if self._gpu else 0, max_restarts=0
        )
        actor = remote.remote(self._pickled, self._device, self._threads)
        self._actors[worker] = actor
        self._refs[actor.load.remote()] = worker

    def send(self, worker: int, job: Job) -> None:
        """Give an actor a job; that it is gone is seen by `wait`."""
        self._refs[self._actors[worker].answer.remote(job)] = worker

    def wait(self) -> list[tuple[int, Event]]:
        """What has happened since."""
        # Insertion order is the order of the jobs, so that of two answers the earlier comes first.
        refs = list(self._refs)
        self._ray.wait(refs, num_returns=1)
        done, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        ended = set(done)
        events: list[tuple[int, Event]] = []
        for ref in refs:
            if ref in ended and ref in self._refs:
                worker = self._refs.pop(ref)
                events.append((worker, self._answer(worker, ref)))
        return events

    def _answer(self, worker: int, ref: Any) -> Event:  # noqa: ANN401  Ray's reference
        try:
            event: Event = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            # Whatever it was (the actor, its node, its answer is gone), that actor is not asked
            # again, and what else it was to do comes back as lost too.
            self._forget(worker)
            return Died(f"{type(error).__name__}: {_first_line(error)}")
        return event

    def _forget(self, worker: int) -> None:
        actor = self._actors.pop(worker, None)
        for ref in [ref for ref, of in self._refs.items() if of == worker]:
            del self._refs[ref]
        if actor is not None:
            with suppress(ValueError, self._ray.exceptions.RayError):
                self._ray.kill(actor, no_restart=True)

    def place(self, worker: int) -> str:
        """The device and the number of the actor."""
        return f"{self._device} (Ray actor {worker})"

    def close(self) -> None:
        """End all actors, and the cluster if it was started here."""
        if self._ray.is_initialized():
            for worker in sorted(self._actors):
                self._forget(worker)
            self._leave()

    def _leave(self) -> None:
        if self._ours:
            self._ray.shutdown()
        self._aside.close()


def _connected(address: str, init: dict[str, Any]) -> tuple[Any, bool]:
    """The module `ray`, connected, and whether it was we who did; its usage statistics are off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray", "ray") from error
    _refuse_silence(address)
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if address not in {LOCAL, "auto", there}:
            raise UsageError(
                f"Ray is connected to {there} already, and {address} is asked for: say `auto`, or "
                "call ray.shutdown() before"
            )
        return ray, False
    own = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, **{**own, **init}
        )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise _no_cluster(address, error) from error
    return ray, True


def _refuse_silence(address: str) -> None:
    """Ray would try for minutes where nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> NotAvailableError:
    return NotAvailableError(
        f"no Ray cluster answers at {address!r}: {_first_line(error)}. Start one with `ray start "
        "--head` (and `ray start --address HOST:PORT` on the other machines), or say --ray local "
        "for one on this machine alone."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
