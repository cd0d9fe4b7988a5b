"""A model behind an endpoint: a real HTTP server on the loopback whose vectors are hashes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openai_server import OpenAIServer
from small_models.card_files import write_card

from cmedteb.models import ModelOptions


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A card that names the model; the server's address is an option."""
    card = write_card(
        folder / "small-api.toml",
        name="small-api",
        family="api",
        title="Hashes of texts, over HTTP",
        revision="2026-11",
        dimension=16,
        settings={"model": "org/hash-embedding"},
        prompts={"query": "query: "},
    )
    with OpenAIServer() as server:
        yield str(card), ModelOptions(api_base=server.base_url)
