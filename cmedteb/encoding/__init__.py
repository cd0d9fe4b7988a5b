"""The engine between a model and its vectors."""

from cmedteb.encoding.pipeline import encode_distinct
from cmedteb.encoding.plan import batches

__all__ = ["batches", "encode_distinct"]
