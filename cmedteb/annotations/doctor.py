"""Asks each judge of a panel whether it can work, before anything is paid for in bulk.

A judge is listed by its endpoint, answers a plain question in the shape that is asked for, and is
shown a plain medical text that content filters have been seen to stop. That is two to four small
calls a judge, and none where its key is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cmedteb.annotations.asking import Asker, open_endpoints
from cmedteb.annotations.canaries import CanaryFile, canary_file
from cmedteb.annotations.config import AnnotationConfig, System
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.panel import Judge
from cmedteb.annotations.records import State
from cmedteb.annotations.rubric import Rubric
from cmedteb.endpoints import Budget, Endpoint, Stop
from cmedteb.errors import CmedtebError, NotAvailableError

NO_KEY = "-"


@dataclass(frozen=True)
class Diagnosis:
    """What was found out of one judge.

    Attributes:
        judge: its label.
        works: whether it gave a grade.
        key: `set`, `missing`, or `-` where none is needed.
        listed: whether its endpoint lists the model; None where it lists none.
        shutdown_date: when the provider says that it ends.
        structure: the best shape in which it gave a grade.
        refuses: what it said to plain medicine, where it gave no grade.
        returned_model: the name that answered.
        warnings: own family, an end that is near, a name that moved.
        problem: why it cannot work.
    """

    judge: str
    works: bool
    key: str
    listed: bool | None = None
    shutdown_date: str | None = None
    structure: str | None = None
    refuses: str | None = None
    returned_model: str | None = None
    warnings: tuple[str, ...] = ()
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def diagnose(config: AnnotationConfig) -> tuple[Diagnosis, ...]:
    """Ask every judge of a panel, one after the other."""
    endpoints = open_endpoints(config.panel, Budget())
    texts, rubric = canary_file(), Rubric.of(config.rubric)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Journal.create(Path(scratch), config, ()) as journal,
    ):
        return tuple(
            _diagnose(Asker(journal, config, one, endpoints[one.label], rubric, {}, {}), texts)
            for one in config.panel.judges
        )


def own_family(judge: Judge, systems: Iterable[System]) -> tuple[str, ...]:
    """Warnings of pooled systems that rest on the same base as a judge: it may prefer them."""
    if judge.family is None:
        return ()
    family = judge.family.lower()
    return tuple(
        f"{system.name} is in the pool and is of the same family ({judge.family})"
        for system in systems
        if family in (system.base or system.name).lower()
    )


def _diagnose(asker: Asker, texts: CanaryFile) -> Diagnosis:
    judge = asker.judge
    key = NO_KEY if judge.key_env is None else "set"
    warnings = own_family(judge, asker.config.systems)
    found = Diagnosis(judge.label, works=False, key=key, warnings=warnings)
    try:
        asker.endpoint.key.read()
    except NotAvailableError as error:
        return replace(found, key="missing", problem=str(error))
    found = replace(found, **_listed(asker.endpoint, judge.model))
    try:
        structure = asker.find_structure(texts.probe, Stop())
        refusal = asker.probe(texts.refusal, structure, Stop())
    except CmedtebError as error:
        return replace(found, problem=str(error))
    return _with_warnings(
        replace(
            found,
            works=True,
            structure=str(structure),
            refuses=None if refusal.state is State.SCORED else str(refusal.state),
            returned_model=_returned(asker),
        ),
        judge,
    )


def _with_warnings(found: Diagnosis, judge: Judge) -> Diagnosis:
    warnings = list(found.warnings)
    if found.shutdown_date is not None:
        warnings.append(f"the provider ends {judge.model} on {found.shutdown_date}")
    if found.returned_model not in {None, judge.model}:
        warnings.append(f"{judge.model} is answered by {found.returned_model}")
    if found.refuses is not None:
        warnings.append(f"plain medicine is not graded but {found.refuses}: expect missing pairs")
    return replace(found, warnings=tuple(warnings))


def _listed(endpoint: Endpoint, model: str) -> dict[str, Any]:
    """Whether the model is listed, and when it ends; endpoints need not list any."""
    try:
        models = endpoint.models()
    except CmedtebError:
        return {}
    own = next((one for one in models if one.get("id") == model), {})
    shutdown = own.get("shutdown_date")
    return {"listed": bool(own), "shutdown_date": None if shutdown is None else str(shutdown)}


def _returned(asker: Asker) -> str | None:
    answers = asker.journal.snapshot().answers
    names = [one.returned_model for one in answers if one.judge == asker.judge.label]
    return next((name for name in reversed(names) if name is not None), None)
