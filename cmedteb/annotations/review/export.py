"""Writes files for reviewers: `DIR/review/PHASE/REVIEWER/`, one folder a person.

The blind pass comes first. Whoever has seen what the judges said cannot grade blind any more, so
the adjudication waits until a blind review is in, and a reviewer gets no blind file after it. A
file that is there and differs may hold somebody's grades: it is not written over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.private import refuse_shipped
from cmedteb.annotations.records import Phase, Snapshot
from cmedteb.annotations.review.drawn import keep_drawn, read_drawn
from cmedteb.annotations.review.items import Item, make_items
from cmedteb.annotations.review.label_studio import write_config, write_tasks
from cmedteb.annotations.review.page import write_page
from cmedteb.annotations.review.queue import queue
from cmedteb.annotations.review.sample import Sight, assign, draw, sequence
from cmedteb.annotations.review.sheet import write_sheet
from cmedteb.annotations.review.strata import population, stratify
from cmedteb.annotations.rubric import Rubric
from cmedteb.annotations.texts import read_texts
from cmedteb.errors import UsageError
from cmedteb.results.files import write_atomic

NAME = re.compile(r"\A[^\W_][\w.-]{0,63}\Z")


class Format(StrEnum):
    """A kind of file that reviewers work in."""

    CSV = "csv"
    HTML = "html"
    LABEL_STUDIO = "labelstudio"


@dataclass(frozen=True, kw_only=True)
class ReviewPlan:
    """What is to be exported.

    Attributes:
        pairs: of the sample. About 700 give +-2 points on a rate of 92 %.
        reviewers: names or pseudonyms.
        phase: blind or adjudication.
        formats: kinds of files.
        overlap: the share of the pairs that every reviewer gets, for agreement among them.
        repeats: the share that a reviewer gets twice, for agreement with themselves; blind only.
        seed: of the sample and of every order.
        without_blind: adjudicate though no blind review is in.
        overwrite: write over files that differ.
        to: the folder above those of the phases; `review` in the annotation's by default.
    """

    pairs: int = 700
    reviewers: tuple[str, ...] = ("reviewer-1",)
    phase: Phase = Phase.BLIND
    formats: tuple[Format, ...] = tuple(Format)
    overlap: float = 0.2
    repeats: float = 0.1
    seed: int = 42
    without_blind: bool = False
    overwrite: bool = False
    to: Path | None = None


class Exported(NamedTuple):
    """What was exported.

    Attributes:
        sights: how many each reviewer gets, repeats counted.
        population: stratum -> pairs of the pool.
        drawn: stratum -> pairs of the sample.
        files: that were written, or were there already.
    """

    sights: dict[str, int]
    population: dict[str, int]
    drawn: dict[str, int]
    files: tuple[Path, ...]


def export_reviews(folder: Path, plan: ReviewPlan) -> Exported:
    """Draw the pairs, note them in the journal, and write the files.

    Args:
        folder: of the annotation.
        plan: what is wanted.

    Raises:
        UsageError: judging is not finished, the phases come in the wrong order, a name cannot be
            a folder's, or a file that differs is there.
        NotAvailableError: the texts do not lie beside the journal.
    """
    home = _home(folder, plan)
    texts = read_texts(folder)
    with Journal.open(folder) as journal:
        snapshot = journal.snapshot()
        _check_order(journal, snapshot, plan)
        strata = stratify(snapshot)
        sample = _sample(snapshot, strata, plan)
        sights = _sights(sample, plan)
        contents = {
            home / name / file: content
            for name in plan.reviewers
            for file, content in _files(
                make_items(sights[name], snapshot, texts, reviewer=name, phase=plan.phase),
                snapshot.config,
                name,
                plan,
            )
        }
        _refuse_to_overwrite(contents, plan)
        journal.set_strata(strata)
        keep_drawn(journal, plan.phase, sights)
    for path, content in contents.items():
        write_atomic(path, content)
    return Exported(
        {name: len(sights[name]) for name in plan.reviewers},
        population(strata),
        population(sample),
        tuple(contents),
    )


def _sample(snapshot: Snapshot, strata: Mapping[str, str], plan: ReviewPlan) -> dict[str, str]:
    if plan.phase is Phase.BLIND:
        return draw(strata, size=plan.pairs, seed=plan.seed)
    found = queue(snapshot, strata, size=plan.pairs, seed=plan.seed)
    if not found:
        raise UsageError("nothing is in doubt: there is no pair to adjudicate.")
    return found


def _sights(sample: Mapping[str, str], plan: ReviewPlan) -> dict[str, tuple[Sight, ...]]:
    repeats = plan.repeats if plan.phase is Phase.BLIND else 0.0
    shares = assign(sample, plan.reviewers, overlap=plan.overlap, seed=plan.seed)
    return {
        name: sequence(pairs, name, repeats=repeats, seed=plan.seed)
        for name, pairs in shares.items()
    }


def _files(
    items: tuple[Item, ...], config: AnnotationConfig, reviewer: str, plan: ReviewPlan
) -> Iterator[tuple[str, bytes]]:
    if Format.CSV in plan.formats:
        yield "review.csv", write_sheet(items, reviewer=reviewer)
    if Format.HTML in plan.formats:
        yield "review.html", write_page(items, config, reviewer=reviewer, phase=plan.phase)
    if Format.LABEL_STUDIO in plan.formats:
        tasks = write_tasks(items, task=config.task, reviewer=reviewer, phase=plan.phase)
        yield f"labelstudio_tasks_{plan.phase}.json", tasks
        yield "labelstudio_config.xml", write_config(Rubric.of(config.rubric))


def _home(folder: Path, plan: ReviewPlan) -> Path:
    odd = [name for name in plan.reviewers if not NAME.match(name)]
    if odd or len(set(plan.reviewers)) != len(plan.reviewers):
        raise UsageError(
            f"reviewers {', '.join(plan.reviewers)}: each needs a name of its own, of letters, "
            "digits, `-`, `_` and `.`, because it names a folder."
        )
    home = (plan.to or folder / "review") / str(plan.phase)
    refuse_shipped(home)
    return home


def _check_order(journal: Journal, snapshot: Snapshot, plan: ReviewPlan) -> None:
    blind = {one.reviewer for one in snapshot.reviews if one.phase is Phase.BLIND}
    if plan.phase is Phase.BLIND:
        seen = sorted(set(read_drawn(journal, Phase.ADJUDICATION)) & set(plan.reviewers))
        if seen:
            raise UsageError(
                f"{', '.join(seen)}: has been shown what the judges said, and cannot grade blind "
                "any more. Ask somebody else."
            )
        return
    if not blind and not plan.without_blind:
        raise UsageError(
            "no blind review is in: grades given after seeing the judges' say nothing about them. "
            "Export --phase blind and import it first, or say --without-blind."
        )
    waiting = sorted(set(read_drawn(journal, Phase.BLIND)) & set(plan.reviewers) - blind)
    if waiting and not plan.without_blind:
        raise UsageError(
            f"{', '.join(waiting)}: the blind review is not in yet. Import it first, or say "
            "--without-blind."
        )


def _refuse_to_overwrite(contents: Mapping[Path, bytes], plan: ReviewPlan) -> None:
    differ = [path for path, new in contents.items() if path.is_file() and path.read_bytes() != new]
    if differ and not plan.overwrite:
        raise UsageError(
            f"{differ[0]} is there and differs: it may hold somebody's grades. Move it away, give "
            "another folder with --to, or say --overwrite."
        )
