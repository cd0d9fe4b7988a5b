"""JSON schemas of what is stored and shown, made from the models that read and write it.

They lie in `leaderboard/schema` for those who read the files without this package. `write_schemas`
makes them; a test keeps them in step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cmedteb.leaderboard.board import Board, Comparisons
from cmedteb.leaderboard.published import Published
from cmedteb.models.card import ModelCard
from cmedteb.resources import data_folder
from cmedteb.results import TaskResult
from cmedteb.results.files import write_json
from cmedteb.results.latency import ModelFile

MODELS: dict[str, type[BaseModel]] = {
    "board": Board,
    "card": ModelCard,
    "comparisons": Comparisons,
    "model": ModelFile,
    "published": Published,
    "result": TaskResult,
}


def schemas() -> dict[str, Any]:
    """File name -> schema (JSON Schema 2020-12)."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    made = {name: {**draft, **model.model_json_schema()} for name, model in MODELS.items()}
    # As it reads back: without what only Python tells apart.
    return {f"{name}.json": json.loads(json.dumps(one)) for name, one in made.items()}


def write_schemas(folder: Path | None = None) -> None:
    """Write all of them; by default over those that ship."""
    for name, schema in schemas().items():
        write_json((folder or data_folder("leaderboard") / "schema") / name, schema)
