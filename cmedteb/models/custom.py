"""Your own object as a system: what can be said of an encoder that says little about itself."""

from __future__ import annotations

import re
from typing import Any

from cmedteb.errors import UsageError
from cmedteb.models.protocols import Described, Encoder, ModelFacts, PairScorer, Retriever, System
from cmedteb.types import Similarity


def facts_of(system: System) -> ModelFacts:
    """The system's own facts; for a foreign object, what its attributes say.

    Read from a foreign object, where it has them: `name` (else its class), `revision` (else
    `unversioned`) and `similarity` (else cosine, which the result states). Its weights are not
    known, so an earlier result never stands for it.

    Raises:
        UsageError: the object is no system, or its similarity is neither dot nor cosine.
    """
    if isinstance(system, Described):
        return system.facts
    if not isinstance(system, (Encoder, Retriever, PairScorer)):
        raise UsageError(
            f"{type(system).__name__} has no encode_queries and encode_documents (nor search and "
            "rerank, nor score_pairs). Add the two methods, each from texts to vectors."
        )
    stated: Any = getattr(system, "similarity", None)
    return ModelFacts(
        name=_name(system),
        revision=str(getattr(system, "revision", "unversioned")),
        family="custom",
        similarity=_similarity(stated) if isinstance(system, Encoder) else None,
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
