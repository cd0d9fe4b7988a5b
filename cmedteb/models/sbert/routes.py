"""The modules that each side of a sentence-transformers model runs through, and what they say.

A symmetric model has one way through for all texts. A `Router` has several, chosen by the task
that the library is told (`query`, `document`): then parameters, pooling, maximum length, type and
dimension may differ by side, and nothing that is true of one side is said of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cmedteb.errors import DataError, UsageError
from cmedteb.models.protocols import Role

if TYPE_CHECKING:
    import torch
    from sentence_transformers.base.model import BaseModel

# Tokenizers without a limit say 1e30, and static embeddings say infinity.
NO_LIMIT = 10**9
DIMENSION = (
    "get_embedding_dimension",
    "get_sentence_embedding_dimension",
    "get_word_embedding_dimension",
)
ALIASES = {"last": "lasttoken", "last_token": "lasttoken"}


@dataclass(frozen=True)
class Route:
    """What the texts of one side run through.

    Attributes:
        task: what the library is told to find the way.
        modules: in order, routers resolved.
    """

    task: str
    modules: tuple[Any, ...]

    @property
    def pooling(self) -> str:
        """The modules after the transformer with their modes, such as `mean > Normalize`."""
        steps = [_step(module) for module in self.modules]
        return " > ".join(steps if is_table(self.modules[0]) else steps[1:] or steps)

    @property
    def modes(self) -> set[str]:
        """How token states become one vector, as far as modules have a name for it."""
        return set(filter(None, map(_mode, self.modules)))

    @property
    def max_length(self) -> int | None:
        """In tokens; None where texts are not cut."""
        first = self.modules[0]
        tokenizer: Any = getattr(first, "tokenizer", None)
        if _is_bare(tokenizer):
            return tokenizer.truncation["max_length"] if tokenizer.truncation else None
        lengths = (
            getattr(first, f"{self.task}_length", None),
            getattr(tokenizer, "model_max_length", None),
            getattr(first, "max_seq_length", None),
        )
        length = next((length for length in lengths if length is not None), NO_LIMIT)
        return int(length) if length < NO_LIMIT else None

    @cached_property
    def dimension(self) -> int | None:
        """Of the vectors that come out; None where no module knows."""
        return next(filter(None, map(self._width, reversed(self.modules))), None)

    def _width(self, module: Any) -> int | None:  # noqa: ANN401  any module of the library
        for name in DIMENSION:
            if (method := getattr(module, name, None)) is not None:
                width: int | None = method()
                if width is None and type(module).__name__ == "SpladePooling":
                    return int(self.modules[0].config.vocab_size)
                return width
        return None

    @cached_property
    def parameters(self) -> int:
        """Weights, each counted once."""
        own = {id(one): one.numel() for module in self.modules for one in module.parameters()}
        return sum(own.values())

    @property
    def dtype(self) -> str:
        """Of the weights."""
        types = (str(one.dtype) for module in self.modules for one in module.parameters())
        return next(types, "float32").removeprefix("torch.")


def routes_of(model: BaseModel, tasks: Mapping[Role, str], *, whose: str) -> dict[Role, Route]:
    """The way of each side's texts through a model.

    Args:
        model: loaded.
        tasks: what the library is told, by side; the side's own name if nothing is said.
        whose: for messages.

    Raises:
        UsageError: a router knows no way for a side.
    """
    told = {role: tasks.get(role, str(role)) for role in Role}
    return {role: Route(task, tuple(_resolved(model, task, whose))) for role, task in told.items()}


def _resolved(modules: Any, task: str, whose: str) -> Iterator[Any]:  # noqa: ANN401  a Sequential
    from sentence_transformers.base.modules import Router

    for module in modules:
        if not isinstance(module, Router):
            yield module
            continue
        try:
            name: Any = module._resolve_route(task=task, modality="text")
        except ValueError as error:
            routes = ", ".join(module.sub_modules)
            raise UsageError(
                f"{whose} has routes {routes} and none for {task!r}. Say on its card which one "
                'encodes which side: [settings.tasks] query = "..." and document = "..."'
            ) from error
        yield from _resolved(module.sub_modules[name], task, whose)


def stated(routes: Mapping[Role, Route], fact: str) -> str:
    """A fact of both sides; each side's own where they differ."""
    query, document = (str(getattr(routes[role], fact)) for role in (Role.QUERY, Role.DOCUMENT))
    return query if query == document else f"query: {query}; document: {document}"


