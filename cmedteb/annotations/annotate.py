"""Opens a planned annotation and lets its panel judge: journal, texts and rubric joined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from cmedteb import __version__
from cmedteb.annotations.asking import Asker, open_endpoints
from cmedteb.annotations.canaries import canary_file
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.dispatch import Dispatch
from cmedteb.annotations.doctor import Diagnosis, diagnose
from cmedteb.annotations.estimate import Estimate, estimate
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.judging import Judging, Progress, Tally
from cmedteb.annotations.panel import PANEL, find_panel
from cmedteb.annotations.questions import asked_so_far, samples
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.rubric import RUBRIC, Rubric, find_rubric
from cmedteb.annotations.status import JudgeStatus, status
from cmedteb.annotations.texts import read_texts
from cmedteb.endpoints import Budget
from cmedteb.errors import UsageError

LOCK = "journal.lock"


def judge(
    folder: Path, *, budget: float | None = None, progress: Progress | None = None
) -> tuple[Tally, ...]:
    """Let the panel judge what it has not judged yet.

    Args:
        folder: of a planned annotation.
        budget: what the whole annotation may cost, earlier runs included, in the currency of the
            panel; None is no limit.
        progress: told now and then how far it is.

    Raises:
        UsageError: nothing was planned there, another process judges there, or a budget without
            prices.
        KeyboardInterrupt: after what was in flight has come.
        CmedtebError: why judging stopped.
    """
    with Journal.open(folder) as journal, alone(folder):
        snapshot = journal.snapshot()
        money = Budget(budget)
        money.spent = spent(journal, snapshot)
        judging = prepare(folder, journal, snapshot, money)
        return judging.run(canary_file().probe, progress)


def prepare(folder: Path, journal: Journal, snapshot: Snapshot, budget: Budget) -> Judging:
    """All that a run needs; nothing is sent yet."""
    config, pairs = journal.config, {pair.pair_id: pair for pair in snapshot.pairs}
    endpoints = open_endpoints(config.panel, budget)
    texts, rubric = read_texts(folder), Rubric.of(config.rubric)
    askers = [
        Asker(journal, config, one, endpoints[one.label], rubric, pairs, texts)
        for one in config.panel.judges
    ]
    return Judging(dispatch(snapshot), askers)


def dispatch(snapshot: Snapshot) -> Dispatch:
    """Who is still to be asked what."""
    config, pairs = snapshot.config, snapshot.pairs
    return Dispatch(config, pairs, samples(config, pairs), asked_so_far(snapshot.answers))


def spent(journal: Journal, snapshot: Snapshot) -> float:
    """What was paid so far at most: requests that a crash cut off may have been charged."""
    exposed = sum(exposure.most for exposure in journal.exposure().values())
    return sum(answer.cost for answer in snapshot.answers) + exposed


def left(folder: Path, snapshot: Snapshot) -> Estimate:
    """What is left to be asked and paid; no call."""
    lengths = {digest: len(text) for digest, text in read_texts(folder).items()}
    return estimate(snapshot, dispatch(snapshot), lengths)


class Standing(NamedTuple):
    """How far an annotation is: its task, its currency, its judges."""

    task: str
    currency: str
    judges: tuple[JudgeStatus, ...]


def progress(folder: Path) -> Standing:
    """How far an annotation is; also while it is being judged.

    Raises:
        UsageError: nothing was planned there.
    """
    with Journal.open(folder) as journal:
        snapshot, config = journal.snapshot(), journal.config
        structures = {label: journal.recall(f"structure:{label}") for label in config.panel.labels}
        judges = status(snapshot, dispatch(snapshot), journal.exposure(), structures)
    return Standing(config.task, config.panel.currency, judges)


def examine(folder: Path | None, panel: str | None) -> tuple[Diagnosis, ...]:
    """Whether the judges of a planned annotation, or of a panel, can work.

    Raises:
        UsageError: there is no such annotation or panel.
    """
    if folder is not None:
        with Journal.open(folder) as journal:
            return diagnose(journal.config)
    config = AnnotationConfig(
        task="",
        task_ref="",
        dataset_revision="",
        content_hash="",
        rubric=find_rubric(RUBRIC).used,
        panel=find_panel(panel or PANEL),
        cmedteb_version=__version__,
    )
    return diagnose(config)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second process from paying for the same answers; a crash leaves no lock behind.

    Raises:
        UsageError: another process is at work.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another process is judging in {folder}: wait for it, or stop it with Ctrl-C"
        ) from error
    try:
        yield
    finally:
        lock.release()
