"""What a caller may set about any model, over its card and its own configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cmedteb.data import Hub
from cmedteb.models.protocols import Role


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What `cmedteb run` takes about a model; None or "auto" leaves it to card, model or machine.

    Attributes:
        device: see `encoding.devices.resolve_device`.
        dtype: of the weights, see `encoding.devices.resolve_dtype`.
        compile: compile the network for the device, see `networks.compiled`.
        max_length: cut texts at so many tokens.
        query_prompt: put before queries; "" for none.
        document_prompt: put before documents; "" for none.
        hub: where weights come from.
        offline: never open a connection.
        trust_remote_code: let the model's own code run.
        query_model: of a pair, what encodes queries; anything that `-m` takes.
        document_model: of a pair, what encodes documents.
        sts_sides: which side encodes sentence 1 and sentence 2.
        api_base: base URL of an OpenAI-compatible endpoint.
        api_key_env: name of the environment variable that holds its key.
        dimensions: how wide the vectors are that an endpoint is asked for.
        budget: the most that paid calls may cost, in the currency of the price.
        api_price: of a million tokens, in that currency.
        hyde: hypothetical documents: a file of them, or the name of a chat model at `hyde_base`.
        hyde_base: base URL of the OpenAI-compatible chat endpoint.
        hyde_key_env: name of the environment variable that holds its key.
        hyde_prompt: `question`, `title` or `text`, where the task does not say.
        hyde_documents: how many are asked for for each query.
        hyde_cache: the file that generations are kept in.
        first_stage: what finds the documents that a reranker orders; anything that `-m` takes.
        rerank_depth: how many of them it orders.
        truncate_dim: keep the first so many dimensions of every vector.
        quantize: how document vectors are stored: `int8` or `binary`.
        rescore: score the best again with the vectors as they were before quantisation.
        fusion: how runs are fused: `rrf` or `min-max`.
        fusion_weights: one for each fused system.
    """

    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    max_length: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    hub: Hub = Hub.HF
    offline: bool = False
    trust_remote_code: bool = False
    query_model: str | None = None
    document_model: str | None = None
    sts_sides: tuple[Role, Role] | None = None
    api_base: str | None = None
    api_key_env: str | None = None
    dimensions: int | None = None
    budget: float | None = None
    api_price: float | None = None
    hyde: str | None = None
    hyde_base: str | None = None
    hyde_key_env: str | None = None
    hyde_prompt: str | None = None
    hyde_documents: int | None = None
    hyde_cache: str | None = None
    first_stage: str | None = None
    rerank_depth: int | None = None
    truncate_dim: int | None = None
    quantize: str | None = None
    rescore: bool = False
    fusion: str | None = None
    fusion_weights: tuple[float, ...] | None = None

    @property
    def given(self) -> set[str]:
        """Names of the options that were set to something else than their default."""
        return {field.name for field in fields(self) if getattr(self, field.name) != field.default}

    def only(self, names: frozenset[str]) -> ModelOptions:
        """The same with everything else left at its default."""
        return ModelOptions(**{name: getattr(self, name) for name in sorted(names)})


# Every system takes these, or is not touched by them.
COMMON = frozenset({"device", "dtype", "hub", "offline", "trust_remote_code"})
# A composite passes these on to those of its parts that take them.
OF_PARTS = frozenset({"api_base", "api_key_env", "dimensions", "budget", "api_price"})
# These wrap whatever system was loaded, see `registry`.
WRAPPING = frozenset(
    {
        "hyde",
        "hyde_base",
        "hyde_key_env",
        "hyde_prompt",
        "hyde_documents",
        "hyde_cache",
        "first_stage",
        "rerank_depth",
        "truncate_dim",
        "quantize",
        "rescore",
    }
)
