"""`cmedteb annotate plan`, `doctor`, `run`, `status` as a user calls them, against a judge server.

Run: pytest tests/cli/annotate/test_judging.py -q.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotations.judging_support import with_probe

from cli.conftest import Cli
from cmedteb.annotations.annotate import progress
from cmedteb.annotations.demo import FaultRates, Gold, SimulatedJudge, Simulation
from cmedteb.annotations.demo.server import JudgeServer
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.texts import read_texts

KEY = "sk-do-not-tell-0123456789"
LABELS = ("judge-a", "judge-b", "judge-c")
SMALL = ("-m", "bm25", "--pool-depth", "2", "--canaries", "1")


def gold_of(folder: Path) -> Gold:
    """What is judged relevant in a data set is worth 5."""
    queries, documents, grades = {}, {}, {}
    for name, texts in (("queries", queries), ("corpus", documents)):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts[row["_id"]] = row["text"]
    for query in queries:
        grades[query] = dict.fromkeys(sorted(documents)[:2], 5.0)
    return with_probe(Gold(queries, documents, grades))


@pytest.fixture
def server(tasks: list[Path]) -> Iterator[JudgeServer]:
    judges = tuple(SimulatedJudge(label, key=KEY, latency=0.02) for label in LABELS)
    with JudgeServer(gold_of(tasks[0]), Simulation(judges=judges)) as server:
        yield server


def panel_file(folder: Path, base_url: str, **more: str) -> Path:
    """A panel at a server; `more` are lines of every judge."""
    lines = ['name = "mine"']
    for label in LABELS:
        lines += ["[[judges]]", f'label = "{label}"', f'model = "{label}"']
        lines += [f'base_url = "{base_url}"', 'key_env = "JUDGE_KEY"', "concurrency = 6"]
        lines += ["price = { input = 1.0, output = 2.0 }"]
        lines += [f"{name} = {value}" for name, value in more.items()]
    path = folder / "panel.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def planned(
    cli: Cli,
    tmp_path: Path,
    tasks: list[Path],
    server: JudgeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An annotation of the small retrieval set."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    folder = tmp_path / "annotation"
    panel = panel_file(tmp_path, server.base_url)
    ended = cli("annotate", "plan", folder, "-t", tasks[0], *SMALL, "--panel", panel)
    assert ended.code == 0, ended.err
    return folder


def test_the_way_from_plan_to_status(cli: Cli, planned: Path, server: JudgeServer) -> None:
    dry = cli("annotate", "run", planned, "--dry-run", "--json").document
    assert not server.ledger.asked  # neither plan nor a dry run asks anybody
    assert dry["pairs"] > 0
    assert [one["judge"] for one in dry["judges"]] == list(LABELS)
    assert dry["cost"] == pytest.approx(sum(one["cost"] for one in dry["judges"]))
    doctor = cli("annotate", "doctor", planned, "--json")
    assert doctor.code == 0, doctor.err
    for one in doctor.document:
        assert one["works"]
        assert one["listed"]
        assert one["key"] == "set"
        assert one["structure"] == "json_schema"
    run = cli("annotate", "run", planned, "--json", "--budget", "10")
    assert run.code == 0, run.err
    assert all(one["settled"] == one["total"] for one in run.document["judges"])
    assert 0 < run.document["cost"] < 10
    status = cli("annotate", "status", planned, "--json").document
    assert status["cost"] == pytest.approx(run.document["cost"])
    assert [one["states"]["scored"] for one in status["judges"]] == [
        one["total"] for one in status["judges"]
    ]
    after = cli("annotate", "run", planned, "--dry-run", "--json").document
    assert sum(one["calls"] for one in after["judges"]) == 0


def test_what_people_see_fits_80_columns(cli: Cli, planned: Path) -> None:
    texts = [
        cli("annotate", "run", planned, "--dry-run").out,
        cli("annotate", "doctor", planned).out,
        cli("annotate", "run", planned).err,
        cli("annotate", "status", planned).out,
        cli("annotate", "plan", "--help").out,
    ]
    for text in texts:
        assert text.strip()
        lines = [line for line in text.splitlines() if str(planned) not in line]
        assert max(map(len, lines)) <= 80
    assert "judge-a" in texts[0]
    assert "100.0 %" in texts[3]


def test_the_estimate_is_measured_once_answers_have_told(cli: Cli, planned: Path) -> None:
    before = cli("annotate", "run", planned, "--dry-run", "--json").document["judges"][0]
    assert not before["rates"]["measured"]
    cli("annotate", "run", planned)
    after = cli("annotate", "run", planned, "--dry-run", "--json").document["judges"][0]
    assert after["rates"]["measured"]
    assert after["rates"]["tokens_a_character"] == pytest.approx(1.0, abs=0.1)


def test_the_same_plan_twice_is_one_and_another_needs_a_folder(
    cli: Cli, planned: Path, tasks: list[Path]
) -> None:
    panel = planned.parent / "panel.toml"
    same = ("annotate", "plan", planned, "-t", tasks[0], *SMALL, "--panel", panel)
    assert cli("annotate", "run", planned).code == 0
    assert cli(*same).code == 0
    assert all(one.settled for one in progress(planned).judges)
    other = cli(*same, "--threshold", "3")
    assert other.code == 2
    assert "another annotation" in other.err


def test_choices_are_kept_and_contradictions_refused(
    cli: Cli, tmp_path: Path, tasks: list[Path]
) -> None:
    ask = ("annotate", "plan", tmp_path / "a", "-t", tasks[0], "-m", "bm25", "--panel", "local")
    refused = cli(*ask, "--rule", "majority", "--cascade", "0.1")
    assert refused.code == 2
    assert "unanimity is impossible" in refused.err
    assert not (tmp_path / "a" / "journal.sqlite").exists()
    kept = cli(*ask, "--cascade", "0.1", "--cut", "0", "--answer", "reason-first", "--queries", "2")
    assert kept.code == 0, kept.err
    with Journal.open(tmp_path / "a") as journal:
        config = journal.config
    assert (config.cascade, config.cut_chars, str(config.form)) == (0.1, None, "reason-first")
    assert config.query_sample == 2
    assert config.judgements is not None
    assert config.systems[0].name.endswith("bm25")


def test_an_sts_task_has_no_pool(cli: Cli, tmp_path: Path, tasks: list[Path]) -> None:
    ended = cli("annotate", "plan", tmp_path / "a", "-t", tasks[2], "--panel", "local")
    assert ended.code == 2
    assert "annotate sts" in ended.err


def test_texts_lie_beside_the_journal_and_not_in_it(planned: Path, tasks: list[Path]) -> None:
    data = load_ranking_texts(tasks[0])
    journal = (planned / "journal.sqlite").read_bytes()
    assert set(data) <= set(read_texts(planned).values())
    for text in data:
        assert text.encode() not in journal


def load_ranking_texts(folder: Path) -> list[str]:
    from cmedteb.tasks import from_folder

    task = from_folder(folder)
    data = task.load(access=no_access())
    return list(data.queries.texts)  # type: ignore[union-attr]


def no_access() -> object:
    from cmedteb.data import Access, Hub

    return Access(None, Hub.HF, offline=True)


def test_keys_are_nowhere(
    cli: Cli, planned: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for verb in ("doctor", "run", "status"):
        ended = cli("annotate", verb, planned)
        said += [ended.out, ended.err]
    wrong = f"{KEY}-wrong"
    monkeypatch.setenv("JUDGE_KEY", wrong)
    refused = cli("annotate", "doctor", planned)
    assert refused.code == 4
    said += [refused.out, refused.err, caplog.text]
    files = [path for path in planned.parent.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
    assert not any(KEY in text for text in said)
    with Journal.open(planned) as journal:
        assert KEY not in repr(journal.snapshot())


def test_a_missing_key(cli: Cli, planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY")
    doctor = cli("annotate", "doctor", planned)
    assert doctor.code == 4
    assert "JUDGE_KEY" in doctor.out
    assert "3 of 3 judges cannot work" in doctor.err
    run = cli("annotate", "run", planned)
    assert run.code == 4
    assert "JUDGE_KEY" in run.err


def test_doctor_of_a_panel_without_a_plan(cli: Cli, tmp_path: Path, tasks: list[Path]) -> None:
    judges = (
        SimulatedJudge("judge-a", shutdown_date="2027-01-14", answers_as="another"),
        SimulatedJudge("judge-b", formats=(), rates=FaultRates(filtered=0.0)),
        SimulatedJudge("judge-c", rates=FaultRates(bad_json=1.0)),
    )
    with JudgeServer(gold_of(tasks[0]), Simulation(judges=judges)) as server:
        path = panel_file(tmp_path, server.base_url)
        path.write_text(path.read_text().replace('key_env = "JUDGE_KEY"\n', ""))
        ended = cli("annotate", "doctor", "--panel", path, "--json")
    assert ended.code == 4
    first, second, third = ended.document
    assert first["shutdown_date"] == "2027-01-14"
    assert any("2027-01-14" in told for told in first["warnings"])
    assert any("answered by another" in told for told in first["warnings"])
    assert second["structure"] == "text"
    assert not third["works"]
    assert "gives no grade, however it is asked" in third["problem"]
    assert cli("annotate", "doctor").code == 2


def test_the_budget_ends_a_run_and_a_higher_one_goes_on(cli: Cli, planned: Path) -> None:
    poor = cli("annotate", "run", planned, "--budget", "0.02")
    assert poor.code == 1
    assert "higher --budget" in poor.err
    spent = cli("annotate", "status", planned, "--json").document["cost"]
    assert 0 < spent <= 0.02
    assert cli("annotate", "run", planned, "--budget", "5").code == 0


def test_ctrl_c_ends_with_130_and_loses_nothing(planned: Path, server: JudgeServer) -> None:
    command = [sys.executable, "-m", "cmedteb", "annotate", "run", str(planned)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        while sum(server.ledger.asked.values()) < 12:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "interrupted" in told
    with Journal.open(planned) as journal:
        assert not journal.exposure()
        kept = len(journal.snapshot().answers)
    assert kept == sum(server.ledger.asked.values())
