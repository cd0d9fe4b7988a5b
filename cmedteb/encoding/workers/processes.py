"""Workers that are processes of this machine, one a device.

Each has a pipe of its own: a lock that workers share would stay held by one that is killed. A
thread of the worker listens to the pipe, so the parent never waits to be heard, and the worker ends
at once when the parent is gone, however that came about.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from cmedteb.encoding.workers.messages import Caught, Died, Event, Failed, Job, Open, Ready, failed
from cmedteb.encoding.workers.work import answer, opened

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

PATIENCE = 10.0


class _Start(NamedTuple):
    """The first message to a worker."""

    open_bench: Open
    device: str
    threads: int


class _Worker(NamedTuple):
    """A process and our end of its pipe."""

    process: SpawnProcess
    pipe: Connection


class Processes:
    """A crew of processes.

    Args:
        open_bench: loads the model on a device; must be picklable.
        devices: of each worker, as torch names it; the same may be named more than once.
    """

    def __init__(self, open_bench: Open, devices: Sequence[str]) -> None:
        self._open = open_bench
        self._devices = tuple(devices)
        self._workers: dict[int, _Worker] = {}
        self._pids: dict[int, int] = {}

    @property
    def size(self) -> int:
        """How many workers there are to be."""
        return len(self._devices)

    @property
    def pids(self) -> list[int]:
        """Process ids of those alive, by number of worker."""
        return [self._pids[worker] for worker in sorted(self._workers)]

    def hire(self, worker: int) -> None:
        """Start a process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve, args=(theirs,), name=f"cmedteb-worker-{worker}", daemon=True
        )
        process.start()
        # Ours alone stays open here, so that its end is seen when the worker is gone.
        theirs.close()
        self._workers[worker] = _Worker(process, ours)
        self._pids[worker] = process.pid or 0
        threads = max(1, (os.cpu_count() or 1) // self.size)
        with suppress(OSError):
            ours.send_bytes(pickle.dumps(_Start(self._open, self._devices[worker], threads)))

    def send(self, worker: int, job: Job) -> None:
        """Give a worker a job; that it is gone is seen by `wait`."""
        with suppress(OSError):
            self._workers[worker].pipe.send_bytes(pickle.dumps(job, protocol=5))

    def wait(self) -> list[tuple[int, Event]]:
        """What has happened since."""
        of = {one.pipe: number for number, one in self._workers.items()}
        ends = {one.process.sentinel: number for number, one in self._workers.items()}
        heard = wait([*of, *ends])
        events: list[tuple[int, Event]] = []
        # A worker that has ended may have said something before.
        for number in sorted({of[one] for one in heard if one in of}):
            events += [(number, event) for event in self._hear(number)]
        for number in sorted({ends[one] for one in heard if one in ends} & set(self._workers)):
            events += [(number, event) for event in self._hear(number)]
            if number in self._workers:
                events.append((number, self._end(number)))
        return events

    def _hear(self, worker: int) -> list[Event]:
        """What lies in the pipe; at its end, the worker's death."""
        events: list[Event] = []
        pipe = self._workers[worker].pipe
        try:
            while pipe.poll():
                events.append(pickle.loads(pipe.recv_bytes()))
        except (EOFError, OSError):
            events.append(self._end(worker))
        return events

    def _end(self, worker: int) -> Died:
        process, pipe = self._workers.pop(worker)
        pipe.close()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
        return Died(_how(process.exitcode))

    def place(self, worker: int) -> str:
        """The device and the process."""
        return f"{self._devices[worker]} (process {self._pids.get(worker, 0)})"

    def close(self) -> None:
        """End all processes; what is listening has ended with its pipe already."""
        for one in self._workers.values():
            one.pipe.close()
            one.process.terminate()
        for one in self._workers.values():
            one.process.join(PATIENCE)
            if one.process.exitcode is None:
                one.process.kill()
                one.process.join()
        self._workers.clear()


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = "; the system kills so where memory runs out" if name == "SIGKILL" else ""
    return f"killed by {name}{memory}"


def serve(pipe: Connection) -> None:
    """A worker: load the model, say so, and answer jobs until the pipe ends."""
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print does not belong between the parent's results.
    with suppress(OSError):
        os.dup2(2, 1)
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    caught = Caught()
    with caught:
        start: _Start = pickle.loads(inbox.get())
    if caught.error is not None:
        _say(pipe, failed(caught.error, None))
        return
    bench = opened(start.open_bench, start.device, threads=start.threads)
    if isinstance(bench, Failed):
        _say(pipe, bench)
        return
    _say(pipe, Ready())
    while True:
        _say(pipe, answer(bench, pickle.loads(inbox.get())))


def _say(pipe: Connection, event: Any) -> None:  # noqa: ANN401  any event
    with suppress(OSError):
        pipe.send_bytes(pickle.dumps(event, protocol=5))


def _listen(pipe: Connection, inbox: SimpleQueue[bytes]) -> None:
    """Hand on what comes; the end of the pipe is the end of the process, at once."""
    while True:
        try:
            inbox.put(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
