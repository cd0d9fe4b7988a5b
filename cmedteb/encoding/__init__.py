"""The engine between a model and its vectors."""

from cmedteb.encoding.cache import VectorStore, default_root
from cmedteb.encoding.pairs import score_distinct
from cmedteb.encoding.pipeline import Encoded, Gathered, Source, encode_distinct, planned
from cmedteb.encoding.plan import batches, default_budget

__all__ = [
    "Encoded",
    "Gathered",
    "Source",
    "VectorStore",
    "batches",
    "default_budget",
    "default_root",
    "encode_distinct",
    "planned",
    "score_distinct",
]
