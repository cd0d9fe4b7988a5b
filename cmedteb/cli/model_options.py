"""The flags that say which system is run and how: one for each field of `ModelOptions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import click

from cmedteb.cli.sections import SectionedOption
from cmedteb.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

PARAMETER_HINT = "A,B,..."


class SplitBy(click.ParamType[tuple[Any, ...] | None]):
    """Values between commas, each of one type."""

    name = "list"

    def __init__(self, item: click.ParamType[Any], count: int | None = None) -> None:
        self.item = item
        self.count = count

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...] | None:
        """A text to a tuple."""
        if value is None or isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if self.count is not None and len(parts) != self.count:
            self.fail(f"{value!r} holds {len(parts)} values, not {self.count}", param, ctx)
        return tuple(self.item.convert(part, param, ctx) for part in parts)


_model = partial(click.option, cls=SectionedOption, section="Model")
_pair = partial(click.option, cls=SectionedOption, section="Two encoders as one system")
_api = partial(click.option, cls=SectionedOption, section="Models behind an API (-m api:NAME)")
_hyde = partial(click.option, cls=SectionedOption, section="Hypothetical documents")
_stages = partial(click.option, cls=SectionedOption, section="Reranking and fusion")
_storage = partial(click.option, cls=SectionedOption, section="Storage of document vectors")

_SIDE = click.Choice(["query", "document"])
_COUNT = click.IntRange(min=1)
_AMOUNT = click.FloatRange(min=0, min_open=True)

MODEL_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _model("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, npu:0, ..."),
    _model(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16", "float16", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="Of the weights; auto is bfloat16 on GPUs that have it, else float32.",
    ),
    _model("--compile", is_flag=True, help="torch.compile: a slow start, for large corpora."),
    _model("--max-length", type=_COUNT, help="Cut texts at N tokens."),
    _model("--query-prompt", help="Put before queries; '' for none.  [default: the model's]"),
    _model("--document-prompt", help="Put before documents.  [default: the model's]"),
    _model("--trust-remote-code", is_flag=True, help="Let the model's own code run."),
    _pair("--query-model", metavar="MODEL", help="What encodes queries, instead of -m."),
    _pair("--document-model", metavar="MODEL", help="What encodes documents."),
    _pair(
        "--sts-sides",
        type=SplitBy(_SIDE, count=2),
        metavar="SIDE,SIDE",
        help="Which side (query or document) encodes sentence 1 and sentence 2.",
    ),
    _api("--api-base", metavar="URL", help="Base URL of an OpenAI-compatible endpoint."),
    _api("--api-key-env", metavar="NAME", help="Environment variable that holds the key."),
    _api("--dimensions", type=_COUNT, help="How wide the vectors are that are asked for."),
    _api("--budget", type=_AMOUNT, help="The most to spend; needs --api-price."),
    _api("--api-price", type=_AMOUNT, help="Price of a million tokens, in your currency."),
    _hyde("--hyde", metavar="FILE|MODEL", help="A file of them, or a chat model to ask."),
    _hyde("--hyde-base", metavar="URL", help="Base URL of the chat endpoint."),
    _hyde("--hyde-key-env", metavar="NAME", help="Environment variable that holds its key."),
    _hyde(
        "--hyde-prompt",
        type=click.Choice(["question", "title", "text"]),
        help="What the queries are, where the task does not say.",
    ),
    _hyde("--hyde-documents", type=_COUNT, help="How many for each query.  [default: 1]"),
    _hyde("--hyde-cache", metavar="FILE", help="Where answers are kept, to ship with results."),
    _stages("--first-stage", metavar="MODEL", help="What finds the documents that -m orders."),
    _stages("--rerank-depth", type=_COUNT, help="How many of them.  [default: 100]"),
    _stages(
        "--fusion",
        type=click.Choice(["rrf", "min-max"]),
        help="How -m fusion:A+B fuses.  [default: rrf]",
    ),
    _stages(
        "--fusion-weights",
        type=SplitBy(click.FLOAT),
        metavar="W,W",
        help="One for each system.  [default: all alike]",
    ),
    _storage("--truncate-dim", type=_COUNT, help="Keep the first N dimensions (Matryoshka)."),
    _storage("--quantize", type=click.Choice(["int8", "binary"]), help="Store fewer bits."),
    _storage("--rescore", is_flag=True, help="Score the best again with the full vectors."),
)


def model_options(command: Command) -> Command:
    """`-m` and every flag of `ModelOptions`."""
    for option in reversed((_MODEL, *MODEL_OPTIONS)):
        command = option(command)
    return command


_MODEL = _model(
    "-m",
    "--model",
    default="bm25",
    show_default=True,
    help="A card's name, a hub id (org/name[@revision]), a model folder, a path to a card, "
    "api:NAME, mteb:NAME, fusion:A+B or module:factory.",
)


def model_flags(ctx: click.Context, flags: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What was asked for: the model's specification, and the fields of `ModelOptions`.

    Raises:
        UsageError: -m, which is no pair's card, beside the two models of a pair.
    """
    names = [name for name in flags if name in _fields()]
    given = {name: flags[name] for name in names}
    query, document = given["query_model"], given["document_model"]
    if query is None and document is None:
        return str(flags["model"]), given
    if ctx.get_parameter_source("model") is click.core.ParameterSource.DEFAULT:
        return f"{query} + {document}", given
    if not _is_pair(str(flags["model"])):
        raise UsageError(
            f"-m {flags['model']} and --query-model both say what encodes queries: leave one out. "
            "They stand together only where -m is the card of a pair, whose two folders they name."
        )
    return str(flags["model"]), given


def _is_pair(model: str) -> bool:
    from cmedteb.models import find_card
    from cmedteb.models.card import Family

    card = find_card(model)
    return card is not None and card.family is Family.PAIR


def _fields() -> frozenset[str]:
    """Those that are the model's alone; hub and network are the data's too."""
    from dataclasses import fields

    from cmedteb.models import ModelOptions

    return frozenset(field.name for field in fields(ModelOptions)) - {"hub", "offline"}
