"""A judging process that is killed loses nothing and repeats at most what was in flight.

Run: pytest tests/annotations/test_kill.py -q. The full size, some minutes:
python tests/annotations/kill_support.py --pairs 20000 --kills 10
"""

from __future__ import annotations

from pathlib import Path

from annotations.kill_support import kill_again_and_again


def test_kill_9_twice(tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, queries=6, documents=20, kills=2, latency=0.05)
    assert found.answers == 3 * found.pairs == 360
    assert found.lost == 0
    assert 0 < found.exposed <= found.bound
    assert found.repeated <= found.exposed
    assert found.charged == found.answers + found.repeated + 3  # and one probe a judge
