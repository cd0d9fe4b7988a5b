"""Vectors of a task's queries from any encoder, by the same engine as an evaluation's."""

from __future__ import annotations

import numpy as np

from cmedteb.encoding import default_budget, encode_distinct, planned
from cmedteb.errors import UsageError
from cmedteb.models import Encoder, Engined, Role, System
from cmedteb.models.custom import facts_of
from cmedteb.types import Float32Array, Similarity, TextColumn


def query_vectors(system: System, texts: TextColumn) -> Float32Array:
    """One row a text; of unit length where the model compares by cosine.

    Args:
        system: bound to the task.
        texts: the queries.

    Raises:
        UsageError: the system has no vectors.
        ScoreError: a vector is not finite.
    """
    facts = facts_of(system)
    if not isinstance(system, Encoder):
        raise UsageError(
            f"{facts.name} has no vectors, and near texts are found by vectors: name an encoder "
            "with --diversity-model."
        )
    if isinstance(system, Engined):
        source = system.source(Role.QUERY, None)
    else:
        budget = default_budget(facts.device)
        source = planned(system.encode_queries, budget=budget, cap=facts.max_length)
    found = encode_distinct(source, texts).vectors
    if (facts.similarity or Similarity.COSINE) is Similarity.COSINE:
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found = np.asarray(found / np.where(lengths > 0, lengths, 1), dtype=np.float32)
    return np.asarray(found[texts.index])
