"""What a submission is held against: cards, agreed data, judgements, and the results there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmedteb.leaderboard.known import KnownData
from cmedteb.leaderboard.load import Releases
from cmedteb.models.card import ModelCard
from cmedteb.tasks import TaskCard


@dataclass(frozen=True)
class Context:
    """What is agreed.

    Attributes:
        root: the results folder that the submission lies in.
        tasks: cards by name.
        data: task -> the data it must have been run on.
        releases: task -> its versions of judgements.
        cards: shipped model cards, by what results call their models.
    """

    root: Path
    tasks: Mapping[str, TaskCard]
    data: Mapping[str, KnownData]
    releases: Releases
    cards: Mapping[str, ModelCard]
