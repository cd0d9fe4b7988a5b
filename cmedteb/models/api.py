"""Any OpenAI-compatible endpoint for embeddings, as an encoder that gives vectors as they come.

Nothing is sent before vectors are asked for, so that what the vector store holds needs neither the
network nor a key. A text is cut only where the provider would refuse it, and the facts say where.
An endpoint has no revision: the card may state a snapshot, else it is `unversioned`; the name that
the server answers under must not change while a system is in use.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from cmedteb.encoding import Encoded
from cmedteb.endpoints import (
    Embedded,
    Endpoint,
    RefusedError,
    Stop,
    Stopped,
    concurrently,
    host_of,
    packs,
)
from cmedteb.errors import (
    CmedtebError,
    MissingExtraError,
    ModelError,
    NotAvailableError,
    UsageError,
)
from cmedteb.models.api_card import Settings, endpoint_of, read_settings
from cmedteb.models.card import UNKNOWN, Family, ModelCard, Prompts, known
from cmedteb.models.options import ModelOptions
from cmedteb.models.prompts import INSTRUCTION, choose_prompts
from cmedteb.models.protocols import ModelFacts, Role, TaskContext
from cmedteb.models.registry import Loader
from cmedteb.models.weights import Weights
from cmedteb.types import Float32Array, Int64Array, Similarity, TaskType

UNVERSIONED = "unversioned"
BLANK = " "  # endpoints refuse empty texts
SHOWN = 40


@dataclass(eq=False)
class _Seen:
    """What the endpoint has shown so far; every later answer must agree with it."""

    width: int | None
    model: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def refuse_change(self, answer: Embedded, model: str) -> None:
        """Raise ModelError where vectors cannot be of the same model as the earlier ones."""
        with self.lock:
            self.width = self.width or answer.vectors.shape[1]
            self.model = self.model or answer.model
            if answer.vectors.shape[1] != self.width:
                raise ModelError(
                    f"{model} gave vectors of {answer.vectors.shape[1]} dimensions where "
                    f"{self.width} were expected. Ask for them with --dimensions, or correct the "
                    "card's dimension."
                )
            if answer.model is not None and answer.model != self.model:
                raise ModelError(
                    f"the endpoint answered {model} as {self.model!r} and then as "
                    f"{answer.model!r}: their vectors cannot be compared. Ask for a model by the "
                    "name of a snapshot."
                )


class _Part(NamedTuple):
    """What came of some rows: vectors of those that succeeded, and why not of the others."""

    encoded: list[Encoded]
    error: CmedtebError | None = None


@dataclass(frozen=True)
class ApiEncoder:
    """A model behind an endpoint, bound to its prompts for one kind of task."""

    endpoint: Endpoint
    card: ModelCard
    settings: Settings
    flags: Prompts
    seen: _Seen
    sts_sides: tuple[Role, Role]
    prompts: Mapping[Role, str] = field(default_factory=dict)

    @property
    def facts(self) -> ModelFacts:
        """What the model is, as far as a card or an answer tells."""
        asked = self.settings.dimensions
        name = re.sub(r"[^A-Za-z0-9._-]", "-", self.settings.label or self.settings.model)
        return ModelFacts(
            name=f"api/{name}" + (f"+dimensions{asked}" if asked else ""),
            revision=UNVERSIONED if self.card.revision == UNKNOWN else self.card.revision,
            family=Family.API,
            similarity=known(self.card.similarity) or Similarity.COSINE,
            prompts={str(role): text for role, text in self.prompts.items()},
            max_length=known(self.card.max_length),
            dimension=asked or known(self.card.dimension),
            sts_sides=self.sts_sides,
            settings=self._moving,
            device="endpoint",
        )

    @property
    def _moving(self) -> dict[str, Any]:
        """What else moves a score: results are published, so they name a host and no URL."""
        provider = self.endpoint.provider
        moving = {
            "model": self.settings.model,
            "provider": provider.name if provider.hosts else host_of(self.endpoint.base_url),
            "dimensions": self.settings.dimensions,
            "max_characters": self._longest,
            "query_fields": dict(sorted(self.settings.query_fields.items())),
            "document_fields": dict(sorted(self.settings.document_fields.items())),
        }
        return {name: value for name, value in moving.items() if value not in (None, {})}

    @property
    def _longest(self) -> int | None:
        limits = self.endpoint.provider.limits(self.settings.model)
        return self.settings.max_characters or limits.row_characters

    @property
    def tokens(self) -> int:
        """Tokens encoded so far, as the endpoint counts them."""
        return self.endpoint.meter.tokens_in

    @property
    def cost(self) -> float | None:
        """What the answers cost so far; None where no price is known."""
        return None if self.endpoint.price is None else self.endpoint.meter.cost

    @property
    def answered_as(self) -> str | None:
        """What the endpoint calls the model that answers; None before the first answer."""
        return self.seen.model

    def for_task(self, context: TaskContext) -> ApiEncoder:
        """The same model with the prompts that this kind of task takes."""
        prompts = choose_prompts(
            context,
            flags=self.flags,
            card=self.card.prompts,
            instructions=self.card.instructions,
            own={},
            default=None,
        )
        return replace(self, prompts=prompts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._collected(texts, Role.QUERY)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of shape (len(texts), dimension), in float32."""
        return self._collected(texts, Role.DOCUMENT)

    def _collected(self, texts: Sequence[str], role: Role) -> Float32Array:
        vectors = np.empty((len(texts), 0), dtype=np.float32)
        for rows, part in self.stream(texts, role):
            if not vectors.shape[1]:
                vectors = np.empty((len(texts), part.shape[1]), dtype=np.float32)
            vectors[rows] = part
        return vectors

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        """Vectors of all texts, as the answers come.

        What was received is yielded also when another request fails, and at Ctrl-C; then the
        error is raised.

        Raises:
            UsageError: a prompt needs the instruction of a task; the endpoint knows no such model.
            NotAvailableError: offline, no key, or an endpoint that cannot be used.
            MissingExtraError: openai is not installed.
            ModelError: a text was refused, an answer is wrong, or the budget is used up.
        """
        sent = self._as_sent(texts, role)
        limits = self.endpoint.provider.limits(self.settings.model)
        requests = list(packs(sent, limits))
        received = 0
        failed: CmedtebError | None = None
        parts = concurrently(
            requests,
            lambda rows, stop: self._part(rows, sent, role, stop),
            workers=min(len(requests), self.endpoint.provider.concurrency),
        )
        try:
            for encoded, error in parts:
                failed = failed or error
                for some in encoded:
                    received += len(some.rows)
                    yield some
        except CmedtebError as error:
            failed = failed or error
        if failed is not None:
            raise _with_count(failed, received, len(texts)) from failed

    def _as_sent(self, texts: Sequence[str], role: Role) -> list[str]:
        prompt = self.prompts.get(role, "")
        if INSTRUCTION in prompt:
            raise UsageError(
                f"the model's prompt {prompt!r} needs the instruction of a task: bind the model to "
                "one with for_task, or say the prompt with --query-prompt"
            )
        return [(prompt + text)[: self._longest] or BLANK for text in texts]

    def _part(self, rows: Int64Array, sent: list[str], role: Role, stop: Stop) -> _Part:
        """Vectors of some rows; what went wrong is told beside those that succeeded."""
        done: list[Encoded] = []
        waiting = [rows]
        while waiting:
            some = waiting.pop()
            try:
                answer = self._asked([sent[row] for row in some], role, stop)
            except Stopped:
                if done:
                    return _Part(done)
                raise
            except RefusedError as error:
                if len(some) > 1:
                    # A refusal costs nothing: look for the text that it is about.
                    waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
                    continue
                stop.set()
                return _Part(done, ModelError(f"{error} The text: {_shown(sent[some[0]])}"))
            except CmedtebError as error:
                stop.set()
                return _Part(done, error)
            good = np.isfinite(answer.vectors).all(axis=1) & answer.vectors.any(axis=1)
            done.append(Encoded(some[good], answer.vectors[good]))
            if not good.all():
                stop.set()
                bad = int(np.flatnonzero(~good)[0])
                return _Part(done, self._bad(answer.vectors[bad], sent[some[bad]]))
        return _Part(done)

    def _asked(self, texts: list[str], role: Role, stop: Stop) -> Embedded:
        answer = self.endpoint.embed(
            self.settings.model,
            texts,
            self.settings.dimensions,
            floats=self.settings.encoding_format == "float",
            fields=self.settings.fields(role),
            stop=stop,
        )
        self.seen.refuse_change(answer, self.settings.model)
        return answer

    def _bad(self, vector: Float32Array, text: str) -> ModelError:
        what = "a vector of zeros" if not vector.any() else "NaN or infinity"
        return ModelError(
            f"{self.settings.model} at {self.endpoint.base_url} gave {what} for the text "
            f"{_shown(text)}. Look at that text, and run again."
        )


