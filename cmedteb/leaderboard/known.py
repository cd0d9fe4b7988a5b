"""Which data each task is run on, as agreed (`leaderboard/known.toml`).

A content hash covers ids, texts, judgements and candidates as they were loaded, so two results with
the same one saw the same data. A task enters the file when a maintainer has loaded it himself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cmedteb.cards import read_toml
from cmedteb.resources import data_folder

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class KnownData(BaseModel):
    """One task's data.

    Attributes:
        revision: as a result names it; `local` for sets that come with this package.
        content_hash: over everything that was loaded.
        judgements: sha256 of the original judgements.
        units: queries or pairs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: str
    content_hash: Hash
    judgements: Hash
    units: Annotated[int, Field(ge=1)]


def known_data(path: Path | None = None) -> dict[str, KnownData]:
    """Task -> its data; by default from the shipped file.

    Raises:
        DataError: the file is no such list.
    """
    path = path or data_folder("leaderboard") / "known.toml"
    return read_toml(path, dict[str, KnownData], what="a valid list of known data")
