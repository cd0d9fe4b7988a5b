"""Objects of one's own as systems. Run: pytest tests/models/test_custom.py -q."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from small_models.card_files import write_card

from cmedteb.errors import DataError, ModelError, UsageError
from cmedteb.models import load_model
from cmedteb.models.bm25 import Bm25
from cmedteb.models.custom import facts_of
from cmedteb.models.hashing import Hashing
from cmedteb.types import Float32Array, Float64Array, Similarity


class Plain:
    """The least that works."""

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return np.ones((len(texts), 2), dtype=np.float32)

    encode_documents = encode_queries


class Scorer:
    similarity: ClassVar[str] = "dot"

    def score_pairs(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        return np.zeros(len(left))


def stated(**attributes: Any) -> Plain:
    system = Plain()
    for name, value in attributes.items():
        setattr(system, name, value)
    return system


def test_an_object_that_says_nothing() -> None:
    facts = facts_of(Plain())
    assert facts.name == "custom/Plain"
    assert facts.revision == "unversioned"
    assert facts.similarity is Similarity.COSINE
    assert not facts.reproducible


def test_an_object_that_says_what_it_is() -> None:
    facts = facts_of(stated(name="me/my model", revision=7, similarity="dot"))
    assert facts.name == "me/my-model"
    assert facts.revision == "7"
    assert facts.similarity is Similarity.DOT
    assert not facts.reproducible


def test_a_method_called_similarity_is_no_statement() -> None:
    assert facts_of(stated(similarity=lambda a, b: a @ b)).similarity is Similarity.COSINE


def test_an_unsupported_similarity_is_refused() -> None:
    with pytest.raises(UsageError, match="'dot' or 'cosine', not 'euclidean'"):
        facts_of(stated(similarity="euclidean"))


def test_a_pair_scorer_has_no_similarity_of_vectors() -> None:
    assert facts_of(Scorer()).similarity is None


def test_own_facts_are_taken_as_they_are() -> None:
    for system in (Bm25(), Hashing()):
        assert facts_of(system) == system.facts


@pytest.mark.parametrize("thing", [object(), "bm25", type("Half", (), {"encode_queries": print})()])
def test_what_is_no_system_is_refused_with_what_is_missing(thing: Any) -> None:
    with pytest.raises(UsageError, match="has no encode_queries and encode_documents"):
        facts_of(thing)


class Orders:
    def rerank(self, corpus: Any, queries: Any, candidates: Any) -> Any:
        raise NotImplementedError


class Compares:
    def score_collection(self, left: Sequence[str], right: Sequence[str]) -> Float64Array:
        return np.zeros(len(left))


class Joins:
    parts: ClassVar[tuple[Any, ...]] = ()

    def rank_with(self, rank: Any, data: Any, depth: int) -> Any:
        raise NotImplementedError


class Streams(Plain):
    def stream(self, texts: Sequence[str], role: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Orders, Compares, Joins, Streams, Scorer, Plain])
def test_every_kind_of_system_is_one(kind: type[Any]) -> None:
    facts = facts_of(kind())
    assert facts.name == f"custom/{kind.__name__}"
    assert (facts.similarity is not None) == issubclass(kind, Plain)
    assert not facts.reproducible


def test_a_class_is_no_system_yet() -> None:
    for kind in (Plain, Bm25):
        with pytest.raises(UsageError, match=rf"Give an object of it: {kind.__name__}\(\)"):
            facts_of(kind)  # type: ignore[arg-type]


def test_what_the_object_s_own_facts_raise_is_not_swallowed() -> None:
    class Faulty(Plain):
        @property
        def facts(self) -> Any:
            raise AttributeError("inside")

    with pytest.raises(AttributeError, match="inside"):
        facts_of(Faulty())


def test_an_attribute_called_facts_that_is_something_else() -> None:
    assert facts_of(stated(facts=["the earth is round"])).name == "custom/Plain"


GOOD = """
import helper_of_{name}
import numpy as np

