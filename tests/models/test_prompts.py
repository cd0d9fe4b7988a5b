"""Which prompt stands before a text: flag, card, the model's configuration, none.

Run: pytest tests/models/test_prompts.py -q.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import ModelCopies

from cmedteb.errors import UsageError
from cmedteb.models import ModelOptions, TaskContext, load_model
from cmedteb.models.card import Instructions, Prompts
from cmedteb.models.sbert.load import Settings
from cmedteb.models.sentence_transformer import SentenceTransformer, open_model
from cmedteb.models.weights import from_folder
from cmedteb.types import TaskType

BOTH = {"query": "Q: ", "document": "D: "}


def prompts(
    folder: Path,
    task: TaskType = TaskType.RETRIEVAL,
    *,
    card: Prompts | None = None,
    **options: Any,
) -> tuple[str, str]:
    """The prompts of queries and documents that the facts of the bound model state."""
    settings = Settings(
        device="cpu",
        flags=Prompts(query=options.get("query_prompt"), document=options.get("document_prompt")),
        card=card or Prompts(),
    )
    system = open_model(from_folder(folder), settings).for_task(TaskContext("x", task))
    stated = system.facts.prompts
    return stated["query"], stated["document"]


@pytest.mark.parametrize("task", [TaskType.RETRIEVAL, TaskType.RERANKING])
def test_the_models_own(copies: ModelCopies, task: TaskType) -> None:
    assert prompts(copies(prompts=BOTH), task) == ("Q: ", "D: ")


def test_a_loaded_model_has_them_before_any_task(copies: ModelCopies) -> None:
    system = load_model(str(copies(prompts=BOTH)), ModelOptions(device="cpu"))
    assert isinstance(system, SentenceTransformer)
    assert system.facts.prompts == BOTH


def test_none_is_none(copies: ModelCopies) -> None:
    assert prompts(copies()) == ("", "")
    assert prompts(copies(prompts={})) == ("", "")
    assert prompts(copies(prompts={"query": None})) == ("", "")


def test_a_model_without_the_file(copies: ModelCopies) -> None:
    folder = copies()
    (folder / "config_sentence_transformers.json").unlink()
    assert prompts(folder) == ("", "")


def test_a_card_is_over_the_models_own(copies: ModelCopies) -> None:
    folder = copies(prompts=BOTH)
    assert prompts(folder, card=Prompts(query="card: ")) == ("card: ", "D: ")


def test_a_flag_is_over_the_card(copies: ModelCopies) -> None:
    card = Prompts(query="card: ", document="card too: ")
    assert prompts(copies(prompts=BOTH), card=card, query_prompt="flag: ") == (
        "flag: ",
        "card too: ",
    )


@pytest.mark.parametrize("card", [None, Prompts(query="card: ")])
def test_an_empty_flag_switches_a_prompt_off(copies: ModelCopies, card: Prompts | None) -> None:
    assert prompts(copies(prompts=BOTH), card=card, query_prompt="") == ("", "D: ")


def test_an_empty_prompt_of_a_card_switches_the_models_own_off(copies: ModelCopies) -> None:
    assert prompts(copies(prompts=BOTH), card=Prompts(document="")) == ("Q: ", "")


def test_flags_go_through_the_registry(copies: ModelCopies) -> None:
    system = load_model(str(copies(prompts=BOTH)), ModelOptions(query_prompt="flag: "))
    assert isinstance(system, SentenceTransformer)
    bound = system.for_task(TaskContext("x", TaskType.RETRIEVAL))
    assert bound.facts.prompts == {"query": "flag: ", "document": "D: "}


@pytest.mark.parametrize("name", ["document", "passage", "corpus"])
def test_names_of_the_document_side(copies: ModelCopies, name: str) -> None:
    """sentence-transformers adds an empty `document` prompt; it hides none that was stated."""
    assert prompts(copies(prompts={"query": "Q: ", name: "P: "})) == ("Q: ", "P: ")


def test_an_empty_document_prompt_as_the_library_saves_it(copies: ModelCopies) -> None:
    stated = {"query": "Q: ", "document": "", "passage": "P: "}
    assert prompts(copies(prompts=stated)) == ("Q: ", "P: ")


def test_the_default_prompt_serves_a_side_without_one(copies: ModelCopies) -> None:
    default = {"prompts": {"all": "A: "}, "default_prompt_name": "all"}
    assert prompts(copies(**default)) == ("A: ", "A: ")
    assert prompts(copies(**default), TaskType.STS) == ("A: ", "A: ")
    own = {"prompts": {"all": "A: ", "query": "Q: "}, "default_prompt_name": "all"}
    assert prompts(copies(**own)) == ("Q: ", "A: ")


def test_a_stated_empty_prompt_is_over_the_default(copies: ModelCopies) -> None:
    stated = {"prompts": {"query": "Q: ", "document": ""}, "default_prompt_name": "query"}
    assert prompts(copies(**stated)) == ("Q: ", "")


def test_sts_takes_the_prompt_called_sts_on_both_sides(copies: ModelCopies) -> None:
    folder = copies(prompts={**BOTH, "STS": "S: "})
    assert prompts(folder, TaskType.STS) == ("S: ", "S: ")
    assert prompts(folder, TaskType.RETRIEVAL) == ("Q: ", "D: ")


def test_sts_takes_no_prompt_for_queries(copies: ModelCopies) -> None:
    assert prompts(copies(prompts=BOTH), TaskType.STS) == ("", "")


def test_the_cards_prompt_for_sts(copies: ModelCopies) -> None:
    folder = copies(prompts={"STS": "S: "})
    assert prompts(folder, TaskType.STS, card=Prompts(sts="card: ")) == ("card: ", "card: ")
    assert prompts(folder, TaskType.STS, card=Prompts(sts="")) == ("", "")


def instructed(
    folder: Path,
    context: TaskContext,
    *,
    card: Prompts | None = None,
    flag: str | None = None,
    **instructions: str,
) -> str:
    """The prompt of queries of a model whose card tells it what to do."""
    settings = Settings(
        device="cpu",
        flags=Prompts(query=flag),
        card=card or Prompts(query="Do: {instruction}\n"),
        instructions=Instructions(**instructions),
    )
    return open_model(from_folder(folder), settings).for_task(context).facts.prompts["query"]


RETRIEVAL = TaskContext("x", TaskType.RETRIEVAL, instruction="the task's")
RERANKING = TaskContext("x", TaskType.RERANKING, instruction="the task's")
UNTOLD = TaskContext("x", TaskType.RETRIEVAL)


def test_an_instruction_of_the_authors_is_over_the_tasks(cls_folder: Path) -> None:
    said = {"retrieval": "theirs", "default": "any"}
    assert instructed(cls_folder, RETRIEVAL, **said) == "Do: theirs\n"
    assert instructed(cls_folder, RERANKING, **said) == "Do: the task's\n"
    assert instructed(cls_folder, UNTOLD, default="any") == "Do: any\n"


def test_a_flag_and_the_models_own_prompt_are_filled_too(copies: ModelCopies) -> None:
    own = copies(prompts={"query": "own {instruction}: "})
    assert instructed(own, RETRIEVAL, card=Prompts()) == "own the task's: "
    assert instructed(own, RETRIEVAL, flag="{instruction}? ") == "the task's? "


def test_a_prompt_without_its_instruction_is_refused(cls_folder: Path) -> None:
    with pytest.raises(UsageError, match="neither the model's card nor x gives one"):
        instructed(cls_folder, UNTOLD)


def test_a_model_bound_to_no_task_refuses_to_guess_its_instruction(cls_folder: Path) -> None:
    """It loads and says what its prompt is made of; to encode, it must know the task."""
    settings = Settings(device="cpu", card=Prompts(query="Do: {instruction}\n"))
    system = open_model(from_folder(cls_folder), settings)
    assert system.facts.prompts["query"] == "Do: {instruction}\n"
    with pytest.raises(UsageError, match="bind the model to one with for_task"):
        system.encode_queries(["a"])
    assert system.encode_documents(["a"]).shape == (1, 32)
