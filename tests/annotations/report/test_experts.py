"""What experts say of the labels, weighted back.

Run: pytest tests/annotations/report/test_experts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from annotations.annotation_support import pair
from annotations.snapshot_support import review, snapshot
from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.records import Pair, Phase, Review, Snapshot
from cmedteb.annotations.report.experts import expert_part
from cmedteb.annotations.report.reviewed import effective_judges
from cmedteb.annotations.report.schema import ExpertPart
from cmedteb.annotations.report.values import Est, Why

YES, MOST, NO = (5, 5, 5), (5, 5, 1), (1, 1, 1)
PER_QUERY = Est(value=10.0)
ROWS = [YES] * 20 + [MOST] * 20 + [NO] * 60


def pairs_of(count: int) -> list[Pair]:
    return [pair(f"q{number:03}", "d") for number in range(count)]


def reviewed(
    reviews: Callable[[Sequence[Pair]], list[Review]], rows: Sequence[Sequence[int]] = ROWS
) -> Snapshot:
    pairs = pairs_of(len(rows))
    bare = snapshot(pairs, rows)
    strata = {one: str(name) for one, name in label_pairs(bare).strata().items()}
    return snapshot(pairs, rows, reviews=reviews(pairs), strata=strata)


def part(of: Snapshot) -> ExpertPart:
    told = expert_part(of, label_pairs(of), PER_QUERY)
    assert told is not None
    return told


def one_each(pairs: Sequence[Pair]) -> list[Review]:
    """Ten positives (9 confirmed), ten undecided (4 positive), ten negatives (1 positive)."""
    grades = [5] * 9 + [1] + [4] * 4 + [1] * 6 + [5] + [1] * 9
    chosen = [*pairs[:10], *pairs[20:30], *pairs[40:50]]
    return [review(one.pair_id, g) for one, g in zip(chosen, grades, strict=True)]


def test_no_blind_review_is_no_part() -> None:
    of = reviewed(lambda pairs: [review(pairs[0].pair_id, 5, phase=Phase.ADJUDICATION)])
    assert expert_part(of, label_pairs(of), PER_QUERY) is None


def test_rates_are_weighted_by_the_strata() -> None:
    told = part(reviewed(one_each))
    assert told.pairs == 30
    # Decided: 20 of 80 positive, 0.9 right; 60 of 80 negative, 0.9 right.
    assert told.pipeline["expert_agreement"].value == pytest.approx(0.9)
    assert told.pipeline["sensitivity"].value == pytest.approx(18 / (18 + 6))
    assert told.confirmation.value == pytest.approx(0.9)
    assert told.confirmed_per_query == pytest.approx(9.0)
    assert told.undecided_positive.value == pytest.approx(0.4)
    assert told.rejection.why is Why.NO_CASES
    strata = {one.name: (one.population, one.sampled) for one in told.strata}
    assert strata == {
        "all-positive": (20, 10),
        "most-positive": (20, 10),
        "none-positive": (60, 10),
    }
    confirmation = told.confirmation
    assert confirmation.low is not None
    assert confirmation.low < 0.9 < (confirmation.high or 0)


def test_a_stratum_that_nobody_saw_leaves_the_whole_undefined() -> None:
    told = part(reviewed(lambda pairs: one_each(pairs)[:10]))
    assert told.pipeline["expert_agreement"].why is Why.STRATUM_UNSAMPLED
    assert told.confirmation.value == pytest.approx(0.9)
    assert told.undecided_positive.why is Why.STRATUM_UNSAMPLED


def test_few_who_all_agree_are_no_certainty_and_a_census_is() -> None:
    four = part(reviewed(lambda pairs: [review(one.pair_id, 5) for one in pairs[:4]])).confirmation
    assert (four.value, four.high) == (1.0, 1.0)
    assert four.low == pytest.approx(0.5101, abs=1e-4)  # Wilson's bound of 4 of 4
    every = part(reviewed(lambda pairs: [review(one.pair_id, 5) for one in pairs[:20]]))
    assert (every.confirmation.low, every.confirmation.high) == (1.0, 1.0)


def test_experts_among_themselves_and_with_themselves() -> None:
    def two(pairs: Sequence[Pair]) -> list[Review]:
        found = []
        for number, one in enumerate(pairs[:20]):
            found.append(review(one.pair_id, 5 if number % 2 else 1, "li"))
            found.append(review(one.pair_id, 4 if number % 2 or number < 4 else 2, "wang"))
        found += [review(one.pair_id, 5, "li", repeat=1) for one in pairs[:4]]
        return found

    told = part(reviewed(two))
    assert told.agreement is not None
    assert told.agreement.paired == 20
    assert told.agreement.coefficients["observed_agreement"].value == pytest.approx(0.9)
    assert (told.pairs, told.tied) == (18, 2)
    li, wang = told.reviewers
    assert (li.name, li.pairs, li.repeated) == ("li", 20, 4)
    assert li.identical.value == pytest.approx(0.5)
    assert (wang.repeated, wang.identical.why) == (0, Why.NO_CASES)


def test_a_lenient_judge_is_seen() -> None:
    rows = [(5, 1, 1)] * 30
    told = part(reviewed(lambda pairs: [review(one.pair_id, 1) for one in pairs[:15]], rows))
    assert [one.difference.value for one in told.bias] == [4.0, 0.0, 0.0]
    assert [one.agreement.value for one in told.bias] == [0.0, 1.0, 1.0]


def test_judges_that_err_together_are_worth_less() -> None:
    rows = [YES] * 10 + [NO] * 10
    together = part(
        reviewed(
            lambda pairs: [
                review(one.pair_id, 5 if (n < 10) != (n in {0, 10}) else 1)
                for n, one in enumerate(pairs)
            ],
            rows,
        )
    )
    assert together.error_correlation == pytest.approx(1.0)
    assert together.effective_judges == pytest.approx(1.0)
    right = part(
        reviewed(
            lambda pairs: [review(p.pair_id, 5 if n < 10 else 1) for n, p in enumerate(pairs)], rows
        )
    )
    assert (right.error_correlation, right.effective_judges) == (None, None)


def test_the_effective_number_of_judges() -> None:
    assert effective_judges(0.0, 3) == 3.0
    assert effective_judges(-0.2, 3) == 3.0
    assert effective_judges(1.0, 3) == 1.0
    assert effective_judges(0.25, 9) == pytest.approx(3.0)


def test_labels_that_people_changed_are_not_measured_by_people() -> None:
    def both(pairs: Sequence[Pair]) -> list[Review]:
        wrong = [review(p.pair_id, 1, "judge", phase=Phase.ADJUDICATION) for p in pairs[:10]]
        return [*one_each(pairs), *wrong]

    from cmedteb.annotations.report.assemble import make_report

    report = make_report(reviewed(both))
    assert report.labels.by_basis["review"] == 10
    assert report.experts is not None
    assert report.experts.confirmation.value == pytest.approx(0.9)
