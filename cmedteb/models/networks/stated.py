"""What a folder's own config_sentence_transformers.json states, read without that library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cmedteb.errors import DataError
from cmedteb.types import Similarity


@dataclass(frozen=True)
class Stated:
    """A model's own words about itself.

    Attributes:
        prompts: by name.
        default: the text of its default prompt.
        similarity: how its vectors are compared.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    similarity: Similarity | None = None


def stated_by(folder: Path) -> Stated:
    """What a model's folder states; nothing where there is no such file.

    A similarity that cmedteb does not score by counts as none: a card must choose then.

    Raises:
        DataError: the file is no JSON object.
    """
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return Stated()
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON in UTF-8: {error}") from error
    if not isinstance(config, dict):
        raise DataError(f"{path}: holds no JSON object")
    prompts = {
        name: text for name, text in (config.get("prompts") or {}).items() if text is not None
    }
    similarity = config.get("similarity_fn_name")
    return Stated(
        prompts=prompts,
        default=prompts.get(config.get("default_prompt_name") or ""),
        similarity=Similarity(similarity) if similarity in set(Similarity) else None,
    )
