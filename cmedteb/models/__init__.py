"""Models: one protocol a kind of system, one file a family, one registry from name to system."""

from cmedteb.models.card import ModelCard, all_cards
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import (
    Batching,
    CollectionScorer,
    Composite,
    Described,
    Encoder,
    Engined,
    Indexing,
    ModelFacts,
    Narrowing,
    PairsByPart,
    PairScorer,
    Reranker,
    Retriever,
    Role,
    Splittable,
    Streaming,
    System,
    TaskAware,
    TaskContext,
)
from cmedteb.models.registry import find_card, load_model

__all__ = [
    "Batching",
    "CollectionScorer",
    "Composite",
    "Described",
    "Encoder",
    "Engined",
    "Indexing",
    "ModelCard",
    "ModelFacts",
    "ModelOptions",
    "Narrowing",
    "PairScorer",
    "PairsByPart",
    "Reranker",
    "Retriever",
    "Role",
    "Splittable",
    "Streaming",
    "System",
    "TaskAware",
    "TaskContext",
    "all_cards",
    "find_card",
    "load_model",
]
