"""What of a system answers a query: its query encoder, or its search in an index built before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cmedteb.data.columns import StringBuilder, TextBuilder
from cmedteb.errors import ModelError, UsageError
from cmedteb.models import Encoder, Indexing, ModelFacts, Retriever, System
from cmedteb.models.card import Family
from cmedteb.models.custom import facts_of
from cmedteb.models.pair import Pair
from cmedteb.models.stored import Stored
from cmedteb.runner.latency.clock import Answer
from cmedteb.types import Corpus, Queries, RankingData


@dataclass(frozen=True)
class Subject:
    """What is timed.

    Attributes:
        measured: what an answer is.
        answer: one call for some queries.
        tokens: how many tokens the system has read so far; None where it does not count.
    """

    measured: Literal["encode", "search"]
    answer: Answer
    tokens: Callable[[], int] | None = None

    def dimension(self, text: str) -> int | None:
        """Of the vectors of queries, by encoding one; None where there are none."""
        if self.measured == "search":
            return None
        return int(np.asarray(self.answer([text])).shape[1])


def query_side(system: System) -> ModelFacts:
    """Facts of what encodes the queries: of a pair its query side, of a wrapper what it wraps."""
    if isinstance(system, Stored):
        return query_side(system.inner)
    if isinstance(system, Pair):
        return query_side(system.query)
    return facts_of(system)


def subject_of(system: System, facts: ModelFacts, data: RankingData, *, depth: int) -> Subject:
    """What to time of a system.

    Args:
        system: already bound to the task.
        facts: what it is.
        data: of the task.
        depth: how many documents a search returns.

    Raises:
        UsageError: it is of a kind that is not measured.
    """
    _refuse_remote(query_side(system))
    if isinstance(system, Encoder):
        return Subject("encode", _encode(system, facts), _counter(system))
    if isinstance(system, Indexing) and data.candidates is None:
        return Subject("search", _search(system.indexed(data.corpus), data.corpus, depth))
    raise UsageError(_refusal(system, facts))


def _refuse_remote(facts: ModelFacts) -> None:
    if facts.family == Family.API:
        raise UsageError(
            f"{facts.name} asks an endpoint: its time is the network's and its calls are paid. "
            "Measure the model that runs there, on its own machine."
        )
    if facts.family == Family.HYDE:
        raise UsageError(
            f"for each query of {facts.name} a language model writes documents, which is most of "
            "what it costs and is not measured here. Measure the encoder without --hyde."
        )


def _encode(system: Encoder, facts: ModelFacts) -> Answer:
    def answer(texts: Sequence[str]) -> object:
        vectors = system.encode_queries(texts)
        if len(vectors) != len(texts):
            raise ModelError(
                f"{facts.name} returned {len(vectors)} vectors for {len(texts)} queries"
            )
        return vectors

    return answer


def _search(index: Retriever, corpus: Corpus, depth: int) -> Answer:
    def answer(texts: Sequence[str]) -> object:
        return index.search(corpus, _queries(texts), depth)

    return answer


def _queries(texts: Sequence[str]) -> Queries:
    """Queries as a task would hold them, numbered."""
    ids, column = StringBuilder(), TextBuilder()
    ids.extend(str(row).encode() for row in range(len(texts)))
    column.extend([text.encode() for text in texts])
    return Queries(ids.finish(), column.finish())


def _counter(system: System) -> Callable[[], int] | None:
    """How many tokens the system has read so far, if it says so."""
    if getattr(system, "tokens", None) is None:
        return None
    return lambda: int(getattr(system, "tokens", 0))


def _refusal(system: System, facts: ModelFacts) -> str:
    if isinstance(system, Retriever):
        return (
            f"{facts.name} encodes no queries apart from its search, and builds its index anew for "
            "each search: there is no cost of a query to measure. Give it a method "
            "`indexed(corpus)` that returns it with the index built, and name a retrieval task."
        )
    return (
        f"{facts.name} encodes no queries: what it costs depends on the documents it is given. "
        "Measure the encoder of its first stage."
    )
