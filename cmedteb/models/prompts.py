"""Which prompt a model gets: flag, else card, else its own configuration, else none.

A prompt is put before the text; `{instruction}` in it stands for the instruction of the task.

Never a silent default: what is chosen here is what the facts and the result state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cmedteb.errors import UsageError
from cmedteb.models.card import Instructions, Prompts
from cmedteb.models.protocols import Role, TaskContext
from cmedteb.types import TaskType

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

INSTRUCTION = "{instruction}"
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
    context: TaskContext,
    *,
    flags: Prompts,
    card: Prompts,
    instructions: Instructions,
    own: Mapping[str, str],
    default: str | None,
) -> dict[Role, str]:
    """The prompt of each side for one task.

    Args:
        context: sentence pairs are symmetric: both sides take the `STS` prompt, and no flag.
        flags: what the user said; an empty text says that there is none.
        card: what the model's card says.
        instructions: what the card's prompts are filled with, see `instruction_for`.
        own: what the model's configuration states, by name.
        default: the configuration's default prompt, if it names one.

    Raises:
        UsageError: a prompt needs an instruction and nobody gives one.
    """
    if context.type is TaskType.STS:
        sts = _filled(_first(card.sts, own.get("STS"), default), instructions, context)
        return {Role.QUERY: sts, Role.DOCUMENT: sts}
    named = [own[name] for name in DOCUMENT_NAMES if name in own]
    document = next(filter(None, named), named[0] if named else None)
    return {
        Role.QUERY: _filled(
            _first(flags.query, card.query, own.get("query"), default), instructions, context
        ),
        Role.DOCUMENT: _filled(
            _first(flags.document, card.document, document, default), instructions, context
        ),
    }


def instruction_for(instructions: Instructions, context: TaskContext) -> str | None:
    """The instruction of a task: the authors' for this kind, else the task's own, else a default.

    Authors who fix an instruction for a kind of task (CARE) used it on every such task; the
    others (Qwen3-Embedding) say that each task should state its own.
    """
    fixed: str | None = getattr(instructions, context.type)
    return next(filter(None, (fixed, context.instruction, instructions.default)), None)


def _filled(prompt: str, instructions: Instructions, context: TaskContext) -> str:
    if INSTRUCTION not in prompt:
        return prompt
    instruction = instruction_for(instructions, context)
    if instruction is None:
        raise UsageError(
            f"the model's prompt {prompt!r} needs an instruction, and neither the model's card nor "
            f"{context.name or 'the task'} gives one. Say it with --query-prompt."
        )
    return prompt.replace(INSTRUCTION, instruction)


def _first(*prompts: str | None) -> str:
    """The first prompt that was stated; an empty one states that there is none."""
    return next((prompt for prompt in prompts if prompt is not None), "")
