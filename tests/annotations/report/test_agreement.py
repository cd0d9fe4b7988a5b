"""Agreement as a report states it, against published values and other libraries.

Run: pytest tests/annotations/report/test_agreement.py. Tests that read ../shared are skipped where
it is absent.
"""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest
from builders import SHARED

from annotations.snapshot_support import of_grades, settings, simulated
from cmedteb.annotations.records import State
from cmedteb.annotations.report.agreement import agreement_part
from cmedteb.annotations.report.schema import AgreementPart, Scope
from cmedteb.annotations.report.values import View, Why
from cmedteb.annotations.share import CASCADE, share_of
from cmedteb.annotations.votes import Votes

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")


def part_of(rows: Any, *, threshold: int = 4, **more: Any) -> AgreementPart:
    judges = [f"j{number}" for number in range(len(rows[0]))]
    found = of_grades([tuple(row) for row in rows], of=settings(judges), **more)
    return agreement_part(Votes.of(found), found.config, threshold)


def views_of(rows: Any, **more: Any) -> tuple[View, View]:
    part = part_of(rows, **more)
    assert part.binary is not None
    assert part.graded is not None
    return part.binary, part.graded


def from_confusion(table: Any, grades: tuple[int, ...]) -> list[tuple[int, int]]:
    return [
        (grades[first], grades[second])
        for first, row in enumerate(table)
        for second, count in enumerate(row)
        for _ in range(count)
    ]


def test_a_table_with_the_margins_of_the_paper() -> None:
    """Synthetic: 5,000 pairs that give the paper's 93.3 % and 0.731 at once."""
    binary, _ = views_of(from_confusion([[561, 167], [168, 4104]], (5, 1)))
    kappa = binary.coefficients["fleiss_kappa"]
    assert kappa.value == pytest.approx(0.7309, abs=5e-5)
    assert binary.coefficients["observed_agreement"].value == pytest.approx(0.933)
    assert binary.pairs[0].kappa.value == pytest.approx(0.7309, abs=5e-5)
    assert (kappa.low, kappa.high) == pytest.approx((0.702, 0.757), abs=4e-3)


def test_a_paradox() -> None:
    """PMC7222679: raw agreement 0.675, kappa 0.022; AC1 tells the two apart."""
    binary, _ = views_of(from_confusion([[130, 56], [9, 5]], (5, 1)))
    assert binary.coefficients["observed_agreement"].value == pytest.approx(0.675)
    assert binary.pairs[0].kappa.value == pytest.approx(0.022, abs=5e-4)
    assert (binary.coefficients["gwet_ac1"].value or 0) > 0.5


@needs_shared
def test_wikipedia() -> None:
    told = json.loads((SHARED / "agreement_examples" / "fleiss_wikipedia.json").read_text())
    rows = [
        np.repeat([1, 2, 3, 4, 5], counts).tolist() for counts in told["table_subject_by_category"]
    ]
    _, graded = views_of(rows)
    assert graded.coefficients["fleiss_kappa"].value == pytest.approx(0.209931, abs=1e-6)


@needs_shared
def test_sas() -> None:
    told = json.loads((SHARED / "agreement_examples" / "cohen_sas.json").read_text())
    _, graded = views_of(from_confusion(told["table"], (1, 2, 3)))
    pair = graded.pairs[0]
    assert pair.kappa.value == pytest.approx(told["cohen_kappa"], abs=5e-5)
    assert pair.kappa_linear.value == pytest.approx(told["weighted_kappa_linear"], abs=5e-5)


@needs_shared
def test_every_published_kappa_of_llmjudge() -> None:
    """21 annotators of 4,423 pairs; grades 0 to 3 stand as 1 to 4 here."""
    folder = SHARED / "llmjudge"
    with (folder / "labels.tsv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    names = [name for name in table[0] if name not in {"qid", "docid"}]
    published = json.loads((folder / "published.json").read_text(encoding="utf-8"))["values"]
    gold, judges = names[0], names[1:]
    kappas: dict[str, float | None] = {}
    for start in range(0, len(judges), 4):  # the others' pairs with each other take longest
        some = [gold, *judges[start : start + 4]]
        rows = [tuple(int(row[name]) + 1 for name in some) for row in table]
        found = of_grades(rows, of=settings(some), per_query=200)  # 23 groups
        graded = agreement_part(Votes.of(found), found.config, 3).graded
        assert graded is not None
        kappas |= {pair.second: pair.kappa.value for pair in graded.pairs if pair.first == gold}
    assert len(kappas) == 20
    compared = {judge: values[0] for judge, values in published.items() if judge in kappas}
    assert len(compared) >= 15
    for judge, expected in sorted(compared.items()):
        assert kappas[judge] == pytest.approx(expected, abs=1e-4), judge


def random_rows(seed: int = 3, pairs: int = 150) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, size=(pairs, 1))
    noise = rng.integers(1, 6, size=(pairs, 3))
    return [tuple(row) for row in np.where(rng.random((pairs, 3)) < 0.6, truth, noise).tolist()]


