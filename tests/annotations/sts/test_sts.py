"""Synonym pairs by the command line, with a writer and a panel on a real loopback server.

Sentences and synonyms are the smoke set's. The writer swaps terms; the judges call a pair the same
where nothing but the term was swapped.

Run: pytest tests/annotations/sts/test_sts.py -q.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Cli, cli  # noqa: F401  a fixture
from openai_server import Fault, OpenAIServer

from annotations.judging_support import LABELS
from annotations.panel_support import write_panel
from cmedteb.annotations.sts.drafts import Draft, Flaw, Kind, read_draft, sampled
from cmedteb.annotations.sts.prompt import PROMPT, find_prompt
from cmedteb.annotations.sts.vocabulary import Seed, read_vocabulary, seeds
from cmedteb.errors import DataError, UsageError

SMOKE = Path(__file__).resolve().parents[3] / "tasks" / "smoke" / "SmokeSts" / "pairs.jsonl"
FENCED = re.compile(
    "\u3010[^\u3010]* [0-9a-f]{16}\u3011\n(.*?)\n\u3010[^\u3010]* [0-9a-f]{16}\u3011", re.S
)
TERM = "\u672f\u8bed"
NOT = "\u4e0d\u8981"
SENTENCE = "a toothache today"
SEED = Seed("s" * 16, "toothache", ("odontalgia", "tooth pain"), SENTENCE)


def answer(asked: str) -> str:
    """What the one model behind the server says to a writer's and to a judge's prompt."""
    texts = FENCED.findall(asked)
    if TERM in asked.split("\n", 1)[0]:
        term, synonyms, *given = texts
        synonym = synonyms.split("\n")[0]
        sentence = given[0] if given else f"{term}, what is it?"
        swapped = sentence.replace(term, synonym)
        said = {"kept": swapped, "swapped_changed": NOT + swapped, "changed": NOT + sentence}
        return json.dumps(said if given else {"sentence": sentence, **said}, ensure_ascii=False)
    same = len(texts) == 2 and not texts[1].startswith(NOT)
    return json.dumps({"score": 5 if same else 1, "reason": ""})


def material(folder: Path) -> tuple[Path, Path]:
    """A vocabulary and sentences out of the smoke set."""
    rows = [json.loads(line) for line in SMOKE.read_text(encoding="utf-8").splitlines()]
    kept = [row for row in rows if row["kind"] == "kept" and row["synonym"][0] in row["sentence1"]]
    vocabulary, sentences = folder / "words.tsv", folder / "sentences.jsonl"
    words = {row["synonym"][0]: row["synonym"][1] for row in kept[:24]}
    lines = ["term\tsynonyms", *("\t".join(both) for both in words.items())]
    vocabulary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = [json.dumps({"text": row["sentence1"]}) + "\n" for row in kept[:24]]
    sentences.write_text("".join([*texts, '{"text": "no name in it"}\n']), encoding="utf-8")
    return vocabulary, sentences


def arguments(folder: Path, url: str, *more: str) -> list[str]:
    vocabulary, sentences = material(folder)
    panel = write_panel(folder / "panel.toml", url, LABELS)
    writer = write_panel(folder / "writer.toml", url, ["writer"])
    told = ["annotate", "sts", "--vocabulary", str(vocabulary), "--sentences", str(sentences)]
    told += ["--writer", str(writer), "--panel", str(panel), "--to", str(folder / "made")]
    return [*told, *more]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_from_a_vocabulary_to_a_set_that_runs(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    with OpenAIServer(reply=answer) as server:
        dry = cli(*arguments(tmp_path, server.base_url, "--dry-run"))
        assert dry.code == 0, dry.err
        assert max(map(len, dry.out.splitlines())) <= 80
        assert not server.ledger
        done = cli(*arguments(tmp_path, server.base_url, "--json"))
        assert done.code == 0, done.err
        calls = len(server.ledger)
        again = cli(*arguments(tmp_path, server.base_url))
        assert len(server.ledger) == calls
    assert again.code == 0
    assert max(map(len, again.out.splitlines())) <= 80
    stats, made = done.document, rows(tmp_path / "made" / "pairs.jsonl")
    assert stats["pairs"] == stats["drawn"] == len(made) == stats["seeds"] > 15
    assert stats["without_draft"] == {}
    for row in made:
        assert row["score"] == (row["kind"] == "kept")
        assert set(row["grades"].values()) == ({5} if row["score"] else {1})
        swapped = row["kind"] != "changed"
        assert len(row["synonym"]) == 1 + swapped
        assert row["synonym"][-1] in row["sentence2"]
    assert {row["kind"] for row in made} == set(map(str, Kind))
    run = cli("run", "-m", "hashing", "-t", tmp_path / "made", "--output", tmp_path / "r", "--json")
    assert run.code == 0, run.err
    assert run.document["results"][0]["main_score_name"] == "pearson"


def test_the_panel_keeps_a_careless_writer_out(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    def careless(asked: str) -> str:
        """Says that the meaning changed, and only swaps again."""
        said = answer(asked)
        if TERM not in asked.split("\n", 1)[0]:
            return said
        told = json.loads(said)
        told["swapped_changed"] = told["kept"] + "!"
        return json.dumps(told, ensure_ascii=False)

    with OpenAIServer(reply=careless) as server:
        done = cli(*arguments(tmp_path, server.base_url, "--json"))
    assert done.code == 0, done.err
    kinds = done.document["by_kind"]
    assert kinds["swapped_changed"]["kept"] == 0
    assert kinds["swapped_changed"]["contradicted"] > 0
    rejected = rows(tmp_path / "made" / "rejected.jsonl")
    assert {row["kind"] for row in rejected} == {"swapped_changed"}
    assert kinds["kept"]["kept"] > 0 < kinds["changed"]["kept"]


def test_the_writer_makes_sentences_where_none_are_given(
    tmp_path: Path, cli: Cli  # noqa: F811
) -> None:  # fmt: skip
    with OpenAIServer(reply=answer) as server:
        told = arguments(tmp_path, server.base_url, "--json", "--pairs", "12", "--score", "mean")
        place = told.index("--sentences")
        done = cli(*told[:place], *told[place + 2 :])
    assert done.code == 0, done.err
    assert done.document["first_sentences"] == "written"
    scores = {row["score"] for row in rows(tmp_path / "made" / "pairs.jsonl")}
    assert scores == {1.0, 5.0}


def test_a_stop_loses_nothing_and_a_bad_draft_is_asked_for_once_more(
    tmp_path: Path, cli: Cli  # noqa: F811
) -> None:  # fmt: skip
    def blank(told: dict[str, Any]) -> dict[str, Any]:
        told["choices"][0]["message"]["content"] = "{}"
        return told

    with OpenAIServer(reply=answer, faults=[None, Fault(change=blank)]) as server:
        broke = cli(*arguments(tmp_path, server.base_url, "--budget", "0.02"))
        assert broke.code == 1
        assert "budget" in broke.err
        assert not (tmp_path / "made" / "pairs.jsonl").exists()
        done = cli(*arguments(tmp_path, server.base_url, "--budget", "100", "--json"))
        assert done.code == 0, done.err
        writing = [one for one in server.ledger if one.body["model"] == "writer"]
    assert len(writing) == done.document["seeds"] + 1
    assert done.document["without_draft"] == {}


def completion(content: str, finish: str = "stop") -> bytes:
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()


GOOD = {
    "kept": "odontalgia today",
    "swapped_changed": "no odontalgia today",
    "changed": "a toothache yesterday",
}


def test_a_draft_is_read() -> None:
    draft = read_draft(completion(json.dumps(GOOD)), SEED)
    assert isinstance(draft, Draft)
    assert draft.variants == GOOD
    fenced = completion(f"<think>well</think>```json\n{json.dumps(GOOD)}\n```")
    assert read_draft(fenced, SEED) == draft


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kept": "a headache today"}, "kept holds no synonym"),
        ({"changed": "Odontalgia"}, "changed holds odontalgia"),
        ({"swapped_changed": "Odontalgia  today"}, "two sentences are the same"),
        ({"kept": " "}, "blank"),
        ({"kept": 1}, "no text"),
        ({"more": "x"}, "not an object of changed, kept, swapped_changed"),
    ],
)
def test_what_is_no_draft(change: dict[str, Any], told: str) -> None:
    flaw = read_draft(completion(json.dumps({**GOOD, **change})), SEED)
    assert isinstance(flaw, Flaw)
    assert told in flaw.told


def test_cut_refused_and_doubled_answers_are_no_drafts() -> None:
    text = json.dumps(GOOD)
    cut = read_draft(completion(text, "length"), SEED)
    refused = read_draft(completion("", "content_filter"), SEED)
    twice = read_draft(completion(text[:-1] + ', "kept": "odontalgia"}'), SEED)
    assert isinstance(cut, Flaw)
    assert cut.cut
    assert isinstance(refused, Flaw)
    assert refused.refused
    assert isinstance(twice, Flaw)
    assert "twice" in twice.told


def test_each_variant_is_drawn_as_often() -> None:
    drawn = [sampled(SEED._replace(seed_id=str(number)), 1) for number in range(3000)]
    counts = [drawn.count(kind) for kind in Kind]
    assert min(counts) > 900
    assert drawn == [sampled(SEED._replace(seed_id=str(number)), 1) for number in range(3000)]


def test_vocabularies_of_both_forms(tmp_path: Path) -> None:
    tsv, jsonl = tmp_path / "a.tsv", tmp_path / "a.jsonl"
    tsv.write_text("a\tb\tc|d\na\te\n", encoding="utf-8")
    jsonl.write_text('{"term": "a", "synonyms": ["b", "c", "d", "e"]}\n', encoding="utf-8")
    assert read_vocabulary(tsv) == read_vocabulary(jsonl)
    tsv.write_text("a\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: a term and at least one other name"):
        read_vocabulary(tsv)


def test_any_name_in_a_sentence_is_found_the_longest_first(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("tooth\tdens\ntooth pain\todontalgia\n", encoding="utf-8")
    groups = read_vocabulary(path)
    (one, two) = seeds(groups, ["my tooth pain", "an odontalgia", "nothing"])
    assert (one.term, one.synonyms) == ("tooth pain", ("odontalgia",))
    assert (two.term, two.synonyms) == ("odontalgia", ("tooth pain",))
    with pytest.raises(UsageError, match="no sentence holds a name"):
        seeds(groups, ["nothing"])


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [("<!-- ask -->", "<!-- other -->", "its sections"), ("{{term}}", "", "needs the blanks")],
)
def test_what_is_no_prompt(tmp_path: Path, before: str, after: str, told: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(find_prompt(PROMPT).used.text.replace(before, after), encoding="utf-8")
    with pytest.raises(DataError, match=told):
        find_prompt(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="UTF-8"):
        find_prompt(str(path))
    with pytest.raises(UsageError, match=f"no prompt 'none'.*{PROMPT}"):
        find_prompt("none")
