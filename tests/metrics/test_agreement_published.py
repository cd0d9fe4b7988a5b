"""Agreement that others published and we compute too.

Run: pytest tests/metrics/test_agreement_published.py -q. Tests that read ../shared are skipped
where it is absent; the others hold their (small) tables themselves.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement_support import from_confusion, from_counts, plain

from cmedteb.metrics import agreement as ag
from cmedteb.metrics.agreement import Disagreement, Level
from cmedteb.metrics.ratings import Ratings, Tables, count_tables

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the reference data in ../shared/data"
)

# Fleiss (1971), table 1: 30 patients, six psychiatrists each, five diagnoses.
FLEISS_1971 = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)
# The worked example of Wikipedia's page on Fleiss' kappa: ten items, 14 raters, five categories.
WIKIPEDIA = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
# Krippendorff (2011), section C, and Gwet (2014): four coders, twelve units, -1 is missing.
FOUR_CODERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, -1, -1, -1],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, -1, 3],
    [-1, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, -1],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, -1],
]


def totals(ratings: Ratings) -> Tables:
    return count_tables(ratings).total()


def test_fleiss_1971() -> None:
    tables = totals(from_counts([[int(n) for n in row] for row in FLEISS_1971.split()]))
    assert ag.category_shares(tables) == pytest.approx(
        [0.144, 0.144, 0.167, 0.306, 0.239], abs=6e-4
    )
    assert ag.fleiss_kappa(tables) == pytest.approx(0.430245, abs=1e-6)
    assert ag.randolph_kappa(tables) == pytest.approx(0.444444, abs=1e-6)
    assert ag.gwet_ac(tables) == pytest.approx(0.447885, abs=1e-6)


def test_wikipedia() -> None:
    tables = totals(from_counts(WIKIPEDIA))
    assert ag.observed_agreement(tables) == pytest.approx(0.378, abs=5e-4)
    assert ag.expected_agreement(tables) == pytest.approx(0.213, abs=5e-4)
    assert ag.fleiss_kappa(tables) == pytest.approx(0.209931, abs=1e-6)
    assert ag.randolph_kappa(tables) == pytest.approx(0.222527, abs=1e-6)
    assert ag.gwet_ac(tables) == pytest.approx(0.225614, abs=1e-6)


def test_statsmodels_table_of_two_categories() -> None:
    tables = totals(from_counts([[7, 1], [3, 5]]))
    assert ag.fleiss_kappa(tables) == pytest.approx(0.161905, abs=1e-6)
    assert ag.randolph_kappa(tables) == pytest.approx(0.214286, abs=1e-6)


def test_four_coders_with_missing_ratings() -> None:
    tables = totals(plain(np.array(FOUR_CODERS).T, range(1, 6)))
    assert ag.gwet_ac(tables) == pytest.approx(0.77544, abs=5e-6)
    assert ag.fleiss_kappa(tables) == pytest.approx(0.76117, abs=5e-6)
    assert ag.fleiss_kappa(tables, Disagreement.QUADRATIC) == pytest.approx(0.86494, abs=5e-6)
    assert ag.gwet_ac(tables, Disagreement.QUADRATIC) == pytest.approx(0.914, abs=5e-4)
    for level, alpha in (("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)):
        assert ag.krippendorff_alpha(tables, Level(level)) == pytest.approx(alpha, abs=5e-4)


def test_sas_cohen_of_three_categories() -> None:
    tables = totals(from_confusion([[0, 4, 1], [0, 8, 0], [0, 1, 5]]))
    assert ag.cohen_kappa(tables)[0] == pytest.approx(0.4842, abs=5e-5)
    assert ag.cohen_kappa(tables, Disagreement.LINEAR)[0] == pytest.approx(0.4701, abs=5e-5)


def test_the_paradox_of_high_agreement_and_no_kappa() -> None:
    """PMC7222679: 130, 56, 9, 5."""
    tables = totals(from_confusion([[130, 56], [9, 5]]))
    assert ag.observed_agreement(tables) == pytest.approx(0.675, abs=1e-12)
    assert ag.cohen_kappa(tables)[0] == pytest.approx(0.022, abs=5e-4)
    negative, positive = ag.specific_agreement(tables)
    assert negative > 0.79
    assert positive < 0.14
    assert ag.gwet_ac(tables) > 0.5


def test_synthetic_table_with_the_margins_that_the_paper_reports() -> None:
    """Made up, not the paper's data: 5,000 pairs with Po 93.3 % and kappa 0.731."""
    tables = totals(from_confusion([[561, 167], [168, 4104]]))
    assert ag.observed_agreement(tables) == pytest.approx(0.9330, abs=1e-12)
    assert ag.fleiss_kappa(tables) == pytest.approx(0.7309, abs=5e-5)
    assert ag.cohen_kappa(tables)[0] == pytest.approx(0.7309, abs=5e-5)


