"""Results as tables and runs: CSV, LaTeX, TREC."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from cmedteb.metrics import write_run
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.select import Stored
from cmedteb.types import TaskType

COLUMNS = (
    "model",
    "revision",
    "task",
    "split",
    "judgements",
    "partial",
    "score_name",
    "score",
    "main",
    "interval_low",
    "interval_high",
    "queries",
)
SPECIAL = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)


def as_csv(stored: Iterable[Stored]) -> str:
    """One line a score, in [0, 1]; intervals on the lines of main scores."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in stored:
        result = one.result
        for name, value in result.values.items():
            if name == "main_score":
                continue
            main = name == result.main_score_name
            interval = (result.interval.low, result.interval.high) if main else ("", "")
            writer.writerow(
                [
                    result.model.name,
                    result.model.revision,
                    result.task_name,
                    result.split,
                    result.judgements.version,
                    int(result.partial),
                    name,
                    repr(value),
                    int(main),
                    *interval,
                    result.units,
                ]
            )
    return stream.getvalue()


def as_latex(stored: Sequence[Stored]) -> str:
    """A booktabs table of main scores x 100: models down, tasks across, the best in bold.

    Scores over a part of the queries (`--limit`) have a star and are never the best.
    """
    tasks = list(dict.fromkeys(one.result.task_name for one in stored))
    labels = _labels(stored)
    cells = {(_key(one.result), one.result.task_name): one.result for one in stored}
    best: dict[str, float] = {}
    for one in stored:
        task, score = one.result.task_name, round(one.result.main_score, 4)
        if not one.result.partial:
            best[task] = max(score, best.get(task, score))
    lines = [
        f"\\begin{{tabular}}{{l{'r' * len(tasks)}}}",
        "\\toprule",
        " & ".join(["Model", *(_escaped(task) for task in tasks)]) + r" \\",
        "\\midrule",
    ]
    for key, label in labels.items():
        row = [_escaped(label)]
        for task in tasks:
            result = cells.get((key, task))
            row.append("--" if result is None else _cell(result, best.get(task)))
        lines.append(" & ".join(row) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def write_trec(store: ResultStore, stored: Iterable[Stored], folder: Path) -> list[Path]:
    """One TREC run a ranking result, from its receipt; returns the files.

    Raises:
        DataError: a receipt is not whole, or an id has white space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in stored:
        result = one.result
        if result.task_type == TaskType.STS:
            continue
        model = result.model.name.replace("/", "__")
        path = folder / f"{model}@{result.model.revision}.{result.task_name}.run"
        write_run(path, store.receipt_table(one.path, result).items(), tag=model)
        written.append(path)
    return written


def _key(result: TaskResult) -> tuple[str, str]:
    return result.model.name, result.model.revision


def _labels(stored: Iterable[Stored]) -> dict[tuple[str, str], str]:
    """What each model is called; the revision is told where a name has several."""
    keys = list(dict.fromkeys(_key(one.result) for one in stored))
    names = [name for name, _ in keys]
    return {key: key[0] if names.count(key[0]) == 1 else "@".join(key) for key in keys}


def _cell(result: TaskResult, best: float | None) -> str:
    text = f"{100 * result.main_score:.2f}"
    if result.partial:
        return f"{text}*"
    return f"\\textbf{{{text}}}" if round(result.main_score, 4) == best else text


def _escaped(text: str) -> str:
    return text.translate(SPECIAL)
