"""Task cards: what a task is, as data (`tasks/<benchmark>/<Task>.toml`), checked by one model.

A card holds facts and no code. Unknown keys are refused: a key written below a `[table]` by
mistake would otherwise vanish into that table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cmedteb.cards import read_toml
from cmedteb.data import Source
from cmedteb.types import QueryForm, TaskType

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Table):
    """The task's name for people."""

    zh: str
    en: str


class Prompt(_Table):
    """An instruction that the task's authors or the field use; only instructed models read it.

    Attributes:
        query: the instruction for the query side, by language.
        source: where that text was published.
    """

    query: dict[str, str]
    source: str


class Licence(_Table):
    """Under what terms the texts may be used; `redistribute` is None where nobody says."""

    name: str
    url: str | None = None
    redistribute: bool | None = None


class Contamination(_Table):
    """The collections this set was made from: a model trained on one has seen this task."""

    derived_from: tuple[str, ...] = ()


class Sizes(_Table):
    """Published sizes; absent where nobody published them."""

    queries: int | None = None
    documents: int | None = None
    judgements: int | None = None
    candidates_per_query: int | None = None
    pairs: int | None = None
    source: str | None = None


class TaskCard(_Table):
    """One task.

    Attributes:
        name: unique, and safe as a file name.
        version: raised whenever scores of this task stop being comparable with earlier ones.
        main_score: the key of the score that stands for the task.
        splits: exactly one; a list as in mteb's metadata.
        ignore_identical_ids: drop a document whose id equals the query's, where the reference
            evaluation does so.
        official: a published set; its known oddities are counted instead of refused.
        query_form: what its queries are, which decides how a hypothetical document is asked for;
            None where nobody says.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    type: TaskType
    version: Annotated[int, Field(ge=1)]
    main_score: str
    splits: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    ignore_identical_ids: bool = False
    official: bool = False
    query_form: QueryForm | None = None
    citation: str = ""
    note: str = ""
    title: Title
    source: Source
    prompt: Prompt | None = None
    licence: Licence
    contamination: Contamination = Contamination()
    sizes: Sizes = Sizes()

    @model_validator(mode="after")
    def _identical_ids_only_in_retrieval(self) -> Self:
        if self.ignore_identical_ids and self.type is not TaskType.RETRIEVAL:
            raise ValueError("ignore_identical_ids belongs to retrieval tasks only")
        return self

    @model_validator(mode="after")
    def _pairs_have_no_queries(self) -> Self:
        if self.query_form is not None and self.type is TaskType.STS:
            raise ValueError("query_form belongs to tasks with queries; sts has pairs")
        return self

    @property
    def split(self) -> str:
        """The split that is scored."""
        return self.splits[0]


def read_card(path: Path) -> TaskCard:
    """Read one card.

    Raises:
        DataError: not TOML, or not a valid card; names the file and each wrong key.
    """
    return read_toml(path, TaskCard, what="a valid task card")