def test_other_libraries_agree() -> None:
    krippendorff = pytest.importorskip("krippendorff")
    sklearn = pytest.importorskip("sklearn.metrics")
    statsmodels = pytest.importorskip("statsmodels.stats.inter_rater")
    rows = random_rows()
    grades = np.array(rows)
    binary, graded = views_of(rows)
    table, _ = statsmodels.aggregate_raters(grades - 1, n_cat=5)
    assert graded.coefficients["fleiss_kappa"].value == pytest.approx(
        statsmodels.fleiss_kappa(table)
    )
    sides, _ = statsmodels.aggregate_raters((grades >= 4).astype(int), n_cat=2)
    assert binary.coefficients["fleiss_kappa"].value == pytest.approx(
        statsmodels.fleiss_kappa(sides)
    )
    assert graded.coefficients["krippendorff_alpha_ordinal"].value == pytest.approx(
        krippendorff.alpha(grades.T, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
    )
    for pair, (a, b) in zip(graded.pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
        first, second = grades[:, a], grades[:, b]
        assert pair.kappa.value == pytest.approx(sklearn.cohen_kappa_score(first, second))
        quadratic = sklearn.cohen_kappa_score(first, second, weights="quadratic")
        assert pair.kappa_quadratic.value == pytest.approx(quadratic)


def test_a_missing_judge_is_missing_and_not_the_lowest_grade() -> None:
    full, _ = views_of(random_rows())
    rows = [(a, b, State.REFUSED if n % 5 == 0 else c) for n, (a, b, c) in enumerate(random_rows())]
    binary, graded = views_of(rows)
    assert [(one.rated, one.missing) for one in graded.raters] == [(150, 0), (150, 0), (120, 30)]
    assert binary.pairs[0].kappa == full.pairs[0].kappa
    assert binary.pairs[1].units == 120
    assert binary.raters[2].shares[1].value == pytest.approx(
        np.mean([c >= 4 for a, b, c in rows if not isinstance(c, State)])
    )


def test_one_category_has_no_kappa_and_says_so() -> None:
    binary, graded = views_of([(1, 1, 1)] * 20)
    kappa = binary.coefficients["fleiss_kappa"]
    assert (kappa.value, kappa.low, kappa.why) == (None, None, Why.ONE_CATEGORY)
    assert graded.coefficients["krippendorff_alpha_ordinal"].why is Why.ONE_CATEGORY
    assert binary.coefficients["observed_agreement"].value == 1.0
    assert binary.specific[1].why is Why.ONE_CATEGORY
    assert binary.pairs[0].kappa.why is Why.ONE_CATEGORY


def test_one_query_has_values_and_no_interval() -> None:
    binary, _ = views_of(random_rows(), per_query=150)
    kappa = binary.coefficients["fleiss_kappa"]
    assert kappa.value is not None
    assert (kappa.low, kappa.high, kappa.why) == (None, None, Why.ONE_QUERY)


def test_one_judge_agrees_with_nobody() -> None:
    binary, _ = views_of([(1,), (5,), (4,)])
    assert binary.coefficients["fleiss_kappa"].why is Why.NO_TWO_RATINGS
    assert binary.raters[0].shares[1].value == pytest.approx(2 / 3)


def test_nothing_graded() -> None:
    binary, _ = views_of([(State.FAILED, State.FAILED)] * 3)
    assert binary.raters[0].shares[1].why is Why.NOTHING_RATED
    assert binary.coefficients["fleiss_kappa"].why is Why.NO_TWO_RATINGS


def test_the_whole_pool_counts_and_a_cascade_only_with_its_random_share() -> None:
    whole = simulated()
    part = agreement_part(Votes.of(whole), whole.config, 4)
    assert (part.scope, part.pairs, part.of) == (Scope.POOL, 400, 400)
    cascade = simulated(cascade=0.25)
    part = agreement_part(Votes.of(cascade), cascade.config, 4)
    ids = [pair.pair_id for pair in cascade.pairs if pair.canary is None]
    kept = share_of(ids, 0.25, seed=cascade.config.seed, purpose=CASCADE)
    assert (part.scope, part.pairs, part.of) == (Scope.SHARE, len(kept), 400)
    assert 0 < part.pairs < 400


def test_an_empty_share_measures_nothing() -> None:
    found = of_grades([(1, None, None)], of=settings(cascade=0.0))
    part = agreement_part(Votes.of(found), found.config, 4)
    assert (part.binary, part.graded, part.pairs) == (None, None, 0)
