"""What the queries of a model cost, as `model.json` holds it beside the model.

Times are comparable only within one device, so a record is filed by its device, the type of the
weights, the task, the protocol, and whether it was a quick one; a new record of the same key
takes the place of the old. How each number is measured stands in `cmedteb.runner.latency`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cmedteb.results.schema import ModelRecord, Strict

PROTOCOL: Literal["cmedteb-latency/1"] = "cmedteb-latency/1"


class Bounded(Strict):
    """A percentile in milliseconds with its bootstrap interval; one call alone has none."""

    value: float
    low: float | None
    high: float | None


class QueryTexts(Strict):
    """What was asked.

    Attributes:
        distinct: different queries of the task.
        asked: how many of them a lone call was timed with.
        prompt: put before each by the model; None where it does not say.
        characters: median and longest, without the prompt.
        tokens: median and longest with the prompt, as the model counts; None where it does not.
    """

    distinct: int
    asked: int
    prompt: str | None
    characters: tuple[float, int]
    tokens: tuple[float, int] | None


class WarmUp(Strict):
    """Calls before the measurement.

    Attributes:
        first_call_ms: the very first call, which belongs to no other number.
        calls: how many followed it.
        settled: whether the medians of the last two windows were close; else the cap was reached.
    """

    first_call_ms: float
    calls: int
    settled: bool


class SingleStream(Strict):
    """One query at a time, the next when the last is answered. `p99_ms` from 1,000 calls on."""

    calls: int
    seconds: float
    p50_ms: Bounded
    p95_ms: Bounded
    p99_ms: Bounded | None
    level: float


class Control(Strict):
    """The same model as two arms, interleaved; flagged where their medians are not alike."""

    first_p50_ms: float
    second_p50_ms: float
    difference: float
    flagged: bool


class Rate(Strict):
    """Queries that arrive at random at one rate; timed from when each was due."""

    queries_per_second: float
    requests: int
    calls: int
    p50_ms: float
    p95_ms: float
    longest_ms: float


class Server(Strict):
    """Poisson arrivals at rising rates.

    Attributes:
        limit_ms: what the 95th percentile has to keep.
        batch: queries that wait together share a call, at most so many.
        queries_per_second: the highest rate that kept the limit; 0 where none did.
        rates: every trial, rising; one that fails is followed by a second of the same rate. None
            is tried where a lone call takes longer than the limit.
    """

    limit_ms: float
    batch: int
    queries_per_second: float
    rates: list[Rate]


class Batch(Strict):
    """All queries there at once, so many a call."""

    size: int
    queries: int
    queries_per_second: float


class Offline(Strict):
    """Throughput at the best of the batch sizes that were tried."""

    batch: int
    queries_per_second: float
    sizes: list[Batch]


class IndexSearch(Strict):
    """The exact top `depth` for one query vector, on the CPU, apart from the encoding."""

    vectors: Literal["random float32"]
    documents: int
    dimension: int
    depth: int
    searches: int
    p50_ms: Bounded
    p95_ms: Bounded


class Memory(Strict):
    """The highest mark while queries were answered, and what was there before the first.

    Attributes:
        kind: what is counted. The whole process: both sides of a pair count where both are loaded.
        peak_bytes: the mark.
        before_bytes: what was in use with the model loaded.
    """

    kind: Literal["cuda allocated", "resident set", "resident set since start"]
    peak_bytes: int
    before_bytes: int


class Machine(Strict):
    """What it ran on; None where it cannot be read."""

    device: str
    cpu: str
    cores: int
    threads: int | None
    cpu_mhz: float | None
    gpu_mhz: float | None
    gpu_watts: float | None
    system: str


class LatencyRecord(Strict):
    """What a query of one task costs one model on one device.

    Attributes:
        measured: `encode` is the query encoder alone; `search` is a whole search in an index that
            was built before, for systems that have no separate encoding.
        parameters: of the query side, counted from the weights.
    """

    protocol: Literal["cmedteb-latency/1"] = PROTOCOL
    quick: bool
    measured: Literal["encode", "search"]
    task: str
    dataset_content_hash: str
    device: str
    dtype: str | None
    seed: int
    date: str
    queries: QueryTexts
    warm_up: WarmUp
    single_stream: SingleStream
    control: Control
    server: Server
    offline: Offline
    index_search: IndexSearch | None
    parameters: int | None
    memory: Memory
    machine: Machine
    library_versions: dict[str, str]

    @property
    def key(self) -> LatencyKey:
        """What two records must share for one to take the other's place."""
        return LatencyKey(self.device, self.dtype or "", self.task, self.protocol, self.quick)


class LatencyKey(NamedTuple):
    """Records of one key are of one model, and comparable with those of other models."""

    device: str
    dtype: str
    task: str
    protocol: str
    quick: bool


class ModelFile(ModelRecord):
    """`model.json`: the model, and what its queries cost."""

    latency: tuple[LatencyRecord, ...] = ()