@pytest.mark.parametrize(
    ("prevalence", "kappa", "ac1"),
    [(0.5, 0.81, 0.81), (0.2, 0.73, 0.85), (0.05, 0.45, 0.89), (0.01, 0.14, 0.89)],
)
def test_kappa_falls_with_prevalence_and_ac1_does_not(
    prevalence: float, kappa: float, ac1: float
) -> None:
    """Three judges who each flip the truth with probability 0.05, in expectation."""
    error = 0.05
    patterns = np.array([[i >> r & 1 for r in range(3)] for i in range(8)])
    positives = patterns.sum(axis=1)
    chance = prevalence * (1 - error) ** positives * error ** (3 - positives)
    chance += (1 - prevalence) * error**positives * (1 - error) ** (3 - positives)
    tables = count_tables(plain(patterns, range(2))).weighted(chance[None, :])
    share = prevalence * (1 - error) + (1 - prevalence) * error
    apart, by_chance = 2 * error * (1 - error), 2 * share * (1 - share)
    assert ag.observed_agreement(tables)[0] == pytest.approx(1 - apart)
    assert ag.fleiss_kappa(tables)[0] == pytest.approx(1 - apart / by_chance)
    assert ag.gwet_ac(tables)[0] == pytest.approx(1 - apart / (1 - by_chance))
    found = (float(ag.fleiss_kappa(tables)[0]), float(ag.gwet_ac(tables)[0]))
    assert found == pytest.approx((kappa, ac1), abs=6e-3)


@needs_shared
def test_agreement_examples() -> None:
    folder = DATA / "agreement_examples"
    fleiss = json.loads((folder / "fleiss_wikipedia.json").read_text(encoding="utf-8"))
    tables = totals(from_counts(fleiss["table_subject_by_category"]))
    assert round(float(ag.fleiss_kappa(tables)), fleiss["decimals"]) == fleiss["fleiss_kappa"]
    cohen = json.loads((folder / "cohen_sas.json").read_text(encoding="utf-8"))
    tables = totals(from_confusion(cohen["table"]))
    weighted = ag.cohen_kappa(tables, Disagreement.LINEAR)[0]
    assert round(float(ag.cohen_kappa(tables)[0]), 4) == cohen["cohen_kappa"]
    assert round(float(weighted), 4) == cohen["weighted_kappa_linear"]


def llmjudge() -> tuple[Ratings, dict[str, list[float]]]:
    folder = DATA / "llmjudge"
    with (folder / "labels.tsv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    grades = np.array([[int(grade) for grade in row[2:]] for row in rows])
    ratings = Ratings.of(
        grades, categories=range(4), raters=header[2:], groups=[row[0] for row in rows]
    )
    published: dict[str, Any] = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    assert published["columns"][:2] == ["cohen_kappa_4point", "krippendorff_alpha"]
    return ratings, published["values"]


@needs_shared
def test_llmjudge(record_property: Any) -> None:
    """Each judge against NIST: Cohen's kappa on four points and three cuts, alpha (ordinal)."""
    ratings, published = llmjudge()
    differences = []
    for judge, expected in sorted(published.items()):
        pair = ratings.select(["NIST", judge])
        views = [totals(view) for view in (pair, *(pair.at_least(cut) for cut in (1, 2, 3)))]
        four, *cuts = (float(ag.cohen_kappa(tables)[0]) for tables in views)
        ours = [four, float(ag.krippendorff_alpha(views[0], Level.ORDINAL)), *cuts]
        differences += list(np.abs(np.array(ours) - expected))
    record_property("values_compared", len(differences))
    record_property("largest_difference", max(differences))
    assert len(differences) == 20 * 5
    assert max(differences) < 6e-5


@needs_shared
def test_llmjudge_all_pairs_at_once() -> None:
    """The table of all 21 raters has the same kappas in NIST's row as each pair alone."""
    ratings, published = llmjudge()
    kappas = ag.cohen_kappa(totals(ratings))
    assert len(kappas) == 21 * 20 // 2
    of_nist = dict(zip(ratings.raters[1:], kappas[:20], strict=True))
    for judge, expected in published.items():
        assert of_nist[judge] == pytest.approx(expected[0], abs=6e-5)
