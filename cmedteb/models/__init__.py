"""Models: one protocol a kind of system, one file a family, one registry from name to system."""

from cmedteb.models.card import ModelCard, all_cards
from cmedteb.models.protocols import (
    Described,
    Encoder,
    ModelFacts,
    PairScorer,
    Retriever,
    Role,
    System,
    TaskAware,
    TaskContext,
)
from cmedteb.models.registry import ModelOptions, find_card, load_model

__all__ = [
    "Described",
    "Encoder",
    "ModelCard",
    "ModelFacts",
    "ModelOptions",
    "PairScorer",
    "Retriever",
    "Role",
    "System",
    "TaskAware",
    "TaskContext",
    "all_cards",
    "find_card",
    "load_model",
]
