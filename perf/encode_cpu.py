"""Tokens a second on this processor: ours against SentenceTransformer.encode.

    python perf/encode_cpu.py DATA_FOLDER [--texts 400] [--batches 8,32,128] [--rounds 3]

The model has bge-small-zh's shape and seeded weights; the texts are a seeded sample of the
documents of DATA_FOLDER (a retrieval set in the local layout), each once. The peer runs at its
default batch of 32 and at other sizes, both at float32 and at bfloat16, always said explicitly.
One JSON line: tokens a second (medians), and ratios to the peer's default and to its best. Needs
the extra `models`; opens no connection.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from _encoders import BGE_SMALL_ZH, encode, lengths, write_model, write_texts
from _measure import ROUNDS, medians, report, take_turns

DTYPES = ("float32", "bfloat16")
DEFAULT_BATCH = 32


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--batches", default="8,32,128", help="sizes that the peer is tried at")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        print(json.dumps(encode(arguments.arm, arguments.data, device="cpu")))
        return
    sizes = sorted({DEFAULT_BATCH, *map(int, arguments.batches.split(","))})
    texts = sample(arguments.data, arguments.texts)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write_model(scratch, BGE_SMALL_ZH, texts, dtype="float32")
        write_texts(scratch / "data", texts)
        tokens = sum(lengths(scratch / "model", texts))
        arms = [f"cmedteb:{dtype}" for dtype in DTYPES]
        arms += [f"st:{dtype}:{size}" for dtype in DTYPES for size in sizes]
        found = take_turns(__file__, arms, [name], rounds=arguments.rounds)
    seconds = {arm: medians(rounds)["wall"] for arm, rounds in found.items()}
    speed = {arm: round(tokens / wall, 1) for arm, wall in seconds.items()}
    ratio = {}
    for dtype in DTYPES:
        own = speed[f"cmedteb:{dtype}"]
        best = max(speed[f"st:{dtype}:{size}"] for size in sizes)
        ratio[dtype] = {
            "to_default": round(own / speed[f"st:{dtype}:{DEFAULT_BATCH}"], 2),
            "to_best": round(own / best, 2),
        }
    line = {"texts": len(texts), "tokens": tokens, "rounds": arguments.rounds}
    line |= {"tokens_per_second": speed, "ratio": ratio}
    report("encode-cpu", {"data": arguments.data.name, **line})


def sample(folder: Path, count: int) -> list[str]:
    """Different documents of the set, drawn with a seed, in the order of the corpus."""
    from cmedteb.data import Access
    from cmedteb.tasks import RetrievalTask, from_folder

    task = from_folder(folder)
    if not isinstance(task, RetrievalTask):
        raise SystemExit(f"{folder} is no retrieval set")
    texts = [text for text in task.load(Access()).corpus.texts.iter_distinct() if text]
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[row] for row in sorted(chosen)]


if __name__ == "__main__":
    main()
