"""Loads a generated corpus in a process of its own and prints what it cost, as one JSON line.

Run by test_memory.py; by hand: `python tests/data/memory_probe.py FOLDER [DOCUMENTS] [SUFFIX]`.
The texts are made of CJK code points drawn by a seeded generator.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
from pathlib import Path

from cmedteb.data import Access, Source, load_ranking, locate
from cmedteb.types import TaskType


def write_set(folder: Path, documents: int, suffix: str) -> int:
    """Write the set; returns the bytes of its texts in UTF-8."""
    draw = random.Random(7)
    rows = []
    total = 0
    for row in range(documents):
        length = draw.randint(80, 160)
        text = "".join(chr(code) for code in draw.choices(range(0x4E00, 0x9FA0), k=length))
        total += len(text.encode())
        rows.append({"_id": f"d{row:06d}", "text": text})
    _write_corpus(folder, rows, suffix)
    queries = [{"_id": f"q{row}", "text": f"query {row}"} for row in range(100)]
    (folder / "queries.jsonl").write_text(
        "".join(f"{json.dumps(query)}\n" for query in queries), encoding="utf-8"
    )
    (folder / "qrels.tsv").write_text(
        "".join(f"q{row}\td{row:06d}\t1\n" for row in range(100)), encoding="utf-8"
    )
    return total


def _write_corpus(folder: Path, rows: list[dict[str, str]], suffix: str) -> None:
    path = folder / f"corpus{suffix}"
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    raw = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(raw, 1) if suffix.endswith(".gz") else raw)


def memory_kib(name: str) -> int:
    """A figure of /proc/self/status: VmRSS is held now, VmHWM was the most."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def load(folder: Path) -> dict[str, object]:
    """Load a small set first, so that imports and allocators are paid for, then the large one."""
    import pyarrow as pa

    small = folder / "small"
    small.mkdir(exist_ok=True)
    suffix = next(folder.glob("corpus*")).name.removeprefix("corpus")
    write_set(small, 5000, suffix)
    located = [
        locate(path.name, Source(kind="local"), Access(data_dir=path)) for path in (small, folder)
    ]
    kind = TaskType.RETRIEVAL
    load_ranking(located[0], name="small", split="test", task_type=kind)
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = memory_kib("VmRSS")
    start = time.perf_counter()
    data = load_ranking(located[1], name="large", split="test", task_type=kind)
    seconds = time.perf_counter() - start
    held, peak = memory_kib("VmRSS"), memory_kib("VmHWM")
    return {
        "documents": len(data.corpus),
        "seconds": round(seconds, 2),
        "held_bytes": (held - before) * 1024,
        "peak_bytes": (peak - before) * 1024,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        suffix = sys.argv[3] if len(sys.argv) > 3 else ".jsonl"
        answer: dict[str, object] = {"text_bytes": write_set(folder, int(sys.argv[2]), suffix)}
    else:
        answer = load(folder)
    sys.stdout.write(f"{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
