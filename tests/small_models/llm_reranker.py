"""A seeded Qwen3 of two layers that answers yes or no, with the real kind of tokenizer.

It comes as sentence-transformers saves such a reranker (a transformer and a `LogitScore`), and
bare, as a language model whose own template knows only the roles of a chat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from small_models.qwen3 import END, TURN_END, WIDTH, save_tokenizer

from cmedteb.models import ModelOptions

CHAT = (
    "{%- for message in messages %}{%- if message.role in ['system', 'user', 'assistant'] %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
)
TEMPLATE = (
    "<|im_start|>system\nAnswer yes or no.<|im_end|>\n<|im_start|>user\n"
    "<Instruct>: {{ messages | selectattr('role', 'eq', 'system') | map(attribute='content')"
    " | first | default('Is it relevant?') }}\n"
    "<Query>: {{ messages | selectattr('role', 'eq', 'query') | map(attribute='content')"
    " | first }}\n"
    "<Document>: {{ messages | selectattr('role', 'eq', 'document') | map(attribute='content')"
    " | first }}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>{{ '\n\n' }}"
)
ANSWERS = ("yes", "no", "Yes")


def language_model_folder(folder: Path, *, template: str | None = CHAT, seed: int = 0) -> Path:
    """Save a bare language model whose vocabulary holds the answers, each as one token."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    save_tokenizer(folder, closed_by=None, eos=TURN_END, config={})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(ANSWERS))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.3,
        pad_token_id=tokenizer.convert_tokens_to_ids(END),
        layer_types=["full_attention", "full_attention"],
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


def saved_reranker_folder(folder: Path, bare: Path, **configuration: object) -> Path:
    """Save a bare language model as a reranker of sentence-transformers.

    Args:
        folder: where to; made.
        bare: the language model.
        **configuration: what config_sentence_transformers.json says besides.
    """
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(bare), device="cpu", processor_kwargs={"chat_template": TEMPLATE})
    model.save_pretrained(str(folder), create_model_card=False)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | configuration), encoding="utf-8")
    return folder


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A saved reranker with a prompt of its own."""
    bare = language_model_folder(folder / "bare")
    saved = saved_reranker_folder(folder / "llm", bare, prompts={"query": "Is it an answer?"})
    yield str(saved), ModelOptions(device="cpu")
