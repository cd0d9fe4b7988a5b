"""Joins a system, a task and the results folder: asks the task's queries and keeps a record.

Only what answers queries is measured: an encoder's query side, or the search of a system whose
index can be built beforehand. A reranker's cost depends on its first stage, a composite's on its
parts, an endpoint's on the network: these are refused, not guessed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cmedteb import __version__
from cmedteb.data import Access
from cmedteb.errors import UsageError
from cmedteb.models import ModelFacts, Role, System
from cmedteb.models.custom import facts_of
from cmedteb.results import ResultStore
from cmedteb.results.latency import IndexSearch, LatencyRecord
from cmedteb.runner.evaluate import bind
from cmedteb.runner.latency.clock import Clock, SystemClock
from cmedteb.runner.latency.devices import MemoryMeter, Synchroniser
from cmedteb.runner.latency.index import time_search
from cmedteb.runner.latency.machine import device_of, machine_of
from cmedteb.runner.latency.measure import Asked, measure_latency
from cmedteb.runner.latency.plan import FULL, Plan
from cmedteb.runner.latency.subject import Subject, query_side, subject_of
from cmedteb.runner.predict import model_failures
from cmedteb.runner.record import OWN_LIBRARIES, model_record, versions
from cmedteb.tasks import StsTask, Task
from cmedteb.types import RankingData, Storage


class Filed(NamedTuple):
    """A record, the model it is of, and the `model.json` that holds it."""

    name: str
    revision: str
    record: LatencyRecord
    path: Path


class _Measured(NamedTuple):
    """A task's data, the system bound to it, and what is timed of that."""

    task: Task
    data: RankingData
    system: System
    facts: ModelFacts
    subject: Subject


@dataclass(frozen=True)
class Setup:
    """How to measure.

    Attributes:
        output: the results folder.
        access: where data comes from.
        plan: how long and how often.
        clock: where the time comes from.
        tell: told what happens.
    """

    output: Path
    access: Access
    plan: Plan = FULL
    clock: Clock = field(default_factory=SystemClock)
    tell: Callable[[str], None] = lambda _: None


def measure_tasks(system: System, tasks: Sequence[Task], setup: Setup) -> list[Filed]:
    """Measure what a query of each task costs, and keep that beside the model.

    Sentence pairs have no query side and are left out.

    Raises:
        UsageError: no task has queries, or the system is of a kind that is not measured.
        ModelError: the system failed.
    """
    asking = [task for task in tasks if not isinstance(task, StsTask)]
    for task in tasks:
        if task not in asking:
            setup.tell(f"{task.card.name}: sentence pairs have no query side; left out")
    if not asking:
        raise UsageError(
            "sentence pairs have no query side: name a retrieval or reranking task with -t"
        )
    about = setup.plan.longest * len(asking) / 60
    setup.tell(f"measuring {len(asking)} task(s): at most about {about:.1f} min in all")
    return [_measure_task(system, task, setup) for task in asking]


def _measure_task(system: System, task: Task, setup: Setup) -> Filed:
    bound = bind(system, task)
    facts = facts_of(bound)
    data = task.load(setup.access)
    if not isinstance(data, RankingData):
        raise UsageError(f"{task.card.name} holds sentence pairs, which have no query side")
    with model_failures(facts):
        subject = subject_of(bound, facts, data, depth=setup.plan.depth)
    record = _record(_Measured(task, data, bound, facts, subject), setup)
    path = ResultStore(setup.output).add_latency(model_record(facts), record)
    return Filed(facts.name, facts.revision, record, path)


def _record(measured: _Measured, setup: Setup) -> LatencyRecord:
    task, data, system, facts, subject = measured
    name, plan, side = task.card.name, setup.plan, query_side(system)
    meter = MemoryMeter()
    asked = Asked(
        answer=subject.answer,
        texts=list(data.queries.texts.iter_distinct()),
        prompt=facts.prompts.get(Role.QUERY),
        tokens=subject.tokens,
        synchronise=Synchroniser(),
    )
    with model_failures(facts):
        found = measure_latency(
            asked, plan, clock=setup.clock, tell=lambda part: setup.tell(f"{name}: {part}")
        )
    memory = meter.read()
    return LatencyRecord(
        quick=plan.quick,
        measured=subject.measured,
        task=name,
        dataset_content_hash=data.provenance.content_hash,
        device=device_of(side),
        dtype=side.dtype,
        seed=plan.seed,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        **found._asdict(),
        machine=machine_of(side),
        index_search=_index_search(measured, setup),
        parameters=facts.parameters.get(Role.QUERY),
        memory=memory,
        library_versions={
            "cmedteb": __version__,
            "python": platform.python_version(),
            **versions((*OWN_LIBRARIES, *side.libraries)),
        },
    )


def _index_search(measured: _Measured, setup: Setup) -> IndexSearch | None:
    """The search apart, where vectors of full precision are searched in a whole corpus."""
    data, subject = measured.data, measured.subject
    searched = subject.measured == "encode" and data.candidates is None
    if not searched or measured.facts.storage is not Storage.FLOAT32:
        return None
    setup.tell(f"{measured.task.card.name}: search in the index")
    dimension = subject.dimension(data.queries.texts[0])
    if dimension is None:
        return None
    return time_search(data.corpus.ids, dimension, setup.plan, setup.clock)
