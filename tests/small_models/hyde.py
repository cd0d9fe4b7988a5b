"""A small HyDE system: a BERT, and a file with a hypothetical document for every smoke text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import bert_folder, smoke_texts, write_jsonl
from small_models.card_files import write_card

from cmedteb.data import Access, Hub
from cmedteb.models import ModelOptions
from cmedteb.tasks.registry import catalogue, make_task


def smoke_queries() -> list[str]:
    """The queries of the smoke tasks."""
    cards = catalogue().cards
    found: list[str] = []
    for name in ("SmokeRetrieval", "SmokeReranking"):
        data = make_task(cards[name]).load(Access(None, Hub.HF, offline=True))
        found += list(data.queries.texts)  # type: ignore[union-attr]
    return found


def write_generations(path: Path, queries: list[str], *, offset: int = 1) -> Path:
    """A file that gives each query a passage of the smoke test as its hypothetical document."""
    passages = smoke_texts()
    rows = (
        {"id": str(row), "text": query, "rewrite_query": passages[(row + offset) % len(passages)]}
        for row, query in enumerate(queries)
    )
    return write_jsonl(path, rows)


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A card that names the encoder, and the file that `--hyde` names."""
    encoder = bert_folder(folder / "small-bert", pooling="cls")
    queries = list(dict.fromkeys([*smoke_queries(), *smoke_texts()]))
    card = write_card(
        folder / "small-hyde.toml",
        name="small-hyde",
        family="hyde",
        title="A BERT of two layers with hypothetical documents",
        settings={"encoder": str(encoder), "generator": "nobody"},
    )
    written = write_generations(folder / "hyde-nobody.jsonl", queries)
    yield str(card), ModelOptions(device="cpu", hyde=str(written))
