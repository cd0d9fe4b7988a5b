"""Loads late-interaction models of sentence-transformers, and says how long their texts may be.

sentence-transformers makes such a model of any network: where no projection of token vectors was
trained it makes one up at random, and an activation that it does not trust becomes another one.
Both would give scores, and none of them the model's, so both are refused here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmedteb.encoding.devices import resolve_device, resolve_dtype
from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models.card import ModelCard, known
from cmedteb.models.networks.loading import need_libraries, refuse_empty_tokenizer, told_plainly
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import Role
from cmedteb.models.weights import Weights

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder as Model

SAVED = "config_sentence_transformers.json"
# PyLate before its version 3 named no kind of model; these tell one.
PYLATE = {"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens"}
# Tokenizers that know no maximum length say a number far above this.
NO_LENGTH = 10**9


class Settings(BaseModel):
    """What `[settings]` of a card of this family may say; `max_length` of a card is of documents.

    Attributes:
        similarity: how token vectors are compared; absent, as the model says.
        query_length: tokens of a query; where the model fills queries up with [MASK], to so many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    similarity: Literal["maxsim", "meanmaxsim"] | None = None
    query_length: Annotated[int, Field(ge=1)] | None = None

    @classmethod
    def of(cls, card: ModelCard) -> Self:
        """What a card says.

        Raises:
            DataError: its settings are not valid, or it compares single vectors.
        """
        if known(card.similarity) is not None:
            raise DataError(
                f"the card of {card.name}: similarity = {str(card.similarity)!r} compares single "
                'vectors. Late interaction has [settings] similarity = "maxsim" or "meanmaxsim".'
            )
        try:
            return cls.model_validate(card.settings)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DataError(f"the card of {card.name}: [settings] {told}") from error


def open_encoder(weights: Weights, settings: Settings, options: ModelOptions) -> Model:
    """Load a model folder.

    Raises:
        MissingExtraError: sentence-transformers or torch is not installed.
        NotAvailableError: the folder is no model that it can load, or was not trained for late
            interaction.
        UsageError: it needs --trust-remote-code, or an unknown device or type was asked for.
    """
    need_libraries("torch", "sentence_transformers", "safetensors")
    import torch
    from sentence_transformers import MultiVectorEncoder as Model
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = resolve_device(options.device)
    dtype = getattr(torch, resolve_dtype(options.dtype, device))
    with told_plainly(weights, library="sentence-transformers", device=device):
        refuse_untrained(weights)
        if not options.trust_remote_code:
            refuse_untrusted_activation(weights)
        model = Model(
            str(weights.folder),
            device=device,
            trust_remote_code=options.trust_remote_code,
            local_files_only=weights.offline,
            model_kwargs={"dtype": dtype},
            similarity_fn_name=settings.similarity,
        )
    refuse_empty_tokenizer(model.tokenizer, weights)
    return model


def refuse_untrained(weights: Weights) -> None:
    """A network without a projection of its own would get one of random numbers.

    Raises:
        NotAvailableError: the folder was saved neither by sentence-transformers or PyLate as a
            late-interaction model, nor by Stanford's ColBERT, nor holds a network that projects.
    """
    folder = weights.folder
    modules = _json(folder / "modules.json") or []
    config, saved = _json(folder / "config.json") or {}, _json(folder / SAVED) or {}
    kind = saved.get("model_type")
    if not modules:
        named = config.get("architectures") or []
        trained = any(name == "HF_ColBERT" or name.endswith("ForRetrieval") for name in named)
    elif kind in {None, "SentenceTransformer"}:
        projects = any(str(module.get("type")).endswith("Dense") for module in modules)
        trained = projects and bool(PYLATE & set(saved))
    else:
        trained = kind in {"MultiVectorEncoder", "ColBERT"}
    if not trained:
        raise NotAvailableError(
            f"{weights.name} in {folder} was not saved as a late-interaction model: it has no "
            "projection of token vectors, and a random one would stand in for it. Take a ColBERT "
            "checkpoint, or correct the family on its card."
        )


def refuse_untrusted_activation(weights: Weights) -> None:
    """A projection whose activation is foreign code would silently get tanh.

    Raises:
        UsageError: it names one.
    """
    for module in _json(weights.folder / "modules.json") or []:
        config = _json(weights.folder / str(module.get("path")) / "config.json") or {}
        named = config.get("activation_function")
        if isinstance(named, str) and not named.startswith("torch."):
            raise UsageError(
                f"{weights.name} projects with {named}, which is code of its own. Read it, then "
                "allow it with --trust-remote-code."
            )


def expansion_of(model: Model) -> dict[str, Any] | None:
    """How queries are filled up with [MASK] or another token; None where they are not."""
    found = [network.query_expansion for network in _networks(model)]
    return dict(found[0]) if found and found[0] else None


def length_of(model: Model, role: Role) -> int | None:
    """The most tokens of a text of this side; None where nobody says."""
    found = _networks(model)
    stated: int | None = None
    if found and role is Role.DOCUMENT:
        stated = found[0].document_length
    elif found:
        expansion = found[0].query_expansion or {}
        fixed = expansion.get("strategy") == "fixed"
        stated = expansion["length"] if fixed else found[0].query_length
    length: int | None = stated or model.max_seq_length
    return length if length is not None and length < NO_LENGTH else None


def set_lengths(model: Model, *, documents: int | None, queries: int | None) -> None:
    """Cut texts at these lengths.

    Args:
        model: changed in place.
        documents: of documents, and of queries where neither `queries` nor the model says theirs.
        queries: of queries; where the model fills them up, they are filled up to so many tokens.
    """
    for network in _networks(model):
        expansion = network.query_expansion
        if documents is not None:
            network.document_length = documents
            if network.query_length is None and expansion is None:
                network.query_length = documents
        if queries is not None:
            network.query_length = None if expansion else queries
            if expansion:
                network.query_expansion = {**expansion, "length": queries}


def _networks(model: Model) -> list[Any]:
    """The networks in a model that read texts: one, or those of a router."""
    return [module for module in model.modules() if hasattr(module, "query_expansion")]


def _json(path: Path) -> Any:  # noqa: ANN401  whatever the file holds
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
