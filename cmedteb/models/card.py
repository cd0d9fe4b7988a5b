"""Model cards: a system as data (`leaderboard/models/*.toml`), checked by one model.

A card says how its authors run the system. What is not known is left out; nothing is guessed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cmedteb.cards import read_toml
from cmedteb.resources import data_folder
from cmedteb.types import Similarity


class Family(StrEnum):
    """Which file of `cmedteb.models` runs a system."""

    BM25 = "bm25"
    HASHING = "hashing"
    SENTENCE_TRANSFORMER = "sentence-transformer"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(_Table):
    """Texts put before each side; absent means that the model's own configuration decides."""

    query: str | None = None
    document: str | None = None
    sts: str | None = None


class ModelCard(_Table):
    """One system.

    Attributes:
        name: what `-m` takes.
        family: which code runs it.
        hf: repository of its weights.
        revision: pinned commit of that repository.
        settings: family-specific constants that move scores.
        training_sets: collections it was trained on; None is unknown, () is none.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    family: Family
    title: str
    hf: str | None = None
    revision: str | None = None
    similarity: Similarity | None = None
    max_length: int | None = None
    licence: str | None = None
    training_sets: tuple[str, ...] | None = None
    source: str = ""
    prompts: Prompts = Prompts()
    settings: dict[str, Any] = Field(default_factory=dict)


def read_card(path: Path) -> ModelCard:
    """Read one card.

    Raises:
        DataError: not TOML, or not a valid card; names the file and each wrong key.
    """
    return read_toml(path, ModelCard, what="a valid model card")


def all_cards() -> dict[str, ModelCard]:
    """Every card that ships with cmedteb, by name."""
    folder = data_folder("leaderboard") / "models"
    cards = [read_card(path) for path in sorted(folder.glob("*.toml"))]
    return {card.name: card for card in cards}
