"""The whole way of a pair on the smoke task, step by step, by the functions behind the verbs.

Plant -> plan -> doctor -> run -> report -> review -> build -> rescore -> replay. Nothing leaves the
machine: the data is in the package, the systems need no weights, the judges are served here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from cmedteb.annotations.annotate import examine, judge, left
from cmedteb.annotations.consensus import LabelState, label_pairs
from cmedteb.annotations.demo.cast import EXPERTS, fill_sheet, simulation, write_panel
from cmedteb.annotations.demo.plant import Planting, plant, write_data
from cmedteb.annotations.demo.process import ledger, served
from cmedteb.annotations.journal import FILE as JOURNAL
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.overlay import read_overlay
from cmedteb.annotations.planning import Choices, Sources, plan
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.release.publish import Release, publish
from cmedteb.annotations.replay import differences, read_snapshot, replayed, said_in
from cmedteb.annotations.report.assemble import make_report
from cmedteb.annotations.report.files import write_report
from cmedteb.annotations.retrieve import retrieve
from cmedteb.annotations.review import Format, Imported, ReviewPlan, export_reviews, import_reviews
from cmedteb.data import Access, Hub
from cmedteb.results import ResultStore
from cmedteb.results.select import select
from cmedteb.runner import RunOptions
from cmedteb.runner.rescore import rescore
from cmedteb.tasks import catalogue, resolve
from cmedteb.tasks.registry import from_folder
from cmedteb.types import RankingData

if TYPE_CHECKING:
    from cmedteb.annotations.doctor import Diagnosis
    from cmedteb.annotations.estimate import Estimate
    from cmedteb.annotations.judging import Progress, Tally
    from cmedteb.annotations.report.schema import Report
    from cmedteb.runner.rescore import Rescored

TASK = "SmokeRetrieval"
NAME = "SmokeRetrieval-planted"
FINDER, GATHERER = "bm25", "hashing"
SYSTEMS = (FINDER, GATHERER, f"fusion:{FINDER}+{GATHERER}")
DEPTH = 10
VERSION = "v1"
REVIEWED = 400
MARGIN = 1.5  # of the estimate, as the budget
OFFLINE = Access(None, Hub.HF, offline=True)


@dataclass(frozen=True)
class Demo:
    """A demo in a folder.

    Attributes:
        home: where everything is written.
        seed: of what is planted, of the judges and of every sample.
    """

    home: Path
    seed: int = 42

    @property
    def data(self) -> Path:
        """The planted data set."""
        return self.home / NAME

    @property
    def annotation(self) -> Path:
        """The journal and what is made of it."""
        return self.home / "annotation"

    @property
    def results(self) -> Path:
        """Results and receipts of the pooled systems on the planted data."""
        return self.annotation / "results"

    @property
    def overlays(self) -> Path:
        """The new judgements, by task."""
        return self.annotation / "overlays"

    def prepare(self) -> Planting:
        """Plant false negatives, and write the data that the rest starts from."""
        (task,) = resolve([TASK], catalogue())
        data = _ranking(task.load(OFFLINE))
        options = RunOptions(output=self.home / "before-planting", access=OFFLINE)
        returned = retrieve(task, data, options, models=(FINDER, GATHERER), depth=100)
        by_name = {one.system.name.rpartition("/")[2]: one for one in returned}
        planting = plant(data, by_name[FINDER], by_name[GATHERER], seed=self.seed)
        write_data(data, planting.judgements, self.data)
        return planting

    def plan(self, panel: Path) -> Estimate:
        """Pool what the systems return on the planted data; says what judging will take."""
        options = RunOptions(output=self.results, access=OFFLINE)
        choices = Choices(panel=str(panel), depth=DEPTH, seed=self.seed)
        task, sources = from_folder(self.data), Sources(models=SYSTEMS)
        with plan(self.annotation, task, options, sources, choices=choices) as journal:
            return left(self.annotation, journal.snapshot())

    def doctor(self) -> tuple[Diagnosis, ...]:
        """Ask each judge whether it can work."""
        return examine(self.annotation, None)

    def run(self, *, budget: float, progress: Progress | None = None) -> tuple[Tally, ...]:
        """Let the panel judge."""
        return judge(self.annotation, budget=budget, progress=progress)

    def review(self, planting: Planting) -> Imported:
        """Export pairs to two blind experts, fill in what they say, and import it."""
        wanted = ReviewPlan(
            pairs=REVIEWED,
            reviewers=EXPERTS,
            formats=(Format.CSV, Format.HTML),
            overlap=0.5,
            seed=self.seed,
        )
        exported = export_reviews(self.annotation, wanted)
        sheets = [path for path in exported.files if path.suffix == ".csv"]
        for sheet in sheets:
            fill_sheet(sheet, planting.gold, seed=self.seed)
        return import_reviews(self.annotation, sheets)

    def report(self) -> Report:
        """Write what is said of the annotation, with how the systems' scores move."""
        report = make_report(self.snapshot(), results=self.results)
        write_report(self.annotation / "report", report)
        return report

    def build(self, report: Report) -> None:
        """Publish the new judgements as v1, with what the journal alone says of them."""
        snapshot = self.snapshot()
        alone = report.model_copy(update={"scores": None})
        publish(self.overlays, Release(snapshot, label_pairs(snapshot), alone, VERSION), {})

    def rescore(self) -> list[Rescored]:
        """Score the systems' receipts under v1."""
        store, overlay = ResultStore(self.results), read_overlay(NAME, VERSION, self.overlays)
        return [rescore(store, *one, overlay) for one in select(store, tasks=[NAME])]

    def replay(self) -> Replayed:
        """Make report and release again from a copy of the journal, and compare their bytes."""
        said = said_in(self.annotation, NAME)
        with TemporaryDirectory() as scratch:
            snapshot = read_snapshot(Path(shutil.copy(self.annotation / JOURNAL, scratch)))
        files = replayed(snapshot, said, results=self.results)
        return Replayed(len(files), tuple(differences(files, self.annotation)))

    def snapshot(self) -> Snapshot:
        """All that the journal holds now."""
        with Journal.open(self.annotation, writable=False) as journal:
            return journal.snapshot()


