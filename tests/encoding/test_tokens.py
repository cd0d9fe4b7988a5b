"""Token ids by the Rust tokenizer alone. Run: pytest tests/encoding/test_tokens.py -q.

The tokenizers are those of the small BERT and the small Qwen3, and one that takes a whole sentence
for one word, as XLM-R's does.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import bert_folder, smoke_texts, strings
from small_models.qwen3 import END, save_tokenizer

from cmedteb.encoding import tokens as module
from cmedteb.encoding.tokens import (
    Ragged,
    RustTokens,
    in_blocks,
    probes,
    ragged,
    read_ahead,
    same,
)

LONG = "".join(smoke_texts())
TEXTS = [*smoke_texts()[:4], "", " a \n \n b ", LONG * 3, "\n \n" * 400, "a" * 900, f"x{END}" * 200]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def bert(home: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(bert_folder(home / "bert"))


@pytest.fixture(scope="module")
def qwen3(home: Path) -> Any:
    from transformers import AutoTokenizer

    save_tokenizer(home / "qwen3", closed_by=END, eos=END, config={})
    (home / "qwen3" / "config.json").write_text('{"model_type": "qwen3"}')
    return AutoTokenizer.from_pretrained(home / "qwen3")


@pytest.fixture(scope="module")
def sentences() -> Any:
    """A unigram tokenizer that cuts at spaces only."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [("<unk>", 0.0), ("\u2581", -3.0), *((letter, -4.0) for letter in letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<unk>")


@pytest.mark.parametrize("kind", ["bert", "qwen3", "sentences"])
@pytest.mark.parametrize("cap", [3, 16, 60, None])
def test_ids_are_those_of_the_whole_text(
    kind: str, cap: int | None, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(kind)
    rust = RustTokens.of(tokenizer, cap)
    assert rust is not None
    texts = [*TEXTS, *probes(cap)]
    expected = tokenizer(texts, truncation=cap is not None, max_length=cap)["input_ids"]
    assert same(rust(texts), ragged(expected))


@pytest.mark.parametrize("kind", ["bert", "qwen3", "sentences"])
@pytest.mark.parametrize("seed", range(4))
def test_random_texts_are_cut_as_if_they_were_read_whole(
    kind: str, seed: int, request: pytest.FixtureRequest
) -> None:
    """Pieces that a cut could change: runs of one letter, spaces, joiners, special tokens."""
    draw = np.random.default_rng(seed)
    pieces = [
        *LONG[:60],
        "a",
        "ab",
        "  ",
        "\n",
        " \n\n",
        "\u0301",
        "\u200d",
        "9",
        ".",
        END,
        "[SEP]",
    ]
    pieces += ["b" * 300, " " * 90, LONG[:200], LONG[:200].replace(" ", "")]
    texts = [
        "".join(draw.choice(pieces, size=int(size)).tolist())
        for size in draw.integers(1, 120, size=40)
    ]
    tokenizer, cap = request.getfixturevalue(kind), int(draw.integers(4, 40))
    rust = RustTokens.of(tokenizer, cap)
    assert rust is not None
    assert same(rust(texts), ragged(tokenizer(texts, truncation=True, max_length=cap)["input_ids"]))
    assert kind != "bert" or rust._far(texts), "some were read in part"


def read(tokenizer: Any, texts: list[str], cap: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the texts that a tokenizer was given."""
    rust = RustTokens.of(tokenizer, cap)
    assert rust is not None
    seen: list[int] = []

    class Watched:
        truncation = rust.tokenizer.truncation

        def encode_batch(self, some: list[str]) -> Any:
            seen.extend(map(len, some))
            return rust.tokenizer.encode_batch(some)

        def encode_batch_fast(self, some: list[str]) -> Any:
            seen.extend(map(len, some))
            return rust.tokenizer.encode_batch_fast(some)

    RustTokens(Watched(), cap)(texts)
    return seen


def test_only_the_beginning_of_a_long_text_is_read(
    bert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(bert, [LONG * 50, "ab"], 16, monkeypatch) == [64, 2]


def test_where_the_beginning_does_not_reach_the_cap_all_is_read(
    bert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = " " * 500 + LONG
    assert read(bert, [spaced], 16, monkeypatch) == [64, len(spaced)]


def test_a_sentence_that_is_one_word_is_read_whole(
    sentences: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LONG.replace(" ", "")
    assert read(sentences, [text], 16, monkeypatch) == [64, len(text)]


def test_the_end_is_kept_where_the_model_cuts_the_beginning(bert: Any) -> None:
    import copy

    tokenizer = copy.deepcopy(bert)
    tokenizer.truncation_side = "left"
    rust = RustTokens.of(tokenizer, 16)
    assert rust is not None
    expected = tokenizer(TEXTS, truncation=True, max_length=16)["input_ids"]
    assert same(rust(TEXTS), ragged(expected))


def test_a_tokenizer_that_wraps_none(bert: Any) -> None:
    assert RustTokens.of(None, 16) is None
    assert RustTokens.of(bert.backend_tokenizer, 16) is None


def test_the_original_keeps_its_settings(bert: Any) -> None:
    bert(["a b c"], padding=True)
    before = bert.backend_tokenizer.padding, bert.backend_tokenizer.truncation
    rust = RustTokens.of(bert, 4)
    assert rust is not None
    assert rust(["a b c d e", "a"]).lengths.tolist() == [4, 3]
    assert (bert.backend_tokenizer.padding, bert.backend_tokenizer.truncation) == before
    assert before[0] is not None


def test_ragged_arrays() -> None:
    some = ragged([[1, 2], [], [3], [4, 5, 6]])
    assert some.lengths.tolist() == [2, 0, 1, 3]
    assert [some.of(row) for row in range(4)] == [[1, 2], [], [3], [4, 5, 6]]
    assert some.end_with(3).tolist() == [False, False, True, False]
    more = some.inserted(np.asarray([1, 3]), 9)
    assert [more.of(row) for row in range(4)] == [[1, 2], [9], [3], [4, 5, 6, 9]]
    assert not same(some, more)
    assert ragged([]).lengths.tolist() == []


def test_a_column_in_blocks(bert: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rust = RustTokens.of(bert, 60)
    assert rust is not None
    texts = smoke_texts()
    characters = np.asarray([len(text) for text in texts])
    rows = np.arange(len(texts))[::-1]
    whole = in_blocks(strings(texts), rows, characters, rust)
    calls: list[int] = []

    def watched(some: Any) -> Ragged:
        calls.append(sum(map(len, some)))
        return rust(some)

    monkeypatch.setattr(module, "BLOCK", 150)
    assert same(in_blocks(strings(texts), rows, characters, watched), whole)
    assert len(calls) > 3
    assert same(whole, rust([texts[row] for row in rows]))


def test_reading_ahead_keeps_the_order_and_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD", 30)
    drawn: list[int] = []

    def jobs() -> Any:
        for job in range(20):
            drawn.append(job)
            yield job

    done = []
    for job, result in read_ahead(jobs(), lambda job: job * job, lambda _: 10):
        done.append((job, result))
        assert len(drawn) - len(done) <= 3
    assert done == [(job, job * job) for job in range(20)]
    assert not [one for one in threading.enumerate() if one.name.startswith("tokenise")]


def test_what_fails_ahead_is_raised_in_its_turn() -> None:
    def work(job: int) -> int:
        if job == 2:
            raise ValueError("the third")
        return job

    results = read_ahead(range(5), work, lambda _: 1)
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="the third"):
        next(results)
