"""Your own object as a system, and `module:factory`, which makes one.

Read here is what can be said of an object that says little about itself. A module is looked for
where `python -m` would look, the current folder first. Nothing is guessed about weights: unless
the object states its own facts, no earlier result stands for it.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getattr_static
from pathlib import Path
from types import ModuleType
from typing import Any

from cmedteb.errors import DataError, ModelError, UsageError
from cmedteb.models.card import ModelCard
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import Encoder, ModelFacts, System
from cmedteb.models.registry import Loader
from cmedteb.models.weights import Weights
from cmedteb.types import Similarity

# What code that we did not write raises; an interrupt and an exit stay what they are.
FOREIGN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def facts_of(system: System) -> ModelFacts:
    """The system's own facts; for a foreign object, what its attributes say.

    Read from a foreign object, where it has them: `name` (else its class), `revision` (else
    `unversioned`) and `similarity` (else cosine, which the result states). Its weights are not
    known, so an earlier result never stands for it.

    Raises:
        UsageError: the object is no system, or its similarity is neither dot nor cosine.
    """
    # Looked up without running it: what a property of the object raises is not to be swallowed.
    if getattr_static(system, "facts", None) is not None:
        foreign: Any = system
        stated: Any = foreign.facts
        if isinstance(stated, ModelFacts):
            return stated
    if isinstance(system, type):
        raise UsageError(f"{system.__name__} is a class. Give an object of it: {system.__name__}()")
    if not isinstance(system, System):
        raise UsageError(
            f"{type(system).__name__} has no encode_queries and encode_documents (nor search, "
            "rerank, score_pairs, score_collection, or parts and rank_with). Add the two methods, "
            "each from texts to vectors."
        )
    similarity: Any = getattr(system, "similarity", None)
    return ModelFacts(
        name=_name(system),
        revision=str(getattr(system, "revision", "unversioned")),
        family="custom",
        similarity=_similarity(similarity) if isinstance(system, Encoder) else None,
        reproducible=False,
    )


def _name(system: System) -> str:
    name = re.sub(r"[^\w./-]", "-", str(getattr(system, "name", type(system).__name__)))
    return name if "/" in name else f"custom/{name}"


def _similarity(stated: Any) -> Similarity:  # noqa: ANN401  whatever the object carries
    if stated is None or callable(stated):
        return Similarity.COSINE
    try:
        return Similarity(stated)
    except ValueError as error:
        raise UsageError(f"similarity must be 'dot' or 'cosine', not {stated!r}") from error


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> System:
    """Call the factory that a card names, without arguments.

    The current folder stays on the import path, as after `python -m`: a factory may import
    more of it later.

    Raises:
        DataError: the card names no factory.
        UsageError: no such module or attribute, or what came back is no system.
        ModelError: the module or the factory failed.
    """
    del options, weights
    spec = str(card.settings.get("factory", ""))
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise DataError(
            f"the card of {card.name} names no factory: [settings] factory = 'module:function'"
        )
    factory = getattr(_module(module_name), attribute, None)
    if factory is None:
        raise UsageError(f"the module {module_name} has no {attribute} that could make a system")
    if not callable(factory):
        raise UsageError(
            f"{spec} is of type {type(factory).__name__}, and is to be called without arguments: "
            "give a function or a class that makes the system"
        )
    with _told(f"{spec}()"):
        system: System = factory()
    try:
        facts_of(system)
    except UsageError as error:
        raise UsageError(f"{spec}() made no system: {error}") from error
    return system


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    with _told(f"importing {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UsageError(
                f"there is no module {error.name}, neither in {here} nor among what is installed. "
                "Run the command in the folder that holds it, or set PYTHONPATH."
            ) from error


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what foreign code raises into an error that says where."""
    try:
        yield
    except FOREIGN as error:
        told = f"{type(error).__name__}: {error}"
        raise ModelError(f"{what} failed{_place(error)}: {told}") from error


def _place(error: BaseException) -> str:
    """Where in the foreign code it was raised; empty where the call itself was wrong."""
    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename[0] != "<" and frame.filename != __file__]
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""


LOADER = Loader(load, settings=frozenset({"factory"}))
