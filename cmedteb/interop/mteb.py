"""Results as mteb's cache holds them, for `mteb.ResultCache(DIR).load_results()`.

    DIR/results/<org>__<model>/<revision>/<Task>.json
    DIR/results/<org>__<model>/<revision>/model_meta.json

It writes files only and does not need mteb. Results over a part of the queries and under other
than the original judgements stay out: mteb has no word for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cmedteb.results import ORIGINAL, TaskResult
from cmedteb.results.files import write_json
from cmedteb.results.select import Stored

KEYS = (
    "dataset_revision",
    "task_name",
    "mteb_version",
    "scores",
    "evaluation_time",
    "kg_co2_emissions",
    "date",
    "evaluation_phases",
)


def export(stored: Iterable[Stored], folder: Path) -> list[Path]:
    """Write results as mteb's cache; returns the files of results."""
    written = []
    for one in stored:
        result = one.result
        if result.partial or result.judgements.version != ORIGINAL:
            continue
        model = result.model
        home = folder / "results" / model.name.replace("/", "__") / model.revision
        write_json(home / "model_meta.json", model_meta(result))
        document = result.model_dump(mode="json")
        write_json(home / f"{result.task_name}.json", {key: document[key] for key in KEYS})
        written.append(home / f"{result.task_name}.json")
    return written


def model_meta(result: TaskResult) -> dict[str, Any]:
    """What mteb's loader reads of a model; unknown is null."""
    model = result.model
    return {
        "name": model.name,
        "revision": model.revision,
        "languages": None,
        "n_parameters": model.parameters.get("document"),
        "max_tokens": model.max_length,
        "embed_dim": model.dimension,
        "similarity_fn_name": model.similarity,
        "framework": [],
        "training_datasets": None,
    }
