"""The board as data: the contract between what counts (`aggregate`) and what shows (`site`).

`leaderboard.json` is one `Board`; `compare/<model>.js` holds one `Comparisons` a model. Scores are
in [0, 1], rounded; models are named by `slug`, tasks and benchmarks by name. Everything here was
recomputed from receipts, except `published`, which papers report and nobody recomputed. It holds
ids and numbers, never a text of a data set, and no time of its own making: two builds from the
same files are equal. A change that a reader could trip over raises SCHEMA.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

SCHEMA: Literal["cmedteb-leaderboard/1"] = "cmedteb-leaderboard/1"


class Frozen(BaseModel):
    """No key that is not known, no number that JSON lacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Titled(Frozen):
    """A name for people."""

    zh: str
    en: str


class BenchmarkEntry(Frozen):
    """A list of tasks and the mean that is its average.

    Attributes:
        tasks: names, in the order of its paper.
        source: where it was published.
    """

    name: str
    title: Titled
    tasks: tuple[str, ...]
    average: Literal["mean"]
    source: str


class LicenceEntry(Frozen):
    """Terms of a data set; `redistribute` is None where nobody says."""

    name: str
    url: str | None
    redistribute: bool | None


class JudgementsEntry(Frozen):
    """One version of a task's judgements.

    Attributes:
        version: `original` or `vN`.
        sha256: of their content; None where no result was scored against them here.
        header: what the release says of itself (panel, agreement, costs); empty for `original`.
    """

    version: str
    sha256: str | None
    header: dict[str, Any]


class HardQuery(Frozen):
    """A query (or pair) that models fail at.

    Attributes:
        id: in the data set.
        mean: of the main score over all models; for pairs, of the distance between standardised
            similarity and standardised gold score (higher is harder).
        best: of the best model; for pairs the smallest distance.
    """

    id: str
    mean: float
    best: float


class TaskEntry(Frozen):
    """A task and what is known of its data.

    Attributes:
        name: safe as a file name.
        type: `retrieval`, `reranking` or `sts`.
        benchmarks: those it belongs to.
        main_score_name: the key of the score in its cells.
        units: how many queries (or pairs) were scored, else the card's number, else None.
        documents: the card's number.
        revision: of the data, as pinned.
        content_hash: of the data that all cells of this task were scored on; None without cells.
        judgements: `original` first.
        shown: the version that its cells are scored with.
        derived_from: collections it was made from; a model trained on one has seen the task.
        hardest: the hardest first; empty with fewer than two models.
    """

    name: str
    type: Literal["retrieval", "reranking", "sts"]
    title: Titled
    benchmarks: tuple[str, ...]
    main_score_name: str
    units: int | None
    documents: int | None
    licence: LicenceEntry
    revision: str | None
    content_hash: str | None
    judgements: tuple[JudgementsEntry, ...]
    shown: str
    derived_from: tuple[str, ...]
    hardest: tuple[HardQuery, ...]
    citation: str
    note: str


class Latency(Frozen):
    """What a query costs online, in one setting; compare within one `device` only.

    Attributes:
        measured: `encode` (query encoder alone) or `search` (a whole search).
        p50: milliseconds for one query at a time; p99 from 1,000 calls on.
        queries_per_second: at the best batch size, all queries there at once.
        sustained: the highest rate of random arrivals that kept the limit, per second.
        peak_bytes: the highest mark of memory while queries were answered.
    """

    device: str
    cpu: str
    dtype: str | None
    task: str
    quick: bool
    measured: Literal["encode", "search"]
    p50: float
    p95: float
    p99: float | None
    queries_per_second: float
    sustained: float
    peak_bytes: int


class Environment(Frozen):
    """What some tasks of a model ran on."""

    device: str
    dtype: str | None
    libraries: dict[str, str]
    tasks: tuple[str, ...]


class PromptUse(Frozen):
    """Texts put before each side, and the tasks for which they were; {} is none."""

    prompts: dict[str, str]
    tasks: tuple[str, ...]


class ModelEntry(Frozen):
    """One revision of one model.

    Attributes:
        slug: unique, safe as a file name and in an address: [A-Za-z0-9._-].
        title: what its card says it is; the name where it has no card.
        family: which kind of system.
        query_parameters: weights that a query goes through online; None is unknown.
        document_parameters: the same for a document.
        asymmetric: queries and documents go through different encoders.
        api: answers come from a paid endpoint.
        open_weights: None is unknown.
        licence: of the weights.
        training_sets: as declared; () is none, None is unknown.
        bytes_per_document: of the stored vectors; None for systems without vectors.
        storage: how vectors are stored (`float32`, `int8`, `binary`); None without vectors.
        trained_on: task name -> whether its training sets overlap with what the task was made of;
            None is unknown. Zero-shot on a benchmark: False for all its tasks.
        date: of its newest result.
        settings: of the family, as they move scores.
    """

    slug: str
    name: str
    revision: str
    title: str
    family: str
    query_parameters: int | None
    document_parameters: int | None
    asymmetric: bool
    api: bool
    open_weights: bool | None
    licence: str | None
    similarity: str | None
    dimension: int | None
    pooling: str | None
    max_length: int | None
    settings: dict[str, Any]
    training_sets: tuple[str, ...] | None
    trained_on: dict[str, bool | None]
    bytes_per_document: float | None
    storage: str | None
    prompts: tuple[PromptUse, ...]
    environments: tuple[Environment, ...]
    latency: tuple[Latency, ...]
    date: str


