"""Language models as rerankers, through the real loader.

Run: pytest tests/models/test_cross_encoder_llm.py -q. The model is a Qwen3 of two layers made from
a seed, saved as sentence-transformers saves a reranker, and bare; its scores are written out from
the logits of the answer tokens (tests/reranker_recipes.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reranker_recipes import LEFT, LONG, RIGHT, answers, load, load_card, word
from small_models.llm_reranker import TEMPLATE, language_model_folder, saved_reranker_folder

TEMPLATE_LINE = f"template = {json.dumps(TEMPLATE)}"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model_folder(tmp_path_factory.mktemp("llm") / "bare")


@pytest.fixture(scope="module")
def saved(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_reranker_folder(
        tmp_path_factory.mktemp("llm") / "saved",
        bare,
        prompts={"query": "Is it an answer?"},
        activation_fn="torch.nn.modules.linear.Identity",
    )


def test_a_saved_language_model_scores_by_its_answers(saved: Path) -> None:
    system = load(saved)
    assert system.facts.prompts == {"query": "Is it an answer?"}
    assert system.facts.settings["activation"] == "Identity"
    words = answers(saved, LEFT, RIGHT, asked="Is it an answer?")
    expected = words[:, word(saved, "yes")] - words[:, word(saved, "no")]
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected.numpy(), atol=1e-5)
    assert expected.std() > 0.1


def test_a_score_depends_on_its_pair_alone(saved: Path) -> None:
    system = load(saved)
    together = system.score_pairs(LEFT, RIGHT)
    alone = [system.score_pairs([a], [b])[0] for a, b in zip(LEFT, RIGHT, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backwards = system.score_pairs(LEFT[::-1], RIGHT[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-5)


def test_the_prompt_is_the_templates_system_message(saved: Path) -> None:
    system = load(saved, query_prompt="Does it help?")
    words = answers(saved, LEFT, RIGHT, asked="Does it help?")
    expected = words[:, word(saved, "yes")] - words[:, word(saved, "no")]
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected.numpy(), atol=1e-5)
    none = load(saved, query_prompt="").score_pairs(LEFT, RIGHT)
    words = answers(saved, LEFT, RIGHT, asked="Is it relevant?")
    expected = words[:, word(saved, "yes")] - words[:, word(saved, "no")]
    np.testing.assert_allclose(none, expected.numpy(), atol=1e-5)


def test_a_cut_keeps_the_query_and_the_end_of_the_template(saved: Path) -> None:
    system = load(saved, max_length=150)
    assert "put back" in system.facts.settings["cut"]
    left, right = ["\u9ad8", "CT", "\u9ad8"], [LONG, LONG, f"{LONG}CT"]
    scores = system.score_pairs(left, right)
    assert system.tokens == 450
    words = answers(saved, left, right, asked="Is it an answer?", length=150)
    expected = words[:, word(saved, "yes")] - words[:, word(saved, "no")]
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)
    assert abs(scores[0] - scores[1]) > 1e-3
    assert abs(scores[0] - scores[2]) < 1e-5


def test_a_bare_language_model_by_a_card(bare: Path, tmp_path: Path) -> None:
    """As Qwen3-Reranker comes: the authors' probability of yes among yes and no."""
    lines = ("[prompts]", 'query = "Q?"', "[settings]", TEMPLATE_LINE)
    system = load_card(tmp_path, bare, *lines)
    words = answers(bare, LEFT, RIGHT, asked="Q?")
    both = words[:, [word(bare, "no"), word(bare, "yes")]]
    expected = both.softmax(dim=1)[:, 1].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)
    assert system.facts.settings["template"] == TEMPLATE


def test_the_logit_of_one_answer(bare: Path, tmp_path: Path) -> None:
    """As bge-reranker-v2-gemma scores."""
    lines = ("[settings]", TEMPLATE_LINE, 'yes = "Yes"', 'activation = "identity"')
    system = load_card(tmp_path, bare, *lines)
    words = answers(bare, LEFT, RIGHT, asked="Is it relevant?")
    expected = words[:, word(bare, "Yes")].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)
    assert system.facts.settings["answers"] == ["Yes", None]


def test_two_answers_that_a_card_names(bare: Path, tmp_path: Path) -> None:
    lines = ("[settings]", TEMPLATE_LINE, 'yes = "Yes"', 'no = "no"', 'activation = "identity"')
    system = load_card(tmp_path, bare, *lines)
    words = answers(bare, LEFT, RIGHT, asked="Is it relevant?")
    expected = words[:, word(bare, "Yes")] - words[:, word(bare, "no")]
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected.numpy(), atol=1e-5)
