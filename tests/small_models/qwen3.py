"""A seeded Qwen3 of two layers with a real byte-level BPE tokenizer, as Qwen's models have one.

The tokenizer is trained on the smoke texts, so it knows every character (by bytes, some whole).
Its files are laid out as Qwen3-Embedding's: the end of sequence is `<|im_end|>`, padding is
`<|endoftext|>`, and what closes a text is said by the post-processor of tokenizer.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builders import smoke_texts

END = "<|endoftext|>"
TURN_END = "<|im_end|>"
SPECIAL = (END, "<|im_start|>", TURN_END)
WIDTH = 32


def qwen3_folder(
    folder: Path,
    *,
    closed_by: str | None = END,
    eos: str = TURN_END,
    seed: int = 0,
    width: int = WIDTH,
    tokenizer_config: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Save a small Qwen3 as transformers does.

    Args:
        folder: where to; made.
        closed_by: what the tokenizer puts behind every text; None for nothing.
        eos: the tokenizer's end of sequence.
        seed: of the weights.
        width: of its states.
        tokenizer_config: more of tokenizer_config.json.
        **config: more of config.json.
    """
    import torch
    from transformers import Qwen3Config, Qwen3Model

    vocabulary = save_tokenizer(folder, closed_by=closed_by, eos=eos, config=tokenizer_config or {})
    torch.manual_seed(seed)
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "layer_types": ["full_attention", "full_attention"],
    }
    vary_norms(Qwen3Model(Qwen3Config(**(shape | config)))).save_pretrained(folder)
    return folder


def vary_norms(model: Any) -> Any:
    """The model with norms as after training; fresh ones give every vector the same length."""
    import torch

    for name, weight in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


def save_tokenizer(folder: Path, *, closed_by: str | None, eos: str, config: dict[str, Any]) -> int:
    """Save the tokenizer alone; its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(smoke_texts(), trainer)
    if closed_by is not None:
        ends = [(closed_by, tokenizer.token_to_id(closed_by))]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {closed_by}", pair=f"$A {closed_by} $B {closed_by}", special_tokens=ends
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": eos,
        "pad_token": END,
        "bos_token": None,
        "unk_token": None,
        "model_max_length": 256,
        "padding_side": "right",
    }
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(said | config), encoding="utf-8")
    return int(tokenizer.get_vocab_size())
