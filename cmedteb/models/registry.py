"""From what `-m` says to a system that is ready to run.

Each family is one module with a `Loader`; it is imported when a system of it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import Family, ModelCard, all_cards, read_card
from cmedteb.models.options import COMMON, OF_PARTS, WRAPPING, ModelOptions
from cmedteb.models.protocols import System
from cmedteb.models.weights import Weights, family_of, find_weights

MODULES = {
    Family.BM25: "bm25",
    Family.HASHING: "hashing",
    Family.SENTENCE_TRANSFORMER: "sentence_transformer",
    Family.SPARSE_ENCODER: "sparse_encoder",
    Family.INSTRUCT: "instruct",
    Family.PAIR: "pair",
    Family.API: "api",
    Family.CROSS_ENCODER: "cross_encoder",
    Family.MULTI_VECTOR: "multi_vector",
    Family.HYDE: "hyde",
    Family.FUSION: "fusion",
    Family.MTEB: "mteb_model",
    Family.FACTORY: "custom",
}
# `api:NAME`, `mteb:NAME`, `fusion:A+B`: the family, and the setting that holds the rest.
PREFIXES = {
    "api": (Family.API, "model"),
    "mteb": (Family.MTEB, "model"),
    "fusion": (Family.FUSION, "systems"),
}
FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class Loader(NamedTuple):
    """How a family makes a system of a card.

    Attributes:
        load: (card, options, weights) to a system; weights are given where `-m` named a folder or
            a hub id, else the card says where they are.
        options: names of those `ModelOptions` it reads, besides those that all do.
        settings: names that `[settings]` of its cards may hold.
    """

    load: Callable[[ModelCard, ModelOptions, Weights | None], System]
    options: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()


def load_model(spec: str, options: ModelOptions | None = None) -> System:
    """Load a system.

    Args:
        spec: a card's name (`bm25`), a path to a card, a local folder, a hub id with an optional
            `@revision`, `api:NAME`, `mteb:NAME`, `fusion:A+B` or `module:factory`.
        options: what the caller sets.

    Raises:
        UsageError: no such system, or an option that this family does not take.
        DataError: the card is not valid.
        NotAvailableError: its files or libraries cannot be had.
    """
    options = options or ModelOptions()
    card, weights = _find(spec, options)
    return load_card(card, options, weights)


def load_part(spec: str, options: ModelOptions) -> System:
    """Load a system that a composite is made of: what concerns the composite is not passed on."""
    card, weights = _find(spec, options.only(COMMON))
    return load_card(card, options.only(COMMON | (_loader(card).options & OF_PARTS)), weights)


def load_parts(specs: Sequence[str], options: ModelOptions) -> tuple[System, ...]:
    """Load the systems of a composite whose parts are all alike.

    Raises:
        UsageError: an option that none of them takes.
    """
    taken = [_loader(_find(spec, options.only(COMMON))[0]).options for spec in specs]
    for name in sorted((options.given & OF_PARTS).difference(*taken)):
        raise UsageError(
            f"none of {', '.join(specs)} takes --{name.replace('_', '-')}: leave it out"
        )
    return tuple(load_part(spec, options) for spec in specs)


def load_card(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> System:
    """Load the system that a card describes, and wrap it as the options ask."""
    from cmedteb.models.wrapping import wrap

    loader = _loader(card)
    _refuse_options(card, loader, options)
    if unknown := sorted(set(card.settings) - loader.settings):
        there = f"it takes {', '.join(sorted(loader.settings))}" if loader.settings else "none"
        raise DataError(
            f"the card of {card.name}: {card.family} has no setting {', '.join(unknown)}; {there}"
        )
    return wrap(loader.load(card, options, weights), options)


def _loader(card: ModelCard) -> Loader:
    found: Loader = import_module(f"cmedteb.models.{MODULES[card.family]}").LOADER
    return found


def _refuse_options(card: ModelCard, loader: Loader, options: ModelOptions) -> None:
    """A family refuses what it would have to ignore."""
    unread = options.given - COMMON - WRAPPING - loader.options
    for name in sorted(unread):
        raise UsageError(f"{card.name} takes no --{name.replace('_', '-')}: leave it out")


def find_card(spec: str) -> ModelCard | None:
    """The card that a specification names: by name, by path, or by its repository.

    A repository's card at another revision (`org/name@revision`) is that card at that revision.
    """
    if spec.endswith(".toml"):
        path = Path(spec)
        if not path.is_file():
            raise UsageError(
                f"there is no model card {path}. `cmedteb models` lists those shipped."
            )
        return read_card(path)
    cards = all_cards()
    if spec in cards:
        return cards[spec]
    repository, _, revision = spec.partition("@")
    for card in cards.values():
        if card.hf == repository and card.family not in {Family.HYDE, Family.FUSION}:
            pinned = {"revision": revision} if revision else {}
            return card.model_copy(update=pinned)
    return None


def _find(spec: str, options: ModelOptions) -> tuple[ModelCard, Weights | None]:
    card = None if Path(spec).expanduser().is_dir() else find_card(spec)
    if options.query_model or options.document_model:
        if card is not None and card.family is Family.PAIR:
            return card, None
        return ModelCard.model_construct(name="pair", family=Family.PAIR, title=spec), None
    if card is not None:
        return card, None
    prefix, _, name = spec.partition(":")
    if name and prefix in PREFIXES:
        family, setting = PREFIXES[prefix]
        return _described(family, spec, {setting: name}), None
    if FACTORY.match(spec):
        return _described(Family.FACTORY, spec, {"factory": spec}), None
    weights = find_weights(spec, options)
    if weights is None:
        raise UsageError(_unknown(spec))
    return _described(family_of(weights.folder), weights.name), weights


def _described(family: Family, title: str, settings: Mapping[str, str] | None = None) -> ModelCard:
    """The card of a system that nobody wrote one for: it says no more than the caller did."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", title)
    return ModelCard(name=name, family=family, title=title, settings=dict(settings or {}))


def _unknown(spec: str) -> str:
    if spec.startswith(("/", "./", "../", "~")):
        return f"there is no folder {spec}: give the folder that a model was saved to"
    close = get_close_matches(spec, all_cards(), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"unknown model {spec!r}: it is no card's name, no folder, no path to a card and no hub id "
        f"(org/name).{hint} `cmedteb models` lists the cards."
    )
