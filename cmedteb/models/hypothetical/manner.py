"""How hypothetical documents are asked for: prompts and decoding, which are data.

They lie in `leaderboard/models/hyde/prompts.toml`, each with its source. Nothing here asks a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from cmedteb.cards import read_toml
from cmedteb.models.card import family_file
from cmedteb.types import QueryForm

PROMPTS = "hyde/prompts.toml"
PLACE = "{}"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Decoding(_Table):
    """What an endpoint is told about decoding; document n of a query is asked for with seed + n."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int

    @property
    def short(self) -> str:
        """A few characters that stand for these values."""
        return _hash(self.model_dump())[:8]

    def of_document(self, number: int) -> dict[str, Any]:
        """The values for one document of a query."""
        return {**self.model_dump(), "seed": self.seed + number}


class Manner(_Table):
    """How documents are asked for.

    Attributes:
        system: the system prompt.
        prompts: by what the queries are; `{}` stands for the query.
        decoding: of one document a query.
        decoding_of_several: where they are to differ.
    """

    system: str
    prompts: Mapping[QueryForm, str]
    decoding: Decoding
    decoding_of_several: Decoding

    @model_validator(mode="after")
    def _every_prompt_has_a_place_for_the_query(self) -> Self:
        for form in QueryForm:
            if self.prompts.get(form, "").count(PLACE) != 1:
                raise ValueError(f"the prompt {form} must be there, with one {PLACE} for the query")
        return self


def read_manner(path: Path | None = None) -> Manner:
    """The shipped manner of asking.

    Raises:
        DataError: the file is not as it should be.
    """
    return read_toml(path or family_file(PROMPTS), Manner, what="prompts for documents")


@dataclass(frozen=True)
class Recipe:
    """All that decides a document, the query and its number apart."""

    model: str
    form: QueryForm
    system: str
    prompt: str
    decoding: Decoding

    @property
    def short(self) -> str:
        """What kept documents are told apart by."""
        return _hash([self.model, self.system, self.prompt, self.decoding.model_dump()])[:16]

    @property
    def prompt_hash(self) -> str:
        """sha256 of system prompt and prompt."""
        return _hash([self.system, self.prompt])

    def messages(self, query: str) -> list[dict[str, str]]:
        """The conversation that asks for a document."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.prompt.replace(PLACE, query)},
        ]


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
