"""Several processes give what one gives, whatever becomes of them.

Run: pytest tests/encoding/test_workers.py -q. Workers are real processes; texts tell them to raise,
to print or to kill themselves, see worker_support.py.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import worker_support
from builders import strings, text_column
from worker_support import vectors

from cmedteb.encoding import VectorStore, encode_distinct, planned
from cmedteb.encoding.workers import Open, Planned, Processes, Workers, devices_of, split_texts
from cmedteb.encoding.workers.chunks import Chunk, chunks
from cmedteb.encoding.workers.split import ByLength
from cmedteb.errors import CmedtebError, ModelError, NotAvailableError, UsageError
from cmedteb.types import Float32Array

TEXTS = [f"text {number} " + "x" * (number * 7 % 60) for number in range(400)]
BUDGET = 300
DRIVER = Path(__file__).resolve().parents[1] / "worker_support.py"


@pytest.fixture(scope="module")
def two() -> Iterator[Workers]:
    """Two workers that outlive a test, as they outlive a task."""
    with Workers(Processes(worker_support.lengths, ["cpu", "cpu"]), model="lengths") as workers:
        yield workers


def encode(workers: Workers, texts: Sequence[str], *, ask: float = 1.0) -> Float32Array:
    source = workers.source(ask, ByLength(BUDGET))
    return encode_distinct(source, text_column(texts)).vectors


def alone(texts: Sequence[str]) -> Float32Array:
    return encode_distinct(planned(vectors, budget=BUDGET), text_column(texts)).vectors


def crew(opened: Open, devices: int = 2, *, chunk_texts: int = 2_000) -> Workers:
    processes = Processes(opened, ["cpu"] * devices)
    return Workers(processes, model="lengths", chunk_texts=chunk_texts)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pids: Sequence[int], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_two_processes_give_the_bytes_of_one(two: Workers) -> None:
    expected = alone(TEXTS).tobytes()
    assert encode(two, TEXTS).tobytes() == expected
    with crew(worker_support.lengths, 1) as one:
        assert encode(one, TEXTS).tobytes() == expected


def test_workers_stay_over_columns_and_questions() -> None:
    processes = Processes(worker_support.lengths, ["cpu"])
    with Workers(processes, model="lengths") as workers:
        first = workers.describe("a")
        encode(workers, TEXTS[:50], ask=2.0)
        assert encode(workers, TEXTS).tobytes() == alone(TEXTS).tobytes()
        assert first == {"asked": "a", "pid": processes.pids[0]}
        assert workers.describe("b") == {"asked": "b", "pid": first["pid"]}
        assert workers.replaced == 0


def test_tokens_of_all_workers_are_counted(two: Workers) -> None:
    before = two.tokens or 0
    encode(two, TEXTS)
    assert two.tokens == before + sum(map(len, TEXTS))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_texts_than_workers_could_share(two: Workers, count: int) -> None:
    assert encode(two, TEXTS[:count]).tobytes() == alone(TEXTS[:count]).tobytes()


def test_vectors_are_stored_as_they_arrive(two: Workers, tmp_path: Path) -> None:
    column = text_column([*TEXTS, "raise"])
    source = two.source(1.0, ByLength(BUDGET))
    with pytest.raises(ModelError):
        encode_distinct(source, column, store=VectorStore(tmp_path, {"model": "lengths"}))
    left = VectorStore(tmp_path, {"model": "lengths"})
    again = encode_distinct(planned(vectors, budget=BUDGET), column, store=left)
    assert again.reused > 0


def test_an_error_of_the_model_is_told_once_with_its_place(two: Workers) -> None:
    with pytest.raises(ModelError) as caught:
        encode(two, ["a", "raise", *TEXTS])
    told = str(caught.value)
    assert told.startswith("lengths failed on cpu (process ")
    assert "RuntimeError: this text is not for me" in told
    assert "worker_support.py" in told
    assert told.count("Traceback") <= 1
    assert encode(two, TEXTS).tobytes() == alone(TEXTS).tobytes()


def test_an_error_of_any_class_is_told(two: Workers) -> None:
    with pytest.raises(ModelError, match="OwnError: a b"):
        encode(two, ["own error"])


def test_an_error_of_our_own_stays_what_it_is(two: Workers) -> None:
    with pytest.raises(NotAvailableError, match=r"^nothing to describe$"):
        two.describe("fail")


def test_a_column_that_is_given_up_leaves_nothing_to_the_next(two: Workers) -> None:
    source = two.source(5.0, ByLength(20))
    part = source(strings(TEXTS))
    next(iter(part))
    del part
    np.testing.assert_array_equal(encode(two, TEXTS), alone(TEXTS))


def test_what_a_worker_prints_is_no_result(two: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    with crew(worker_support.lengths, 1) as one:
        encode(one, ["print"])
    out, err = capfd.readouterr()
    assert out == ""
    assert "a library talks" in err


def test_a_killed_worker_is_replaced_and_its_chunk_done_again(tmp_path: Path) -> None:
    texts = [*TEXTS[:40], "kill once", *TEXTS[40:]]
    with crew(partial(worker_support.marked, tmp_path, 0.0)) as workers:
        assert encode(workers, texts).tobytes() == alone(texts).tobytes()
        assert workers.replaced == 1


def test_a_worker_killed_from_outside_costs_at_most_its_chunk(tmp_path: Path) -> None:
    processes = Processes(partial(worker_support.marked, tmp_path, 0.005), ["cpu", "cpu"])
    with Workers(processes, model="lengths", chunk_texts=20) as workers:
        ready = workers.describe(None)["pid"]
        parts = workers.source(1.0, ByLength(BUDGET))(strings(TEXTS))
        found = [next(parts)]
        os.kill(ready, signal.SIGKILL)
        found += parts
        assert workers.replaced == 1
        # Counted by those who answered: nothing was done twice but what the dead one was at.
        assert workers.tokens == sum(map(len, TEXTS))
    rows = np.concatenate([part.rows for part in found])
    assert sorted(rows.tolist()) == list(range(len(TEXTS)))
    together = np.empty((len(TEXTS), 3), dtype=np.float32)
    for part in found:
        together[part.rows] = part.vectors
    assert together.tobytes() == alone(TEXTS).tobytes()


def test_a_chunk_that_kills_three_workers_is_named() -> None:
    with crew(worker_support.lengths) as workers:
        with pytest.raises(ModelError) as caught:
            encode(workers, ["a", "b", "kill"])
        told = str(caught.value)
        assert "3 workers died, one after the other, of the same chunk of " in told
        assert "killed by SIGKILL" in told
        assert encode(workers, TEXTS).tobytes() == alone(TEXTS).tobytes()


@pytest.mark.parametrize(
    ("opened", "error", "message"),
    [
        (worker_support.broken, NotAvailableError, "^no weights for cpu$"),
        (worker_support.dies, ModelError, r"died while it was loading the model \(exit code 7\)"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    opened: Open, error: type[CmedtebError], message: str
) -> None:
    with crew(opened) as workers, pytest.raises(error, match=message):
        workers.describe(None)


def test_an_opener_that_does_not_arrive() -> None:
    """A worker that cannot even unpickle what it is to open says so."""
    with crew(partial(_Unreadable())) as workers, pytest.raises(ModelError, match="not here"):
        workers.describe(None)


class _Unreadable:
    """Pickles, and does not unpickle."""

    def __call__(self, device: str) -> worker_support.Lengths:
        return worker_support.Lengths()

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return worker_support.refuse, ()


def test_closed_workers_are_gone_and_start_again_when_needed() -> None:
    processes = Processes(worker_support.lengths, ["cpu", "cpu"])
    workers = Workers(processes, model="lengths")
    encode(workers, TEXTS)
    pids = processes.pids
    workers.close()
    assert gone(pids, 0.2)
    assert encode(workers, TEXTS[:3]).tobytes() == alone(TEXTS[:3]).tobytes()
    workers.close()


def test_a_worker_killed_while_it_loads_is_tried_again(tmp_path: Path) -> None:
    """The others work meanwhile."""
    processes = Processes(partial(worker_support.slow_second, tmp_path), ["cpu", "cpu"])
    with Workers(processes, model="lengths", chunk_texts=10) as workers:
        workers.describe(None)
        (slow,) = set(processes.pids) & {int(path.stem) for path in tmp_path.glob("*.slow")}
        os.kill(slow, signal.SIGKILL)
        assert encode(workers, TEXTS).tobytes() == alone(TEXTS).tobytes()
        assert workers.replaced == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_no_worker_outlives_its_parent(tmp_path: Path, sent: signal.Signals) -> None:
    command = [sys.executable, str(DRIVER), str(tmp_path)]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert len(pids) == 2
        if sent is signal.SIGINT:
            os.killpg(driver.pid, sent)  # as a terminal does: to all of them
        else:
            os.kill(driver.pid, sent)
        _, err = driver.communicate(timeout=30)
    finally:
        driver.kill()
    assert gone(pids)
    if sent is signal.SIGINT:
        assert err.decode().count("Traceback") <= 1  # the driver's own


def planned_rows(sizes: Sequence[int]) -> Iterator[Planned]:
    start = 0
    for size in sizes:
        yield Planned(np.arange(start, start + size), size, None)
        start += size


@pytest.mark.parametrize(
    ("sizes", "texts", "workers", "expected"),
    [
        ([5, 5, 5], 15, 1, [[5], [5], [5]]),
        ([5, 5, 5, 5], 160, 1, [[5, 5, 5, 5]]),
        ([3_000, 1], 100_000, 1, [[3_000], [1]]),
        ([1_000, 1_000, 1_000], 100_000, 2, [[1_000, 1_000], [1_000]]),
        ([], 0, 4, []),
    ],
    ids=["small column", "one chunk", "a batch too large", "2,000 texts", "none"],
)
def test_batches_are_grouped_whole_and_in_order(
    sizes: list[int], texts: int, workers: int, expected: list[list[int]]
) -> None:
    made: list[Chunk] = list(chunks(planned_rows(sizes), texts=texts, workers=workers))
    assert [[len(batch.rows) for batch in chunk.batches] for chunk in made] == expected
    rows = [row for chunk in made for row in chunk.rows.tolist()]
    assert rows == list(range(sum(sizes)))


def test_a_plan_by_length_is_that_of_one_process() -> None:
    split = pickle.loads(pickle.dumps(split_texts(len, budget=BUDGET, cap=40).plan))
    seen: list[list[str]] = []

    def watch(texts: Sequence[str]) -> Float32Array:
        seen.append(list(texts))
        return vectors(texts)

    encode_distinct(planned(watch, budget=BUDGET, cap=40), text_column(TEXTS))
    column = pa.chunked_array([strings(TEXTS[:7]).chunk(0), strings(TEXTS[7:]).chunk(0)])
    assert [batch.content.to_pylist() for batch in split(column)] == seen


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [
        ("auto", "cpu", ()),
        ("auto", "cuda:1", ()),
        ("3", "cpu", ("cpu",) * 3),
        ("cpu,cpu", "auto", ("cpu", "cpu")),
        ("cpu", "auto", ("cpu",)),
    ],
)
def test_devices_that_are_asked_for(wanted: str, device: str, expected: tuple[str, ...]) -> None:
    assert devices_of(wanted, device) == expected


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [
        ("auto", "auto", tuple(f"cuda:{number}" for number in range(4))),
        ("all", "auto", tuple(f"cuda:{number}" for number in range(4))),
        ("2", "cuda", ("cuda:0", "cuda:1")),
        ("0,3", "auto", ("cuda:0", "cuda:3")),
        ("2,", "auto", ("cuda:2",)),
    ],
)
def test_devices_where_there_are_four_gpus(
    wanted: str, device: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmedteb.encoding.workers.places.visible_gpus", lambda: 4)
    assert devices_of(wanted, device) == expected


@pytest.mark.parametrize(
    ("wanted", "device", "message"),
    [
        ("5", "auto", "GPU 4 is asked for, and torch sees 4 here"),
        ("0,9", "auto", "GPU 9"),
        ("0,0", "auto", "names a GPU twice"),
        ("all", "cpu", "give one"),
        ("0,1", "cpu", "--device says cpu"),
        ("0", "auto", "at least one device"),
        ("quantum", "auto", "knows no device 'quantum'"),
        ("cpu,auto", "auto", "stands alone"),
    ],
)
def test_devices_that_are_refused(
    wanted: str, device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmedteb.encoding.workers.places.visible_gpus", lambda: 4)
    with pytest.raises((UsageError, NotAvailableError), match=message):
        devices_of(wanted, device)


def test_all_gpus_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmedteb.encoding.workers.places.visible_gpus", lambda: 0)
    with pytest.raises(NotAvailableError, match="torch sees 0 here"):
        devices_of("all")
    assert devices_of("2") == ("cpu", "cpu")
    assert devices_of("auto") == ()
