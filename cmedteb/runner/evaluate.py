"""The only place that joins tasks, models, search, metrics and results.

For each task: load the data, bind the model to it, look whether an earlier result still answers
the same fingerprint, else predict, score, and write receipts, judgements and result in this
order. A finished task is on the disk before the next begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from cmedteb.data import Access, Hub
from cmedteb.data.judgements import Overlay, as_table, from_table, overlaid
from cmedteb.errors import CmedtebError, DataError, UsageError
from cmedteb.models import ModelFacts, System, TaskAware, TaskContext
from cmedteb.models.custom import facts_of
from cmedteb.results import ORIGINAL, Overwrite, ResultStore, TaskResult
from cmedteb.results.receipts import (
    content_hash,
    gold_lines,
    grade_lines,
    run_lines,
    similarity_lines,
    write_table,
)
from cmedteb.results.schema import Judgements, Receipt
from cmedteb.runner.observer import Observer, Silent
from cmedteb.runner.predict import Predictor, batched
from cmedteb.runner.record import Effort, Setting, differences, make_result
from cmedteb.runner.timing import Phases
from cmedteb.search import SearchMethod, drop_identical
from cmedteb.tasks import RerankingTask, RetrievalTask, Scored, StsTask, Task
from cmedteb.types import PairData, RankingData, TaskType

RECEIPT_DEPTH = 100
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class RunOptions:
    """How to run; see `cmedteb run --help`. `vectors` is the vector store; None keeps nothing."""

    output: Path
    access: Access = field(default_factory=lambda: Access(None, Hub.HF, offline=False))
    limit: int | None = None
    depth: int = 100
    batch_tokens: int | None = None
    vectors: Path | None = None
    search: SearchMethod = SearchMethod.EXACT
    verify: bool = False
    overwrite: Overwrite = Overwrite.MISSING
    keep_going: bool = False
    judgements: str = ORIGINAL
    overlays: Mapping[str, Overlay] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one task: a result with its path, or an error."""

    task: str
    result: TaskResult | None = None
    path: Path | None = None
    reused: bool = False
    error: CmedtebError | None = None


def run_tasks(
    system: System, tasks: Sequence[Task], options: RunOptions, observer: Observer | None = None
) -> list[Outcome]:
    """Evaluate a system on tasks, one after the other.

    An error of one task ends the run, or with `keep_going` only that task; either way it stands
    in the last outcome, and what was finished before is saved.
    """
    observer = observer or Silent()
    outcomes: list[Outcome] = []
    for number, task in enumerate(tasks, start=1):
        observer.task_started(task.card.name, number=number, total=len(tasks))
        try:
            outcome = _Evaluation(system, task, options, observer).outcome()
            observer.task_ended(_told(outcome))
        except CmedtebError as error:
            outcome = Outcome(task.card.name, error=error)
            observer.task_ended(f"failed: {error}")
        outcomes.append(outcome)
        if outcome.error is not None and not options.keep_going:
            break
    return outcomes


def _told(outcome: Outcome) -> str:
    if outcome.result is None:
        return "failed"
    what = "as before" if outcome.reused else f"in {outcome.result.evaluation_time:.1f} s"
    return f"{outcome.result.main_score_name} {outcome.result.main_score:.4f} ({what})"


