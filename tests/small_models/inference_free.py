"""An inference-free sparse encoder: queries are looked up, documents are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from small_models.sparse_encoder import inference_free_folder

from cmedteb.models import ModelOptions, Role


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """What `load_model` takes for such a model."""
    options = ModelOptions(device="cpu", sts_sides=(Role.QUERY, Role.DOCUMENT))
    yield str(inference_free_folder(folder / "inference-free")), options
