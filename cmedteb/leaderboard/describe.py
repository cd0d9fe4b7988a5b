"""What is known of each model, from its results, its `model.json` and its card.

A card beside the results (`card.toml`, the form of `leaderboard/models/*.toml`) comes before one
that ships with cmedteb. What nobody declared is None, which is unknown, never none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmedteb.leaderboard.board import Environment, Latency, ModelEntry, PromptUse
from cmedteb.leaderboard.load import Stored
from cmedteb.models.card import Family, ModelCard, all_cards, known, read_card
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.latency import LatencyRecord
from cmedteb.tasks import TaskCard

COMMIT = re.compile(r"^[0-9a-f]{40}$")
# Systems that have no weights to open.
OPEN_FAMILIES = {Family.BM25, Family.HASHING}


def describe(
    slug: str,
    stored: list[Stored],
    *,
    store: ResultStore,
    cards: Mapping[str, ModelCard],
    tasks: Mapping[str, TaskCard],
) -> ModelEntry:
    """One model.

    Args:
        slug: its name for files and addresses.
        stored: its results that count.
        store: the results folder.
        cards: those that ship, by what results call their models (see `cards_by_model`).
        tasks: all tasks of the board, for the trained-on flags.
    """
    newest = max((one.result for one in stored), key=lambda result: (result.date, result.task_name))
    model = newest.model
    card = find_card(store.folder(model.name, model.revision), model.name, cards)
    sets = known(card.training_sets) if card is not None else None
    query, document = (model.parameters.get(side) for side in ("query", "document"))
    api = model.family == Family.API
    return ModelEntry(
        slug=slug,
        name=model.name,
        revision=model.revision,
        title=card.title if card is not None else model.name,
        family=model.family,
        query_parameters=query,
        document_parameters=document,
        asymmetric=model.family == Family.PAIR or query != document,
        api=api,
        open_weights=_open(model.family, model.revision),
        licence=known(card.licence) if card is not None else None,
        similarity=model.similarity,
        dimension=model.dimension,
        pooling=model.pooling,
        max_length=model.max_length,
        settings=model.settings,
        training_sets=None if sets is None else tuple(sets),
        trained_on={name: trained_on(sets, task) for name, task in tasks.items()},
        bytes_per_document=newest_storage(stored, "bytes_per_document"),
        storage=newest_storage(stored, "vectors"),
        prompts=_prompts(stored),
        environments=_environments(stored),
        latency=tuple(map(latency_of, store.latency(model.name, model.revision))),
        date=newest.date,
    )


def cards_by_model() -> dict[str, ModelCard]:
    """The shipped cards by the names that results give to their models."""
    found = {}
    for name, card in sorted(all_cards().items()):
        wrapped = card.family in {Family.HYDE, Family.FUSION}
        found[card.hf if card.hf and not wrapped else f"cmedteb/{name}"] = card
        found.setdefault(f"cmedteb/{name}", card)
        found.setdefault(name, card)
    return found


def find_card(folder: Path, model: str, cards: Mapping[str, ModelCard]) -> ModelCard | None:
    """The card of a model: beside its results, else the shipped one.

    Raises:
        DataError: `card.toml` is no card.
    """
    own = folder / "card.toml"
    return read_card(own) if own.is_file() else cards.get(model)


def trained_on(sets: tuple[str, ...] | None, task: TaskCard) -> bool | None:
    """Whether a model has seen what a task was made of, by what its authors declare."""
    if sets is None:
        return None
    made_of = {name.casefold() for name in (task.name, *task.contamination.derived_from)}
    return bool(made_of & {name.casefold() for name in sets})


def latency_of(record: LatencyRecord) -> Latency:
    """The numbers of a record that a reader compares."""
    stream, machine = record.single_stream, record.machine
    return Latency(
        device=record.device,
        cpu=machine.cpu,
        dtype=record.dtype,
        task=record.task,
        quick=record.quick,
        measured=record.measured,
        p50=round(stream.p50_ms.value, 3),
        p95=round(stream.p95_ms.value, 3),
        p99=None if stream.p99_ms is None else round(stream.p99_ms.value, 3),
        queries_per_second=round(record.offline.queries_per_second, 2),
        sustained=round(record.server.queries_per_second, 2),
        peak_bytes=record.memory.peak_bytes,
    )


def newest_storage(stored: list[Stored], field: str) -> Any:  # noqa: ANN401  one of a record's fields
    """A field of the newest record of how vectors are stored; None where there are none."""
    found = [one.result for one in stored if one.result.storage is not None]
    if not found:
        return None
    return getattr(max(found, key=lambda result: (result.date, result.task_name)).storage, field)


def _open(family: str, revision: str) -> bool | None:
    """An endpoint's weights are not open; a commit of a hub says that they can be downloaded."""
    if family == Family.API:
        return False
    if family in OPEN_FAMILIES or COMMIT.match(revision):
        return True
    return None


def _prompts(stored: list[Stored]) -> tuple[PromptUse, ...]:
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in stored:
        key = tuple(sorted(one.result.prompts.items()))
        groups.setdefault(key, []).append(one.result.task_name)
    return tuple(
        PromptUse(prompts=dict(key), tasks=tuple(sorted(tasks)))
        for key, tasks in sorted(groups.items())
    )


def _environments(stored: list[Stored]) -> tuple[Environment, ...]:
    groups: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[str]] = {}
    for one in stored:
        groups.setdefault(_environment(one.result), []).append(one.result.task_name)
    return tuple(
        Environment(
            device=device,
            dtype=dtype or None,
            libraries=dict(libraries),
            tasks=tuple(sorted(tasks)),
        )
        for (device, dtype, libraries), tasks in sorted(groups.items())
    )


def _environment(result: TaskResult) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return result.device, result.dtype or "", tuple(sorted(result.library_versions.items()))
