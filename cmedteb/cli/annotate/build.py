"""`cmedteb annotate build`: the new judgements as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmedteb.cli.console import note, print_json
from cmedteb.cli.options import EXISTING_FOLDER, FOLDER, access_options, json_option

FORMATS = ("beir", "trec", "mteb")


@click.command("build")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option("--version", required=True, metavar="vN", help="What they are called.")
@click.option(
    "--rule",
    type=click.Choice(["unanimous", "identical", "majority", "dawid-skene"]),
    help="When a pair is positive.  [default: as planned]",
)
@click.option(
    "--threshold", type=click.IntRange(2, 5), help="Lowest positive grade.  [default: as planned]"
)
@click.option(
    "--adjudication",
    type=click.Choice(["override", "fill", "ignore"]),
    default="override",
    show_default=True,
    help="What people's adjudications do: overrule the panel, decide what it left undecided, or "
    "nothing.",
)
@click.option("--to", type=FOLDER, help="Where versions lie.  [default: DIR/overlays]")
@click.option(
    "--formats",
    default=",".join(FORMATS),
    show_default=True,
    metavar="LIST",
    help="Also write the whole judgements so; `none` writes the overlay alone.",
)
@click.option(
    "--results",
    type=EXISTING_FOLDER,
    help="A results folder that keeps the original judgements.  [default: DIR/results]",
)
@access_options
@json_option
def command(folder: Path, version: str, as_json: bool, **flags: Any) -> None:
    """Write the judgements vN: overlay, data card, undecided pairs, and other formats.

    A version that is there is never replaced. The whole judgements need the original ones: from a
    results folder, or from the data set.
    """
    from cmedteb.annotations.config import Rule
    from cmedteb.annotations.consensus import Adjudication, label_pairs
    from cmedteb.annotations.release.publish import Release, publish
    from cmedteb.annotations.replay import read_snapshot
    from cmedteb.annotations.report.assemble import make_report

    snapshot = read_snapshot(folder)
    labels = label_pairs(
        snapshot,
        rule=Rule(flags["rule"]) if flags["rule"] else None,
        threshold=flags["threshold"],
        adjudication=Adjudication(flags["adjudication"]),
    )
    release = Release(snapshot, labels, make_report(snapshot, labels), version)
    release.from_journal()  # a wrong name is told before a data set is fetched
    formats = _formats(flags["formats"])
    exports = release.exports(_original(folder, snapshot, flags), formats) if formats else {}
    target: Path = flags["to"] or folder / "overlays"
    written = publish(target, release, exports)
    if as_json:
        print_json(_told(release, target, written))
        return
    told = release.report.labels
    note(
        f"{snapshot.config.task} {version}: {told.positive:,} positive, {told.negative:,} negative"
    )
    note(
        f"{told.undecided:,} undecided, listed apart; {release.report.found.total:,} new positives"
    )
    for path in written:
        click.echo(str(path))
    note(f"next: cmedteb rescore --judgements {version} --overlays {target}")


def _formats(names: str) -> tuple[Any, ...]:
    from cmedteb.annotations.release.exports import Format
    from cmedteb.errors import UsageError

    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if wanted in {(), ("none",)}:
        return ()
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise UsageError(
            f"--formats {names}: {unknown[0]!r} is none of {', '.join(FORMATS)}, or none"
        )
    return tuple(Format(name) for name in wanted)


def _original(folder: Path, snapshot: Any, flags: dict[str, Any]) -> Any:
    from cmedteb.annotations.release.exports import kept_judgements, load_judgements
    from cmedteb.data import Access, Hub

    folders = [flags["results"]] if flags["results"] else [folder / "results"]
    kept = kept_judgements(snapshot.config, folders)
    if kept is not None:
        return kept
    hub, offline = Hub(flags["hub"]), flags["offline"]
    return load_judgements(snapshot.config, Access(flags["data_dir"], hub=hub, offline=offline))


def _told(release: Any, target: Path, written: list[Path]) -> dict[str, Any]:
    return {
        "task": release.report.task,
        "version": release.version,
        "overlays": str(target),
        "labels": release.report.labels.model_dump(mode="json"),
        "files": [str(path) for path in written],
    }