class Replayed(NamedTuple):
    """What a replay gave.

    Attributes:
        files: made again.
        differing: of these, not byte for byte what was written before.
    """

    files: int
    differing: tuple[str, ...]


class Caught(NamedTuple):
    """What became of what was planted.

    Attributes:
        hidden: how many positives were hidden.
        pooled: of these, in the pool.
        found: of these, labelled positive.
        undecided: of these, left open.
        wrong: how many documents were labelled relevant by mistake.
        rejected: of these, labelled negative.
        claimed: pairs that the panel calls false negatives.
        false: of these, not relevant by gold.
    """

    hidden: int
    pooled: int
    found: int
    undecided: int
    wrong: int
    rejected: int
    claimed: int
    false: int


def caught(snapshot: Snapshot, planting: Planting) -> Caught:
    """Hold the labels against what was planted."""
    states: dict[tuple[str, str], LabelState] = {}
    claimed = set()
    for label in label_pairs(snapshot).labels:
        for doc in (label.pair.doc_id, *label.pair.twins):
            states[label.pair.query_id, doc] = label.state
        if label.state is LabelState.POSITIVE and not (label.pair.original or 0) > 0:
            claimed.add((label.pair.query_id, label.pair.doc_id))
    threshold = snapshot.config.threshold
    return Caught(
        hidden=len(planting.hidden),
        pooled=sum(pair in states for pair in planting.hidden),
        found=_count(states, planting.hidden, LabelState.POSITIVE),
        undecided=_count(states, planting.hidden, LabelState.UNDECIDED),
        wrong=len(planting.wrong),
        rejected=_count(states, planting.wrong, LabelState.NEGATIVE),
        claimed=len(claimed),
        false=sum(planting.gold.grade(*pair) < threshold for pair in claimed),
    )


@dataclass(frozen=True)
class Played:
    """What a demo came to.

    Attributes:
        report: of the annotation, experts included.
        caught: of what was planted.
        budget: that the panel had.
        ledger: what the judge server counted.
        replay: of report and release.
        seconds: that all of it took.
    """

    report: Report
    caught: Caught
    budget: float
    ledger: dict[str, Any]
    replay: Replayed
    seconds: float


def play(demo: Demo, tell: Callable[[str], None]) -> Played:
    """Go the whole way.

    Args:
        demo: in an empty folder.
        tell: told of each step.
    """
    began = time.monotonic()
    planting = demo.prepare()
    tell(
        f"plant:  {len(planting.hidden)} positives hidden, {len(planting.wrong)} wrong ones added "
        f"in {NAME}"
    )
    told = simulation(demo.seed)
    with served(planting.gold, told, demo.home) as url:
        budget = _judged(demo, write_panel(told, url, demo.home / "panel.toml"), tell)
        counted = ledger(url)
    tell(f"server: {_counted(counted)}")
    imported = demo.review(planting)
    tell(
        f"review: {sum(imported.reviews.values())} blind grades of {len(EXPERTS)} experts imported"
    )
    report = demo.report()
    demo.build(report)
    tell(f"build:  {demo.overlays.relative_to(demo.home) / NAME / VERSION}")
    tell(f"rescore: {len(demo.rescore())} systems from their receipts")
    return Played(
        report=report,
        caught=caught(demo.snapshot(), planting),
        budget=budget,
        ledger=counted,
        replay=demo.replay(),
        seconds=time.monotonic() - began,
    )


def _judged(demo: Demo, panel: Path, tell: Callable[[str], None]) -> float:
    """Plan, ask whether the judges can work, and let them; returns the budget they had."""
    planned = demo.plan(panel)
    budget = round(MARGIN * (planned.cost or 0.0), 2)
    tell(f"plan:   {planned.pairs:,} pairs of {planned.queries} queries; no more than {budget}")
    for one in demo.doctor():
        shape = f"answers in {one.structure}" if one.works else f"cannot work: {one.problem}"
        tell(f"doctor: {one.judge} {shape}")
        for warning in one.warnings:
            tell(f"        {warning}")
    for tally in demo.run(budget=budget):
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.states.items()))
        tell(f"run:    {tally.judge}: {states}")
    return budget


def _counted(told: dict[str, Any]) -> str:
    faults = sum(count for kinds in told["faults"].values() for count in kinds.values())
    limited = sum(told["rejected"].values())
    asked, paid = (sum(told[key].values()) for key in ("asked", "paid"))
    return f"{asked:,} requests, {paid:,} answers, {faults} faults, {limited} rate-limited"


def _count(
    states: dict[tuple[str, str], LabelState],
    pairs: Sequence[tuple[str, str]],
    state: LabelState,
) -> int:
    return sum(states.get(pair) is state for pair in pairs)


def _ranking(data: object) -> RankingData:
    if not isinstance(data, RankingData):
        raise TypeError(f"{TASK} is a retrieval task")
    return data
