"""The result of one task for one model, as it is stored.

A superset of mteb's TaskResult: `mteb` loads the same file and ignores what it does not know.
Strict JSON: no NaN, no infinity. Everything that a reader needs to repeat the score is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

LANGUAGE = "cmn-Hans"


class Strict(BaseModel):
    """What is stored: no key that is not known, no number that JSON lacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScoreInterval(Strict):
    """A confidence interval of the main score; one query alone has none (None)."""

    low: float | None
    high: float | None
    level: float
    method: str
    seed: int


class Phase(Strict):
    """One phase of the evaluation; `start` and `end` in seconds since the epoch, as in mteb."""

    name: str
    start: float
    end: float
    split: str
    subset: str = "default"


class Judgements(Strict):
    """Which judgements were scored against: their version, and the hash of their content."""

    version: str
    sha256: str


class Receipt(Strict):
    """The file of what the model returned, relative to the result, and its hash."""

    path: str
    sha256: str
    depth: int | None


class StorageRecord(Strict):
    """How document vectors are stored, and what one document takes.

    Attributes:
        vectors: `float32`, `int8` or `binary`.
        rescored: whether the best were scored again with the vectors before quantisation, which
            then have to be kept as well.
        bytes_per_document: of the vectors searched, without ids and texts.
    """

    vectors: str
    rescored: bool
    bytes_per_document: float


class ApproximateSearch(Strict):
    """How a corpus was searched where it was not exactly, and how much of the best it found.

    Attributes:
        method: the kind of index.
        parameters: of the index.
        recall: share of the exact best documents found, over the sampled queries.
        sampled: how many queries that was measured on.
    """

    method: str
    parameters: dict[str, int | str]
    recall: float
    sampled: int


class ModelRecord(Strict):
    """The model as `model.json` holds it."""

    name: str
    revision: str
    family: str
    parameters: dict[str, int]
    similarity: str | None
    dimension: int | None
    pooling: str | None
    max_length: int | None
    settings: dict[str, Any]


class TaskResult(Strict):
    """One task, one model, one set of judgements.

    `checksum` is written with the file (see `content_checksum`): one that was edited since can
    still be read and verified, but is not reused.
    """

    cmedteb_schema: Literal["cmedteb-result/1"] = "cmedteb-result/1"
    task_name: str
    task_type: str
    task_version: int
    dataset_revision: str
    dataset_content_hash: str
    dataset_warnings: dict[str, int]
    judgements: Judgements
    mteb_version: str | None = None
    cmedteb_version: str
    scores: dict[str, list[dict[str, Any]]]
    main_score_name: str
    interval: ScoreInterval
    units: int
    partial: bool
    limit: int | None
    depth: int
    model: ModelRecord
    prompts: dict[str, str]
    sts_sides: dict[str, str] | None = None
    pooling: str | None
    similarity: str | None
    max_length: int | None
    dtype: str | None
    dimension: int | None
    device: str
    library_versions: dict[str, str]
    batch_tokens: int | None
    evaluation_time: float
    evaluation_phases: list[Phase]
    date: str
    tokens: int | None
    cost: float | None = None
    answered_as: str | None = None
    encoding_path: str | None = None
    texts_encoded: int
    cache_hits: int
    storage: StorageRecord | None = None
    search: ApproximateSearch | None = None
    fingerprint: str
    fingerprint_of: dict[str, Any]
    receipts: Receipt
    kg_co2_emissions: float | None = None
    checksum: str = ""

    @property
    def content_checksum(self) -> str:
        """sha256 over everything else in the result, as canonical JSON."""
        return fingerprint(self.model_dump(mode="json", exclude={"checksum"}))

    @property
    def split(self) -> str:
        """The split that was scored."""
        return next(iter(self.scores))

    @property
    def values(self) -> dict[str, float]:
        """Every score by name."""
        entry = self.scores[self.split][0]
        return {key: value for key, value in entry.items() if isinstance(value, float)}

    @property
    def main_score(self) -> float:
        """The score that stands for the task."""
        return float(self.scores[self.split][0]["main_score"])


def score_entry(scores: Mapping[str, float], main_score: float) -> dict[str, Any]:
    """The scores of one split in mteb's layout."""
    return {
        **{name: scores[name] for name in sorted(scores)},
        "main_score": main_score,
        "hf_subset": "default",
        "languages": [LANGUAGE],
    }


def fingerprint(facts: Mapping[str, Any]) -> str:
    """sha256 over everything that can move a score, as canonical JSON."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
