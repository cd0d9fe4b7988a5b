"""How busy do we keep a device? Against sentence-transformers' loop, on one that only sleeps.

    python perf/simulated_device.py MODEL_FOLDER DATA_FOLDER [--rate 550000] [--rounds 3]

MODEL_FOLDER is a sentence-transformers model whose tokenizer is used (its network never runs),
DATA_FOLDER a data set in the local layout, whose documents are encoded. The device takes
`tokens / rate` seconds for a batch, padding counted: 550,000 tokens a second is a BERT-large in
bfloat16 on a large GPU. Prints one JSON line: the share of the ideal time (real tokens / rate)
that each reaches, medians over rounds that alternate. Needs the extra `models`; opens no
connection.
"""

from __future__ import annotations

import argparse
import os
import queue
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _measure import report

if TYPE_CHECKING:
    import pyarrow as pa

    from cmedteb.encoding.engine import Engine
    from cmedteb.encoding.lanes import Collect, Forward, Ids
    from cmedteb.models.sentence_transformer import SentenceTransformer
    from cmedteb.types import Float32Array

DIMENSION = 1024


@dataclass
class Sleeper:
    """A device with a queue, which sleeps as long as it would take: a lane of the engine.

    Attributes:
        rate: tokens a second, padding counted.
        window: batches that are collected together.
        slots: tokens it was given, padding counted.
    """

    rate: float
    window: int = 8
    slots: int = 0
    _waiting: queue.SimpleQueue[tuple[float, threading.Event]] = field(
        default_factory=queue.SimpleQueue
    )

    def __post_init__(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            seconds, done = self._waiting.get()
            time.sleep(seconds)
            done.set()

    def submit(self, forward: Forward, ids: Ids, mask: Ids) -> Collect:
        """Put a batch in the queue."""
        del forward, mask
        done, rows = threading.Event(), len(ids)
        self.slots += ids.size
        self._waiting.put((ids.size / self.rate, done))

        def collect() -> Float32Array:
            done.wait()
            return np.zeros((rows, DIMENSION), dtype=np.float32)

        return collect

    def headroom(self) -> float:
        """It has no memory to measure."""
        return 1.0

    def relieve(self) -> None:
        """Nothing is held."""


def main() -> None:
    """Run both loops in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rate", type=float, default=550_000, help="tokens a second")
    parser.add_argument("--budget", type=int, default=None, help="tokens of a forward pass")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--limit", type=int, default=None, help="only the first N documents")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    report("simulated_device", measured(arguments))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Shares of the ideal time."""
    from cmedteb.encoding.engine import Engine
    from cmedteb.encoding.plan import Budget, default_budget
    from cmedteb.models import ModelOptions, Role, load_model
    from cmedteb.models.sbert.fast import engine_of
    from cmedteb.models.sentence_transformer import SentenceTransformer

    options = ModelOptions(device="cpu", max_length=arguments.max_length)
    system = load_model(str(arguments.model), options)
    if not isinstance(system, SentenceTransformer):
        raise SystemExit(f"{arguments.model} is no dense model of sentence-transformers")
    engine = engine_of(system.loaded, system.bound.routes[Role.DOCUMENT], "")
    if not isinstance(engine, Engine):
        raise SystemExit(f"the engine does not run {arguments.model}: {engine.reason}")
    budget = Budget(arguments.budget or default_budget("cuda"))
    engine = replace(engine, lane=Sleeper(arguments.rate), budget=budget)
    column = documents(arguments.data)[: arguments.limit]
    tokens = sum(batch.tokens for batch in engine.plan()(column))
    times, slots = alternated(system, engine, column, arguments)
    ideal = tokens / arguments.rate
    shares = {name: ideal / statistics.median(found) for name, found in times.items()}
    return {
        "texts": len(column),
        "tokens": tokens,
        "rate": arguments.rate,
        "budget": budget.tokens,
        "ideal_s": round(ideal, 3),
        **{f"{name}_share": round(share, 3) for name, share in shares.items()},
        "ratio": round(shares["ours"] / shares["sentence_transformers"], 2),
        "slots_per_token": {name: round(count / tokens, 4) for name, count in slots.items()},
        "seconds": {name: [round(one, 3) for one in found] for name, found in times.items()},
    }


def documents(folder: Path) -> pa.ChunkedArray:
    """The distinct documents of a data set."""
    from cmedteb.data import Access
    from cmedteb.tasks import from_folder
    from cmedteb.types import RankingData

    data = from_folder(folder).load(Access())
    if not isinstance(data, RankingData):
        raise SystemExit(f"{folder} holds pairs of sentences, and no documents")
    return data.corpus.texts.values


def alternated(
    system: SentenceTransformer,
    engine: Engine,
    column: pa.ChunkedArray,
    arguments: argparse.Namespace,
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each loop, and the slots of its batches."""
    texts = column.to_pylist()
    slots: dict[str, int] = {}

    def ours() -> None:
        lane = Sleeper(arguments.rate)
        for _ in replace(engine, lane=lane).source("")(column):
            pass
        slots["ours"] = lane.slots

    def theirs() -> None:
        with sleeping(system, arguments.rate) as count:
            system.model.encode(texts, show_progress_bar=False)
            slots["sentence_transformers"] = count[0]

    times: dict[str, list[float]] = {"ours": [], "sentence_transformers": []}
    for _ in range(arguments.rounds):
        times["ours"].append(seconds(ours))
        times["sentence_transformers"].append(seconds(theirs))
    return times, slots


@contextmanager
def sleeping(system: SentenceTransformer, rate: float) -> Iterator[list[int]]:
    """The library's model with a network that sleeps; the slots it was given."""
    import torch

    count, model = [0], system.loaded.model

    def forward(features: dict[str, Any], **told: object) -> dict[str, Any]:
        del told
        ids = features["input_ids"]
        count[0] += ids.numel()
        time.sleep(ids.numel() / rate)
        return features | {"sentence_embedding": torch.zeros(len(ids), DIMENSION)}

    model.forward = forward
    try:
        yield count
    finally:
        del model.forward


def seconds(call: Callable[[], None]) -> float:
    """What a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