def _shown(text: str) -> str:
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return f"{cut!r} ({len(text)} characters)"


def _with_count(error: CmedtebError, received: int, texts: int) -> CmedtebError:
    """The same error, saying also what was received."""
    if isinstance(error, MissingExtraError):
        return error
    told = f"{error} {received} of {texts} texts had got their vectors."
    for kind in (UsageError, NotAvailableError):
        if isinstance(error, kind):
            return kind(told)
    return ModelError(told)


def load(card: ModelCard, options: ModelOptions, weights: Weights | None = None) -> ApiEncoder:
    """The model that a card describes, at the endpoint that it or the options name.

    Raises:
        UsageError: nobody says where the endpoint is; a model's name hides the model; a budget
            without a price.
        DataError: the card's settings are wrong.
    """
    del weights
    settings = read_settings(card, options)
    endpoint = endpoint_of(card, settings, options)
    if settings.label is None and endpoint.provider.hides(settings.model):
        raise UsageError(
            f"{settings.model!r} is the name of an endpoint and hides which model answers. Write "
            "a card with settings.model, and settings.label for the model's name."
        )
    asked = settings.dimensions or known(card.dimension)
    stated = known(card.sts_sides)
    sides = (Role(stated[0]), Role(stated[1])) if stated else (Role.QUERY, Role.QUERY)
    encoder = ApiEncoder(
        endpoint=endpoint,
        card=card,
        settings=settings,
        flags=Prompts(query=options.query_prompt, document=options.document_prompt),
        seen=_Seen(width=asked),
        sts_sides=options.sts_sides or sides,
    )
    instruction = card.instructions.default or INSTRUCTION
    return encoder.for_task(TaskContext("", TaskType.RETRIEVAL, instruction))


LOADER = Loader(
    load,
    options=frozenset(
        {
            "api_base",
            "api_key_env",
            "api_price",
            "budget",
            "dimensions",
            "document_prompt",
            "query_prompt",
            "sts_sides",
        }
    ),
    settings=frozenset(Settings.model_fields),
)
