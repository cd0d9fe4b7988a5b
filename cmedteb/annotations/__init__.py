"""Annotations: versions of judgements as data."""

from cmedteb.annotations.overlay import read_overlay

__all__ = ["read_overlay"]
