"""Reads sentence pairs with a gold similarity each.

Sentences are taken exactly as they are, the gold on whatever scale it has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.data.check import Findings, Oddity
from cmedteb.data.columns import StringBuilder, TextBuilder
from cmedteb.data.rows import Batch, Field, read_batches
from cmedteb.data.texts import encode_text
from cmedteb.errors import DataError
from cmedteb.types import Pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAIR_FIELDS = {name: Field((name,)) for name in ("sentence1", "sentence2", "score")}


def read_pairs(paths: Sequence[Path], findings: Findings, *, limit: int | None = None) -> Pairs:
    """Read sentence pairs; they are named p00000, p00001, ... in file order.

    Args:
        paths: the files, in order.
        findings: where oddities are noted.
        limit: only the first pairs; the checks look at all of them.

    Raises:
        DataError: no pairs, an empty sentence, a gold score that is no finite number, or gold
            without variance (a correlation with it does not exist).
    """
    left, right, scores = TextBuilder(), TextBuilder(), list[float]()
    for path in paths:
        for batch in read_batches(path, PAIR_FIELDS):
            room = len(batch.numbers) if limit is None else max(0, limit - len(scores))
            left.extend(_sentences(batch, "sentence1", findings)[:room])
            right.extend(_sentences(batch, "sentence2", findings)[:room])
            scores += [_gold(batch, row, findings) for row in range(len(batch.numbers))]
    findings.settle()
    gold = np.array(scores, dtype=np.float64)
    where = ", ".join(str(path) for path in paths)
    if not len(gold):
        raise DataError(f"{where}: there is no pair in it.")
    if gold.min() == gold.max():
        raise DataError(
            f"{where}: every gold score is {gold[0]:g}, so no correlation with it exists. "
            "At least two different scores are needed."
        )
    ids = StringBuilder()
    kept = gold[:limit]
    ids.extend(f"p{row:05d}".encode() for row in range(len(kept)))
    return Pairs(ids.finish(), left.finish(), right.finish(), kept)


def _sentences(batch: Batch, column: str, findings: Findings) -> list[bytes]:
    raws = [encode_text(value, batch.at(row)) for row, value in enumerate(batch.columns[column])]
    for row, raw in enumerate(raws):
        if not raw.decode().strip():
            findings.note(Oddity.EMPTY_SENTENCES, f"{batch.at(row)} ({column})")
    return raws


def _gold(batch: Batch, row: int, findings: Findings) -> float:
    value = batch.columns["score"][row]
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    if not math.isfinite(number):
        findings.note(Oddity.BAD_SCORES, f"{batch.at(row)}: {value!r}")
    return number
