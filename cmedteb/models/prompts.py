"""Which prompt a model gets: flag, else card, else its own configuration, else none.

Never a silent default: what is chosen here is what the facts and the result state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cmedteb.models.card import Prompts
from cmedteb.models.protocols import Role
from cmedteb.types import TaskType

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DOCUMENT_NAMES = ("document", "passage", "corpus")


def stated_prompts(model: SentenceTransformer, folder: Path) -> dict[str, str]:
    """The prompts that a sentence-transformers model's own configuration states, by name.

    The library adds empty ones for `query` and `document`; taken at their word they would switch
    off a default prompt, and a `passage` or `corpus` prompt.
    """
    path = folder / "config_sentence_transformers.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    stated = {name for name, text in (config.get("prompts") or {}).items() if text is not None}
    return {name: text or "" for name, text in model.prompts.items() if name in stated}


def choose_prompts(
    task: TaskType,
    *,
    flags: Prompts,
    card: Prompts,
    own: Mapping[str, str],
    default: str | None,
) -> dict[Role, str]:
    """The prompt of each side for one kind of task.

    Args:
        task: sentence pairs are symmetric: both sides take the `STS` prompt, and no flag.
        flags: what the user said; an empty text says that there is none.
        card: what the model's card says.
        own: what the model's configuration states, by name.
        default: the configuration's default prompt, if it names one.
    """
    if task is TaskType.STS:
        sts = _first(card.sts, own.get("STS"), default)
        return {Role.QUERY: sts, Role.DOCUMENT: sts}
    named = [own[name] for name in DOCUMENT_NAMES if name in own]
    document = next(filter(None, named), named[0] if named else None)
    return {
        Role.QUERY: _first(flags.query, card.query, own.get("query"), default),
        Role.DOCUMENT: _first(flags.document, card.document, document, default),
    }


def _first(*prompts: str | None) -> str:
    """The first prompt that was stated; an empty one states that there is none."""
    return next((prompt for prompt in prompts if prompt is not None), "")
