"""What a result says of itself: well-formed, whole, pinned, run on known data, and consistent.

A fingerprint is complete when it covers all that can move a score and says the same as the result
beside it; both are hashed again here.
"""

from __future__ import annotations

import re
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cmedteb.errors import DataError
from cmedteb.leaderboard.bounded import read_json
from cmedteb.leaderboard.check.context import Context
from cmedteb.leaderboard.check.faults import Faults, plain
from cmedteb.leaderboard.describe import COMMIT
from cmedteb.models.card import Family
from cmedteb.results import ORIGINAL, ResultStore, TaskResult, fingerprint
from cmedteb.types import TaskType

BUILT_IN = re.compile(r"^[0-9]+$")
DATED = re.compile(r"20[0-9]{2}-?(0[1-9]|1[0-2])-?(0[1-9]|[12][0-9]|3[01])")
CONTENT = re.compile(r"^sha256-[0-9a-f]{16}$")
MODEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._+-]*$")
COVERED = frozenset(
    {
        "scoring",
        "task",
        "task_version",
        "main_score",
        "split",
        "ignore_identical_ids",
        "data",
        "judgements",
        "limit",
        "depth",
        "model",
        "revision",
        "family",
        "similarity",
        "prompts",
        "pooling",
        "max_length",
        "dtype",
        "dimension",
        "storage",
        "settings",
        "sts_sides",
        "libraries",
    }
)
LABELS = frozenset({"hf_subset", "languages"})
SAME = ("prompts", "pooling", "similarity", "max_length", "dtype", "dimension")


def read_result(path: Path, faults: Faults) -> TaskResult | None:
    """A result by its schema; None (and why) where it is none."""
    try:
        result = TaskResult.model_validate(read_json(path))
    except DataError as error:
        faults.add(path, str(error).removeprefix(f"{path}: "))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[:3]
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in first)
        faults.add(path, f"not a result ({error.error_count()} wrong): {said}")
    else:
        if _has_scores(result):
            return result
        faults.add(path, "has no scores of one split, with a main_score and numbers only")
    return None


def _has_scores(result: TaskResult) -> bool:
    entries = [entry for split in result.scores.values() for entry in split]
    if len(result.scores) != 1 or len(entries) != 1:
        return False
    scores = {name: one for name, one in entries[0].items() if name not in LABELS}
    return "main_score" in scores and all(isinstance(one, float) for one in scores.values())


def check_facts(
    path: Path, folder: Path, result: TaskResult, *, context: Context, faults: Faults
) -> bool:
    """Everything that can be said without the receipt; whether that may be looked at.

    Args:
        path: of the result.
        folder: of the model's revision.
        result: what it says.
        context: what it is held against.
        faults: where to tell.
    """
    card = context.tasks.get(result.task_name)
    if card is None:
        faults.add(path, f"no task is called {plain(result.task_name, longest=60)!r}")
        return False
    model = result.model
    store = ResultStore(context.root)
    placed = store.path(model.name, model.revision, result.task_name, result.judgements.version)
    rules = [
        (bool(MODEL.match(model.name)), "the model's name is not org/model in plain letters"),
        (_same(path, placed), "lies elsewhere than its model, revision, task and version say"),
        (result.checksum == result.content_checksum, "was edited since it was written (checksum)"),
        (
            _pinned(result),
            f"the revision {plain(model.revision, longest=60)!r} is not pinned: "
            "40 hex digits of a commit, the hash of a folder, or an API's dated snapshot",
        ),
        (not result.partial and result.limit is None, "covers some queries only (--limit)"),
        (
            (result.task_type, result.task_version) == (card.type, card.version),
            f"was run on another version of the task than {card.version}",
        ),
        (result.main_score_name == card.main_score, f"its main score is not {card.main_score}"),
        (list(result.scores) == [card.split], f"its split is not {card.split}"),
        (_is_date(result.date), "its date is not an ISO date with a time zone"),
        (_sane(result), "a score is beyond [0, 1] (correlations: [-1, 1]) or its interval is"),
        *_data_rules(result, context),
        *_receipt_rules(path, folder, result),
    ]
    faults.all_of(path, [*rules, *_fingerprint_rules(result)])
    return _receipt_named(path, folder, result)


def _data_rules(result: TaskResult, context: Context) -> list[tuple[bool, str]]:
    agreed = context.data.get(result.task_name)
    if agreed is None:
        return [
            (
                False,
                f"no data of {result.task_name} is known here: a maintainer loads it and "
                "adds it to leaderboard/known.toml first",
            )
        ]
    original = result.judgements.version == ORIGINAL
    return [
        (result.dataset_revision == agreed.revision, f"data revision is not {agreed.revision}"),
        (result.dataset_content_hash == agreed.content_hash, "content hash of the data is unknown"),
        (not original or result.judgements.sha256 == agreed.judgements, "judgements are unknown"),
        (result.units == agreed.units, f"covers {result.units} queries of {agreed.units}"),
    ]


def _receipt_rules(path: Path, folder: Path, result: TaskResult) -> list[tuple[bool, str]]:
    depth = result.receipts.depth
    ranked = result.task_type == TaskType.RETRIEVAL
    cut = isinstance(depth, int) and 10 <= depth <= 1000
    return [
        (_receipt_named(path, folder, result), "its receipt is not receipts/<Task>.tsv.gz"),
        (
            cut if ranked else depth is None,
            "a receipt of retrieval is cut between 10 and 1000, others are not cut",
        ),
    ]


def _fingerprint_rules(result: TaskResult) -> list[tuple[bool, str]]:
    said = result.fingerprint_of
    model = result.model
    beside = {
        "task": result.task_name,
        "task_version": result.task_version,
        "main_score": result.main_score_name,
        "data": result.dataset_content_hash,
        "judgements": result.judgements.sha256,
        "limit": result.limit,
        "model": model.name,
        "revision": model.revision,
        "family": model.family,
        "settings": model.settings,
        **{name: getattr(result, name) for name in SAME},
    }
    missing = sorted(COVERED - said.keys())
    other = sorted(name for name in beside if name in said and said[name] != beside[name])
    return [
        (not missing, f"its fingerprint does not cover {', '.join(missing)}"),
        (not other, f"its fingerprint says other than the result: {', '.join(other)}"),
        (fingerprint(said) == result.fingerprint, "its fingerprint is not that of what it covers"),
    ]


def _receipt_named(path: Path, folder: Path, result: TaskResult) -> bool:
    up = "" if path.parent == folder else "../"
    return result.receipts.path == f"{up}receipts/{path.stem}.tsv.gz"


def _same(path: Path, placed: Path) -> bool:
    return path.absolute() == placed.absolute()


def _pinned(result: TaskResult) -> bool:
    model = result.model
    if model.family == Family.API:
        named = f"{model.revision} {model.settings.get('model', '')} {result.answered_as or ''}"
        return bool(DATED.search(named))
    if model.family in {Family.BM25, Family.HASHING}:
        return bool(BUILT_IN.match(model.revision))
    return bool(COMMIT.match(model.revision) or CONTENT.match(model.revision))


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _sane(result: TaskResult) -> bool:
    lowest = -1.0 if result.task_type == TaskType.STS else 0.0
    bounds = [one for one in (result.interval.low, result.interval.high) if one is not None]
    entry: dict[str, Any] = next(iter(result.scores.values()), [{}])[0] if result.scores else {}
    numbers = [one for one in entry.values() if isinstance(one, int | float)]
    return bool(numbers) and all(
        isfinite(one) and lowest <= one <= 1.0 for one in (*numbers, *bounds)
    )