class Encoder:
    name = "own/encoder"

    def encode_queries(self, texts):
        return np.full((len(texts), 2), helper_of_{name}.VALUE)

    encode_documents = encode_queries

def make():
    return Encoder()

def needs(argument):
    return Encoder()

def late():
    import later_of_{name}
    return later_of_{name}.make()

def breaks():
    return {{}}["key"]

def refuses():
    from cmedteb.errors import DataError
    raise DataError("mine")

thing = Encoder()
number = 3
text = lambda: "no system"
half = type("Half", (), {{"encode_queries": len}})
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that lies in the current folder."""
    name = f"mod_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(GOOD.format(name=name))
    (tmp_path / f"helper_of_{name}.py").write_text("VALUE = 5.0\n")
    (tmp_path / f"later_of_{name}.py").write_text(f"from {name} import make\n")
    (tmp_path / f"broken_{name}.py").write_text("\n\nx = 1 +\n")
    (tmp_path / f"raises_{name}.py").write_text("value = int('x')\n")
    (tmp_path / f"needs_{name}.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield name
    for module in [module for module in sys.modules if module.endswith(name)]:
        del sys.modules[module]


def test_a_factory_in_the_current_folder(own: str) -> None:
    system: Any = load_model(f"{own}:make")
    assert facts_of(system).name == "own/encoder"
    np.testing.assert_array_equal(system.encode_queries(["a"]), [[5.0, 5.0]])
    assert sys.path.count(str(Path.cwd())) == 1
    assert type(load_model(f"{own}:Encoder")).__name__ == "Encoder"
    assert sys.path.count(str(Path.cwd())) == 1


def test_a_factory_that_imports_more_when_it_is_called(own: str) -> None:
    assert facts_of(load_model(f"{own}:late")).name == "own/encoder"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("absent_{own}:make", r"no module absent_{own}, neither in .* set PYTHONPATH"),
        ("absent_{own}.part:make", r"no module absent_{own}, neither in"),
        ("{own}.part:make", r"no module {own}.part, neither in"),
        ("{own}:absent", r"module {own} has no absent"),
        ("{own}:thing", r"of type Encoder, and is to be called without arguments"),
        ("{own}:number", r"of type int, and is to be called"),
        ("{own}:text", r"{own}:text\(\) made no system: str has no encode_queries"),
        ("{own}:half", r"{own}:half\(\) made no system: Half has no encode_queries"),
    ],
)
def test_a_request_that_makes_no_system(own: str, spec: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.format(own=own)):
        load_model(spec.format(own=own))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("{own}:breaks", r"{own}:breaks\(\) failed at .*{own}\.py:24: KeyError: 'key'"),
        ("{own}:needs", r"{own}:needs\(\) failed: TypeError: .* 'argument'"),
        ("broken_{own}:make", r"importing broken_{own} failed at .*broken_{own}\.py:3: SyntaxErr"),
        ("raises_{own}:make", r"importing raises_{own} failed at .*raises_{own}\.py:1: ValueErr"),
        ("needs_{own}:make", r"needs_{own}\.py:1: ModuleNotFoundError: .*nowhere_to_be_found"),
    ],
)
def test_a_factory_that_fails_is_told_with_its_place(own: str, spec: str, told: str) -> None:
    with pytest.raises(ModelError, match=told.format(own=own)):
        load_model(spec.format(own=own))


def test_an_error_of_cmedteb_s_own_passes(own: str) -> None:
    with pytest.raises(DataError, match=r"^mine$"):
        load_model(f"{own}:refuses")


def test_a_card_may_name_the_factory(own: str, tmp_path: Path) -> None:
    fields = {"name": "mine", "family": "factory", "title": "Mine"}
    card = write_card(tmp_path / "mine.toml", **fields, settings={"factory": f"{own}:make"})
    assert facts_of(load_model(str(card))).name == "own/encoder"
    silent = write_card(tmp_path / "silent.toml", **fields)
    with pytest.raises(DataError, match=r"\[settings\] factory = 'module:function'"):
        load_model(str(silent))
