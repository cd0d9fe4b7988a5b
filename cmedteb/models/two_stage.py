"""Two stages: one system finds documents in the whole corpus, another orders the best of them.

Documents below the reranked ones keep the first stage's order behind them, so a run stays as deep
as it was asked for. On reranking sets the candidates are given and the first stage is not used.
Nothing here scores by itself: the runner ranks with both parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cmedteb.errors import UsageError
from cmedteb.models.custom import facts_of
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import (
    Composite,
    Encoder,
    ModelFacts,
    PairScorer,
    Rank,
    Reranker,
    Retriever,
    Role,
    System,
    TaskAware,
    TaskContext,
)
from cmedteb.models.registry import load_part
from cmedteb.types import Candidates, Float32Array, Int64Array, RankingData, Run

DEPTH = 100


@dataclass(frozen=True)
class TwoStage:
    """A reranker over a first stage.

    Attributes:
        first: searches the corpus.
        reranker: orders the best that it finds; any system that orders given documents.
        depth: how many of them.
    """

    first: System
    reranker: System
    depth: int = DEPTH

    @property
    def parts(self) -> tuple[System, ...]:
        """The first stage and the reranker."""
        return self.first, self.reranker

    @property
    def facts(self) -> ModelFacts:
        """Those of the reranker that a reader looks for; all of both parts in the settings."""
        first, second = facts_of(self.first), facts_of(self.reranker)
        over = first.name.replace("/", "__")
        cut = "" if self.depth == DEPTH else f"-top{self.depth}"
        return ModelFacts(
            name=f"{second.name}+over-{over}{cut}",
            revision=second.revision,
            family="two-stage",
            prompts=second.prompts,
            max_length=second.max_length,
            dtype=second.dtype,
            parameters=_added(first.parameters, second.parameters),
            sts_sides=second.sts_sides,
            settings={
                "first_stage": first.identity,
                "reranker": second.identity,
                "rerank_depth": self.depth,
            },
            libraries=tuple(sorted({*first.libraries, *second.libraries})),
            device=second.device,
            reproducible=first.reproducible and second.reproducible,
        )

    @property
    def tokens(self) -> int | None:
        """Tokens that both parts have read so far; None where neither counts any."""
        read = [
            found for part in self.parts if (found := getattr(part, "tokens", None)) is not None
        ]
        return sum(read) if read else None

    def for_task(self, context: TaskContext) -> TwoStage:
        """The same two systems, each with its prompts for this task."""
        return replace(
            self, first=_bound(self.first, context), reranker=_bound(self.reranker, context)
        )

    @property
    def for_pairs(self) -> System:
        """Sentence pairs are the reranker's: there is nothing to find."""
        return self.reranker

    def rank_with(self, rank: Rank, data: RankingData, depth: int) -> Run:
        """The first stage's best reranked, and behind them the rest of its run, to `depth`."""
        if data.candidates is not None:
            return rank(self.reranker, data, depth)
        found = rank(self.first, data, max(depth, self.depth))
        best = _best(found, self.depth)
        ordered = rank(self.reranker, replace(data, candidates=best), self.depth)
        return _behind(ordered, found, depth)


def _best(run: Run, depth: int) -> Candidates:
    """The first `depth` documents of every query."""
    kept = _places(run) < depth
    return Candidates(_offsets_of(np.minimum(np.diff(run.offsets), depth)), run.docs[kept])


def _behind(ordered: Run, found: Run, depth: int) -> Run:
    """An ordered run with what else was found behind it, cut at `depth`.

    Args:
        ordered: the first so many documents of `found`, in another order.
        found: as the first stage ordered them.
        depth: how many documents to keep for each query.
    """
    lengths = np.minimum(np.diff(found.offsets), depth)
    offsets = _offsets_of(lengths)
    docs = np.empty(offsets[-1], dtype=np.int32)
    scores = np.empty(offsets[-1], dtype=np.float32)
    for query, length in enumerate(lengths.tolist()):
        head = slice(ordered.offsets[query], ordered.offsets[query + 1])
        count = head.stop - head.start
        rest = slice(found.offsets[query] + count, found.offsets[query] + max(length, count))
        merged = np.concatenate([ordered.docs[head], found.docs[rest]])
        values = extend(ordered.scores[head], rest.stop - rest.start)
        span = slice(offsets[query], offsets[query + 1])
        docs[span], scores[span] = merged[:length], values[:length]
    return Run(offsets, docs, scores)


def extend(scores: Float32Array, count: int) -> Float32Array:
    """Scores with `count` more behind them that fall strictly, so that ids cannot reorder them.

    Scores that leave no room below them within float32 are replaced by numbers of the same order
    and the same ties.

    Args:
        scores: finite, none above the one before it; shape (n,).
        count: how many more; below a million.

    Returns:
        float32, finite, shape (n + count,).
    """
    if not count or not len(scores):
        return scores
    with np.errstate(over="ignore"):
        tail = _below(scores[-1], count)
    if not np.isfinite(tail).all():
        steps = np.concatenate([[0], np.cumsum(np.diff(scores) < 0)])
        scores = (-steps).astype(np.float32)
        tail = _below(scores[-1], count)
    return np.concatenate([scores, tail])


def _below(lowest: np.float32, count: int) -> Float32Array:
    """Numbers that fall by 1, or by as much as can be told apart at this size."""
    step = max(1.0, 4.0 * float(np.spacing(np.abs(lowest))))
    falling: Float32Array = (float(lowest) - step * np.arange(1, count + 1)).astype(np.float32)
    return falling


def _places(run: Run) -> Int64Array:
    """For each entry its place in its query's list, from 0."""
    places: Int64Array = np.arange(len(run.docs)) - np.repeat(
        run.offsets[:-1], np.diff(run.offsets)
    )
    return places


def _offsets_of(lengths: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _bound(system: System, context: TaskContext) -> Any:  # noqa: ANN401  a System, see TaskAware
    return system.for_task(context) if isinstance(system, TaskAware) else system


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Weights of both stages; a stage without counted weights adds none."""
    sides = [str(role) for role in Role if str(role) in {*first, *second}]
    return {side: first.get(side, 0) + second.get(side, 0) for side in sides}


def with_first_stage(system: System, options: ModelOptions) -> System:
    """The system over a first stage, as the options ask.

    Raises:
        UsageError: a depth without a first stage, a depth below 1, a first stage that searches no
            corpus, or a system that orders no given documents.
    """
    if options.first_stage is None:
        raise UsageError(
            "--rerank-depth says how many documents of a first stage are reranked, and there is "
            "none: say which, such as --first-stage bm25"
        )
    depth = DEPTH if options.rerank_depth is None else options.rerank_depth
    if depth < 1:
        raise UsageError(f"--rerank-depth {depth}: at least 1 document must be reranked")
    if not isinstance(system, (Encoder, Reranker, PairScorer, Composite)):
        raise UsageError(
            f"{facts_of(system).name} orders no given documents, so it cannot rerank those of "
            "--first-stage"
        )
    first = load_part(options.first_stage, options)
    if not isinstance(first, (Encoder, Retriever, Composite)):
        raise UsageError(
            f"--first-stage {options.first_stage}: {facts_of(first).name} searches no corpus. Give "
            "a retriever, such as bm25 or an embedding model."
        )
    return TwoStage(first, system, depth)
