"""What 100,000 documents cost (run: `pytest tests/data/test_memory.py -s`).

Each load runs in a process of its own, after a small one has paid for imports; memory_probe.py
says what is measured. Held memory is bounded; the peak and the seconds are printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("memory_probe.py")
DOCUMENTS = 100_000
HELD = {".jsonl": 1.5, ".jsonl.gz": 1.5, ".parquet": 1.5}
PEAK = {".jsonl": 1.75, ".jsonl.gz": 1.75, ".parquet": 2.6}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc"
)


def run(*arguments: str) -> dict[str, float]:
    root = str(PROBE.parents[2])
    done = subprocess.run(
        [sys.executable, str(PROBE), *arguments],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("suffix", HELD)
def test_a_large_corpus_costs_little_more_than_its_text(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text_bytes = run(str(tmp_path), str(DOCUMENTS), suffix)["text_bytes"]
    cost = run(str(tmp_path))
    held, peak = cost["held_bytes"] / text_bytes, cost["peak_bytes"] / text_bytes
    with capsys.disabled():
        sys.stdout.write(
            f"\n{suffix}: {DOCUMENTS} documents, {text_bytes / 1e6:.0f} MB of text, held "
            f"{held:.2f}x, peak {peak:.2f}x, {cost['seconds']} s\n"
        )
    assert cost["documents"] == DOCUMENTS
    assert held < HELD[suffix]
    assert peak < PEAK[suffix]
    assert cost["seconds"] < 20
