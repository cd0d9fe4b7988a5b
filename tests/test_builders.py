"""What other tests rest on. Run: pytest tests/test_builders.py -q."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runner.support import words

pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")


def test_the_small_model_tells_the_texts_of_other_tests_apart(cls_folder: Path) -> None:
    """Else vectors of swapped texts would be equal, and ranks a matter of rounding."""
    from sentence_transformers import SentenceTransformer

    texts = [f"{words(row)} {row}" for row in range(300)]
    vectors = SentenceTransformer(str(cls_folder), device="cpu").encode(texts)
    assert len(np.unique(np.round(vectors, 4), axis=0)) == len(texts)
