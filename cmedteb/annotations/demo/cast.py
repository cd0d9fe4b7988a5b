"""Who acts in the demo: three judges, each with an endpoint, and two experts. All simulated."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

from cmedteb.annotations.demo.faults import FaultRates, uniform
from cmedteb.annotations.demo.gold import Gold, PairFinder
from cmedteb.annotations.demo.judges import SimulatedJudge, Simulation

EXPERTS = ("simulated-expert-1", "simulated-expert-2")
EXPERT_NOISE = 0.35
NORMAL = NormalDist()
PREFIX = "simulated-"
NOTE = "No model judged here: grades come from hidden gold with set errors. Prices are made up."
JUDGE = """
[[judges]]
label = "{label}"
model = "{model}"
base_url = "{url}"
timeout = 10.0
concurrency = 16
price = {{ input = 0.5, cached = 0.1, output = 2.0 }}
"""

FAULTS = FaultRates(
    rate=0.005,
    risk=0.004,
    server=0.003,
    reset_before=0.001,
    reset_after=0.001,
    refusal=0.003,
    cut=0.004,
    bad_json=0.004,
    duplicate_key=0.001,
    out_of_range=0.001,
    blank=0.002,
    page=0.001,
    drip=0.001,
)


def simulation(seed: int) -> Simulation:
    """Three judges: one sober, one lenient and noisy, one that is rate-limited and JSON-only."""
    return Simulation(
        judges=(
            _judge("sober", noise=0.45),
            _judge("lenient", noise=0.6, leniency=0.3, wobble=0.1),
            _judge(
                "slow",
                noise=0.5,
                rpm=4_800,
                formats=("json_object",),
                shutdown_date="2027-01-14",
            ),
        ),
        correlation=0.3,
        seed=seed,
    )


def _judge(label: str, **more: Any) -> SimulatedJudge:  # noqa: ANN401  fields of a judge
    """A judge whose faults take little time: a demo is waited for."""
    return SimulatedJudge(f"{PREFIX}{label}", stall=0.5, retry_after=0.2, rates=FAULTS, **more)


def write_panel(told: Simulation, url: str, path: Path) -> Path:
    """Write the panel of a simulation, as a user would write theirs.

    Args:
        told: who is served.
        url: of the server; each judge gets an account of its own below it.
        path: of the TOML file.
    """
    text = f'name = "simulated"\nnote = "{NOTE}"\n'
    for judge in told.judges:
        text += JUDGE.format(
            label=judge.model.removeprefix(PREFIX), model=judge.model, url=f"{url}/{judge.model}/v1"
        )
    path.write_text(text, encoding="utf-8")
    return path


def fill_sheet(path: Path, gold: Gold, *, seed: int) -> int:
    """Fill in a review sheet as an expert who errs a little; returns how many rows.

    Args:
        path: of an exported `review.csv`; it is written over.
        gold: what the expert knows of the texts in it.
        seed: of the errors, which differ from row to row: a repeat may get another grade.
    """
    finder = PairFinder(gold)
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    for row in rows:
        query, document = finder.find(f"{row['query']}\n{row['document']}")
        best = gold.grade(query or "", document or "")
        error = NORMAL.inv_cdf(uniform("expert", str(seed), row["reviewer"], row["pair_id"]))
        grade = math.floor(best + EXPERT_NOISE * error + 0.5)
        row["score_1_to_5"] = str(min(5, max(1, grade)))
        row["comment"] = "simulated"
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(stream.getvalue().encode("utf-8-sig"))
    return len(rows)
