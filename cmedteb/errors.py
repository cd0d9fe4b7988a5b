"""Every error that cmedteb raises on purpose, and the exit code each one means.

CmedtebError                  1  something failed; what was finished is saved
├── UsageError                2  the request itself is wrong (unknown task, flags that contradict)
├── DataError                 1  a data set is malformed, or is not what its card says
├── ModelError                1  a model failed while it was encoding or scoring
├── ScoreError                1  a score would be no number (NaN, no judgements, a missing id)
├── CheckError                3  a check that was asked for has failed
└── NotAvailableError         4  offline and not cached, no licence, no key, no such revision
    └── MissingExtraError     4  an optional dependency is not installed

A message says what happened, where, and what to do next. Nothing here is raised for a
programming error: those stay Python's own.
"""

from __future__ import annotations

from typing import ClassVar


class CmedtebError(Exception):
    """The root: catch this to catch all that cmedteb raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(CmedtebError):
    """The request is wrong: an unknown name, or options that contradict each other."""

    exit_code = 2


class DataError(CmedtebError):
    """A data set is malformed, or differs from what its card promises."""


class ModelError(CmedtebError):
    """A model failed while it was encoding, searching or scoring."""


class ScoreError(CmedtebError):
    """A score would not be a number: NaN, no judgements, or an id that is not there."""


class CheckError(CmedtebError):
    """A check that was asked for has failed."""

    exit_code = 3


class NotAvailableError(CmedtebError):
    """Something is needed that cannot be had now: the network, a licence, a key, a revision."""

    exit_code = 4


class MissingExtraError(NotAvailableError):
    """An optional dependency is missing.

    Args:
        module: the module that could not be imported.
        extra: the extra of the `cmedteb` package that brings it.
    """

    def __init__(self, module: str, extra: str) -> None:
        self.module = module
        self.extra = extra
        super().__init__(
            f"{module} is not installed. Install it with: pip install 'cmedteb[{extra}]'"
        )
