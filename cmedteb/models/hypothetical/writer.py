"""Asks a chat model for hypothetical documents, as the authors of AutoMIR do, and keeps them.

A document that is kept is never asked for again. An answer without a document is an error, after
all others have been kept, and is asked for again by the next run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from cmedteb.endpoints import Endpoint, Reply, concurrently, open_endpoint
from cmedteb.endpoints.pool import Stop
from cmedteb.errors import ModelError, NotAvailableError, UsageError
from cmedteb.models.card import family_file
from cmedteb.models.hypothetical.cache import GenerationCache, birth_of
from cmedteb.models.hypothetical.files import key_of, shown
from cmedteb.models.hypothetical.manner import Decoding, Manner, Recipe
from cmedteb.models.protocols import TaskContext
from cmedteb.types import QueryForm

PROVIDERS = "api/providers.toml"
FILTERED = "content_filter"
THOUGHTS = re.compile(r"^\s*<think>.*?(</think>\s*|\Z)", re.DOTALL)


class Wanted(NamedTuple):
    """A document that is to be asked for: of which query, and which of its documents."""

    query: str
    number: int


@dataclass(frozen=True)
class Writer:
    """A chat model at its endpoint, which is opened when something is to be asked.

    Attributes:
        model: its name there.
        base: base URL; None while all documents are kept.
        key_env: the environment variable that holds the key.
        offline: ask nothing.
    """

    model: str
    base: str | None
    key_env: str | None = None
    offline: bool = False

    def write(self, wanted: Sequence[Wanted], recipe: Recipe, kept: GenerationCache) -> None:
        """Ask for documents side by side, and keep each as it arrives.

        Raises:
            UsageError: nobody says where the model is.
            NotAvailableError: it cannot be asked, or may not be.
            ModelError: it failed, or some answers held no document; the others are kept.
        """
        self._refuse_if_out_of_reach(wanted, kept)
        # Each worker keeps its answer before it asks again: a killed run loses what is in flight.
        calls = concurrently(
            wanted, partial(self._ask, recipe, kept), workers=self._endpoint.provider.concurrency
        )
        if empty := [(one, reply) for one, reply in calls if not document_of(reply)]:
            raise ModelError(self._told(empty, len(wanted), kept))

    def _ask(
        self, recipe: Recipe, kept: GenerationCache, one: Wanted, stop: Stop
    ) -> tuple[Wanted, Reply]:
        decoding = recipe.decoding.of_document(one.number)
        messages = recipe.messages(one.query)
        reply = self._endpoint.chat(self.model, messages, stop=stop, **decoding)
        if document := document_of(reply):
            kept.add(one.query, one.number, document, self._notes(one, recipe, reply))
        return one, reply

    @cached_property
    def _endpoint(self) -> Endpoint:
        return open_endpoint(
            self.base or "",
            providers=family_file(PROVIDERS),
            key_env=self.key_env,
            offline=self.offline,
        )

    def _refuse_if_out_of_reach(self, wanted: Sequence[Wanted], kept: GenerationCache) -> None:
        lacking = (
            f"{kept.path} holds no document for {len({one.query for one in wanted})} of the "
            f"queries, the first: {shown([one.query for one in wanted])}"
        )
        if self.base is None:
            raise UsageError(f"{lacking}. Say where {self.model} can be asked: --hyde-base URL.")
        if self.offline:
            raise NotAvailableError(f"{lacking}, and --offline forbids to ask {self.model}.")

    def _notes(self, one: Wanted, recipe: Recipe, reply: Reply) -> dict[str, Any]:
        return {
            "generator": self.model,
            "answered_by": reply.model,
            "form": str(recipe.form),
            "prompt": recipe.prompt_hash,
            "decoding": recipe.decoding.of_document(one.number),
            "finish": reply.finish_reason,
            "tokens": {"in": reply.tokens_in, "out": reply.tokens_out},
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }

    def _told(self, empty: list[tuple[Wanted, Reply]], asked: int, kept: GenerationCache) -> str:
        reply = empty[0][1]
        why = reply.refusal or f"finish_reason {reply.finish_reason}"
        return (
            f"{self.model} wrote no document for {len(empty)} of {asked} requests ({why}), the "
            f"first: {shown([one.query for one, _ in empty])}. The others are in {kept.path}: run "
            "again to ask for these once more, or add lines with their text and rewrite_query to "
            "a copy of that file and give it with --hyde FILE."
        )


def document_of(reply: Reply) -> str:
    """The document of an answer; empty where there is none.

    What a model wrote while it was thinking is no part of it, and a text that a filter has cut
    off is none.
    """
    if reply.refusal or reply.finish_reason == FILTERED:
        return ""
    # An answer that ends in the middle of an emoji holds half of a surrogate pair.
    text = reply.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    document = THOUGHTS.sub("", text)
    return document if document.strip() else ""


@dataclass(frozen=True)
class ChatHypotheses:
    """Documents of a chat model, each asked for once.

    Attributes:
        writer: the model at its endpoint.
        manner: how it is asked.
        decoding: of that manner, what fits the number of documents.
        count: documents a query.
        label: what the system's name says of them.
        path: of the file that keeps them.
        fallback: what queries are where the task does not say.
        form: what the queries of this task are; None before a task is known.
        session: tells vectors made with a file that is only now begun from any others.
    """

    writer: Writer
    manner: Manner
    decoding: Decoding
    count: int
    label: str
    path: Path
    fallback: QueryForm | None = None
    form: QueryForm | None = None
    session: str = field(default_factory=lambda: uuid4().hex)

    @property
    def described(self) -> dict[str, Any]:
        """How documents are asked for; what they say is not known before."""
        form = self.form or self.fallback
        return {
            "label": self.label,
            "documents": self.count,
            "generator": self.writer.model,
            "form": form,
            "prompt": None if form is None else self._recipe.prompt_hash,
            "decoding": self.decoding.model_dump(),
        }

    @property
    def kept_as(self) -> dict[str, Any]:
        """Also which file keeps them: one begun anew may hold other documents."""
        return {**self.described, "file": birth_of(self.path) or f"begun by {self.session}"}

    def for_task(self, context: TaskContext) -> ChatHypotheses:
        """The same with the prompt for what this task's queries are.

        Raises:
            UsageError: nobody says what they are.
        """
        form = context.query_form or self.fallback
        if form is None:
            raise UsageError(_formless(context.name or "this task"))
        return replace(self, form=QueryForm(form))

    def of(self, queries: Sequence[str]) -> list[tuple[str, ...]]:
        """The documents of each query; those that are not kept are asked for now.

        Raises:
            UsageError: nobody says what the queries are, or where the model is.
            NotAvailableError: the endpoint cannot be asked.
            ModelError: it gave no document for a query.
        """
        kept = self._kept
        wanted = [
            Wanted(query, number)
            for query in {key_of(query): query for query in queries}.values()
            for number in range(self.count)
            if number not in kept.get(query)
        ]
        if wanted:
            self.writer.write(wanted, self._recipe, kept)
        return [tuple(kept.get(query)[n] for n in range(self.count)) for query in queries]

    @cached_property
    def _kept(self) -> GenerationCache:
        return GenerationCache(self.path, self._recipe.short)

    @property
    def _recipe(self) -> Recipe:
        form = self.form or self.fallback
        if form is None:
            raise UsageError(_formless("this task"))
        return Recipe(
            model=self.writer.model,
            form=form,
            system=self.manner.system,
            prompt=self.manner.prompts[form],
            decoding=self.decoding,
        )


def _formless(task: str) -> str:
    return (
        f"nobody says whether the queries of {task} are questions, titles or texts, which decides "
        "how a document is asked for. Say it: --hyde-prompt question (or title, text)."
    )
