"""Cross-encoders that classify pairs, through the real loader.

Run: pytest tests/models/test_cross_encoder.py -q. The models are networks of two layers made from a
seed (tests/small_models), saved and loaded as any other model; the scores that they should give are
written out with transformers alone (tests/reranker_recipes.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reranker_recipes import LEFT, LONG, RIGHT, changed, load, load_card, logits
from small_models.cross_encoder import classifier_folder

from cmedteb.errors import DataError, NotAvailableError, UsageError
from cmedteb.models import Role, TaskContext
from cmedteb.types import TaskType


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_folder(tmp_path_factory.mktemp("ce") / "reranker")


@pytest.fixture(scope="module")
def three_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {"0": "far", "1": "near", "2": "same"}
    return classifier_folder(tmp_path_factory.mktemp("ce") / "nli", labels=3, id2label=names)


def test_scores_of_a_classifier_equal_the_recipe(classifier: Path) -> None:
    scores = load(classifier).score_pairs(LEFT, RIGHT)
    expected = logits(classifier, LEFT, RIGHT).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert scores.dtype == np.float32
    assert scores.std() > 0.05


def test_the_left_text_is_read_first(classifier: Path) -> None:
    system = load(classifier)
    assert np.abs(system.score_pairs(LEFT, RIGHT) - system.score_pairs(RIGHT, LEFT)).max() > 1e-3


def test_a_score_depends_on_its_pair_alone(classifier: Path) -> None:
    system = load(classifier)
    together = system.score_pairs(LEFT, RIGHT)
    alone = [system.score_pairs([a], [b])[0] for a, b in zip(LEFT, RIGHT, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backwards = system.score_pairs(LEFT[::-1], RIGHT[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-5)


def test_no_pairs_no_scores(classifier: Path) -> None:
    assert load(classifier).score_pairs([], []).shape == (0,)


@pytest.mark.parametrize(
    ("config", "name", "function"),
    [
        ({}, "Sigmoid", lambda x: x.sigmoid()),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
            "Identity",
            lambda x: x,
        ),
        (
            {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh"},
            "Tanh",
            lambda x: x.tanh(),
        ),
    ],
)
def test_the_models_own_activation(
    classifier: Path,
    tmp_path: Path,
    config: dict[str, Any],
    name: str,
    function: Callable[..., Any],
) -> None:
    folder = changed(classifier, tmp_path, **config)
    system = load(folder)
    assert system.facts.settings["activation"] == name
    expected = function(logits(classifier, LEFT, RIGHT))[:, 0].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)


def test_a_card_may_name_the_activation(classifier: Path, tmp_path: Path) -> None:
    system = load_card(tmp_path, classifier, "[settings]", 'activation = "identity"')
    assert system.facts.settings["activation"] == "Identity"
    expected = logits(classifier, LEFT, RIGHT)[:, 0].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)


def test_the_log_probability_of_the_label_that_a_card_names(
    three_labels: Path, tmp_path: Path
) -> None:
    system = load_card(tmp_path, three_labels, "[settings]", "label = 1")
    assert system.facts.settings["label"] == 1
    expected = logits(three_labels, LEFT, RIGHT).log_softmax(dim=1)[:, 1].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)
    assert system.score_pairs(LEFT[:1], RIGHT[:1]).shape == (1,)


def test_a_label_under_the_models_own_activation(three_labels: Path, tmp_path: Path) -> None:
    lines = ("[settings]", "label = 2", 'activation = "sigmoid"')
    system = load_card(tmp_path, three_labels, *lines)
    expected = logits(three_labels, LEFT, RIGHT).sigmoid()[:, 2].numpy()
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('activation = "softmax"', "unknown activation 'softmax'; there is sigmoid, identity"),
        ("activation = 1", "activation must be a text"),
        ("label = -1", "label must be a number from 0, not -1"),
        ("label = true", "label must be a number from 0, not True"),
        ('no = "no"', "a no token without a yes token"),
        ('template = "{{ messages }}\\n"', "Jinja drops the line break that template ends with"),
        ("temperature = 2", "cross-encoder has no setting temperature"),
    ],
)
def test_a_card_that_makes_no_sense(classifier: Path, tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        load_card(tmp_path, classifier, "[settings]", line)


def test_a_prompt_stands_before_the_query(classifier: Path) -> None:
    system = load(classifier, query_prompt="\u9ad8: ")
    assert system.facts.prompts == {"query": "\u9ad8: "}
    expected = logits(classifier, [f"\u9ad8: {text}" for text in LEFT], RIGHT).sigmoid()[:, 0]
    np.testing.assert_allclose(system.score_pairs(LEFT, RIGHT), expected.numpy(), atol=1e-5)


def test_a_prompt_takes_the_instruction_of_the_task(classifier: Path, tmp_path: Path) -> None:
    system = load_card(
        tmp_path,
        classifier,
        '[prompts]\nquery = "{instruction}: "\nsts = ""',
        '[instructions]\ndefault = "D"',
    )
    assert system.facts.prompts == {"query": "D: "}
    asked = system.for_task(TaskContext("x", TaskType.RERANKING, instruction="Find"))
    assert asked.facts.prompts == {"query": "Find: "}
    assert system.for_task(TaskContext("x", TaskType.STS)).facts.prompts == {"query": ""}


def test_documents_have_no_prompt(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no --document-prompt"):
        load(classifier, document_prompt="D: ")
    with pytest.raises(DataError, match="has no prompt for documents"):
        load_card(tmp_path, classifier, '[prompts]\ndocument = "D: "')


def test_the_longer_text_is_cut(classifier: Path) -> None:
    system = load(classifier, max_length=20)
    assert system.facts.max_length == 20
    assert "longer text" in system.facts.settings["cut"]
    one, other, cut = system.score_pairs(["\u9ad8", "CT", "\u9ad8"], [LONG, LONG, LONG[:30]])
    assert abs(one - other) > 1e-4
    assert abs(one - cut) < 1e-5
    assert system.tokens == 60
    expected = logits(classifier, ["\u9ad8"], [LONG], length=20).sigmoid()[0, 0].item()
    assert abs(one - expected) < 1e-5


def test_facts_are_read_from_the_model(classifier: Path) -> None:
    from safetensors.torch import load_file

    facts = load(classifier).facts
    weights = sum(tensor.numel() for tensor in load_file(classifier / "model.safetensors").values())
    assert weights > 50_000
    assert facts.parameters == {"query": weights, "document": 0}
    assert (facts.name, facts.family) == ("local/reranker", "cross-encoder")
    assert facts.revision.startswith("sha256-")
    assert (facts.similarity, facts.dimension, facts.pooling) == (None, None, None)
    assert (facts.max_length, facts.dtype, facts.device) == (128, "float32", "cpu")
    assert facts.sts_sides == (Role.QUERY, Role.DOCUMENT)
    assert "sentence-transformers" in facts.libraries


def test_tokens_are_counted_as_the_tokenizer_counts(classifier: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(classifier)
    lengths = [
        len(tokenizer(a, b, truncation=True, max_length=128)["input_ids"])
        for a, b in zip(LEFT, RIGHT, strict=True)
    ]
    system = load(classifier)
    system.score_pairs(LEFT, RIGHT)
    assert system.tokens == sum(lengths)
    bound = system.for_task(TaskContext("x", TaskType.RERANKING))
    bound.score_pairs(LEFT[:1], RIGHT[:1])
    assert bound.tokens == sum(lengths) + lengths[0]


def test_a_type_that_is_asked_for_is_used(classifier: Path) -> None:
    system = load(classifier, dtype="bf16")
    assert system.facts.dtype == "bfloat16"
    scores = system.score_pairs(LEFT, RIGHT)
    assert scores.dtype == np.float32
    exact = logits(classifier, LEFT, RIGHT).sigmoid()[:, 0].numpy()
    assert 1e-5 < np.abs(scores - exact).max() < 0.1


def test_a_model_without_its_tokenizer_is_refused(classifier: Path, tmp_path: Path) -> None:
    folder = changed(classifier, tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(NotAvailableError, match="has no tokenizer"):
        load(folder)


def test_damaged_weights_are_not_available(classifier: Path, tmp_path: Path) -> None:
    folder = changed(classifier, tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(NotAvailableError, match="cannot load local/copy"):
        load(folder)


def test_code_in_the_model_needs_consent(classifier: Path, tmp_path: Path) -> None:
    own = {"AutoConfig": "mine.C", "AutoModelForSequenceClassification": "mine.M"}
    folder = changed(classifier, tmp_path, model_type="mine", auto_map=own)
    (folder / "mine.py").write_text("raise RuntimeError('this code was run')\n")
    with pytest.raises(UsageError, match="--trust-remote-code"):
        load(folder)
