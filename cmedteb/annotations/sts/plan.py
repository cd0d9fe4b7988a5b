"""Plans synonym pairs: what is written from what, by whom, and what that will take. No call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cmedteb import __version__
from cmedteb.annotations.config import AnnotationConfig, Rule
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.panel import Judge, Panel, find_panel
from cmedteb.annotations.private import refuse_shipped
from cmedteb.annotations.review.sample import in_order
from cmedteb.annotations.rubric import Rubric, find_rubric
from cmedteb.annotations.sts.prompt import PROMPT, WritingPrompt, find_prompt
from cmedteb.annotations.sts.vocabulary import Seed, read_sentences, read_vocabulary, seeds
from cmedteb.errors import UsageError
from cmedteb.types import TaskType

WRITING = "writing"
RUBRIC = "sts-synonym.v1"
SENTENCE_CHARS = 30  # of a sentence that is not written yet
VERDICT_TOKENS = 60
KEYS_TOKENS = 30


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All choices.

    Attributes:
        vocabulary: file of terms and their synonyms.
        sentences: file of sentences that hold them; None lets the writer make them.
        name: of the set.
        pairs: how many at most; None is one for each seed.
        writer: a panel, and after a colon the label of its judge who writes; GPT-4o in the paper.
        prompt: of the writer.
        panel: who checks.
        rubric: what they are told.
        threshold: the lowest grade that says the meaning is the same.
        rule: when the panel says so.
        seed: of the samples.
    """

    vocabulary: Path
    sentences: Path | None = None
    name: str = "SynonymSTS"
    pairs: int | None = None
    writer: str = "gpt-4o"
    prompt: str = PROMPT
    panel: str = "paper"
    rubric: str = RUBRIC
    threshold: int = 4
    rule: Rule = Rule.UNANIMOUS
    seed: int = 42


@dataclass(frozen=True)
class Plan:
    """What a recipe comes to.

    Attributes:
        recipe: the choices.
        seeds: what pairs are written from.
        writer: a panel of one.
        panel: who checks.
        prompt: of the writer.
        rubric: of the panel.
    """

    recipe: Recipe
    seeds: tuple[Seed, ...]
    writer: Panel
    panel: Panel
    prompt: WritingPrompt
    rubric: Rubric

    @property
    def content_hash(self) -> str:
        """Of the seeds."""
        told = "\n".join(seed.seed_id for seed in self.seeds)
        return hashlib.sha256(told.encode()).hexdigest()

    def writing(self, folder: Path) -> Journal:
        """The journal of the writing, begun or gone on with.

        Raises:
            UsageError: that of another recipe lies there.
        """
        config = AnnotationConfig(
            task=self.recipe.name,
            task_ref=str(self.recipe.vocabulary),
            task_type=TaskType.STS,
            dataset_revision="local",
            content_hash=self.content_hash,
            rubric=self.prompt.used,
            panel=self.writer,
            cut_chars=None,
            retest=0,
            reversed_share=0.0,
            canaries=0,
            seed=self.recipe.seed,
            cmedteb_version=__version__,
        )
        return Journal.create(folder / WRITING / "journal.sqlite", config, [])


class Outlook(NamedTuple):
    """What one LLM will be asked, and what that will cost, estimated before any call.

    Attributes:
        role: `write` or `check`.
        label: of the LLM.
        calls: one a pair.
        tokens_in: a character counts as one.
        tokens_out: likewise.
        cost: None where there is no price.
    """

    role: str
    label: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None


def plan_pairs(folder: Path, recipe: Recipe) -> Plan:
    """Read all that a recipe names.

    Args:
        folder: where the pairs will be written.
        recipe: the choices.

    Raises:
        UsageError: something that it names is not there, or the folder is in annotations/.
        DataError: a file is malformed.
    """
    refuse_shipped(folder)
    writer, panel = find_writer(recipe.writer), find_panel(recipe.panel)
    if writer.currency != panel.currency:
        raise UsageError(
            f"the writer is paid in {writer.currency} and the panel in {panel.currency}: one "
            "budget needs one currency"
        )
    groups = read_vocabulary(recipe.vocabulary)
    sentences = None if recipe.sentences is None else read_sentences(recipe.sentences)
    by_id = {seed.seed_id: seed for seed in seeds(groups, sentences)}
    chosen = sorted(in_order(by_id, recipe.seed)[: recipe.pairs])
    return Plan(
        recipe,
        tuple(by_id[name] for name in chosen),
        writer,
        panel,
        find_prompt(recipe.prompt),
        find_rubric(recipe.rubric),
    )


def find_writer(name: str) -> Panel:
    """A panel of the one who writes.

    Args:
        name: `PANEL`, where it has one judge, or `PANEL:LABEL`.

    Raises:
        UsageError: there is no such panel or judge, or several and none was named.
    """
    place, _, label = name.partition(":") if not name.endswith(".toml") else (name, "", "")
    panel = find_panel(place)
    found = [judge for judge in panel.judges if label in {"", judge.label}]
    if len(found) != 1:
        raise UsageError(
            f"--writer {name}: say which judge writes, as in {place}:{panel.labels[0]}. "
            f"There are: {', '.join(panel.labels)}"
        )
    return panel.model_copy(update={"judges": tuple(found)})


def outlook(plan: Plan) -> tuple[Outlook, ...]:
    """What everybody will be asked, if every seed gives a pair at once."""
    lengths = [len(seed.sentence) if seed.sentence else SENTENCE_CHARS for seed in plan.seeds]
    asked = [
        sum(len(message["content"]) for message in plan.prompt.messages(seed))
        for seed in plan.seeds
    ]
    texts = [3 + (seed.sentence is None) for seed in plan.seeds]
    written = sum(length * count for length, count in zip(lengths, texts, strict=True))
    (writer,) = plan.writer.judges
    found = [_outlook("write", writer, len(asked), sum(asked), written + KEYS_TOKENS * len(asked))]
    sections = plan.rubric.sections
    told = sum(len(text) for name, text in sections.items() if not name.startswith("answer"))
    checked = sum(told + 2 * length for length in lengths)
    for judge in plan.panel.judges:
        out = VERDICT_TOKENS * len(lengths)
        found.append(_outlook("check", judge, len(lengths), checked, out))
    return tuple(found)


def _outlook(role: str, judge: Judge, calls: int, tokens_in: int, tokens_out: int) -> Outlook:
    price = judge.price
    cost = None
    if price is not None:
        cost = (price.input * tokens_in + price.output * tokens_out) / 1e6
    return Outlook(role, judge.label, calls, tokens_in, tokens_out, cost)


def total(outlooks: Sequence[Outlook]) -> float | None:
    """What all of it costs; None where a price is not known."""
    costs = [one.cost for one in outlooks]
    return None if any(cost is None for cost in costs) else sum(cost or 0.0 for cost in costs)
