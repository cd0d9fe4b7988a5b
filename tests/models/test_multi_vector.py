"""Late interaction through the real loader, against BERT, a projection and MaxSim written out.

Run: pytest tests/models/test_multi_vector.py -q. The models are BERTs of two layers made from a
seed with a projection (tests/small_models), saved and loaded as any other model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import as_lists, candidates, corpus, queries
from small_models.colbert_recipe import (
    ASKED,
    IDS,
    PASSAGES,
    Recipe,
    agree,
    card,
    load,
    loops,
    recipe_scores,
    searched,
)
from small_models.multi_vector import COMMA, EXPANSION, FULL_STOP, WIDTH, colbert_folder

from cmedteb.errors import ScoreError, UsageError
from cmedteb.models import PairScorer, Reranker, Retriever, Role
from cmedteb.models.protocols import TaskContext
from cmedteb.types import TaskType


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("colbert")


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    """Prompts, queries filled up with [MASK], documents cut at 40, two marks skipped."""
    return colbert_folder(home / "plain", prompts={"query": "\u9ad8 ", "document": "\u8840"})


def test_scores_equal_the_recipe(folder: Path) -> None:
    system = load(folder)
    assert isinstance(system, Retriever)
    assert isinstance(system, Reranker)
    assert isinstance(system, PairScorer)
    agree(system, recipe_scores(folder))


def test_expansion_that_is_attended_to_equals_the_recipe(home: Path) -> None:
    folder = colbert_folder(
        home / "attend",
        prompts={"query": "\u9ad8 ", "document": "\u8840"},
        expansion={**EXPANSION, "attend": True},
    )
    expected = recipe_scores(folder, attend=True)
    assert np.abs(expected - recipe_scores(folder)).max() > 0.1
    agree(load(folder), expected)


def test_no_expansion_and_no_normalisation_equal_the_recipe(home: Path) -> None:
    folder = colbert_folder(
        home / "bare",
        prompts={"query": "\u9ad8 ", "document": "\u8840"},
        expansion=None,
        normalise=False,
    )
    system = load(folder)
    assert system.facts.settings["query_expansion"] is None
    assert system.facts.pooling == "Dense > MultiVectorMask"
    agree(system, recipe_scores(folder, length=128, fill=False, normalise=False))


@pytest.mark.parametrize("by", ["model", "card"])
def test_the_mean_is_the_models_or_the_cards_choice(home: Path, folder: Path, by: str) -> None:
    if by == "model":
        prompts = {"query": "\u9ad8 ", "document": "\u8840"}
        spec = colbert_folder(home / "mean", prompts=prompts, similarity="meanmaxsim")
    else:
        spec = card(home, folder, settings={"similarity": "meanmaxsim"})
    system = load(spec)
    assert system.facts.settings["similarity"] == "meanmaxsim"
    agree(system, recipe_scores(folder) / 24)


def test_blocks_and_batches_of_any_size_give_the_same_run(folder: Path) -> None:
    system = load(folder)
    whole = searched(system, 7)
    stored = system.bytes_per_document
    for size, budget in ((1, 40), (3000, 100), (10_000, 4096)):
        cut = replace(system, block_bytes=size, budget=budget)
        found = searched(cut, 7)
        assert [[row for row, _ in run] for run in found] == [
            [row for row, _ in run] for run in whole
        ]
        np.testing.assert_allclose(np.asarray(found), np.asarray(whole), rtol=1e-6)
        assert cut.bytes_per_document == stored
        agree(cut, recipe_scores(folder))


def test_no_block_holds_much_more_than_it_may(folder: Path) -> None:
    """A block is closed by the batch that fills it, so it is larger by one batch at most."""
    texts = corpus(PASSAGES, IDS).texts
    system = replace(load(folder), block_bytes=5000, budget=40)
    blocks = list(system._blocks(texts.values, texts.index, np.arange(texts.distinct)))
    one_text = 40 * WIDTH * 4
    assert len(blocks) > 3
    assert all(5000 <= block.vectors.nbytes < 5000 + one_text for block in blocks[:-1])
    assert sorted(row for block in blocks for row in block.rows) == list(range(12))


def test_equal_texts_tie_by_id(folder: Path) -> None:
    for found in searched(load(folder)):
        places = {row: place for place, (row, _) in enumerate(found)}
        scores = dict(found)
        assert scores[2] == scores[11]
        assert IDS[2] > IDS[11]
        assert places[11] == places[2] + 1


def real_tokens(folder: Path, texts: list[str], *, prompt: str, length: int) -> list[int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    cut = {"truncation": True, "max_length": length}
    return [len(tokenizer(prompt + text, **cut)["input_ids"]) for text in texts]


def test_distinct_texts_are_encoded_once(folder: Path) -> None:
    asked = sum(real_tokens(folder, ASKED, prompt="\u9ad8 ", length=24))
    found = real_tokens(folder, PASSAGES, prompt="\u8840", length=40)
    system = load(folder)
    searched(system)
    assert system.tokens == asked + sum(found[:11])
    before = system.tokens
    listed = candidates([[1, 3], [3], [], [2, 11], [], []])
    system.rerank(corpus(PASSAGES, IDS), queries(ASKED), listed)
    assert system.tokens - before == asked + found[1] + found[2] + found[3]
    before = system.tokens
    system.score_pairs(ASKED[:1] * 5, [*PASSAGES[:2], *PASSAGES[:2], PASSAGES[0]])
    one = real_tokens(folder, ASKED[:1], prompt="\u9ad8 ", length=24)[0]
    assert system.tokens - before == one + found[0] + found[1]


def test_bytes_are_those_of_the_kept_tokens(folder: Path) -> None:
    recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
    kept = [
        len(recipe("\u8840" + text, length=40, skip=FULL_STOP + COMMA)) for text in PASSAGES[:11]
    ]
    system = load(folder)
    assert system.bytes_per_document is None
    searched(system)
    assert system.bytes_per_document == pytest.approx(np.mean(kept) * WIDTH * 4)
    assert len(set(kept)) > 2
    assert system.for_task(TaskContext("x", TaskType.RETRIEVAL)).bytes_per_document is None
    listed = candidates([[0, 10], [], [], [], [], []])
    system.rerank(corpus(PASSAGES, IDS), queries(ASKED), listed)
    assert system.bytes_per_document == pytest.approx((kept[0] + kept[10]) / 2 * WIDTH * 4)
    system.score_pairs(["a"], ["b"])
    assert system.bytes_per_document is None
    half = load(folder, dtype="bfloat16")
    searched(half)
    assert half.bytes_per_document == pytest.approx(np.mean(kept) * WIDTH * 2)
    assert half.facts.dtype == "bfloat16"


def test_facts_are_read_from_the_model(folder: Path) -> None:
    from safetensors.torch import load_file

    facts = load(folder).facts
    files = [folder / "model.safetensors", folder / "1_Dense" / "model.safetensors"]
    weights = sum(tensor.numel() for file in files for tensor in load_file(file).values())
    assert facts.parameters == {"query": weights, "document": weights}
    assert (facts.name, facts.family) == ("local/plain", "multi-vector")
    assert facts.similarity is None
    assert facts.prompts == {"query": "\u9ad8 ", "document": "\u8840"}
    assert facts.pooling == "Dense > MultiVectorMask > Normalize"
    assert (facts.dimension, facts.max_length, facts.dtype) == (WIDTH, 40, "float32")
    assert facts.sts_sides == (Role.QUERY, Role.DOCUMENT)
    assert facts.settings == {
        "similarity": "maxsim",
        "query_length": 24,
        "query_expansion": {"strategy": "fixed", "attend": False, "token": None, "length": 24},
    }
    json.dumps(facts.identity)


def test_prompts_come_from_flag_card_or_model(folder: Path, tmp_path: Path) -> None:
    spec = card(tmp_path, folder, prompts={"query": "c", "document": "d"})
    assert load(spec).facts.prompts == {"query": "c", "document": "d"}
    flagged = load(spec, query_prompt="f", document_prompt="")
    assert flagged.facts.prompts == {"query": "f", "document": ""}
    bare = load(folder, document_prompt="")
    kept = bare.search(corpus(PASSAGES[:1]), queries(ASKED[:1]), 1).scores[0]
    recipe = Recipe(folder, folder / "1_Dense" / "model.safetensors")
    query = recipe("\u9ad8 " + ASKED[0], length=24, fill=True)
    document = recipe(PASSAGES[0], length=40, skip=FULL_STOP + COMMA)
    assert kept == pytest.approx(loops(query, document), rel=1e-5)


def test_sentence_pairs_keep_the_prompt_of_their_side(folder: Path, tmp_path: Path) -> None:
    context = TaskContext("x", TaskType.STS)
    sides = {"query": "\u9ad8 ", "document": "\u8840"}
    assert load(folder).for_task(context).facts.prompts == sides
    spec = card(tmp_path, folder, prompts={"sts": "s"})
    both = load(spec).for_task(context).facts.prompts
    assert both == {"query": "s", "document": "s"}


def test_the_instruction_of_sentence_pairs_is_theirs(folder: Path, tmp_path: Path) -> None:
    spec = card(
        tmp_path,
        folder,
        prompts={"query": "<{instruction}>"},
        instructions={"retrieval": "find", "sts": "compare"},
    )
    system = load(spec)
    assert system.facts.prompts["query"] == "<find>"
    bound = system.for_task(TaskContext("x", TaskType.STS))
    assert bound.facts.prompts == {"query": "<compare>", "document": "\u8840"}


def test_maxsim_sums_over_sentence_1_unless_turned_round(folder: Path, tmp_path: Path) -> None:
    scores = recipe_scores(folder)
    turned = load(folder, sts_sides=(Role.DOCUMENT, Role.QUERY))
    assert turned.facts.sts_sides == (Role.DOCUMENT, Role.QUERY)
    found = turned.score_pairs([PASSAGES[4], PASSAGES[1]], [ASKED[0], ASKED[3]])
    np.testing.assert_allclose(found, [scores[0, 4], scores[3, 1]], rtol=1e-5)
    straight = load(folder).score_pairs([PASSAGES[4]], [ASKED[0]])
    assert abs(straight[0] - scores[0, 4]) > 1e-3
    spec = card(tmp_path, folder, sts_sides=["document", "query"])
    assert load(spec).facts.sts_sides == (Role.DOCUMENT, Role.QUERY)
    with pytest.raises(UsageError, match="which sentence is which"):
        load(folder, sts_sides=(Role.QUERY, Role.QUERY))


def test_no_pairs_give_no_scores(folder: Path) -> None:
    assert load(folder).score_pairs([], []).shape == (0,)


def test_a_sentence_of_which_nothing_is_kept_has_no_similarity(home: Path) -> None:
    """Also the marks of beginning and end are skipped here; ranked, such a document is last."""
    folder = colbert_folder(home / "nothing", skipped=(FULL_STOP, "[CLS]", "[SEP]"))
    system = load(folder)
    run = system.search(corpus([FULL_STOP, *PASSAGES[:3]]), queries(ASKED[:2]), 4)
    assert [[row for row, _ in found][-1] for found in as_lists(run)] == [0, 0]
    assert run.scores.reshape(2, 4)[:, -1].tolist() == [-1e9, -1e9]
    with pytest.raises(ScoreError, match=r"local/nothing leaves no token .* Leave the pair out"):
        system.score_pairs(ASKED[:2], [PASSAGES[0], FULL_STOP])
