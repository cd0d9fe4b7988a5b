"""Tokens a second on a GPU, and how much of its peak that is: ours against SentenceTransformer.

    python perf/gpu.py [--shape bge-large-zh|qwen3-4b] [--texts N] [--peak-tflops T] [--rounds 3]

Models have the shapes of bge-large-zh and Qwen3-Embedding-4B, seeded weights and bfloat16. Texts
are random characters whose lengths follow CMIRB's (lognormal, mean 250 and sigma 0.7, which with
the cut at 512 gives the 233 tokens a document of the whole benchmark). Work is counted from the
shape and the real tokens: padding is none. The peak is the dense bfloat16 rate that the vendor
states; --peak-tflops sets another. Ours runs as it is and compiled (`--compile`). One JSON line a
shape. Needs the extra `models` and a CUDA device, and refuses to run without one; opens no
connection.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from _encoders import BGE_LARGE_ZH, QWEN3_4B, Shape, encode, lengths, write_model, write_texts
from _measure import ROUNDS, medians, report, take_turns

SHAPES: dict[str, tuple[Shape, int]] = {
    "bge-large-zh": (BGE_LARGE_ZH, 20_000),
    "qwen3-4b": (QWEN3_4B, 4_000),
}
MEAN, SIGMA = 250.0, 0.7
# Dense bfloat16 TFLOP/s by the vendor's data sheets.
PEAKS = {
    "H200 NVL": 835.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H800": 989.0,
    "A100": 312.0,
    "A800": 312.0,
    "L40S": 362.0,
}
DEFAULT_BATCH = 32
OURS = ("cmedteb:bfloat16", "cmedteb:bfloat16:compile")


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    parser.add_argument("--texts", type=int, default=None)
    parser.add_argument("--peak-tflops", type=float, default=None)
    parser.add_argument("--batches", default="32,128,256", help="sizes that the peer is tried at")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = device_name()
    if arguments.arm:
        print(json.dumps(encode(arguments.arm, arguments.scratch, device="cuda")))
        return
    peak = arguments.peak_tflops or next((t for n, t in PEAKS.items() if n in device), None)
    batches = sorted({DEFAULT_BATCH, *map(int, arguments.batches.split(","))})
    for name in arguments.shape or SHAPES:
        shape, count = SHAPES[name]
        texts = make_texts(arguments.texts or count)
        with tempfile.TemporaryDirectory() as scratch:
            write_model(Path(scratch), shape, texts, dtype="bfloat16")
            write_texts(Path(scratch) / "data", texts)
            sizes = lengths(Path(scratch) / "model", texts)
            arms = [*OURS, *(f"st:bfloat16:{size}" for size in batches)]
            found = take_turns(__file__, arms, ["--scratch", scratch], rounds=arguments.rounds)
        seconds = {arm: medians(rounds)["wall"] for arm, rounds in found.items()}
        flops = shape.flops(sizes)
        own, compiled = (seconds.pop(arm) for arm in OURS)
        line = {
            "shape": name,
            "device": device,
            "texts": len(texts),
            "tokens": sum(sizes),
            "teraflop": round(flops / 1e12, 2),
            "peak_tflops": peak,
            "cmedteb": rate(own, sizes, flops, peak),
            "cmedteb_compiled": rate(compiled, sizes, flops, peak),
            **{arm: rate(wall, sizes, flops, peak) for arm, wall in seconds.items()},
            "ratio_to_default": round(seconds[f"st:bfloat16:{DEFAULT_BATCH}"] / own, 2),
            "ratio_to_best": round(min(seconds.values()) / own, 2),
            "rounds": arguments.rounds,
        }
        report("gpu", line)


def device_name() -> str:
    """The first CUDA device.

    Raises:
        SystemExit: there is none.
    """
    import torch

    if not torch.cuda.is_available():
        raise SystemExit(
            "perf/gpu.py needs a CUDA device and there is none here. Run it on a machine with one, "
            "with a CUDA build of torch; perf/encode_cpu.py measures processors."
        )
    return str(torch.cuda.get_device_name(0))


def make_texts(count: int) -> list[str]:
    """Random ideographs, lognormal in length, all different."""
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(np.log(MEAN) - SIGMA**2 / 2, SIGMA, count).astype(int).clip(8, 60_000)
    return ["".join(map(chr, rng.integers(0x4E00, 0x9000, size))) for size in sizes.tolist()]


def rate(
    seconds: float, sizes: list[int], flops: float, peak: float | None
) -> dict[str, float | None]:
    """Tokens a second, and the share of the peak that real tokens made use of."""
    return {
        "tokens_per_second": round(sum(sizes) / seconds, 1),
        "share_of_peak": round(flops / seconds / 1e12 / peak, 4) if peak else None,
    }


if __name__ == "__main__":
    main()
