"""The made-up models of `generated.py`: what they are, their cards, and what their queries cost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from cmedteb.models import ModelFacts, Role
from cmedteb.results import ResultStore
from cmedteb.results.latency import LatencyRecord
from cmedteb.runner.record import model_record
from cmedteb.types import Similarity

LICENCES = ("MIT", "Apache-2.0", "CC-BY-NC-SA-4.0")
TRAINED = ([], ["cMedQA2"], ["CMedQAv1-reranking", "CMedTEBRetrieval"], None)
SIZES = (24e6, 102e6, 326e6, 568e6, 1.5e9, 7.1e9)


def facts_of(number: int, rng: np.random.Generator) -> ModelFacts:
    """Every tenth is an endpoint, every seventh a pair with a small query side, the first BM25."""
    if number == 0:
        settings = {"tokenizer": "bigrams", "k1": 0.9, "b": 0.4}
        parameters = {"query": 0, "document": 0}
        return ModelFacts("cmedteb/bm25", "1", "bm25", parameters=parameters, settings=settings)
    size = int(SIZES[number % len(SIZES)] * rng.uniform(0.95, 1.05))
    name = f"lab-{number % 7}/embed-{number:03d}"
    revision = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    family, parameters = "sentence-transformer", {"query": size, "document": size}
    if number % 10 == 9:
        family, parameters, revision = "api", {}, f"2026-{1 + number % 9:02d}-01"
    elif number % 7 == 3:
        family, parameters = "pair", {"query": int(3.05e8), "document": size + int(4e9)}
    return ModelFacts(
        name=name,
        revision=revision,
        family=family,
        similarity=Similarity.DOT if family == "pair" else Similarity.COSINE,
        prompts={"query": f"Find for {number}: ", "document": ""},
        pooling="cls" if number % 2 else "mean",
        max_length=512,
        dtype="float32",
        dimension=(512, 768, 1024)[number % 3],
        parameters=parameters,
        sts_sides=(Role.QUERY, Role.QUERY),
        libraries=("torch",),
        device="NVIDIA A100-SXM4-80GB" if number % 2 else "cpu",
    )


def write_card(folder: Path, number: int, facts: ModelFacts) -> None:
    """`card.toml`; every fifth model has none."""
    if number % 5 == 4:
        return
    sets = TRAINED[number % len(TRAINED)]
    known = '"unknown"' if sets is None else json.dumps(sets)
    card = (
        f'name = "{facts.name.replace("/", "-")}"\nfamily = "{facts.family}"\n'
        f'title = "Model {number} of lab {number % 7}"\n'
        f'licence = "{LICENCES[number % 3] if facts.family != "api" else "proprietary"}"\n'
        f"training_sets = {known}\n"
    )
    if facts.family == "pair":
        tower = f'family = "instruct"\nhf = "{facts.name}"\n'
        card += f"\n[query]\n{tower}\n[document]\n{tower}"
    (folder / "card.toml").write_text(card, encoding="utf-8")


def write_latency(
    store: ResultStore, number: int, facts: ModelFacts, rng: np.random.Generator
) -> None:
    """What a query costs on one device, for two models of three."""
    if number % 3 == 2:
        return
    size = facts.parameters.get("query", int(1e9)) + 5e6
    p50 = float(2.0 * (size / 1e8) ** 0.8 * rng.uniform(0.8, 1.25))
    record = LatencyRecord.model_validate(_latency(p50, facts))
    store.add_latency(model_record(facts), record)


def _latency(p50: float, facts: ModelFacts) -> dict[str, Any]:
    def bounded(value: float) -> dict[str, float]:
        return {"value": value, "low": 0.97 * value, "high": 1.05 * value}

    device = "NVIDIA A100-SXM4-80GB"
    return {
        "quick": False,
        "measured": "search" if facts.family == "bm25" else "encode",
        "task": "CmedqaRetrieval",
        "dataset_content_hash": "0" * 64,
        "device": device,
        "dtype": facts.dtype,
        "seed": 0,
        "date": "2026-10-01T08:00:00+00:00",
        "queries": {
            "distinct": 200,
            "asked": 200,
            "prompt": None,
            "characters": [40.0, 150],
            "tokens": [35.0, 120],
        },
        "warm_up": {"first_call_ms": 9 * p50, "calls": 40, "settled": True},
        "single_stream": {
            "calls": 1000,
            "seconds": p50,
            "p50_ms": bounded(p50),
            "p95_ms": bounded(1.4 * p50),
            "p99_ms": bounded(1.9 * p50),
            "level": 0.95,
        },
        "control": {
            "first_p50_ms": p50,
            "second_p50_ms": p50,
            "difference": 0.0,
            "flagged": False,
        },
        "server": {"limit_ms": 50.0, "batch": 16, "queries_per_second": 700 / p50, "rates": []},
        "offline": {"batch": 64, "queries_per_second": 4000 / p50, "sizes": []},
        "index_search": None,
        "parameters": facts.parameters.get("query"),
        "memory": {"kind": "cuda allocated", "peak_bytes": int(2e9), "before_bytes": int(1e9)},
        "machine": {
            "device": device,
            "cpu": "a processor",
            "cores": 16,
            "threads": 8,
            "cpu_mhz": None,
            "gpu_mhz": None,
            "gpu_watts": None,
            "system": "Linux",
        },
        "library_versions": {"cmedteb": "0.1.0"},
    }
