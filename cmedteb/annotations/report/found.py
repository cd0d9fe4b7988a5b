"""Where labels and original judgements differ: false negatives, and positives that are none.

A false negative is a pair of a query and a text, however many documents share the text. The pool
bounds it from below: what no pooled system found was never judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.consensus import Basis, Consensus, Label, LabelState
from cmedteb.annotations.report.numbers import mean_over, nothing
from cmedteb.annotations.report.schema import Depth, FoundPart, LabelPart, LeftOut, Pool
from cmedteb.annotations.report.values import Est, Why

DEPTHS = (10, 20, 50)


def pool_part(consensus: Consensus) -> Pool:
    """What was judged."""
    labels = consensus.labels
    return Pool(
        queries=len({label.pair.query_id for label in labels}),
        pairs=len(labels),
        documents=sum(1 + len(label.pair.twins) for label in labels),
        originals=sum(label.was_positive for label in labels),
        complete=sum(None not in label.grades for label in labels),
        cut=sum(label.pair.cut is not None for label in labels),
    )


def label_part(consensus: Consensus) -> LabelPart:
    """How many pairs are what."""
    states = Counter(label.state for label in consensus.labels)
    bases = Counter(label.basis for label in consensus.labels)
    return LabelPart(
        positive=states[LabelState.POSITIVE],
        negative=states[LabelState.NEGATIVE],
        undecided=states[LabelState.UNDECIDED],
        by_basis={str(basis): bases[basis] for basis in Basis},
    )


def found_part(consensus: Consensus, config: AnnotationConfig) -> FoundPart:
    """False negatives per query, and original positives that the labels reject."""
    labels, seed = consensus.labels, config.seed
    queries = sorted({label.pair.query_id for label in labels})
    found = [label for label in labels if label.is_false_negative]
    originals = [label for label in labels if label.was_positive]
    by_query = _count(found, queries)
    return FoundPart(
        total=len(found),
        documents=sum(1 + len(label.pair.twins) for label in found),
        per_query=_per_query(found, queries, seed=seed),
        by_depth=tuple(
            Depth(
                depth=depth,
                per_query=_per_query(
                    (one for one in found if _best(one, config) <= depth), queries, seed=seed
                ),
            )
            for depth in depths(config.depth)
        ),
        leaving_out=_leaving_out(found, queries, config),
        histogram=dict(sorted(Counter(by_query).items())),
        confirmed=sum(label.state is LabelState.POSITIVE for label in originals),
        rejected=sum(label.is_rejected_original for label in originals),
        open=sum(label.state is LabelState.UNDECIDED for label in originals),
        rejection_rate=mean_over(
            [float(label.is_rejected_original) for label in originals],
            [label.pair.query_id for label in originals],
            seed=seed,
        ),
        bare_queries=_bare(labels, queries),
    )


def depths(deepest: int) -> tuple[int, ...]:
    """The depths that are reported, up to that of the pool."""
    return tuple(sorted({depth for depth in DEPTHS if depth < deepest} | {deepest}))


def _leaving_out(
    found: Sequence[Label], queries: Sequence[str], config: AnnotationConfig
) -> tuple[LeftOut, ...]:
    rows = []
    for system in sorted(one.name for one in config.systems):
        kept = [label for label in found if set(label.pair.ranks) != {system}]
        rows.append(
            LeftOut(
                system=system,
                per_query=_per_query(kept, queries, seed=config.seed),
                only_here=len(found) - len(kept),
            )
        )
    return tuple(rows)


def _per_query(labels: Iterable[Label], queries: Sequence[str], *, seed: int) -> Est:
    if not queries:
        return nothing(Why.NO_CASES)
    return mean_over([float(n) for n in _count(labels, queries)], queries, seed=seed)


def _count(labels: Iterable[Label], queries: Sequence[str]) -> list[int]:
    by_query = Counter(label.pair.query_id for label in labels)
    return [by_query[query] for query in queries]


def _best(label: Label, config: AnnotationConfig) -> int:
    """The best rank by any system; beyond the pool for a pair that none returned."""
    return min(label.pair.ranks.values(), default=config.depth + 1)


def _bare(labels: Sequence[Label], queries: Sequence[str]) -> int:
    """Queries without a positive: what the originals had and is not rejected stays."""
    kept = {
        label.pair.query_id
        for label in labels
        if label.state is LabelState.POSITIVE
        or (label.was_positive and label.state is LabelState.UNDECIDED)
    }
    return len(queries) - len(kept)
