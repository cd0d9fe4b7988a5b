"""Fusion: the runs of several systems made one.

Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009) adds weight / (k + rank) over the
systems, with k = 60 as there. Min-max fusion scales the scores of each system to [0, 1], query by
query, and adds weight x scaled score; a system whose scores for a query are all equal tells its
documents not apart and adds 0. A document that a system did not return gets nothing from it.

Each system ranks `depth` documents for the fusion, however few are asked for, so that the best 10
of a run are the same whether 10 or 100 are kept. Candidates are ordered whole. Sentence pairs have
no ranks and are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import ModelCard
from cmedteb.models.custom import facts_of
from cmedteb.models.options import OF_PARTS, ModelOptions
from cmedteb.models.protocols import ModelFacts, Rank, Role, System, TaskAware, TaskContext
from cmedteb.models.registry import Loader, load_parts
from cmedteb.models.weights import Weights
from cmedteb.search import tie_ranks
from cmedteb.types import Float64Array, Int32Array, Int64Array, RankingData, Run

DEPTH = 1000  # as deep as the TREC runs that the authors fuse
K = 60.0
BLOCK_ENTRIES = 2**22


class Method(StrEnum):
    """How runs become one."""

    RRF = "rrf"
    MIN_MAX = "min-max"


@dataclass(frozen=True, slots=True)
class Rule:
    """How runs become one, with the constants of it.

    Attributes:
        method: see `Method`.
        weights: one for each run.
        k: of reciprocal rank fusion; the greater, the less the first ranks count.
    """

    weights: tuple[float, ...]
    method: Method = Method.RRF
    k: float = K

    def shares(self, run: Run, weight: float) -> Float64Array:
        """What each entry of a run adds to its document, shape (entries,)."""
        lengths = np.diff(run.offsets)
        if self.method is Method.RRF:
            ranks = np.arange(1, len(run.docs) + 1) - np.repeat(run.offsets[:-1], lengths)
            return np.asarray(weight / (self.k + ranks), dtype=np.float64)
        scores = run.scores.astype(np.float64)
        filled = lengths > 0
        starts, counts = run.offsets[:-1][filled], lengths[filled]
        low = np.repeat(np.minimum.reduceat(scores, starts), counts) if len(starts) else scores
        high = np.repeat(np.maximum.reduceat(scores, starts), counts) if len(starts) else scores
        span = high - low
        scaled = np.divide(scores - low, span, out=np.zeros_like(scores), where=span > 0)
        return weight * scaled


@dataclass(frozen=True)
class Fusion:
    """Systems whose runs are fused.

    Attributes:
        parts: the systems.
        rule: how their runs become one.
        depth: how many documents each part ranks, at the least.
        revision: what the parts were when they were loaded; None says what they are now.
    """

    parts: tuple[System, ...]
    rule: Rule
    depth: int = DEPTH
    revision: str | None = None

    @property
    def facts(self) -> ModelFacts:
        """The rule and all that the parts say of themselves."""
        facts = [facts_of(part) for part in self.parts]
        settings = {**self._constants, "systems": [part.identity for part in facts]}
        short = "+".join(re.sub(r"[^\w.+-]", "-", part.name.split("/", 1)[-1]) for part in facts)
        return ModelFacts(
            name=f"fusion/{self.rule.method}-{short}",
            revision=self.revision or _hash(settings),
            family="fusion",
            parameters=_parameters(facts),
            sts_sides=None,
            settings=settings,
            libraries=tuple(sorted({name for part in facts for name in part.libraries})),
            device=next((part.device for part in facts if part.device != "cpu"), "cpu"),
            reproducible=all(part.reproducible for part in facts),
        )

    @property
    def tokens(self) -> int | None:
        """Tokens encoded so far by those parts that count; None where none does."""
        counts: list[int | None] = [getattr(part, "tokens", None) for part in self.parts]
        counted = [count for count in counts if count is not None]
        return sum(counted) if counted else None

    def for_task(self, context: TaskContext) -> Fusion:
        """The same with the parts' prompts for this task."""
        bound = tuple(
            part.for_task(context) if isinstance(part, TaskAware) else part for part in self.parts
        )
        return replace(self, parts=bound, revision=self.facts.revision)

    def rank_with(self, rank: Rank, data: RankingData, depth: int) -> Run:
        """The fused run; candidates are ordered whole."""
        deep = max(depth, self.depth)
        runs = [rank(part, data, deep) for part in self.parts]
        kept = depth if data.candidates is None else None
        return fuse(runs, self.rule, ties=tie_ranks(data.corpus.ids), depth=kept)

    @property
    def _constants(self) -> dict[str, Any]:
        rule = self.rule
        constants = {"method": str(rule.method), "weights": list(rule.weights), "depth": self.depth}
        return {**constants, "k": rule.k} if rule.method is Method.RRF else constants