class _Evaluation:
    """One system on one task."""

    def __init__(self, system: System, task: Task, options: RunOptions, observer: Observer) -> None:
        self.options = options
        self.task = task
        self.observer = observer
        self.phases = Phases()
        self.store = ResultStore(options.output)
        self.system = batched(bind(system, task), options.batch_tokens)
        self.facts: ModelFacts = facts_of(self.system)

    def outcome(self) -> Outcome:
        """Reuse the result that is there, or make it."""
        self.observer.phase_started("load data")
        with self.phases.measured("load data"):
            data, judged = self._load()
        setting = self._setting(data, judged)
        name, facts = self.task.card.name, self.facts
        path = self.store.path(facts.name, facts.revision, name, self.options.judgements)
        with self.store.locked(facts.name, facts.revision, name) as waited:
            if waited:
                self.observer.note(f"{name}: another process was running it; looking at its result")
            if self._may_reuse():
                standing = self.store.standing(path, setting.fingerprint)
                if standing is not None:
                    return Outcome(name, standing, path, reused=True)
            self._ask_to_write(path, setting)
            result = self._make(data, judged, setting, path)
        return Outcome(name, result, path)

    def _may_reuse(self) -> bool:
        """Whether an earlier result with this fingerprint would do; it keeps no run to verify."""
        anew = self.options.verify or self.options.overwrite is Overwrite.ALWAYS
        return self.facts.reproducible and not anew

    def _ask_to_write(self, path: Path, setting: Setting) -> None:
        partial, overwrite = setting.limit is not None, self.options.overwrite
        self.store.may_write(path, partial=partial, overwrite=overwrite)
        earlier = self.store.read_if_whole(path)
        if earlier is not None:
            self.observer.note(f"{path} is computed anew ({self._why(earlier, setting)})")

    def _why(self, earlier: TaskResult, setting: Setting) -> str:
        changed = differences(earlier.fingerprint_of, setting.identity)
        if changed:
            return f"other {', '.join(changed)}"
        if self.options.overwrite is Overwrite.ALWAYS:
            return "asked for"
        if self.options.verify:
            return "to verify its scores"
        if not self.facts.reproducible:
            return "this model cannot say whether it has changed"
        return "the result or its receipt is not as it was written"

    def _load(self) -> tuple[RankingData | PairData, list[str]]:
        """The data with the judgements to be used, and these as lines."""
        data = self.task.load(self.options.access, limit=self.options.limit)
        overlay = self.options.overlays.get(self.task.card.name)
        if isinstance(data, PairData):
            if self.options.judgements != ORIGINAL:
                raise UsageError(f"{self.task.card.name}: pairs have original judgements only")
            return data, list(gold_lines(data.pairs))
        if overlay is not None:
            data = with_overlay(data, overlay, whole=self.options.limit is None)
        return data, list(grade_lines(as_table(data.qrels, **_ids(data))))

    def _setting(self, data: RankingData | PairData, judged: list[str]) -> Setting:
        predictor = self._predictor()
        return Setting(
            card=self.task.card,
            facts=self.facts,
            provenance=data.provenance,
            judgements=Judgements(version=self.options.judgements, sha256=content_hash(judged)),
            limit=self.options.limit,
            depth=self.options.depth,
            batch_tokens=predictor.budget,
            method=self.options.search,
        )

    def _predictor(self) -> Predictor:
        return Predictor(
            system=self.system,
            facts=self.facts,
            batch_tokens=self.options.batch_tokens,
            vectors=self.options.vectors,
            method=self.options.search,
            phases=self.phases,
            observer=self.observer,
        )

    def _make(
        self,
        data: RankingData | PairData,
        judged: list[str],
        setting: Setting,
        path: Path,
    ) -> TaskResult:
        """Predict, score and write."""
        before = _spent(self.system)
        predictor = self._predictor()
        if isinstance(data, RankingData):
            scored, lines, depth = self._rank(predictor, data)
        else:
            scored, lines = self._compare(predictor, data)
            depth = None
        receipt_path = self.store.receipt(self.facts.name, self.facts.revision, setting.card.name)
        receipt = Receipt(
            path=_relative(receipt_path, path), sha256=write_table(receipt_path, lines), depth=depth
        )
        judgement_file = self.store.judgement_file(setting.card.name, setting.judgements.sha256)
        write_table(judgement_file, judged)
        after = _spent(self.system)
        effort = Effort(
            phases=self.phases,
            tokens=_difference(before.tokens, after.tokens),
            work=predictor.work,
            cost=_difference(before.cost, after.cost),
            answered_as=getattr(self.system, "answered_as", None),
            path=getattr(self.system, "path", None),
        )
        result = make_result(setting, scored, effort=effort, receipt=receipt)
        return self.store.write(path, result)

    def _rank(
        self, predictor: Predictor, data: RankingData
    ) -> tuple[Scored, Iterator[str], int | None]:
        if not isinstance(self.task, RetrievalTask):
            raise DataError(f"{self.task.card.name}: the data is a ranking set, the card says sts")
        depth = self.options.depth
        skip = self.task.card.ignore_identical_ids
        run = predictor.rank(data, depth=depth + 1 if skip else depth)
        if skip:
            run = drop_identical(
                run, query_ids=data.queries.ids, doc_ids=data.corpus.ids, depth=depth
            )
        reranking = isinstance(self.task, RerankingTask)
        complete = reranking or depth >= len(data.corpus)
        self.observer.phase_started("score")
        with self.phases.measured("score"):
            scored = self.task.score(
                run, data, depth=None if complete else depth, verify=self.options.verify
            )
        whole = reranking or len(data.corpus) <= min(depth, RECEIPT_DEPTH)
        kept = None if whole else min(depth, RECEIPT_DEPTH)
        return scored, run_lines(run, depth=kept, **_ids(data)), kept

    def _compare(self, predictor: Predictor, data: PairData) -> tuple[Scored, Iterator[str]]:
        if not isinstance(self.task, StsTask):
            raise DataError(f"{self.task.card.name}: the data are pairs, the card says otherwise")
        similarity = predictor.similarities(data.pairs)
        self.observer.phase_started("score")
        with self.phases.measured("score"):
            scored = self.task.score(similarity, data.pairs.scores)
        return scored, similarity_lines(similarity, pair_ids=data.pairs.ids.to_pylist())


