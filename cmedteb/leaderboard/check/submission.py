"""All checks of a results folder, or of what changed in it since a base."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from cmedteb.errors import CmedtebError, DataError
from cmedteb.leaderboard.bounded import (
    MAX_DEPTH,
    MAX_JSON,
    depth_of,
    read_bytes,
    read_gzip,
    read_json,
)
from cmedteb.leaderboard.check.context import Context
from cmedteb.leaderboard.check.facts import check_facts, read_result
from cmedteb.leaderboard.check.faults import Fault, Faults, plain
from cmedteb.leaderboard.check.history import Base, changed, check_history, hashes
from cmedteb.leaderboard.check.layout import JUDGEMENT_FILE, JUDGEMENTS, files, revisions
from cmedteb.leaderboard.check.originality import Other, check_original
from cmedteb.leaderboard.check.receipts import check_receipt
from cmedteb.leaderboard.workers import Workers
from cmedteb.models.card import UNKNOWN, ModelCard, read_card
from cmedteb.results import ORIGINAL, TaskResult
from cmedteb.results.latency import ModelFile
from cmedteb.results.receipts import content_hash

NO_RESULTS = {"model.json"}
# Below so many folders, starting processes takes longer than checking.
_WORTH_PROCESSES = 8


def check(
    context: Context, *, only: list[Path] | None = None, base: Base | None = None
) -> list[Fault]:
    """Check a results folder.

    Args:
        context: the folder, and what it is held against.
        only: folders of models or revisions in it; all by default.
        base: the folder as it was: then only what changed is checked, and nothing may be lost.

    Returns:
        Faults and warnings, by path.
    """
    faults = Faults()
    folders = revisions(context.root, faults)
    if base is not None:
        now = hashes(context.root)
        check_history(context.root, now, base, faults)
        touched = changed(now, base)
        folders = [one for one in folders if _touched(one, touched, context.root)]
    if only is not None:
        folders = [one for one in folders if any(place in {one, *one.parents} for place in only)]
    _check_judgements(context, faults)
    parts = _parts(folders, context)
    with Workers() as workers:
        for found in workers.map(_check_part, parts, heavy=len(folders) >= _WORTH_PROCESSES):
            faults.found += found
    return sorted(faults.found, key=lambda one: (str(one.path), one.warning))


class _Part(NamedTuple):
    """Some folders of models, all other results beside them."""

    folders: list[Path]
    context: Context
    others: list[Other]


def _parts(folders: list[Path], context: Context) -> list[_Part]:
    """Two for every process, with every so manieth folder: neighbours are of a kind."""
    others = _others(context.root)
    count = min(len(folders), 2 * (os.cpu_count() or 1))
    return [_Part(folders[start::count], context, others) for start in range(count)]


def _check_part(part: _Part) -> list[Fault]:
    faults = Faults()
    for folder in part.folders:
        _check_folder(folder, part.context, part.others, faults)
    return faults.found


def _check_folder(folder: Path, context: Context, others: list[Other], faults: Faults) -> None:
    if _holds_link(folder):
        # Nothing is read that a link could lead to.
        files(folder, faults)
        return
    there = files(folder, faults)
    results = [path for path in there if path.suffix == ".json" and path.name not in NO_RESULTS]
    if not results:
        faults.add(folder, "holds no result")
    read: dict[Path, TaskResult] = {}
    for path in results:
        result = read_result(path, faults)
        if result is None:
            continue
        read[path] = result
        if check_facts(path, folder, result, context=context, faults=faults):
            checked = check_receipt(path, folder, result, context=context, faults=faults)
            if checked is not None and result.judgements.version == ORIGINAL:
                check_original(checked, others, faults)
    _check_model(folder, list(read.values()), faults)
    _check_card(folder, list(read.values()), context.cards, faults)
    stems = {path.stem for path in results}
    for path in there:
        if path.name.endswith(".tsv.gz") and path.name.removesuffix(".tsv.gz") not in stems:
            faults.add(path, "is the receipt of no result")


def _check_model(folder: Path, results: list[TaskResult], faults: Faults) -> None:
    path = folder / "model.json"
    try:
        model = ModelFile.model_validate(read_json(path))
    except DataError as error:
        faults.add(path, str(error).removeprefix(f"{path}: "))
        return
    except ValidationError as error:
        faults.add(path, f"not a model file: {error.error_count()} entries are wrong")
        return
    said = model.model_dump(exclude={"latency"})
    if any(result.model.model_dump() != said for result in results):
        faults.add(path, "says other than the results beside it")


def _check_card(
    folder: Path, results: list[TaskResult], cards: Mapping[str, ModelCard], faults: Faults
) -> None:
    """Training sets are declared, if only as unknown."""
    path = folder / "card.toml"
    card = cards.get(results[0].model.name) if results else None
    if path.is_symlink() or path.exists():
        try:
            if depth_of(read_bytes(path, MAX_JSON)) > MAX_DEPTH:
                raise DataError(f"nested more than {MAX_DEPTH} deep")
            card = read_card(path)
        except CmedtebError as error:
            faults.add(path, str(error).removeprefix(f"{path}: "))
            return
    if card is None:
        faults.add(path, "is missing: it says what the model is and was trained on (training_sets)")
    elif "training_sets" not in card.model_fields_set:
        faults.add(path, 'does not declare training_sets; [] is none, "unknown" is allowed')
    elif card.training_sets == UNKNOWN:
        faults.warn(path, "training sets are unknown: no task counts as unseen")
    if card is not None and len(card.title) > 200:
        faults.add(path, "its title is longer than 200 characters")
    if results and results[0].model.name.startswith("local/") and not (card and card.sources):
        faults.add(path, "does not say where these weights can be had ([sources])")


def _check_judgements(context: Context, faults: Faults) -> None:
    """The judgements that results were scored against are whole and agreed."""
    agreed = {(task, data.judgements) for task, data in context.data.items()}
    folder = context.root / JUDGEMENTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        named = JUDGEMENT_FILE.match(path.name)
        if named is None:
            faults.add(path, "no file of judgements is called this")
            continue
        try:
            lines = read_gzip(path).decode("utf-8").removesuffix("\n").split("\n")
        except (CmedtebError, UnicodeDecodeError) as error:
            faults.add(path, str(error).removeprefix(f"{path}: "))
            continue
        sha256 = content_hash(lines)
        if not sha256.startswith(named[2]):
            faults.add(path, "does not hold the judgements that its name says")
        elif (named[1], sha256) not in agreed and named[1] not in context.releases:
            faults.add(path, f"holds judgements of {plain(named[1])} that are not known here")


def _others(root: Path) -> list[Other]:
    """Every readable result of the folder; what cannot be read is told where it is checked."""
    found = []
    for folder in revisions(root, Faults()):
        for path in files(folder, Faults()):
            if path.parent == folder and path.suffix == ".json" and path.name not in NO_RESULTS:
                result = read_result(path, Faults())
                if result is not None:
                    found.append(Other(path, folder, result))
    return found


def _touched(folder: Path, touched: set[str], root: Path) -> bool:
    prefix = f"{folder.relative_to(root).as_posix()}/"
    return any(name.startswith(prefix) for name in touched) or _holds_link(folder)


def _holds_link(folder: Path) -> bool:
    return any(path.is_symlink() for path in folder.rglob("*"))
