"""Benchmark harness for Chinese medical text embeddings: CMedTEB and CMIRB.

The public API, loaded when it is first used: `evaluate`, `load_model`, `load_task`, `TaskResult`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmedteb.api import evaluate, load_model, load_task
    from cmedteb.results import TaskResult

__version__ = "0.1.0"

_HOMES = {
    "TaskResult": "cmedteb.results",
    "evaluate": "cmedteb.api",
    "load_model": "cmedteb.api",
    "load_task": "cmedteb.api",
}

__all__ = ["TaskResult", "__version__", "evaluate", "load_model", "load_task"]


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    if name in _HOMES:
        value: object = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
