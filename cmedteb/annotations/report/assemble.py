"""A journal's snapshot in, a whole report out. Nothing else is read, but receipts where asked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cmedteb.annotations.config import NOT_STATED, AnnotationConfig
from cmedteb.annotations.consensus import (
    Adjudication,
    Basis,
    Consensus,
    label_pairs,
)
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.release.rows import as_overlay
from cmedteb.annotations.report.agreement import agreement_part
from cmedteb.annotations.report.calls import call_part
from cmedteb.annotations.report.drift import drift_part
from cmedteb.annotations.report.effect import score_part
from cmedteb.annotations.report.experts import expert_part
from cmedteb.annotations.report.found import found_part, label_part, pool_part
from cmedteb.annotations.report.numbers import LEVEL, rounded
from cmedteb.annotations.report.schema import Choices, Family, Judge, Report, SecondOpinion
from cmedteb.annotations.votes import Votes
from cmedteb.metrics.agreement_intervals import REPLICATES
from cmedteb.metrics.dawid_skene import DawidSkene, fit_dawid_skene
from cmedteb.metrics.ratings import MISSING


def make_report(
    snapshot: Snapshot, consensus: Consensus | None = None, *, results: Path | None = None
) -> Report:
    """Everything that can be said of an annotation.

    Args:
        snapshot: the journal at one moment.
        consensus: the labels; by the annotation's own rule by default.
        results: a results folder; its results of the task are scored under the labels too.

    Raises:
        UsageError: the rule does not fit the annotation.
    """
    config = snapshot.config
    labels = consensus or label_pairs(snapshot)
    panel = _by_panel_alone(snapshot, labels)
    found = found_part(labels, config)
    judged = None if config.judgements is None else config.judgements.model_dump(mode="json")
    scores = None
    if results is not None:
        overlay = as_overlay(labels, config, "new")
        version = "original" if config.judgements is None else config.judgements.version
        scores = score_part(results, overlay, seed=config.seed, judgements=version)
    return Report(
        cmedteb_version=config.cmedteb_version,
        journal_sha256=snapshot.sha256,
        task=config.task,
        task_type=str(config.task_type),
        dataset_revision=config.dataset_revision,
        content_hash=config.content_hash,
        split=config.split,
        judgements=judged,
        choices=_choices(config, labels),
        pool=pool_part(labels),
        agreement=agreement_part(labels.votes, config, labels.threshold),
        labels=label_part(labels),
        found=found,
        calls=call_part(snapshot, labels.votes),
        drift=drift_part(snapshot, labels.votes, labels.threshold),
        experts=expert_part(snapshot, panel, found_part(panel, config).per_query),
        second_opinion=_second_opinion(labels, config),
        families=families(config),
        scores=scores,
    )


def _by_panel_alone(snapshot: Snapshot, labels: Consensus) -> Consensus:
    """What experts are a measurement of."""
    if not any(label.basis is Basis.REVIEW for label in labels.labels):
        return labels
    return label_pairs(
        snapshot,
        rule=labels.rule,
        threshold=labels.threshold,
        adjudication=Adjudication.IGNORE,
    )


def _choices(config: AnnotationConfig, labels: Consensus) -> Choices:
    return Choices(
        rule=str(labels.rule),
        threshold=labels.threshold,
        adjudication=str(labels.adjudication),
        depth=config.depth,
        systems=tuple(sorted(system.name for system in config.systems)),
        cut_chars=config.cut_chars,
        rubric=config.rubric.name,
        rubric_sha256=config.rubric.sha256,
        form=str(config.form),
        cascade=config.cascade,
        seed=config.seed,
        resamples=REPLICATES,
        level=LEVEL,
        panel=config.panel.name,
        currency=config.panel.currency,
        judges=tuple(
            Judge(
                label=judge.label,
                model=judge.model,
                host=urlsplit(judge.base_url).hostname or "",
                family=judge.family,
                temperature=judge.temperature,
                note=judge.note,
            )
            for judge in config.panel.judges
        ),
        not_stated=dict(sorted(NOT_STATED.items())),
    )


def families(config: AnnotationConfig) -> tuple[Family, ...]:
    """Judges and pooled systems of one family: the judge may favour what its relative found."""
    return tuple(
        Family(judge=judge.label, system=system.name, family=judge.family)
        for judge in config.panel.judges
        for system in sorted(config.systems, key=lambda one: one.name)
        if judge.family and judge.family.lower() in f"{system.base or ''} {system.name}".lower()
    )


def _second_opinion(labels: Consensus, config: AnnotationConfig) -> SecondOpinion | None:
    """The model on what was judged in full; a cascade is no sample that it could be fitted to."""
    rated = (labels.votes.grades != MISSING).any()
    if config.cascade is not None or not rated:
        return None
    fit = labels.dawid_skene or _fit(labels.votes, labels.threshold)
    return SecondOpinion(
        prevalence=rounded(float(fit.prevalence[1])) or 0.0,
        sensitivity=_rates(labels.votes, fit, of=1),
        specificity=_rates(labels.votes, fit, of=0),
        positive=int((fit.posteriors[:, 1] > 0.5).sum()),
        converged=fit.converged,
    )


def _fit(votes: Votes, threshold: int) -> DawidSkene:
    return fit_dawid_skene(votes.ratings().at_least(threshold))


def _rates(votes: Votes, fit: DawidSkene, *, of: int) -> dict[str, float | None]:
    """How often each judge gives a class its own name."""
    return {
        judge: rounded(float(fit.confusions[column, of, of]))
        for column, judge in enumerate(votes.judges)
    }
