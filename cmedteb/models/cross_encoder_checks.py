"""What a reranker must be for its scores to mean something, checked before anything is scored.

sentence-transformers loads more than it can score with: it makes up a head where none was trained,
replaces an activation that it does not trust, and takes a token that a tokenizer does not know for
an answer. All of these would give scores, and none of them the model's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmedteb.errors import NotAvailableError, UsageError
from cmedteb.models.weights import Weights

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder as Model
    from sentence_transformers.cross_encoder.modules import LogitScore

TRAINED = ("ForSequenceClassification", "ForCausalLM")
SAVED = "config_sentence_transformers.json"


def refuse_untrained_head(weights: Weights) -> None:
    """A network without a head gets one of random numbers while it is loaded."""
    architecture = _architecture(weights.folder)
    if not _is_saved_reranker(weights.folder) and not architecture.endswith(TRAINED):
        raise NotAvailableError(
            f"{weights.name} in {weights.folder} is no reranker: its network "
            f"({architecture or 'unnamed in config.json'}) has no trained head for pairs, and a "
            "random one would score. Give a model that was saved as a cross-encoder."
        )


def refuse_untrusted_activation(weights: Weights) -> None:
    """Where the configuration names an activation from foreign code, a sigmoid would be taken."""
    named = _activation(weights.folder)
    if named is not None and not named.startswith("torch."):
        raise UsageError(
            f"{weights.name} scores with {named}, which is code of its own. Read it, then allow it "
            "with --trust-remote-code; or name an activation on a card."
        )


def check_template(model: Model, weights: Weights) -> None:
    """A template must carry both texts, and a language model must have one unless it was saved so.

    Raises:
        UsageError: it has none, or it drops the query or the document.
    """
    first: Any = model[0]
    if "message" in model.modalities:
        kwargs = getattr(first, "processing_kwargs", {}).get("chat_template", {})
        shown = {key: value for key, value in kwargs.items() if key == "add_generation_prompt"}
        failure = first.input_formatter.pair_roles_failure(shown)
    elif _logit_score(model) is not None and not _is_saved_reranker(weights.folder):
        failure = "the model has no chat template"
    else:
        failure = None
    if failure is not None:
        raise UsageError(
            f"{weights.name} is a language model, and its template does not carry a query and a "
            f"document: {failure}. Write a card with the authors' template ([settings] template = "
            "..., with the roles query and document)."
        )


def take_answers(model: Model, weights: Weights, answers: tuple[str, str | None] | None) -> None:
    """Score a language model by these tokens, yes and no; by its own where none are given.

    Raises:
        UsageError: the model is not scored by tokens.
        NotAvailableError: its tokenizer does not know one of them.
    """
    score = _logit_score(model)
    if score is None:
        if answers is not None:
            raise UsageError(
                f"the card of {weights.name} names answer tokens, but the model is a classifier: "
                "leave them out"
            )
        return
    if answers is not None:
        yes, no = answers
        score.true_token_id = model.tokenizer.convert_tokens_to_ids(yes)
        score.false_token_id = None if no is None else model.tokenizer.convert_tokens_to_ids(no)
    used = {score.true_token_id, score.false_token_id}
    unknown = getattr(model.tokenizer, "unk_token_id", None)
    if score.true_token_id is None or len(used) < 2 or (unknown is not None and unknown in used):
        named = "yes, no" if answers is None else ", ".join(filter(None, answers))
        raise NotAvailableError(
            f"{weights.name} is scored by two tokens ({named}) that its tokenizer does not tell "
            "apart. Name the authors' tokens on a card ([settings] yes = ..., no = ...)."
        )


def check_labels(model: Model, weights: Weights, label: int | None) -> None:
    """A model with several labels has no score until one is named.

    Raises:
        UsageError: no label is named where there are several, or none of that number.
    """
    count = model.num_labels
    if label is None and count == 1:
        return
    names = getattr(model.config, "id2label", None) or {}
    there = ", ".join(f"{row} is {names.get(row, row)!r}" for row in range(count))
    if label is None:
        raise UsageError(
            f"{weights.name} gives {count} labels ({there}), not one score. Write a card that says "
            "which of them is relevance: [settings] label = ..."
        )
    if count == 1 or label >= count:
        raise UsageError(
            f"the card of {weights.name} says label {label}, but the model gives {count} ({there})"
        )


def agree_on_padding(model: Model, weights: Weights) -> None:
    """Let the network know the token that its tokenizer pads with.

    Classifiers on language models read the last token that is not padding; one that they take for
    text would make a score depend on what else is in the batch.

    Raises:
        NotAvailableError: the tokenizer cannot pad.
    """
    padding = getattr(model.tokenizer, "pad_token_id", None)
    if padding is None:
        raise NotAvailableError(
            f"{weights.name} has a tokenizer without a padding token, so that no two pairs could "
            "share a batch. Set one where the model was saved (tokenizer_config.json, pad_token)."
        )
    config: Any = model.config
    text = config.get_text_config()
    if text.pad_token_id != padding:
        text.pad_token_id = padding


def _logit_score(model: Model) -> LogitScore | None:
    from sentence_transformers.cross_encoder.modules import LogitScore

    return next((module for module in model if isinstance(module, LogitScore)), None)


def _is_saved_reranker(folder: Path) -> bool:
    saved = _json(folder / SAVED).get("model_type") == "CrossEncoder"
    return saved and (folder / "modules.json").is_file()


def _architecture(folder: Path) -> str:
    return str((_json(folder / "config.json").get("architectures") or [""])[0])


def _activation(folder: Path) -> str | None:
    """The activation that a folder names, where sentence-transformers looks for it."""
    config = _json(folder / "config.json")
    named = [
        _json(folder / SAVED).get("activation_fn") if _is_saved_reranker(folder) else None,
        (config.get("sentence_transformers") or {}).get("activation_fn"),
        config.get("sbert_ce_default_activation_function"),
    ]
    return next((str(name) for name in named if name is not None), None)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, for the loader to complain of."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