class _Spent(NamedTuple):
    """Tokens and money that a system has used so far, where it counts them."""

    tokens: int | None
    cost: float | None


def _spent(system: System) -> _Spent:
    return _Spent(getattr(system, "tokens", None), getattr(system, "cost", None))


def _difference(before: Number | None, after: Number | None) -> Number | None:
    return None if before is None or after is None else after - before


def bind(system: System, task: Task) -> System:
    """The system bound to a task: to its kind, its instruction and the form of its queries."""
    if not isinstance(system, TaskAware):
        return system
    prompt = task.card.prompt
    instruction = prompt.query.get("en") if prompt else None
    bound: System = system.for_task(
        TaskContext(
            name=task.card.name,
            type=TaskType(task.card.type),
            instruction=instruction,
            query_form=task.card.query_form,
        )
    )
    return bound


def _ids(data: RankingData) -> dict[str, list[str]]:
    return {
        "query_ids": data.queries.ids.to_pylist(),
        "doc_ids": data.corpus.ids.to_pylist(),
    }


def with_overlay(data: RankingData, overlay: Overlay, *, whole: bool) -> RankingData:
    """The same data with an overlay's grades.

    Raises:
        DataError: the overlay was made for other judgements.
    """
    ids = _ids(data)
    original = as_table(data.qrels, **ids)
    if whole and overlay.parent is not None:
        there = content_hash(grade_lines(original))
        if there != overlay.parent:
            raise DataError(
                f"the judgements {overlay.version} of {overlay.task} were made for others than "
                f"those loaded (sha256 {overlay.parent[:12]}, loaded {there[:12]}). Use the data "
                "revision they were made for."
            )
    table = overlaid(original, overlay, whole=whole)
    return RankingData(
        corpus=data.corpus,
        queries=data.queries,
        qrels=from_table(table, **ids),
        provenance=data.provenance,
        candidates=data.candidates,
    )


def _relative(target: Path, result: Path) -> str:
    """The receipt's path as the result names it: beside it, or one folder up."""
    up = "../" * (len(result.relative_to(target.parents[1]).parts) - 1)
    return f"{up}{target.relative_to(target.parents[1]).as_posix()}"


def averages(
    outcomes: Iterable[Outcome], benchmarks: Mapping[str, Sequence[str]]
) -> dict[str, float | None]:
    """The plain mean of main scores for each benchmark; None where a task of it is missing."""
    scores = {one.task: one.result.main_score for one in outcomes if one.result is not None}
    return {
        name: (
            sum(scores[task] for task in tasks) / len(tasks)
            if all(task in scores for task in tasks)
            else None
        )
        for name, tasks in benchmarks.items()
    }
