"""Panels: which LLMs judge, where they are asked, how fast and at what price. Data, read from TOML.

A panel names the environment variable that holds a key, never a key. What a file leaves out has a
default that is written into the journal with the rest, so a panel can be read off any annotation.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cmedteb.cards import read_toml
from cmedteb.endpoints import host_of
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder

Positive = Annotated[int, Field(ge=1)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PANEL = "paper"
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
OURS = {"model", "messages", "response_format", "max_tokens", "n", "stream", "temperature"}
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"


class Strict(BaseModel):
    """A table that refuses keys it does not know, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Structure(StrEnum):
    """How an answer is kept in shape; `auto` tries them in this order, once, and remembers."""

    AUTO = "auto"
    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"


class TokenPrice(Strict):
    """Of a million tokens, in the currency of the panel.

    Attributes:
        input: of the request.
        output: of the answer.
        cached: of input that was read from a prefix cache; None costs as other input.
    """

    input: Money
    output: Money
    cached: Money | None = None


class Judge(Strict):
    """One LLM.

    Attributes:
        label: what it is called in journals and reports.
        model: the name that its endpoint knows.
        base_url: of the endpoint, without a key in it.
        key_env: the variable that holds the key; None sends none.
        temperature: 0 is as repeatable as the endpoint is.
        max_tokens: of an answer; twice that where one was cut.
        max_tokens_field: what the endpoint calls it; models that think want the newer name.
        rpm: requests a minute; None is found by trying.
        tpm: tokens a minute; None is found by trying.
        concurrency: the most requests in flight.
        timeout: of a request, in seconds, in total.
        price: None is unknown, and then there can be no budget.
        structure: how answers are kept in shape.
        extra_body: more of each request, such as what turns thinking off.
        family: the base that it shares with embedding models, for the own-family warning.
        source: where these facts are written.
        note: what a user should know: a withdrawal, an alias that moves.
    """

    label: Annotated[str, Field(pattern=LABEL)]
    model: Annotated[str, Field(min_length=1)]
    base_url: str
    key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    max_tokens: Positive = 256
    max_tokens_field: Annotated[str, Field(pattern=r"^max(_completion)?_tokens$")] = "max_tokens"
    rpm: Positive | None = None
    tpm: Positive | None = None
    concurrency: Positive = 16
    timeout: Annotated[float, Field(gt=0)] = 120.0
    price: TokenPrice | None = None
    structure: Structure = Structure.AUTO
    extra_body: dict[str, Any] = Field(default_factory=dict)
    family: str | None = None
    source: str | None = None
    note: str | None = None

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        try:
            host_of(value)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("extra_body")
    @classmethod
    def _leaves_ours_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = OURS & set(value)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} cannot be set here")
        return value

    @property
    def account(self) -> tuple[str, str | None]:
        """Judges with the same share one gate."""
        return self.base_url.rstrip("/"), self.key_env


class Panel(Strict):
    """Judges who judge every pair.

    Attributes:
        name: of the panel.
        currency: of all prices and budgets.
        judges: in the order in which a cascade asks them: the cheapest first.
        note: what a user should know.
    """

    name: str
    currency: str = "USD"
    judges: Annotated[tuple[Judge, ...], Field(min_length=1)]
    note: str | None = None

    @field_validator("judges")
    @classmethod
    def _labels_differ(cls, judges: tuple[Judge, ...]) -> tuple[Judge, ...]:
        labels = [judge.label for judge in judges]
        if len(set(labels)) != len(labels):
            raise ValueError(f"two judges have one label: {', '.join(labels)}")
        return judges

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the judges, in order."""
        return tuple(judge.label for judge in self.judges)

    def judge(self, label: str) -> Judge:
        """The judge of this label.

        Raises:
            DataError: there is none.
        """
        for judge in self.judges:
            if judge.label == label:
                return judge
        raise DataError(f"the panel {self.name} has no judge {label!r}, but {self.labels}")


def find_panel(name: str) -> Panel:
    """A shipped panel by its name, or one in a file by its path.

    Args:
        name: such as `paper`, or `my/panel.toml`.

    Raises:
        UsageError: there is no such panel; lists those there are.
        DataError: the file is no panel.
    """
    folder = data_folder("annotations") / "panels"
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise UsageError(
            f"there is no panel {name!r} ({path}). There are: {there}. A panel of your own is a "
            "TOML file, given by its path."
        )
    return read_toml(path, Panel, what="a panel of judges")
