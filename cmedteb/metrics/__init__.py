"""From what a model returned to numbers: ranking measures, correlations, and how sure they are.

Works on arrays and dictionaries only: no model, no data set, no file but TREC's. It refuses to
give a number where there is none: a score that is not finite, empty judgements, or a column that
does not vary raise ScoreError instead of counting 0.
"""

from __future__ import annotations

from cmedteb.metrics.comparison import (
    PairedComparison,
    holm,
    paired_difference,
    paired_pearson_difference,
)
from cmedteb.metrics.correlation import pairwise_similarities, score_pairs
from cmedteb.metrics.ranking import CUTOFFS, QueryScores, rank_run, score_run
from cmedteb.metrics.resample import (
    Interval,
    bootstrap_mean,
    bootstrap_pearson,
    bootstrap_spearman,
    bootstrap_statistic,
)
from cmedteb.metrics.trec import iter_rankings, read_qrels, read_run, write_run

__all__ = [
    "CUTOFFS",
    "QueryScores",
    "rank_run",
    "score_run",
    "read_run",
    "read_qrels",
    "write_run",
    "iter_rankings",
    "score_pairs",
    "pairwise_similarities",
    "Interval",
    "PairedComparison",
    "bootstrap_mean",
    "bootstrap_statistic",
    "bootstrap_pearson",
    "bootstrap_spearman",
    "paired_difference",
    "paired_pearson_difference",
    "holm",
]
