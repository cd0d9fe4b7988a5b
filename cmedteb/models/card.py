"""Model cards: a system as data (`leaderboard/models/*.toml`), checked by one model.

A card says how its authors run the system, and where each of its facts comes from. What nobody
knows is `unknown`; nothing is guessed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cmedteb.cards import read_toml
from cmedteb.resources import data_folder
from cmedteb.types import Similarity

T = TypeVar("T")

Unknown = Literal["unknown"]
UNKNOWN: Unknown = "unknown"
PositiveInt = Annotated[int, Field(ge=1)]


class Family(StrEnum):
    """Which file of `cmedteb.models` runs a system."""

    BM25 = "bm25"
    HASHING = "hashing"
    SENTENCE_TRANSFORMER = "sentence-transformer"
    SPARSE_ENCODER = "sparse-encoder"
    INSTRUCT = "instruct"
    PAIR = "pair"
    API = "api"
    CROSS_ENCODER = "cross-encoder"
    MULTI_VECTOR = "multi-vector"
    HYDE = "hyde"
    FUSION = "fusion"
    MTEB = "mteb"
    FACTORY = "factory"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(_Table):
    """Texts put before each side; absent means that the model's own configuration decides.

    `{instruction}` in a text stands for the instruction of the task.
    """

    query: str | None = None
    document: str | None = None
    sts: str | None = None


class Instructions(_Table):
    """What the authors tell the model for each kind of task; `default` where nobody says."""

    retrieval: str | None = None
    reranking: str | None = None
    sts: str | None = None
    default: str | None = None


class Sides(_Table):
    """Weights of each side, counted; a symmetric model has the same number twice."""

    query: Annotated[int, Field(ge=0)] | Unknown = UNKNOWN
    document: Annotated[int, Field(ge=0)] | Unknown = UNKNOWN


class Tower(_Table):
    """One network with its tokenizer: how it is found and how it makes a vector of a text.

    Attributes:
        family: which code runs it.
        hf: repository of its weights.
        revision: pinned commit of that repository.
        subfolder: of that repository.
        pooling: `cls`, `mean` or `last`, or what the family calls it.
        max_length: in tokens, special tokens counted.
        settings: family-specific constants that move scores.
    """

    family: Family
    hf: str | None = None
    revision: str = UNKNOWN
    subfolder: str | None = None
    pooling: str = UNKNOWN
    max_length: PositiveInt | Unknown = UNKNOWN
    settings: dict[str, Any] = Field(default_factory=dict)


class ModelCard(Tower):
    """One system.

    Attributes:
        name: what `-m` takes.
        title: what it is, in a line.
        similarity: how its vectors are compared.
        dimension: of the vectors compared.
        licence: of the weights.
        training_sets: collections it was trained on, as its authors declare them; () is none.
        parameters: of each side.
        prompts: put before each side.
        instructions: by kind of task, for prompts that hold `{instruction}`.
        sts_sides: which side encodes sentence 1 and sentence 2.
        query: of a pair, the tower of the queries.
        document: of a pair, the tower of the documents.
        sources: where each fact comes from, by field; `default` for all others.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    similarity: Similarity | Unknown = UNKNOWN
    dimension: PositiveInt | Unknown = UNKNOWN
    licence: str = UNKNOWN
    training_sets: tuple[str, ...] | Unknown = UNKNOWN
    parameters: Sides = Sides()
    prompts: Prompts = Prompts()
    instructions: Instructions = Instructions()
    sts_sides: tuple[Literal["query", "document"], Literal["query", "document"]] | Unknown = UNKNOWN
    query: Tower | None = None
    document: Tower | None = None
    sources: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_pair_has_two_towers(self) -> Self:
        both = self.query is not None and self.document is not None
        neither = self.query is None and self.document is None
        if not (both if self.family is Family.PAIR else neither):
            raise ValueError("the tables [query] and [document] belong to a pair, which has both")
        return self

    @model_validator(mode="after")
    def _sources_name_fields(self) -> Self:
        known = {*type(self).model_fields, "default"}
        if strange := sorted(set(self.sources) - known):
            raise ValueError(f"[sources] names what is no field of a card: {', '.join(strange)}")
        return self


def known(value: T | Unknown) -> T | None:
    """The value, or None where it is `unknown`."""
    return None if value == UNKNOWN else value


def read_card(path: Path) -> ModelCard:
    """Read one card.

    Raises:
        DataError: not TOML, or not a valid card; names the file and each wrong key.
    """
    return read_toml(path, ModelCard, what="a valid model card")


def all_cards() -> dict[str, ModelCard]:
    """Every card that ships with cmedteb, by name."""
    cards = [read_card(path) for path in sorted(_home().glob("*.toml"))]
    return {card.name: card for card in cards}


def family_file(name: str) -> Path:
    """A data file that a family of models reads, such as `api/providers.toml`."""
    return _home() / name


def _home() -> Path:
    return data_folder("leaderboard") / "models"
