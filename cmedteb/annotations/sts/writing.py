"""Lets one LLM write the variants of every seed: durable before it is read, resumable, budgeted.

A seed is asked for once more where the answer was cut or is no draft; after that it has none. How
answers are kept in shape is tried with the first seed and remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cmedteb.annotations.asking import STRUCTURES, JournalWatch, open_endpoints
from cmedteb.annotations.config import Form, canonical
from cmedteb.annotations.journal import Intent, Journal, RawAnswer
from cmedteb.annotations.panel import Judge, Structure
from cmedteb.annotations.prompt import sampling
from cmedteb.annotations.questions import ATTEMPTS
from cmedteb.annotations.records import Purpose
from cmedteb.annotations.sts.drafts import SENTENCE, Draft, Flaw, Kind, read_draft
from cmedteb.annotations.sts.prompt import WritingPrompt
from cmedteb.annotations.sts.vocabulary import Seed
from cmedteb.annotations.tables import DECLINED
from cmedteb.annotations.texts import text_hash
from cmedteb.endpoints import Budget, Endpoint, RefusedError, Stop, concurrently

STRUCTURE = "structure:writer"


@dataclass
class Written:
    """What came of one seed so far.

    Attributes:
        attempts: answers that came.
        draft: the first good one.
        flaw: of the last answer.
    """

    attempts: int = 0
    draft: Draft | None = None
    flaw: Flaw | None = None

    @property
    def settled(self) -> bool:
        """Whether it is not asked for again."""
        refused = self.flaw is not None and self.flaw.refused
        return self.draft is not None or refused or self.attempts >= ATTEMPTS

    def note(self, found: Draft | Flaw) -> None:
        """One more answer."""
        self.attempts += 1
        if isinstance(found, Flaw):
            self.flaw = found
        elif self.draft is None:
            self.draft = found


def written(answers: Sequence[RawAnswer], seeds: Sequence[Seed]) -> dict[str, Written]:
    """Seed id -> what a journal holds for it."""
    by_id = {seed.seed_id: seed for seed in seeds}
    found = {seed_id: Written() for seed_id in by_id}
    for answer in answers:
        if answer.asked_id not in by_id:
            continue
        if answer.raw is not None:
            found[answer.asked_id].note(read_draft(answer.raw, by_id[answer.asked_id]))
        elif answer.error == DECLINED:
            found[answer.asked_id].note(Flaw("declined by the provider", refused=True))
    return found


@dataclass
class Writing:
    """One run of a writer over seeds.

    Attributes:
        journal: where all of it is written; its panel has one judge, who writes.
        prompt: what is asked.
        seeds: what pairs are written from.
        budget: shared with whatever else is paid.
    """

    journal: Journal
    prompt: WritingPrompt
    seeds: Sequence[Seed]
    budget: Budget
    _endpoint: Endpoint = field(init=False, repr=False)

    def __post_init__(self) -> None:
        panel = self.journal.config.panel
        self._endpoint = open_endpoints(panel, self.budget)[self.writer.label]

    @property
    def writer(self) -> Judge:
        """Who writes."""
        return self.journal.config.panel.judges[0]

    def run(self, progress: Callable[[int, int], None] | None = None) -> dict[str, Written]:
        """Write what is not written yet; returns all of it by seed id.

        Raises:
            KeyboardInterrupt: after what was in flight has come.
            CmedtebError: why writing stopped; what came is kept.
        """
        so_far = written(self.journal.raw_answers(Purpose.WRITE), self.seeds)
        tell = progress or _nobody
        waiting = [seed for seed in self.seeds if not so_far[seed.seed_id].settled]
        done = len(self.seeds) - len(waiting)
        structure = self._structure(waiting, so_far)
        left = [seed for seed in waiting if not so_far[seed.seed_id].settled]

        def write(seed: Seed, stop: Stop) -> Seed:
            while not so_far[seed.seed_id].settled:
                self._once(seed, so_far[seed.seed_id], structure, stop)
            return seed

        for _ in concurrently(left, write, workers=min(self.writer.concurrency, len(left) or 1)):
            done += 1
            tell(done, len(self.seeds))
        return so_far

    def _structure(self, waiting: Sequence[Seed], so_far: Mapping[str, Written]) -> Structure:
        """How answers are kept in shape; the first seed is what it is tried with."""
        if self.writer.structure is not Structure.AUTO or not waiting:
            return self.writer.structure
        known = self.journal.recall(STRUCTURE)
        if known is not None:
            return Structure(known)
        seed, stop = waiting[0], Stop()
        for structure in STRUCTURES:
            try:
                self._once(seed, so_far[seed.seed_id], structure, stop)
            except RefusedError:
                if structure is STRUCTURES[-1]:
                    raise
                continue
            break
        self.journal.remember(STRUCTURE, str(structure))
        return structure

    def _once(self, seed: Seed, so_far: Written, structure: Structure, stop: Stop) -> None:
        cut = so_far.flaw is not None and so_far.flaw.cut
        tokens = self.writer.max_tokens * (2 if cut else 1)
        more = sampling(self.writer, Form.SCORE_FIRST, structure, max_tokens=tokens)
        if structure is Structure.JSON_SCHEMA:
            more["response_format"] = {"type": "json_schema", "json_schema": schema(seed)}
        conversation = self.prompt.messages(seed)
        told = [self.writer.label, self.prompt.used.sha256, self.writer.model, conversation, more]
        intent = Intent(
            pair_id=seed.seed_id,
            judge=self.writer.label,
            purpose=Purpose.WRITE,
            attempt=so_far.attempts + 1,
            key=text_hash(canonical(told)),
            model=self.writer.model,
            reserved=0.0,
            sent_at=0.0,
        )
        watch = JournalWatch(self.journal, intent)
        model = self.writer.model
        try:
            raw = self._endpoint.chat_raw(model, conversation, watch, stop=stop, **more)
        except RefusedError as refused:
            if not refused.declined:
                raise
            so_far.note(Flaw(refused.told, refused=True))
            return
        so_far.note(read_draft(raw, seed))


def schema(seed: Seed) -> dict[str, Any]:
    """The form of an answer, in the subset that strict dialects share."""
    names = [*([] if seed.sentence else [SENTENCE]), *map(str, Kind)]
    return {
        "name": "variants",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": names,
            "additionalProperties": False,
        },
    }


def _nobody(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""
