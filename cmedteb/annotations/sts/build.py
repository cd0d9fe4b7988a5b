"""From a vocabulary to an STS set: an LLM writes, one variant is drawn, a panel checks.

One folder holds all of it: `writing/` (what the writer wrote), the annotation (journal and texts of
the check), and at the end `pairs.jsonl`, `rejected.jsonl` and `stats.json`. The same call again
goes on where it stopped. Sentences are texts, so they go where the user says.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmedteb.annotations.annotate import alone, judge, spent
from cmedteb.annotations.consensus import Consensus, label_pairs
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.review.strata import unjudged
from cmedteb.annotations.sts.pairs import (
    Checked,
    Drawn,
    Score,
    check,
    check_config,
    draw_pairs,
    to_judge,
)
from cmedteb.annotations.sts.plan import WRITING, Plan
from cmedteb.annotations.sts.writing import Writing, Written
from cmedteb.annotations.texts import write_texts
from cmedteb.endpoints import Budget, BudgetError
from cmedteb.errors import DataError, UsageError
from cmedteb.results.files import write_atomic, write_json

if TYPE_CHECKING:
    from cmedteb.annotations.judging import Progress

PAIRS, REJECTED, STATS = "pairs.jsonl", "rejected.jsonl", "stats.json"


def build_pairs(
    folder: Path,
    plan: Plan,
    *,
    score: Score = Score.BINARY,
    budget: float | None = None,
    wrote: Callable[[int, int], None] | None = None,
    judged: Progress | None = None,
) -> dict[str, Any]:
    """Write, check and sort the pairs; returns the statistics.

    Args:
        folder: where everything is kept.
        plan: what is to be made.
        score: the scale of the gold.
        budget: what writing and checking may cost together, earlier runs included.
        wrote: told how many of how many seeds are written.
        judged: told how far the panel is.

    Raises:
        UsageError: another recipe lies in the folder, or judging is not finished.
        DataError: no pair is left.
        CmedtebError: why it stopped; the same call goes on.
    """
    with plan.writing(folder) as journal, alone(folder / WRITING):
        money = Budget(budget)
        money.spent = spent(journal, journal.snapshot())
        found = Writing(journal, plan.prompt, plan.seeds, money).run(wrote)
        written = journal.snapshot()
        paid = spent(journal, written)
    drafts = {name: one.draft for name, one in found.items() if one.draft is not None}
    drawn = draw_pairs(plan.seeds, drafts, plan.recipe.seed)
    if not drawn:
        raise DataError(f"the writer wrote nothing that can be used: {_flaws(found)}")
    write_texts(folder, [text for one in drawn for text in one[2:]])
    Journal.create(folder, check_config(plan, drawn), to_judge(drawn)).close()
    snapshot = _judged(folder, budget, paid, judged)
    return _written(folder, plan, drawn, _Ends(found, written, snapshot, score))


def _judged(folder: Path, budget: float | None, paid: float, judged: Progress | None) -> Snapshot:
    """What the panel says, for what writing left of the budget."""
    left = None if budget is None else budget - paid
    if left is not None and left <= 0:
        raise BudgetError(
            f"writing took all of the budget of {budget:g}: run again with a higher --budget to "
            "have the pairs checked. What was written is kept."
        )
    judge(folder, budget=left, progress=judged)
    with Journal.open(folder) as journal:
        snapshot = journal.snapshot()
    if waiting := unjudged(snapshot):
        raise UsageError(f"{len(waiting)} pairs are not judged yet: the same command goes on.")
    return snapshot


class _Ends:
    """What everything came to."""

    def __init__(
        self, found: Mapping[str, Written], written: Snapshot, checked: Snapshot, score: Score
    ) -> None:
        self.found, self.written, self.checked, self.score = found, written, checked, score
        self.consensus: Consensus = label_pairs(checked)


def _written(folder: Path, plan: Plan, drawn: Sequence[Drawn], ends: _Ends) -> dict[str, Any]:
    checked = check(drawn, ends.consensus, ends.score)
    if not checked.kept:
        raise DataError(
            f"no pair is left: the panel contradicts the writer on all {len(drawn)}. Look at "
            f"the journal in {folder}; another writer (--writer) may do better."
        )
    content = _lines(checked.kept)
    write_atomic(folder / PAIRS, content)
    write_atomic(folder / REJECTED, _lines(checked.rejected))
    stats = _stats(plan, drawn, checked, ends)
    stats["sha256"] = hashlib.sha256(content).hexdigest()
    write_json(folder / STATS, stats)
    return stats


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _stats(plan: Plan, drawn: Sequence[Drawn], checked: Checked, ends: _Ends) -> dict[str, Any]:
    (writer,) = plan.writer.judges
    recipe = plan.recipe
    costs = [
        sum(answer.cost for answer in snapshot.answers) for snapshot in (ends.written, ends.checked)
    ]
    return {
        "name": recipe.name,
        "writer": {"label": writer.label, "model": writer.model},
        "prompt": {"name": plan.prompt.used.name, "sha256": plan.prompt.used.sha256},
        "panel": {"name": plan.panel.name, "judges": list(plan.panel.labels)},
        "rubric": {"name": plan.rubric.used.name, "sha256": plan.rubric.used.sha256},
        "threshold": ends.consensus.threshold,
        "rule": str(ends.consensus.rule),
        "score": str(ends.score),
        "seed": recipe.seed,
        "first_sentences": "given" if recipe.sentences is not None else "written",
        "seeds": len(plan.seeds),
        "without_draft": _flaws(ends.found),
        "drawn": len(drawn),
        "pairs": len(checked.kept),
        "by_kind": checked.counts(),
        "cost": {"writing": costs[0], "checking": costs[1], "currency": plan.panel.currency},
        "journal_sha256": {"writing": ends.written.sha256, "checking": ends.checked.sha256},
    }


def _flaws(found: Mapping[str, Written]) -> dict[str, int]:
    """Why seeds have no draft: reason -> how many."""
    without = [one.flaw.told for one in found.values() if one.draft is None and one.flaw]
    return dict(Counter(without).most_common(20))
