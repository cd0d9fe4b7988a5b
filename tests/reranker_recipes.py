"""Cross-encoders for tests: loaded by a folder or a card, and their scores without our code.

`logits` and `answers` are the authors' recipes, pair by pair, with transformers alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builders import smoke_texts

from cmedteb.models import ModelOptions, load_model
from cmedteb.models.cross_encoder import CrossEncoder

SMOKE = smoke_texts()
LEFT = [SMOKE[0][:9], "\u9ad8\u8840\u538b", SMOKE[1][:20], "", "CT"]
RIGHT = [SMOKE[2], "\u8840", SMOKE[3][:40], SMOKE[4][:5], SMOKE[5]]
LONG = "\u8840\u538b" * 200


def load(folder: Path, **options: Any) -> CrossEncoder:
    system = load_model(str(folder), ModelOptions(**{"device": "cpu"} | options))
    assert isinstance(system, CrossEncoder)
    return system


def load_card(home: Path, folder: Path, *lines: str, **options: Any) -> CrossEncoder:
    """Load by a card that says this besides where the weights are."""
    card = home / "card.toml"
    head = [
        'name = "x"',
        'title = "x"',
        'family = "cross-encoder"',
        f"hf = {json.dumps(str(folder))}",
    ]
    card.write_text("\n".join([*head, *lines]), encoding="utf-8")
    return load(card, **options)


def changed(folder: Path, home: Path, **config: Any) -> Path:
    """A copy with another config.json."""
    copy = home / "copy"
    shutil.copytree(folder, copy)
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config), encoding="utf-8")
    return copy


def logits(folder: Path, left: Sequence[str], right: Sequence[str], length: int = 128) -> Any:
    """A classifier's logits from transformers alone, shape (pairs, labels)."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    with torch.no_grad():
        for a, b in zip(left, right, strict=True):
            pair = tokenizer(a, b, truncation=True, max_length=length, return_tensors="pt")
            rows.append(model(**pair).logits[0])
    return torch.stack(rows)


def answers(
    folder: Path, left: Sequence[str], right: Sequence[str], *, asked: str, length: int = 256
) -> Any:
    """A language model's next-token logits behind the authors' template, shape (pairs, words)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    before = "<|im_start|>system\nAnswer yes or no.<|im_end|>\n<|im_start|>user\n"
    after = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    end = tokenizer(after, add_special_tokens=False)["input_ids"]
    rows = []
    with torch.no_grad():
        for a, b in zip(left, right, strict=True):
            text = f"{before}<Instruct>: {asked}\n<Query>: {a}\n<Document>: {b}"
            ids = tokenizer(text, add_special_tokens=False)["input_ids"][: length - len(end)]
            rows.append(model(input_ids=torch.tensor([ids + end])).logits[0, -1])
    return torch.stack(rows)


def word(folder: Path, text: str) -> int:
    """The token that a word is."""
    from transformers import AutoTokenizer

    found: int = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(text)
    return found
