"""The worker's side, whatever carries the messages: load once, then answer job after job."""

from __future__ import annotations

import os
import sys

from cmedteb.encoding.workers.messages import Bench, Caught, Done, Failed, Job, Open, failed

# One thread on a CPU: sums in several threads round differently, and then vectors would depend on
# how the cores of a machine are shared.
CPU_THREADS = 1


def opened(open_bench: Open, device: str, *, threads: int) -> Bench | Failed:
    """The loaded model, or why there is none.

    Args:
        open_bench: loads it.
        device: as torch names it.
        threads: for the tokenizer, and for torch beside a GPU.
    """
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    caught = Caught()
    with caught:
        bench = open_bench(device)
        if "torch" in sys.modules:
            import torch

            torch.set_num_threads(CPU_THREADS if device == "cpu" else threads)
    return bench if caught.error is None else failed(caught.error, None)


def answer(bench: Bench, job: Job) -> Done | Failed:
    """Do a job."""
    caught = Caught()
    with caught:
        if not job.batches:
            return Done(job.number, described=bench.describe(job.ask))
        before = bench.tokens
        vectors = tuple(bench.encode(job.ask, job.batches))
        after = bench.tokens
        tokens = None if before is None or after is None else after - before
        return Done(job.number, vectors, tokens=tokens)
    return failed(caught.error or RuntimeError("interrupted"), job.number)
