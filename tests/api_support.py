"""What the tests of models behind an endpoint share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai_server import vector_of
from small_models.card_files import write_card

from cmedteb.errors import CmedtebError
from cmedteb.models import ModelOptions, Role, load_model
from cmedteb.models.api import ApiEncoder
from cmedteb.types import Float32Array

TEXTS = [f"text number {number}" for number in range(100)]


def model_at(base: str, name: str = "hash", **options: Any) -> ApiEncoder:
    found = load_model(f"api:{name}", ModelOptions(api_base=base, **options))
    assert isinstance(found, ApiEncoder)
    return found


def from_card(path: Path, options: ModelOptions | None = None, **fields: Any) -> ApiEncoder:
    named = {"name": "carded", "family": "api", "title": "a test"}
    found = load_model(str(write_card(path / "carded.toml", **named, **fields)), options)
    assert isinstance(found, ApiEncoder)
    return found


def expected(texts: list[str], width: int = 16) -> Float32Array:
    return np.stack([vector_of(text, width) for text in texts])


def received(model: ApiEncoder, texts: list[str]) -> tuple[dict[int, Float32Array], CmedtebError]:
    """What a stream gives before its error, and the error."""
    found: dict[int, Float32Array] = {}
    try:
        for rows, vectors in model.stream(texts, Role.DOCUMENT):
            for row, vector in zip(rows.tolist(), vectors, strict=True):
                assert row not in found
                found[row] = vector
    except CmedtebError as error:
        return found, error
    pytest.fail("no error")


def refuse_unequal(found: dict[int, Float32Array], texts: list[str]) -> None:
    for row, vector in found.items():
        np.testing.assert_array_equal(vector, vector_of(texts[row]))
