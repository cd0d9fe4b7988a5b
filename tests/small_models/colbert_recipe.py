"""Late interaction written out: BERT, a projection and MaxSim in loops, one text at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, queries, smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.multi_vector import COMMA, FULL_STOP

from cmedteb.models import ModelOptions, load_model
from cmedteb.models.multi_vector import MultiVector

PASSAGES = [*smoke_texts()[:9], FULL_STOP, "CT", smoke_texts()[2]]
ASKED = [text[:9] for text in smoke_texts()[2:6]] + ["", smoke_texts()[0]]
IDS = [f"p{(5 * row) % 12:02d}" for row in range(12)]


def load(spec: Path, **options: Any) -> MultiVector:
    system = load_model(str(spec), ModelOptions(**{"device": "cpu"} | options))
    assert isinstance(system, MultiVector)
    return system


def card(path: Path, folder: Path, **fields: Any) -> Path:
    fields = {"name": "mine", "title": "Mine", "family": "multi-vector", "hf": str(folder)} | fields
    return write_card(path / "mine.toml", **fields)


class Recipe:
    """The vectors of a text from transformers alone, one text at a time, and MaxSim in loops."""

    def __init__(self, folder: Path, projection: Path, *, key: str = "linear.weight") -> None:
        import torch
        from safetensors.torch import load_file
        from transformers import AutoTokenizer, BertModel

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.bert = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.projection = load_file(projection)[key].float()

    def __call__(
        self,
        text: str,
        *,
        length: int,
        fill: bool = False,
        attend: bool = False,
        skip: str = "",
        normalise: bool = True,
    ) -> NDArray[np.float32]:
        """Token vectors; with `fill` the text is filled up with [MASK] to the length."""
        import torch

        ids = self.tokenizer(text, truncation=True, max_length=length)["input_ids"]
        seen = [1] * len(ids)
        if fill:
            missing = length - len(ids)
            ids, seen = ids + [self.tokenizer.mask_token_id] * missing, seen + [attend] * missing
        with torch.no_grad():
            states = self.bert(
                input_ids=torch.tensor([ids]), attention_mask=torch.tensor([seen]).long()
            ).last_hidden_state[0]
            vectors = states @ self.projection.T
            if normalise:
                vectors = vectors / vectors.norm(dim=1, keepdim=True)
        marks = set(self.tokenizer.convert_tokens_to_ids(list(skip)))
        return np.asarray(vectors[[token not in marks for token in ids]])


def loops(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """The definition of MaxSim."""
    return sum(max(float(np.dot(a, b)) for b in document) for a in query)


def recipe_scores(folder: Path, **changes: Any) -> NDArray[np.float64]:
    """Scores of ASKED with PASSAGES, as the plain model's configuration says."""
    recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
    asked = {"length": 24, "fill": True} | changes
    found = {"length": 40, "skip": FULL_STOP + COMMA} | {
        name: changes[name] for name in changes if name == "normalise"
    }
    left = [recipe("\u9ad8 " + text, **asked) for text in ASKED]
    right = [recipe("\u8840" + text, **found) for text in PASSAGES]
    return np.asarray([[loops(query, document) for document in right] for query in left])


def searched(system: MultiVector, depth: int = 12) -> list[list[tuple[int, float]]]:
    return as_lists(system.search(corpus(PASSAGES, IDS), queries(ASKED), depth))


def agree(system: MultiVector, scores: NDArray[np.float64]) -> None:
    """Search, reranking and pairs all give these scores."""
    everything = searched(system)
    listed = [[3, 0, 9], [11, 2, 5], [], [7], [1, 4], list(range(12))]
    ordered = as_lists(system.rerank(corpus(PASSAGES, IDS), queries(ASKED), candidates(listed)))
    for query, (found, some) in enumerate(zip(everything, ordered, strict=True)):
        assert sorted(row for row, _ in found) == list(range(12))
        assert sorted(row for row, _ in some) == sorted(listed[query])
        for run in (found, some):
            for row, score in run:
                assert score == pytest.approx(scores[query, row], rel=1e-5, abs=1e-5)
            order = [(score, IDS[row]) for row, score in run]
            assert order == sorted(order, reverse=True)
    q, d = np.divmod(np.arange(scores.size), 12)
    pairs = system.score_pairs([ASKED[i] for i in q], [PASSAGES[i] for i in d])
    np.testing.assert_allclose(pairs, scores.ravel(), rtol=1e-5, atol=1e-5)
    assert pairs.dtype == np.float32
