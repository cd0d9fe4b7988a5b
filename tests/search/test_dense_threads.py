"""The dense search over several threads: the same run, and an end as soon as it is given up.

Run: pytest tests/search/test_dense_threads.py -q.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from builders import strings

from cmedteb.search import dense, search_vectors
from cmedteb.search.collection import Block, Collection
from cmedteb.types import Similarity
from search.support import each, names, random_vectors

SPREAD = (("THREADS", 2), ("WORTH_THREADS", 1))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("held", [2**20, 100])
@pytest.mark.parametrize("fair", [True, False])
def test_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, fair: bool, held: int, threads: int
) -> None:
    both = each(random_vectors(31, seed=35)), each(random_vectors(700, seed=36))
    how = {"ids": strings(names(700)), "similarity": Similarity.DOT, "depth": 20}
    alone = search_vectors(*both, **how)
    for name, value in (("THREADS", threads), ("WORTH_THREADS", 1), ("HELD_KEYS", held)):
        monkeypatch.setattr(dense, name, value)
    if not fair:
        monkeypatch.setattr(dense, "SAMPLE", 100)
        monkeypatch.setattr(dense, "_bar", lambda queries, *_: np.full(len(queries), 0.9e9, "f4"))
    spread = search_vectors(*both, **how)
    np.testing.assert_array_equal(spread.docs, alone.docs)
    np.testing.assert_allclose(spread.scores, alone.scores, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("interrupted", [True, False])
def test_no_thread_goes_on_when_the_search_is_given_up(
    monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    """Neither with the share in its hands nor with another one."""
    documents, asked, seen = 2_000, 32, []
    turns, begun = iter(range(2)), threading.Barrier(2, timeout=20)
    blocks = Collection.blocks

    def slow_blocks(self: Collection, vectors: int) -> Iterator[Block]:
        turn = next(turns, None)
        if turn is not None:
            begun.wait()
        if turn == 0:
            if not interrupted:
                raise MemoryError
            os.kill(os.getpid(), signal.SIGINT)
        for block in blocks(self, vectors):
            time.sleep(0.001)
            seen.append(block.start)
            yield block

    monkeypatch.setattr(Collection, "blocks", slow_blocks)
    for name, value in (*SPREAD, ("HELD_KEYS", 1), ("BLOCK_DOCUMENTS", 1)):
        monkeypatch.setattr(dense, name, value)
    both = each(random_vectors(asked, seed=37)), each(random_vectors(documents, seed=38))
    with pytest.raises(KeyboardInterrupt if interrupted else MemoryError):
        search_vectors(
            *both, ids=strings(names(documents)), similarity=Similarity.DOT, depth=documents
        )
    assert 0 < len(seen) < documents
    assert seen.count(0) < asked
