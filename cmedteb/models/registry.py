"""From what `-m` says to a system that is ready to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from cmedteb.data import Hub
from cmedteb.errors import DataError, UsageError
from cmedteb.models import bm25, hashing
from cmedteb.models.card import Family, ModelCard, Prompts, all_cards, read_card
from cmedteb.models.protocols import System
from cmedteb.models.tokenize import TOKENIZERS
from cmedteb.models.weights import HUB_ID, Weights, from_folder, from_hub


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What a caller may set about any model; None or "auto" leaves it to card, model or machine."""

    device: str = "auto"
    dtype: str = "auto"
    max_length: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    hub: Hub = Hub.HF
    offline: bool = False
    trust_remote_code: bool = False


def load_model(spec: str, options: ModelOptions | None = None) -> System:
    """Load a system.

    Args:
        spec: a card's name (`bm25`), a path to a card, a local folder, or a hub id with an
            optional `@revision`.
        options: what the caller sets.

    Raises:
        UsageError: no such system, or an option that this family does not take.
        DataError: the card is not valid.
        NotAvailableError: its files or libraries cannot be had.
    """
    options = options or ModelOptions()
    card = find_card(spec)
    if card is not None:
        return _FAMILIES[card.family](card, options)
    weights = _find_weights(spec, options)
    plain = ModelCard(name="unnamed", family=Family.SENTENCE_TRANSFORMER, title=weights.name)
    return _sentence_transformer(plain, options, weights)


def find_card(spec: str) -> ModelCard | None:
    """The card that a specification names, by name or by path; None if it names none."""
    if spec.endswith(".toml"):
        path = Path(spec)
        if not path.is_file():
            raise UsageError(
                f"there is no model card {path}. `cmedteb models` lists those shipped."
            )
        return read_card(path)
    return all_cards().get(spec)


def _find_weights(spec: str, options: ModelOptions) -> Weights:
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return from_folder(folder)
    repository, _, revision = spec.partition("@")
    if HUB_ID.match(repository):
        return from_hub(repository, revision or None, hub=options.hub, offline=options.offline)
    close = get_close_matches(spec, all_cards(), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"unknown model {spec!r}: it is no card's name, no folder, no path to a card and no hub id "
        f"(org/name).{hint} `cmedteb models` lists the cards."
    )


def _bm25(card: ModelCard, options: ModelOptions) -> System:
    _refuse(card, options)
    _check_settings(card, [field.name for field in fields(bm25.Bm25)])
    tokenizer = card.settings.get("tokenizer", bm25.Bm25.tokenizer)
    if tokenizer not in TOKENIZERS:
        raise DataError(
            f"the card of {card.name}: unknown tokenizer {tokenizer!r}; there is "
            f"{', '.join(TOKENIZERS)}"
        )
    return bm25.Bm25(**card.settings)


def _hashing(card: ModelCard, options: ModelOptions) -> System:
    _refuse(card, options)
    _check_settings(card, [field.name for field in fields(hashing.Hashing)])
    return hashing.Hashing(**card.settings)


def _refuse(card: ModelCard, options: ModelOptions) -> None:
    """A system without weights or prompts refuses what it would have to ignore."""
    for flag in ("max_length", "query_prompt", "document_prompt"):
        if getattr(options, flag) is not None:
            raise UsageError(f"{card.name} takes no --{flag.replace('_', '-')}: leave it out")


def _check_settings(card: ModelCard, known: Sequence[str]) -> None:
    """A setting that nothing reads would move no score, and its author would not notice."""
    if unknown := sorted(set(card.settings) - set(known)):
        there = f"it takes {', '.join(known)}" if known else "it takes none"
        raise DataError(
            f"the card of {card.name}: {card.family} has no setting {', '.join(unknown)}; {there}"
        )


def _sentence_transformer(
    card: ModelCard, options: ModelOptions, weights: Weights | None = None
) -> System:
    from cmedteb.models import sentence_transformer

    _check_settings(card, ())
    if weights is None:
        if card.hf is None:
            raise UsageError(f"the card of {card.name} names no repository (hf = ...)")
        pinned = f"{card.hf}@{card.revision}" if card.revision else card.hf
        weights = _find_weights(pinned, options)
    settings = sentence_transformer.Settings(
        device=options.device,
        dtype=options.dtype,
        max_length=options.max_length or card.max_length,
        similarity=card.similarity,
        flags=Prompts(query=options.query_prompt, document=options.document_prompt),
        card=card.prompts,
        trust_remote_code=options.trust_remote_code,
    )
    return sentence_transformer.load(weights, settings)


_FAMILIES: dict[Family, Callable[[ModelCard, ModelOptions], System]] = {
    Family.BM25: _bm25,
    Family.HASHING: _hashing,
    Family.SENTENCE_TRANSFORMER: _sentence_transformer,
}
