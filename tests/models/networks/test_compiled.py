"""Networks that are compiled. Run: pytest tests/models/networks/test_compiled.py -q.

The first test really compiles a BERT of two layers for this processor, which takes a while the
first time, and needs a C++ compiler.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders import bert_folder, smoke_texts
from small_models.qwen3 import qwen3_folder
from small_models.static import static_folder
from small_models.towers import QWEN3, load_tower

from cmedteb.errors import NotAvailableError, UsageError
from cmedteb.models import ModelOptions, Role, load_model
from cmedteb.models.networks.compiled import compile_network
from cmedteb.models.sentence_transformer import SentenceTransformer

TEXTS = smoke_texts()[:4]
COMPILED = ModelOptions(device="cpu", compile=True)

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile needs a C++ compiler on a CPU, and there is none here",
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("compiled") / "bert", pooling="mean")


@needs_compiler
def test_a_compiled_network_gives_the_vectors_of_the_plain_one(bert: Path) -> None:
    plain = load_model(str(bert), ModelOptions(device="cpu"))
    compiled = load_model(str(bert), COMPILED)
    assert isinstance(plain, SentenceTransformer)
    assert isinstance(compiled, SentenceTransformer)
    assert compiled.path == "engine (sdpa, mask where padded, compiled)"
    found = compiled.encode_documents(TEXTS)
    np.testing.assert_allclose(found, plain.encode_documents(TEXTS), atol=1e-5)
    # They are other vectors, in their last bits: nobody is given one for the other.
    assert compiled.facts.settings == {"compile": True}
    assert compiled.facts.side(Role.DOCUMENT) != plain.facts.side(Role.DOCUMENT)
    # The library's own loop runs what was compiled, too.
    theirs = compiled.model.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(theirs, found, atol=1e-5)


@pytest.fixture
def without_compiler() -> Iterator[None]:
    """A machine on which torch finds no C++ compiler, and nothing that it compiled before."""
    import torch._dynamo
    import torch._inductor.config

    changes = {"cpp.cxx": ("/nowhere/g++",), "force_disable_caches": True}
    torch._dynamo.reset()
    with torch._inductor.config.patch(changes):
        yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("without_compiler")
def test_where_nothing_can_be_compiled_the_error_says_what_to_do() -> None:
    import torch

    class Small(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return torch.sin(input_ids * attention_mask)

    model, ids = Small(), torch.ones((2, 3), dtype=torch.long)
    told = r"--compile: torch .* cannot compile mine on cpu: .+\. It takes .*leave --compile out"
    with pytest.raises(NotAvailableError, match=told):
        compile_network(model, whose="mine")
    assert model(ids, ids).shape == (2, 3), "it runs as before"


def test_a_tower_of_a_card_is_compiled_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "cmedteb.models.networks.network.compile_network",
        lambda model, *, whose: asked.append(f"{type(model).__name__} {whose}"),
    )
    folder = qwen3_folder(tmp_path / "qwen3")
    tower = load_tower(folder, **QWEN3)
    assert asked == []
    assert "compile" not in tower.facts.settings
    tower = load_tower(folder, {"compile": True}, **QWEN3)
    assert asked == [f"Qwen3Model {tower.facts.name}"]
    assert tower.facts.settings["compile"] is True
    assert tower.path == "engine (sdpa, no mask, compiled)"


def test_what_has_no_network_cannot_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="static has no network of transformers: leave it out"):
        load_model(str(static_folder(tmp_path / "static")), COMPILED)
    with pytest.raises(UsageError, match="takes no --compile"):
        load_model("bm25", COMPILED)


def test_a_pair_hands_it_to_its_sides(bert: Path) -> None:
    both = ModelOptions(query_model="hashing", document_model=str(bert), compile=True)
    with pytest.raises(UsageError, match="hashing takes no --compile"):
        load_model("pair", both)
