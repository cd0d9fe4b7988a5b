"""Rerankers whose scores would mean nothing are refused.

Run: pytest tests/models/test_cross_encoder_checks.py -q. Each is a small real model with one thing
amiss, given to the real loader.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import bert_folder
from reranker_recipes import LEFT, RIGHT, changed, load, load_card, logits
from small_models.cross_encoder import classifier_folder
from small_models.llm_reranker import CHAT, TEMPLATE, language_model_folder

from cmedteb.errors import NotAvailableError, UsageError

TEMPLATE_LINE = f"template = {json.dumps(TEMPLATE)}"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_folder(tmp_path_factory.mktemp("ce") / "reranker")


@pytest.fixture(scope="module")
def three_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {"0": "far", "1": "near", "2": "same"}
    return classifier_folder(tmp_path_factory.mktemp("ce") / "nli", labels=3, id2label=names)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model_folder(tmp_path_factory.mktemp("llm") / "bare")


def test_an_activation_of_foreign_code_is_not_replaced_in_silence(
    classifier: Path, tmp_path: Path
) -> None:
    own = {"sentence_transformers": {"activation_fn": "somebody.Scaled"}}
    folder = changed(classifier, tmp_path, **own)
    with pytest.raises(UsageError, match=r"scores with somebody\.Scaled.*--trust-remote-code"):
        load(folder)
    system = load_card(tmp_path, folder, "[settings]", 'activation = "sigmoid"')
    assert system.facts.settings["activation"] == "Sigmoid"


def test_several_labels_need_a_choice(three_labels: Path) -> None:
    with pytest.raises(UsageError, match=r"3 labels \(0 is 'far', 1 is 'near', 2 is 'same'\)"):
        load(three_labels)


@pytest.mark.parametrize(("labels", "label"), [(1, 0), (3, 3)])
def test_a_label_that_is_not_there(
    classifier: Path, three_labels: Path, tmp_path: Path, labels: int, label: int
) -> None:
    folder = classifier if labels == 1 else three_labels
    with pytest.raises(UsageError, match=f"says label {label}, but the model gives {labels}"):
        load_card(tmp_path, folder, "[settings]", f"label = {label}")


def test_answer_tokens_belong_to_language_models(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names answer tokens, but the model is a classifier"):
        load_card(tmp_path, classifier, "[settings]", 'yes = "yes"')


def test_a_network_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    """sentence-transformers would draw one at random."""
    folder = bert_folder(tmp_path / "bert")
    with pytest.raises(NotAvailableError, match=r"is no reranker.*\(BertModel\) has no trained"):
        load_card(tmp_path, folder)


@pytest.mark.parametrize("words", ['yes = "maybe"', 'yes = "no"\nno = "no"'])
def test_answers_that_cannot_be_told_apart(bare: Path, tmp_path: Path, words: str) -> None:
    with pytest.raises(NotAvailableError, match="does not tell apart"):
        load_card(tmp_path, bare, "[settings]", TEMPLATE_LINE, words)


@pytest.mark.parametrize("template", [CHAT, None], ids=["of a chat", "none"])
def test_a_template_that_drops_the_texts_is_refused(tmp_path: Path, template: str | None) -> None:
    folder = language_model_folder(tmp_path / "chat", template=template)
    with pytest.raises(UsageError, match="its template does not carry a query and a document"):
        load_card(tmp_path, folder)


def test_a_classifier_on_a_language_model_reads_the_last_token_that_is_no_padding(
    bare: Path, tmp_path: Path
) -> None:
    """Its configuration names another padding token than its tokenizer pads with."""
    import torch
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    folder = tmp_path / "classifier"
    shutil.copytree(bare, folder)
    (folder / "chat_template.jinja").unlink()
    torch.manual_seed(0)
    config = Qwen3Config.from_pretrained(bare, num_labels=1, pad_token_id=3)
    model = Qwen3ForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    system = load(folder)
    scores = system.score_pairs(LEFT, RIGHT)
    expected = logits(folder, LEFT, RIGHT, length=256).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_tokenizer_that_cannot_pad_is_refused(classifier: Path, tmp_path: Path) -> None:
    folder = changed(classifier, tmp_path)
    for name in ("tokenizer_config.json", "tokenizer.json"):
        path = folder / name
        content = json.loads(path.read_text())
        content |= {"pad_token": None} if name == "tokenizer_config.json" else {"padding": None}
        if name == "tokenizer_config.json":
            content["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(NotAvailableError, match="without a padding token"):
        load(folder)
