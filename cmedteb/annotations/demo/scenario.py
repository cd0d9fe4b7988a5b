"""The whole way of a pair on the smoke task, step by step, by the functions behind the verbs.

Plant -> plan -> doctor -> run -> report -> review -> build -> rescore -> replay. Nothing leaves the
machine: the data is in the package, the systems need no weights, the judges are served here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmedteb.annotations.annotate import examine, judge, left
from cmedteb.annotations.consensus import LabelState, label_pairs
from cmedteb.annotations.demo.cast import EXPERTS, fill_sheet
from cmedteb.annotations.demo.plant import Planting, plant, write_data
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.planning import Choices, Sources, plan
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.retrieve import retrieve
from cmedteb.annotations.review import Format, Imported, ReviewPlan, export_reviews, import_reviews
from cmedteb.data import Access, Hub
from cmedteb.runner import RunOptions
from cmedteb.tasks import catalogue, resolve
from cmedteb.tasks.registry import from_folder
from cmedteb.types import RankingData

if TYPE_CHECKING:
    from cmedteb.annotations.doctor import Diagnosis
    from cmedteb.annotations.estimate import Estimate
    from cmedteb.annotations.judging import Progress, Tally

TASK = "SmokeRetrieval"
NAME = "SmokeRetrieval-planted"
FINDER, GATHERER = "bm25", "hashing"
SYSTEMS = (FINDER, GATHERER, f"fusion:{FINDER}+{GATHERER}")
DEPTH = 10
REVIEWED = 150
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
        return self.home / "results"

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

    def snapshot(self) -> Snapshot:
        """All that the journal holds now."""
        with Journal.open(self.annotation, writable=False) as journal:
            return journal.snapshot()


@dataclass(frozen=True)
class Caught:
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