def shared_dimension(routes: Mapping[Role, Route], cut: int | None, *, whose: str) -> int | None:
    """The dimension of the vectors of both sides, cut where the model's configuration says so.

    Raises:
        DataError: the two sides differ, so that their vectors cannot be compared.
    """
    full = {role: route.dimension for role, route in routes.items()}
    widths = {role: min(filter(None, (width, cut)), default=None) for role, width in full.items()}
    query, document = widths[Role.QUERY], widths[Role.DOCUMENT]
    if query is not None and document is not None and query != document:
        raise DataError(
            f"{whose}: its queries get vectors of {query} dimensions and its documents of "
            f"{document}, so the two sides share no vector space. Check its routes."
        )
    return query if query is not None else document


def refuse_other_pooling(routes: Mapping[Role, Route], card: str, *, whose: str) -> None:
    """Raise where a card's pooling is not what was loaded.

    A card may say it in one word (`cls`, `mean`, `last`) or as the facts do. Where no module names
    a mode, one word cannot be checked and is believed.

    Raises:
        DataError: they disagree.
    """
    loaded = stated(routes, "pooling")
    modes = {mode for route in routes.values() for mode in route.modes}
    if card != loaded and modes - {ALIASES.get(card, card)}:
        raise DataError(
            f"{whose}: its card says pooling = {card!r}, but what was loaded pools by {loaded!r}. "
            "Correct the card, or check that these are the weights it speaks of."
        )


def cut_at(route: Route, length: int, *, whose: str) -> None:
    """Cut texts at so many tokens.

    Raises:
        UsageError: the first module has no such limit, or fewer positions than that.
    """
    first = route.modules[0]
    tokenizer: Any = getattr(first, "tokenizer", None)
    if _is_bare(tokenizer):
        tokenizer.enable_truncation(max_length=length)
        return
    if not hasattr(first, "max_seq_length"):
        raise UsageError(
            f"{whose}: {type(first).__name__} cuts no texts; leave the maximum length "
            "(--max-length, or max_length on its card) out"
        )
    positions = _positions(first)
    if positions is not None and length > positions:
        raise UsageError(
            f"{whose} was trained with {positions} positions: texts cannot be cut at {length} "
            f"tokens. Give --max-length {positions} or less."
        )
    if getattr(first, f"{route.task}_length", None) is not None:
        setattr(first, f"{route.task}_length", length)
    if hasattr(tokenizer, "model_max_length"):
        tokenizer.model_max_length = length
    first.max_seq_length = length


def _positions(module: Any) -> int | None:  # noqa: ANN401  any module of the library
    """How many learned positions there are; None where positions are computed."""
    for name, part in module.named_modules():
        if name.endswith("position_embeddings") and hasattr(part, "num_embeddings"):
            first = 0 if part.padding_idx is None else part.padding_idx + 1
            return int(part.num_embeddings) - first
    return None


def align_types(routes: Mapping[Role, Route], dtype: torch.dtype, *, tables: torch.dtype) -> None:
    """Give modules behind a transformer the type of its states; the library does not on routes.

    Args:
        routes: of the model.
        dtype: of transformers' weights, which are loaded in it.
        tables: of a lookup table that no weights follow: it runs no product that a short type
            would speed up.
    """
    from transformers import PreTrainedModel

    for route in routes.values():
        for place, module in enumerate(route.modules):
            if any(isinstance(part, PreTrainedModel) for part in module.modules()):
                continue
            followed = any(list(later.parameters()) for later in route.modules[place + 1 :])
            module.to(tables if is_table(module) and not followed else dtype)


def is_table(module: object) -> bool:
    """Whether it looks vectors of tokens up and does nothing else with them."""
    return type(module).__name__ in {"StaticEmbedding", "SparseStaticEmbedding"}


def _is_bare(tokenizer: Any) -> bool:  # noqa: ANN401  whatever the module carries
    """Whether it is one of `tokenizers` itself, which has other attributes."""
    return type(tokenizer).__module__.startswith("tokenizers")


def _mode(module: Any) -> str | None:  # noqa: ANN401
    mode = getattr(module, "pooling_mode", None) or getattr(module, "pooling_strategy", None)
    if mode is None:
        return getattr(getattr(module, "embedding", None), "mode", None)
    return str(mode) if isinstance(mode, str) else "+".join(map(str, mode))


def _step(module: Any) -> str:  # noqa: ANN401
    if hasattr(module, "pooling_strategy"):
        return f"{module.pooling_strategy}({module.activation_function})"
    if hasattr(module, "pooling_mode"):
        return str(_mode(module))
    return type(module).__name__
