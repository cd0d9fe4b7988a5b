"""A seeded BERT of two layers that classifies pairs, with a tokenizer over characters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders import bert_folder

from cmedteb.models import ModelOptions


def classifier_folder(folder: Path, *, labels: int = 1, seed: int = 0, **config: Any) -> Path:
    """Save a classifier as transformers does.

    Args:
        folder: where to; made.
        labels: how many it gives.
        seed: of the weights.
        **config: more of config.json.
    """
    import torch
    from transformers import BertForSequenceClassification

    bert_folder(folder, seed=seed)
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=labels)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    model.save_pretrained(folder)
    write = folder / "config.json"
    write.write_text(json.dumps(json.loads(write.read_text()) | config), encoding="utf-8")
    return folder


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A reranker with one label."""
    yield str(classifier_folder(folder / "reranker")), ModelOptions(device="cpu")
