"""Judges what the readers found: which oddities end a load, and which are counted.

The readers note what they see (`Findings.note`) and go on, so one message can give the total and a
few examples; `settle` then raises or counts. Official sets are loaded leniently: what such a set is
known to have becomes a count in `Provenance.warnings`. Nothing here repairs data or guesses.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import NamedTuple

from cmedteb.errors import DataError

EXAMPLES = 3


class Policy(Enum):
    """What becomes of an oddity."""

    FATAL = "always an error"
    LENIENT = "an error, but only a count in an official set"
    COUNT = "always only a count"


class Oddity(StrEnum):
    """Names of the oddities; those that can be counted appear in `Provenance.warnings`."""

    DUPLICATE_IDS = "duplicate_ids"
    CONFLICTING_IDS = "conflicting_ids"
    BAD_IDS = "bad_ids"
    EMPTY_DOCUMENTS = "empty_documents"
    EMPTY_QUERIES = "empty_queries"
    EMPTY_SENTENCES = "empty_sentences"
    BAD_GRADES = "bad_grades"
    BAD_SCORES = "bad_scores"
    ABSENT_DOCUMENTS = "judged_documents_absent"
    ABSENT_QUERIES = "judged_queries_absent"
    CONFLICTING_JUDGEMENTS = "conflicting_judgements"
    DUPLICATE_JUDGEMENTS = "duplicate_judgements"
    UNJUDGED = "queries_without_judgements"
    NO_POSITIVES = "queries_without_positives"
    BOTH_LABELS = "texts_positive_and_negative"
    REPEATED_CANDIDATES = "repeated_candidates"
    EMPTY_CANDIDATES = "queries_without_candidates"
    ABSENT_CANDIDATES = "candidates_absent"
    POSITIVES_NOT_CANDIDATES = "positives_not_among_candidates"


class Rule(NamedTuple):
    """How an oddity is treated, what it is in words, and what to do about it."""

    policy: Policy
    problem: str
    advice: str


RULES: dict[Oddity, Rule] = {
    Oddity.DUPLICATE_IDS: Rule(
        Policy.LENIENT, "ids occur more than once", "Give every row an id of its own."
    ),
    Oddity.CONFLICTING_IDS: Rule(
        Policy.FATAL,
        "ids occur more than once with different texts",
        "Give every text an id of its own.",
    ),
    Oddity.BAD_IDS: Rule(
        Policy.FATAL,
        "ids cannot be used: they are empty, missing, no string or whole number, or hold a tab or "
        "a line break",
        "Give these rows plain ids (receipts and qrels are tab-separated).",
    ),
    Oddity.EMPTY_DOCUMENTS: Rule(
        Policy.LENIENT, "documents have no text", "Fill in their text or remove them."
    ),
    Oddity.EMPTY_QUERIES: Rule(
        Policy.LENIENT, "queries have no text", "Fill in their text or remove them."
    ),
    Oddity.EMPTY_SENTENCES: Rule(
        Policy.LENIENT, "sentences are empty", "Fill them in or remove their pairs."
    ),
    Oddity.BAD_GRADES: Rule(
        Policy.FATAL,
        "grades are no whole numbers",
        "Grades are integers: 0 is not relevant, 1 and above is relevant.",
    ),
    Oddity.BAD_SCORES: Rule(
        Policy.FATAL, "gold scores are no finite numbers", "Correct or remove these pairs."
    ),
    Oddity.ABSENT_DOCUMENTS: Rule(
        Policy.LENIENT,
        "judgements name documents that are not in the corpus",
        "Add these documents, or remove their judgements.",
    ),
    Oddity.ABSENT_QUERIES: Rule(
        Policy.LENIENT,
        "judgements or candidate lists name queries that do not exist",
        "Add these queries, or remove their rows.",
    ),
    Oddity.CONFLICTING_JUDGEMENTS: Rule(
        Policy.LENIENT,
        "(query, document) pairs are judged more than once with different grades",
        "Keep one judgement of each pair.",
    ),
    Oddity.DUPLICATE_JUDGEMENTS: Rule(Policy.COUNT, "judgements are repeated", ""),
    Oddity.UNJUDGED: Rule(Policy.COUNT, "queries have no judgement", ""),
    Oddity.NO_POSITIVES: Rule(Policy.COUNT, "queries have no relevant document", ""),
    Oddity.BOTH_LABELS: Rule(Policy.COUNT, "texts are positive and negative of one query", ""),
    Oddity.REPEATED_CANDIDATES: Rule(Policy.COUNT, "candidates are repeated in a query", ""),
    Oddity.EMPTY_CANDIDATES: Rule(
        Policy.FATAL,
        "queries have no candidates to rerank",
        "Give each judged query at least one candidate, or remove its judgements.",
    ),
    Oddity.ABSENT_CANDIDATES: Rule(
        Policy.FATAL,
        "candidates are not in the corpus",
        "Add these documents, or remove them from the candidate lists.",
    ),
    Oddity.POSITIVES_NOT_CANDIDATES: Rule(
        Policy.LENIENT,
        "relevant documents are not among their query's candidates",
        "Add them to the candidates, or remove their judgements; no reranker can find them.",
    ),
}


class Findings:
    """What was odd about one data set, by kind: a total and the first few examples.

    Args:
        name: the set's name, for messages.
        lenient: count what official sets are known to have, instead of raising.
    """

    def __init__(self, name: str, *, lenient: bool) -> None:
        self.name = name
        self.lenient = lenient
        self._totals: dict[Oddity, int] = {}
        self._examples: dict[Oddity, list[str]] = {}

    def note(self, oddity: Oddity, example: str, *, times: int = 1) -> None:
        """Take down `times` occurrences of an oddity, and one example of it."""
        self._totals[oddity] = self._totals.get(oddity, 0) + times
        examples = self._examples.setdefault(oddity, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

    def settle(self) -> None:
        """Raise if something noted so far cannot stand.

        Raises:
            DataError: one sentence for each such kind, with the total and a few examples.
        """
        problems = [self._sentence(oddity) for oddity in sorted(self._totals) if self._bars(oddity)]
        if problems:
            raise DataError(f"{self.name}: " + " ".join(problems))

    def counts(self) -> dict[str, int]:
        """What was noted and let pass, by name."""
        return {str(oddity): self._totals[oddity] for oddity in sorted(self._totals)}

    def _bars(self, oddity: Oddity) -> bool:
        policy = RULES[oddity].policy
        return policy is Policy.FATAL or (policy is Policy.LENIENT and not self.lenient)

    def _sentence(self, oddity: Oddity) -> str:
        rule, total, examples = RULES[oddity], self._totals[oddity], self._examples[oddity]
        more = f" and {total - len(examples)} more" if total > len(examples) else ""
        return f"{total} {rule.problem}: {'; '.join(examples)}{more}. {rule.advice}"


def check_id(value: object) -> str | None:
    """An id as a string, or None if it cannot be one.

    Whole numbers become their decimal digits. Empty ids, and ids with a tab or a line break, are
    refused: they would break tab-separated receipts.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        return None
    return None if any(char in value for char in "\t\n\r") else value


def check_grade(value: object) -> int | None:
    """A grade as an integer within 32 bits, or None if it is not one ("1", 1 and 1.0 are)."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not number.is_integer() or abs(number) >= 2**31:
        return None
    return int(number)