class Place(Frozen):
    """A score with its uncertainty, and where it stands among others on the same queries.

    Attributes:
        score: the main score, or a mean of them.
        low: of the 95 % percentile bootstrap interval over queries; None for a single query.
        high: the other bound.
        rank: from 1; equal scores share it.
        rank_low: the best rank that cannot be ruled out: one more than the models that are
            significantly better (paired bootstrap over queries, Holm over all pairs, 5 %).
        rank_high: the worst rank that cannot be ruled out.
        group_low: first of the groups it belongs to, counted from 0; within a group no two models
            can be told apart. Letters: 0 is a, 25 is z, 26 is aa.
        group_high: last of its groups; all between are its own too.
    """

    score: float
    low: float | None
    high: float | None
    rank: int
    rank_low: int
    rank_high: int
    group_low: int
    group_high: int


class Cell(Place):
    """One model on one task.

    Attributes:
        scores: every score by name, the main one included.
        search_recall: of an approximate search; None where it was exact.
    """

    model: str
    task: str
    scores: dict[str, float]
    search_recall: float | None


class Standing(Place):
    """A model that has all tasks of a benchmark; the mean is over tasks.

    Attributes:
        borda: points: over all tasks, how many complete models it beats, half for a tie.
        borda_rank: from 1.
    """

    benchmark: str
    model: str
    borda: float
    borda_rank: int


class Move(Frozen):
    """One model under the original and under newer judgements; ranks among the models listed."""

    model: str
    original: float
    relabelled: float
    rank_original: int
    rank_relabelled: int


class Relabelled(Frozen):
    """A task under a newer version of its judgements, best model first."""

    task: str
    version: str
    moves: tuple[Move, ...]


class PublishedRow(Frozen):
    """A row as it was printed, divided by 100.

    Attributes:
        scores: task name -> score; a cell that is not printed is absent.
        average: as printed; None where the table prints none.
        recomputed: the mean of the cells, beside a printed average.
        note: what a reader should know of this row.
    """

    model: str
    parameters: str
    scores: dict[str, float]
    average: float | None
    recomputed: float | None
    note: str


class PublishedTable(Frozen):
    """A table that a paper reports; never ranked with measured models.

    Attributes:
        name: the file's name.
        benchmark: whose tasks its columns are; None where they are only some.
        columns: task names, in order.
        fine_tuned: None is unknown; True where the models were fine-tuned for the benchmark, so
            that public checkpoints will not give these numbers.
    """

    name: str
    title: Titled
    source: str
    url: str
    table: str
    benchmark: str | None
    columns: tuple[str, ...]
    fine_tuned: bool | None
    note: Titled
    rows: tuple[PublishedRow, ...]


class LeftOut(Frozen):
    """A stored result that the board does not show, and why."""

    model: str
    task: str
    reason: str


class Board(Frozen):
    """Everything the site shows.

    Attributes:
        generated_from: the date of the newest result; None for an empty board.
        judgements: what was asked for: `original`, `latest` or `vN`. Tasks without that version
            keep `original`; each says which in `shown`.
        seed: of every sampler.
        resamples: how many bootstrap samples.
        tasks: those of the benchmarks in their order, then others; with or without cells.
        models: sorted by slug.
        cells: sorted by task (as in `tasks`), then rank, then slug.
        standings: complete models only, by benchmark (as in `benchmarks`), then rank, then slug.
    """

    format: Literal["cmedteb-leaderboard/1"] = SCHEMA
    cmedteb_version: str
    generated_from: str | None
    judgements: str
    seed: int
    resamples: int
    level: float
    benchmarks: tuple[BenchmarkEntry, ...]
    tasks: tuple[TaskEntry, ...]
    models: tuple[ModelEntry, ...]
    cells: tuple[Cell, ...]
    standings: tuple[Standing, ...]
    relabelled: tuple[Relabelled, ...]
    published: tuple[PublishedTable, ...]
    left_out: tuple[LeftOut, ...]


class Difference(NamedTuple):
    """Model a against model b, paired over the queries of one task (or the tasks of a benchmark).

    Attributes:
        difference: score of a minus score of b.
        low: of its 95 % interval: the difference and its paired-bootstrap standard error.
        high: the other bound.
        p: two-sided, raw.
        holm: the same, adjusted over all pairs of models of the task or benchmark.
        wins: queries on which a is better; for a benchmark, tasks.
        ties: equal on both.
        losses: on which b is better.
    """

    difference: float
    low: float
    high: float
    p: float
    holm: float
    wins: int
    ties: int
    losses: int


class Comparisons(Frozen):
    """One model against each model that comes after it in `Board.models`.

    A comparison the other way round has the signs turned: -difference, -high, -low, p, holm,
    losses, ties, wins.

    Attributes:
        model: slug.
        columns: names of tasks, then of benchmarks: what the entries of a row are about.
        against: slug -> a difference for each column; None where one of the two lacks it.
    """

    model: str
    columns: tuple[str, ...]
    against: dict[str, tuple[Difference | None, ...]]
