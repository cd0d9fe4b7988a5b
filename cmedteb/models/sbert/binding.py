"""Binds a model of sentence-transformers to a task, and says what it then is.

A model is told apart by what runs, not by what its card hopes: lengths, pooling, dimension, types
and parameters are read from the loaded modules of each side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cmedteb.encoding.devices import device_name
from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import Family
from cmedteb.models.prompts import INSTRUCTION, choose_prompts, stated_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.sbert.load import Loaded
from cmedteb.models.sbert.routes import Route, shared_dimension, stated
from cmedteb.types import Similarity, TaskType

LIBRARIES = ("sentence-transformers", "transformers", "tokenizers", "torch")


@dataclass(frozen=True)
class Bound:
    """How a loaded model runs on one task.

    Attributes:
        routes: of each side.
        prompts: of each side.
        sts_sides: which side encodes sentence 1 and sentence 2; None where nobody says.
        apart: whether a text with the same prompt may get another vector on the other side.
    """

    routes: Mapping[Role, Route]
    prompts: Mapping[Role, str]
    sts_sides: tuple[Role, Role] | None
    apart: bool

    def prompt(self, role: Role) -> str:
        """What stands before a side's texts.

        Raises:
            UsageError: it needs the instruction of a task, and the model is bound to none.
        """
        prompt = self.prompts[role]
        if INSTRUCTION in prompt:
            raise UsageError(
                f"the model's prompt {prompt!r} needs the instruction of a task: bind the model to "
                "one with for_task, or say the prompt with --query-prompt"
            )
        return prompt


def bind_to_none(loaded: Loaded) -> Bound:
    """How a model runs that was told no task: as on retrieval."""
    instruction = loaded.settings.instructions.default or INSTRUCTION
    return bind(loaded, TaskContext("", TaskType.RETRIEVAL, instruction))


def bind(loaded: Loaded, context: TaskContext) -> Bound:
    """The routes and prompts that a task takes.

    Two sides that are two encoders are no symmetric model: which of them encodes which sentence
    of a pair must be said.

    Raises:
        UsageError: a side has no route, or a prompt needs an instruction and nobody gives one.
    """
    settings, routes = loaded.settings, loaded.routes(context.type)
    query, document = routes[Role.QUERY], routes[Role.DOCUMENT]
    named_apart = bool(settings.tasks) and query.task != document.task
    two_sided = query.modules != document.modules or named_apart
    return Bound(
        routes=routes,
        prompts=_prompts(loaded, context, two_sided=two_sided),
        sts_sides=settings.sts_sides or (None if two_sided else (Role.QUERY, Role.QUERY)),
        apart=bool(settings.tasks)
        or "task" in loaded.model.get_model_kwargs()
        or (query.modules, query.max_length) != (document.modules, document.max_length),
    )


def _prompts(loaded: Loaded, context: TaskContext, *, two_sided: bool) -> dict[Role, str]:
    settings = loaded.settings
    own = stated_prompts(loaded.model, loaded.weights.folder)
    instructions = settings.instructions
    said = settings.card.sts is not None or "STS" in own
    if context.type is TaskType.STS and two_sided and not said:
        # Each encoder reads a sentence as it reads the texts of its side.
        instructions = instructions.model_copy(update={"retrieval": instructions.sts})
        context = replace(context, type=TaskType.RETRIEVAL)
    return choose_prompts(
        context,
        flags=settings.flags,
        card=settings.card,
        instructions=instructions,
        own=own,
        default=own.get(loaded.model.default_prompt_name or ""),
    )


def facts_of_library(
    loaded: Loaded,
    bound: Bound,
    *,
    family: Family,
    cut: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ModelFacts:
    """What a model is, read from the model itself.

    Args:
        loaded: the model.
        bound: to a task.
        family: that runs it.
        cut: where its vectors end.
        settings: what else moves its scores.

    Raises:
        UsageError: its vectors are compared in a way that cmedteb does not have.
        DataError: its two sides share no vector space.
    """
    routes, name = bound.routes, loaded.weights.name
    lengths = {str(role): route.max_length for role, route in sorted(routes.items())}
    longest = max(length or 0 for length in lengths.values())
    moving: dict[str, Any] = dict(settings or {})
    if len(set(lengths.values())) > 1:
        moving["max_length"] = lengths
    if loaded.settings.compile:
        moving["compile"] = True
    if loaded.settings.tasks:
        moving["tasks"] = dict(sorted(loaded.settings.tasks.items()))
    facts = ModelFacts(
        name=name,
        revision=loaded.weights.revision,
        family=str(family),
        similarity=_similarity(loaded),
        prompts={str(role): prompt for role, prompt in bound.prompts.items()},
        pooling=stated(routes, "pooling"),
        max_length=None if None in lengths.values() else longest,
        dtype=stated(routes, "dtype"),
        dimension=shared_dimension(routes, cut, whose=name),
        parameters={str(role): route.parameters for role, route in routes.items()},
        sts_sides=bound.sts_sides,
        settings=moving,
        libraries=LIBRARIES,
        device=device_name(loaded.model.device),
    )
    if not bound.apart:
        return facts
    # Without their routes the sides would look alike, and one would be given the other's vectors.
    sides = {role: {**facts.side(role), "task": route.task} for role, route in routes.items()}
    return replace(facts, sides=sides)


def _similarity(loaded: Loaded) -> Similarity:
    name = loaded.settings.similarity or loaded.model.similarity_fn_name
    try:
        return Similarity(name)
    except ValueError as error:
        raise UsageError(
            f"the model compares vectors by {name!r}; cmedteb scores dot and cosine only"
        ) from error


def refuse_other_dimension(loaded: Loaded, bound: Bound, cut: int | None = None) -> None:
    """Raise where the two sides, or the card and the model, differ in dimension.

    Raises:
        DataError: they do.
    """
    name, card = loaded.weights.name, loaded.settings.dimension
    found = shared_dimension(bound.routes, cut, whose=name)
    if card is not None and found is not None and card != found:
        raise DataError(
            f"{name}: its card says dimension = {card}, but the model that was loaded makes "
            f"vectors of {found}. Correct the card (--truncate-dim shortens vectors), or check "
            "that these are the weights it speaks of."
        )
