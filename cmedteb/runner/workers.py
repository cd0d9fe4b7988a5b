"""A model on several devices as one system: workers encode, everything else stays as it is.

A worker loads the model by itself, by what `-m` says; the system here has its facts, bound to each
task, and asks the workers for vectors. Wrappers (hypothetical documents, shorter vectors, a first
stage) go around it in this process. Before a worker encodes, it checks that its model is the one
that the result will name: a node with another revision, type or library is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmedteb import __version__
from cmedteb.encoding import Encoded, default_budget
from cmedteb.encoding.pipeline import Source
from cmedteb.encoding.workers import (
    Crew,
    Plan,
    Planned,
    Processes,
    RayActors,
    Split,
    Workers,
    devices_of,
    split_texts,
)
from cmedteb.errors import ModelError, UsageError
from cmedteb.models import (
    Composite,
    Encoder,
    ModelFacts,
    ModelOptions,
    Reranker,
    Retriever,
    Role,
    Splittable,
    Streaming,
    System,
    TaskAware,
    TaskContext,
    find_card,
    load_model,
)
from cmedteb.models.card import Family
from cmedteb.models.custom import facts_of
from cmedteb.models.options import WRAPPING
from cmedteb.models.registry import PREFIXES
from cmedteb.models.wrapping import wrap
from cmedteb.runner.record import major_versions
from cmedteb.types import Float32Array

# Families that are no model on a device, or whose parts are loaded each for itself.
ELSEWHERE = {Family.API, Family.BM25, Family.FUSION, Family.HASHING, Family.HYDE}


class Side(NamedTuple):
    """What a worker is to encode with.

    Attributes:
        context: the task; None before there is one.
        role: the side.
        budget: of one forward pass; None lets the model choose.
        identity: what its vectors must come from, see `identity_of`.
    """

    context: TaskContext | None
    role: Role
    budget: int | None
    identity: str


def identity_of(facts: ModelFacts, role: Role) -> str:
    """Everything that makes the vectors of a side, as the vector store is keyed by it."""
    libraries = major_versions(facts.libraries)
    made = {**facts.side(role), "libraries": libraries, "cmedteb": __version__}
    return json.dumps(made, sort_keys=True, default=str, ensure_ascii=False)


def split_of(system: Encoder, role: Role, budget: int | None) -> Split:
    """A side of a model in two halves: its own, else by characters."""
    if isinstance(system, Splittable):
        return system.split(role, budget)
    facts = facts_of(system)
    encode = system.encode_queries if role is Role.QUERY else system.encode_documents
    return split_texts(encode, budget=budget or default_budget(facts.device), cap=facts.max_length)


class HowEncoded(NamedTuple):
    """The question how a worker encodes, bound to a task."""

    context: TaskContext | None


class LoadedModel:
    """The model in a worker: a `cmedteb.encoding.workers.Bench`."""

    def __init__(self, system: System) -> None:
        facts = facts_of(system)
        own = isinstance(system, Streaming | Composite | Retriever | Reranker)
        if own or not isinstance(system, Encoder):
            raise UsageError(
                f"{facts.name} ({facts.family}) is no model that encodes text after text on a "
                "device, so workers could not share its work: leave --devices and --ray out"
            )
        self._system: Encoder = system
        self._bound: dict[TaskContext | None, Encoder] = {None: system}
        self._splits: dict[Side, Split] = {}

    @property
    def tokens(self) -> int | None:
        """Tokens encoded so far; None where the model does not count."""
        return getattr(self._system, "tokens", None)

    def describe(
        self, ask: TaskContext | Side | HowEncoded | None
    ) -> ModelFacts | Plan | str | None:
        """The facts of the model, bound to a task; the plan of a side; or how it encodes."""
        if isinstance(ask, Side):
            return self._split(ask).plan
        if isinstance(ask, HowEncoded):
            return getattr(self._for(ask.context), "path", None)
        return facts_of(self._for(ask))

    def encode(self, ask: Side, batches: Sequence[Planned]) -> Iterator[Encoded]:
        """The vectors of batch after batch.

        Raises:
            ModelError: this worker's model is not the one that is asked for.
        """
        return self._split(ask).run(batches)

    def _split(self, ask: Side) -> Split:
        if ask not in self._splits:
            system = self._for(ask.context)
            _refuse_another(identity_of(facts_of(system), ask.role), ask.identity)
            self._splits[ask] = split_of(system, ask.role, ask.budget)
        return self._splits[ask]

    def _for(self, context: TaskContext | None) -> Encoder:
        if context not in self._bound:
            aware = self._system
            self._bound[context] = (
                aware.for_task(context)
                if context is not None and isinstance(aware, TaskAware)
                else aware
            )
        return self._bound[context]


def _refuse_another(here: str, asked: str) -> None:
    if here == asked:
        return
    mine, theirs = json.loads(here), json.loads(asked)
    name = next(name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name))
    raise ModelError(
        f"the workers do not run the same model: {name} is {mine.get(name)!r} on one and "
        f"{theirs.get(name)!r} on another. Install the same versions on all machines, and set "
        "--dtype if their devices differ."
    )


def load_worker(spec: str, options: ModelOptions, device: str) -> LoadedModel:
    """Load a model in a worker.

    Raises:
        UsageError: it is of a kind whose work cannot be shared.
        CmedtebError: as `load_model`.
    """
    return LoadedModel(load_model(spec, replace(options, device=device)))


@dataclass(frozen=True)
class SpreadEncoder:
    """An encoder whose vectors come from workers; a system like any other.

    Attributes:
        workers: that encode.
        facts: of the model, bound to the task.
        context: the task.
        budget: characters of one forward pass; None chooses by device.
    """

    workers: Workers
    facts: ModelFacts
    context: TaskContext | None = None
    budget: int | None = None
    _facts_of: dict[TaskContext, ModelFacts] = field(default_factory=dict, repr=False)

    @property
    def tokens(self) -> int | None:
        """Tokens that all workers encoded so far; None where the model does not count."""
        return self.workers.tokens

    @property
    def path(self) -> str | None:
        """How workers encode, where their model says so."""
        told: str | None = self.workers.describe(HowEncoded(self.context))
        return told

    def for_task(self, context: TaskContext) -> SpreadEncoder:
        """The same model with the prompts that this task takes."""
        if context not in self._facts_of:
            self._facts_of[context] = self.workers.describe(context)
        return replace(self, context=context, facts=self._facts_of[context])

    def with_budget(self, budget: int) -> SpreadEncoder:
        """The same with so many characters of one forward pass, padding counted."""
        return replace(self, budget=budget)

    def source(self, role: Role, budget: int | None = None) -> Source:
        """A side as a source of vectors, by the plan of one process."""
        if budget is not None and budget != self.budget:
            return self.with_budget(budget).source(role)
        side = Side(self.context, role, self.budget, identity_of(self.facts, role))
        plan: Plan = self.workers.describe(side)
        return self.workers.source(side, plan)

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts, in the order in which workers give them."""
        import pyarrow as pa

        return self.source(role)(pa.chunked_array([pa.array(texts, pa.string())]))

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return _gathered(self.stream(texts, Role.QUERY), len(texts))

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return _gathered(self.stream(texts, Role.DOCUMENT), len(texts))