def fuse(runs: Sequence[Run], rule: Rule, *, ties: Int32Array, depth: int | None) -> Run:
    """One run of several over the same queries and corpus, in trec_eval's order.

    Args:
        runs: at least one; a document occurs at most once for a query of a run.
        rule: with a weight for each run.
        ties: of the corpus, from `search.tie_ranks`.
        depth: how many documents to keep for each query; None keeps all that occur.
    """
    queries = len(runs[0])
    entries = sum(len(run.docs) for run in runs)
    step = max(1, BLOCK_ENTRIES * queries // max(entries, 1))
    starts = range(0, max(queries, 1), step)
    blocks = [
        _fuse_block([_rows(run, slice(start, start + step)) for run in runs], rule, ties, depth)
        for start in starts
    ]
    lengths = np.concatenate([np.diff(block.offsets) for block in blocks])
    return Run(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        docs=np.concatenate([block.docs for block in blocks]),
        scores=np.concatenate([block.scores for block in blocks]),
    )


def _fuse_block(runs: list[Run], rule: Rule, ties: Int32Array, depth: int | None) -> Run:
    queries, documents = len(runs[0]), len(ties)
    keys = [_owners(run) * documents + run.docs for run in runs]
    shares = [rule.shares(run, weight) for run, weight in zip(runs, rule.weights, strict=True)]
    found, place = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.bincount(place, weights=np.concatenate(shares), minlength=len(found))
    scores = sums.astype(np.float32)
    query, docs = np.divmod(found, max(documents, 1))
    order = np.lexsort((ties[docs], -scores, query))
    offsets = _offsets(query, queries)
    if depth is not None:
        # Queries keep their place in the order, so a row's rank is its distance from its query's.
        order = order[np.arange(len(order)) - offsets[query] < depth]
    return Run(
        offsets=_offsets(query[order], queries),
        docs=docs[order].astype(np.int32),
        scores=scores[order],
    )


def _owners(run: Run) -> Int64Array:
    """The query row of every entry."""
    return np.repeat(np.arange(len(run), dtype=np.int64), np.diff(run.offsets))


def _offsets(query: Int64Array, queries: int) -> Int64Array:
    counts = np.bincount(query, minlength=queries)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _rows(run: Run, rows: slice) -> Run:
    """The run of these query rows alone."""
    offsets = run.offsets[rows.start : rows.stop + 1]
    entries = slice(offsets[0], offsets[-1])
    return Run(offsets - offsets[0], run.docs[entries], run.scores[entries])


def _parameters(facts: Sequence[ModelFacts]) -> dict[str, int]:
    """Weights of each side over all parts; a side that one part does not count is not known."""
    return {
        str(role): sum(part.parameters[role] for part in facts)
        for role in Role
        if all(role in part.parameters for part in facts)
    }


def _hash(settings: dict[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> Fusion:
    """The fusion that a card describes; flags come before its settings.

    Raises:
        UsageError: fewer than two systems, or flags that do not fit.
        DataError: settings of the card that do not fit.
    """
    del weights
    systems = card.settings.get("systems", ())
    names = systems.split("+") if isinstance(systems, str) else [str(name) for name in systems]
    if len(names) < 2 or not all(names):
        raise UsageError(
            f"{card.title}: a fusion needs two systems or more, as in fusion:bm25+hashing. A name "
            "that holds a + needs a card with systems = [...]."
        )
    rule = Rule(
        weights=_weights(card, options, names),
        method=_method(card, options),
        k=_positive(card, "k", K),
    )
    depth = int(_positive(card, "depth", DEPTH))
    fused = Fusion(load_parts(names, options), rule, depth)
    return replace(fused, revision=fused.facts.revision)


def _method(card: ModelCard, options: ModelOptions) -> Method:
    flag = options.fusion is not None
    stated = options.fusion if flag else card.settings.get("method", Method.RRF)
    if stated not in list(Method):
        raise _wrong(card, f"is fused by {' or by '.join(Method)}, not by {stated!r}", flag=flag)
    return Method(stated)


def _weights(card: ModelCard, options: ModelOptions, names: list[str]) -> tuple[float, ...]:
    flag = options.fusion_weights is not None
    default = card.settings.get("weights", (1.0,) * len(names))
    stated: Any = options.fusion_weights if flag else default
    given = tuple(stated) if isinstance(stated, list | tuple) else (stated,)
    numbers = all(isinstance(weight, int | float) for weight in given)
    fine = numbers and all(0 <= weight < math.inf for weight in given) and any(given)
    if len(given) != len(names) or not fine:
        told = ", ".join(map(str, given))
        raise _wrong(
            card,
            f"takes {len(names)} weights, one for each of {', '.join(names)}, none negative and "
            f"not all 0, not {told}",
            flag=flag,
        )
    return tuple(float(weight) for weight in given)


def _positive(card: ModelCard, name: str, default: float) -> float:
    value = card.settings.get(name, default)
    kind = int if isinstance(default, int) else int | float
    if not isinstance(value, kind) or not 0 < value < math.inf:
        what = "whole number" if kind is int else "number"
        raise _wrong(card, f"takes a positive {what} for {name}, not {value!r}", flag=False)
    return value


def _wrong(card: ModelCard, what: str, *, flag: bool) -> UsageError | DataError:
    return UsageError(f"{card.title} {what}") if flag else DataError(f"{card.name}'s card {what}")


LOADER = Loader(
    load,
    options=frozenset({"fusion", "fusion_weights"}) | OF_PARTS,
    settings=frozenset({"systems", "method", "weights", "k", "depth"}),
)
