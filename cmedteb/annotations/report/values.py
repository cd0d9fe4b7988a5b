"""What every part of a report is made of: estimates with their reasons, and views of agreement."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A table that knows its keys and refuses NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Why(StrEnum):
    """Why a value or its interval is not there."""

    NOTHING_RATED = "nothing-rated"
    NO_TWO_RATINGS = "no-two-ratings"
    ONE_CATEGORY = "one-category"
    ONE_QUERY = "one-query"
    NO_CASES = "no-cases"
    STRATUM_UNSAMPLED = "stratum-unsampled"
    ONE_SAMPLED = "one-sampled"


class Est(Strict):
    """A value with its interval.

    Attributes:
        value: None where the statistic has none.
        low: lower bound; None where there is none.
        high: upper bound.
        undefined: on how many bootstrap samples the statistic had no value; they are left out.
        why: the reason for what is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0
    why: Why | None = None


class RaterView(Strict):
    """One judge's grades."""

    name: str
    rated: int
    missing: int
    shares: tuple[Est, ...]


class PairView(Strict):
    """Two judges over the pairs that both graded."""

    first: str
    second: str
    units: int
    agreement: Est
    kappa: Est
    kappa_linear: Est
    kappa_quadratic: Est


class View(Strict):
    """Agreement in one view: `categories` are (0, 1) at the threshold, or the five grades."""

    units: int
    rated: int
    paired: int
    queries: int
    categories: tuple[int, ...]
    shares: tuple[Est, ...]
    specific: tuple[Est, ...]
    coefficients: dict[str, Est]
    raters: tuple[RaterView, ...]
    pairs: tuple[PairView, ...]
