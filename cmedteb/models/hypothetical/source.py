"""Where hypothetical documents come from: a file of them, or a chat model with a file to keep them.

What `--hyde` says is a file if there is one of that name, else the name of a chat model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedteb.data.rows import suffix_of
from cmedteb.encoding import default_root
from cmedteb.errors import UsageError
from cmedteb.models.hypothetical.cache import GenerationCache
from cmedteb.models.hypothetical.files import Generations, read_generations
from cmedteb.models.hypothetical.manner import Decoding, read_manner
from cmedteb.models.hypothetical.writer import ChatHypotheses, Writer
from cmedteb.models.options import ModelOptions
from cmedteb.models.protocols import TaskContext
from cmedteb.types import QueryForm

OF_A_CHAT_MODEL = ("hyde_base", "hyde_key_env", "hyde_prompt", "hyde_cache")


@dataclass(frozen=True)
class FileHypotheses:
    """Documents of a file.

    Attributes:
        generations: what the file holds.
        label: what the system's name says of them.
        generator: who wrote them, where the file does not say and somebody else does.
    """

    generations: Generations
    label: str
    generator: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The hash over the documents stands for all that made them."""
        stated = self.generations.generators
        generator = ", ".join(stated) if stated else self.generator
        return {
            "label": self.label,
            "documents": self.generations.count,
            "generations": self.generations.sha256,
            "generator": generator or "unknown",
        }

    @property
    def kept_as(self) -> dict[str, Any]:
        """The documents alone, whatever they are called."""
        return {
            "documents": self.generations.count,
            "generations": self.generations.sha256,
        }

    def for_task(self, context: TaskContext) -> FileHypotheses:
        """The same: the file was written for its queries."""
        del context
        return self

    def of(self, queries: Sequence[str]) -> list[tuple[str, ...]]:
        """The documents of each query; see `Generations.of`."""
        return self.generations.of(queries)


def open_hypotheses(
    options: ModelOptions, *, generator: str | None = None
) -> FileHypotheses | ChatHypotheses:
    """What `--hyde` names.

    Args:
        options: `hyde` is set.
        generator: who wrote the documents of a file, as a card says.

    Raises:
        UsageError: no such file, or options that do not go together.
        DataError: the file is not as it should be.
    """
    named = str(options.hyde)
    path = Path(named).expanduser()
    if path.is_file():
        _refuse_unread(options, named)
        generations = read_generations(path, options.hyde_documents)
        return FileHypotheses(generations, _label(path), generator)
    if suffix_of(path) or path.is_dir() or not named.strip():
        raise UsageError(
            f"--hyde {named!r}: there is no such file. Give a file of hypothetical documents, or "
            "the name of a chat model with --hyde-base URL."
        )
    return _chat(named, options)


def _refuse_unread(options: ModelOptions, named: str) -> None:
    for name in OF_A_CHAT_MODEL:
        if getattr(options, name) is not None:
            raise UsageError(
                f"--hyde {named} is a file, so no chat model is asked: leave "
                f"--{name.replace('_', '-')} out"
            )


def _label(path: Path) -> str:
    """A file's name without its suffix, and without a `hyde-` that the name says already."""
    stem = path.name.removesuffix(suffix_of(path))
    return _slug(stem.removeprefix("hyde-"))


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "documents"


def _chat(name: str, options: ModelOptions) -> ChatHypotheses:
    manner = read_manner()
    count = options.hyde_documents or 1
    decoding = manner.decoding if count == 1 else manner.decoding_of_several
    cache = _cache_path(name, decoding, options)
    if options.hyde_base is None and not cache.is_file():
        raise UsageError(
            f"--hyde {name}: there is no such file, and to ask a chat model of that name its "
            "endpoint must be known: --hyde-base URL"
        )
    GenerationCache(cache, recipe="")  # refuses what cannot be appended to, before anything is run
    writer = Writer(
        model=name,
        base=options.hyde_base,
        key_env=options.hyde_key_env,
        offline=options.offline,
    )
    form = None if options.hyde_prompt is None else QueryForm(options.hyde_prompt)
    return ChatHypotheses(
        writer=writer,
        manner=manner,
        decoding=decoding,
        count=count,
        label=_slug(name if count == 1 else f"{name}-x{count}"),
        path=cache,
        fallback=form,
    )


def _cache_path(name: str, decoding: Decoding, options: ModelOptions) -> Path:
    """The file named, else one for each model and decoding, beside the vector store."""
    if options.hyde_cache is not None:
        return Path(options.hyde_cache).expanduser()
    return default_root().parent / "hyde" / f"{_slug(name)}-{decoding.short}.jsonl"