def _gathered(parts: Iterable[Encoded], texts: int) -> Float32Array:
    vectors = np.empty((texts, 0), dtype=np.float32)
    for rows, part in parts:
        if not vectors.size:
            vectors = np.empty((texts, *part.shape[1:]), dtype=np.float32)
        vectors[rows] = part
    return vectors


@contextmanager
def opened_model(
    spec: str, options: ModelOptions, *, devices: str = "auto", ray: str | None = None
) -> Iterator[System]:
    """Load a model where it is to run: in this process, or in workers that end with the context.

    Args:
        spec: what `-m` takes.
        options: what the caller sets about the model.
        devices: see `cmedteb.encoding.workers.devices_of`; with `ray`, `auto` or a number.
        ray: the address of a Ray cluster.

    Raises:
        UsageError: devices that contradict the options, or a model whose work cannot be shared.
        CmedtebError: as `load_model`.
    """
    wish = _Wish(spec, options, devices, ray)
    with ExitStack() as stack:
        yield wish.system(stack)


class _Wish(NamedTuple):
    """What `opened_model` is asked for."""

    spec: str
    options: ModelOptions
    devices: str
    ray: str | None

    def system(self, stack: ExitStack) -> System:
        """The system; what it needs ends with the stack."""
        unasked = self.devices == "auto" and self.ray is None
        if unasked and _elsewhere(self.spec, self.options):
            return load_model(self.spec, self.options)
        found = () if self.ray is not None else devices_of(self.devices, self.options.device)
        if self.ray is None and len(found) < 2:
            device = found[0] if found else self.options.device
            return load_model(self.spec, replace(self.options, device=device))
        try:
            return self._spread(stack, found)
        except UsageError:
            if not unasked:
                raise
        # Nobody asked for workers, so a model that they cannot share runs as it always did; what
        # else is wrong with the request is said once more here.
        stack.close()
        return load_model(self.spec, self.options)

    def _spread(self, stack: ExitStack, devices: Sequence[str]) -> System:
        unwrapped = frozenset(one.name for one in fields(ModelOptions)) - WRAPPING
        open_bench = partial(load_worker, self.spec, self.options.only(unwrapped))
        crew: Crew
        if self.ray is None:
            crew = Processes(open_bench, devices)
        else:
            number, device = _number(self.devices), self.options.device
            crew = RayActors(open_bench, self.ray, workers=number, device=device)
        workers = stack.enter_context(Workers(crew, model=Path(self.spec).name))
        return wrap(SpreadEncoder(workers, workers.describe(None)), self.options)


def _number(devices: str) -> int | None:
    if devices in {"auto", "all"}:
        return None
    if devices.isdigit():
        return int(devices)
    raise UsageError(
        f"--devices {devices} with --ray: Ray places the workers, so say how many (or `all`)"
    )


def _elsewhere(spec: str, options: ModelOptions) -> bool:
    """Whether no device of this machine would run it, as far as its name says; loads nothing."""
    if options.query_model or options.document_model or Path(spec).expanduser().is_dir():
        return False
    card = find_card(spec)
    if card is not None:
        return card.family in ELSEWHERE
    prefix, _, name = spec.partition(":")
    return bool(name) and prefix in PREFIXES and PREFIXES[prefix][0] in ELSEWHERE
