"""Who is to be asked what now: a queue for each judge, fed by what earlier judges said.

Without a cascade every judge has every question from the start. With one, a pair that no sample
holds goes to the next judge only while unanimity is still possible. What stands from earlier runs
is not asked again, so the queues of a resumed run follow from its journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cmedteb.annotations.config import AnnotationConfig, Rule
from cmedteb.annotations.questions import Asked, Question, Samples, questions
from cmedteb.annotations.records import Pair, Purpose


@dataclass
class Queue:
    """The questions to one judge.

    Attributes:
        judge: its label.
        ready: to be asked now, in order.
        last: to be asked when nothing else is left.
        total: all questions to it so far.
        settled: of these, with an answer that stands.
    """

    judge: str
    ready: deque[Question] = field(default_factory=deque)
    last: deque[Question] = field(default_factory=deque)
    total: int = 0
    settled: int = 0

    @property
    def left(self) -> int:
        """Questions without an answer that stands."""
        return self.total - self.settled


class Dispatch:
    """The queues of a panel; not to be used from two threads at a time.

    Args:
        config: what was chosen.
        pairs: the pool and the canaries.
        chosen: the samples.
        before: what earlier runs have found: (judge, question) -> what came of it.
    """

    def __init__(
        self,
        config: AnnotationConfig,
        pairs: Sequence[Pair],
        chosen: Samples,
        before: Mapping[tuple[str, Question], Asked],
    ) -> None:
        self.cascading = config.cascade is not None
        self.queues = tuple(Queue(label) for label in config.panel.labels)
        self._config = config
        self._chosen = chosen
        self._before = before
        self._grades: dict[tuple[str, str], int | None] = {}
        everything, at_last = questions(pairs, chosen)
        for question in everything:
            self._hand_out(question)
        for queue in self.queues:
            for question in at_last:
                self._add(queue, question, queue.last)

    def before(self, queue: Queue, question: Question) -> Asked | None:
        """What earlier runs have found."""
        return self._before.get((queue.judge, question))

    def note(self, number: int, question: Question, asked: Asked) -> None:
        """A judge has answered; the next one may have to be asked now."""
        queue = self.queues[number]
        queue.settled += asked.settled
        if self._stops(question) and asked.settled:
            self._grades[queue.judge, question.pair_id] = asked.grade
            if self._passes(question, number):
                self._hand_out(question, number + 1)

    def _stops(self, question: Question) -> bool:
        """Whether a cascade may end with this question."""
        in_pool = question.purpose is Purpose.JUDGE
        return self.cascading and in_pool and question.pair_id not in self._chosen.complete

    def _hand_out(self, question: Question, number: int = 0) -> None:
        for place in range(number, len(self.queues)):
            queue = self.queues[place]
            asked = self._add(queue, question, queue.ready)
            if not self._stops(question):
                continue
            if asked is None or not asked.settled:
                return
            self._grades[queue.judge, question.pair_id] = asked.grade
            if not self._passes(question, place):
                return

    def _add(self, queue: Queue, question: Question, line: deque[Question]) -> Asked | None:
        asked = self.before(queue, question)
        queue.total += 1
        if asked is not None and asked.settled:
            queue.settled += 1
        else:
            line.append(question)
        return asked

    def _passes(self, question: Question, number: int) -> bool:
        """Whether all judges up to this one leave unanimity possible."""
        labels = self._config.panel.labels[: number + 1]
        grades = [self._grades.get((label, question.pair_id)) for label in labels]
        if any(grade is None or grade < self._config.threshold for grade in grades):
            return False
        return self._config.rule is not Rule.IDENTICAL or len(set(grades)) == 1
