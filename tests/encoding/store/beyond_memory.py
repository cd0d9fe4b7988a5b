"""A process that encodes and searches more vectors than it may hold in memory.

    python beyond_memory.py STORE_FOLDER

`RLIMIT_DATA` bounds what a process allocates for itself, but not files that it maps. Says for a
first and a second run whether every query found its own document.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from cmedteb.encoding import VectorStore, encode_distinct, planned
from cmedteb.encoding.store import matrix
from cmedteb.search import Vectors, search_vectors
from cmedteb.types import Float32Array, Similarity, TextColumn

DOCUMENTS, WIDTH, QUERIES = 25_600, 1024, 20
SIZE = 4 * DOCUMENTS * WIDTH
ROOM = 0.9 * SIZE


def encode(texts: Sequence[str]) -> Float32Array:
    """A seeded row for each text, of length 1."""
    rows = [np.random.default_rng(int(text)).standard_normal(WIDTH) for text in texts]
    found = np.array(rows, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def held() -> int:
    """Bytes that this process has allocated so far, as `RLIMIT_DATA` counts them."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))


def run(root: Path, texts: pa.ChunkedArray) -> bool:
    """Encode what is not kept and search; whether every query found its document first."""
    index = np.arange(DOCUMENTS, dtype=np.int32)
    column = TextColumn(texts, index)
    store = VectorStore(root, {"model": "a"})
    documents = encode_distinct(planned(encode, budget=2_000), column, store=store).vectors
    asked = encode([str(number) for number in range(QUERIES)])
    found = search_vectors(
        Vectors(asked, np.arange(QUERIES, dtype=np.int32)),
        Vectors(documents, index),
        ids=texts,
        similarity=Similarity.DOT,
        depth=10,
        device="cpu",
    )
    return bool((found.docs[found.offsets[:-1]] == np.arange(QUERIES)).all())


def main() -> None:
    """Both runs within the limit."""
    matrix.memory = lambda: 2 * SIZE
    texts = pa.chunked_array([pa.array([str(number) for number in range(DOCUMENTS)])])
    encode(["0"]) @ encode(["0"]).T  # BLAS takes its memory at its first product
    resource.setrlimit(resource.RLIMIT_DATA, (held() + int(ROOM), resource.RLIM_INFINITY))
    for name in ("first", "again"):
        sys.stdout.write(f"{name} {run(Path(sys.argv[1]), texts)}\n")


if __name__ == "__main__":
    main()
