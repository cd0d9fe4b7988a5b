"""Everything that one version of the judgements consists of, and where it lies.

    TO/<Task>/vN.tsv.gz            the overlay, as `rescore --judgements vN --overlays TO` reads it
    TO/<Task>/vN.json              how it came
    TO/<Task>/vN/card.md           the data card, in English and Chinese
    TO/<Task>/vN/undecided.tsv     what has no label: neither relevant nor irrelevant
    TO/<Task>/vN/{beir,trec,mteb}  the whole judgements

The overlay's two files are written last: where they stand, the version is whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmedteb.annotations.consensus import Consensus
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.release.exports import Format, Table, export_files, whole_judgements
from cmedteb.annotations.release.overlay_file import has_judgements, overlay_files, write_new
from cmedteb.annotations.release.rows import COLUMNS, as_overlay, undecided_rows
from cmedteb.annotations.report.render import render_markdown
from cmedteb.annotations.report.schema import Report


@dataclass(frozen=True)
class Release:
    """One version of a task's judgements, before it is written.

    Attributes:
        snapshot: of the journal.
        consensus: the labels.
        report: what is said of them.
        version: `vN`.
    """

    snapshot: Snapshot
    consensus: Consensus
    report: Report
    version: str

    def from_journal(self) -> dict[str, bytes]:
        """All files that follow from the journal alone, by name below `TO/<Task>`.

        Raises:
            UsageError: a version that is not `vN`, or a task without judgements.
        """
        has_judgements(self.snapshot.config)
        overlay = overlay_files(self.consensus, self.report, self.version)
        lines = ["\t".join(COLUMNS), *(row.line() for row in undecided_rows(self.consensus))]
        apart = "".join(f"{line}\n" for line in lines).encode()
        return {
            f"{self.version}/card.md": self.card(),
            f"{self.version}/undecided.tsv": apart,
            **overlay,
        }

    def exports(self, original: Table, formats: Sequence[Format]) -> dict[str, bytes]:
        """The whole judgements in these formats.

        Raises:
            DataError: `original` is not what the annotation was planned for.
        """
        config = self.snapshot.config
        overlay = as_overlay(self.consensus, config, self.version)
        table = whole_judgements(config, original, overlay)
        found = {}
        for form in formats:
            for name, content in export_files(table, config.split, form).items():
                found[f"{self.version}/{form}/{name}"] = content
        return found

    def card(self) -> bytes:
        """The data card."""
        return render_markdown(self.report, "card.md.j2", version=self.version)


def publish(folder: Path, release: Release, exports: Mapping[str, bytes]) -> list[Path]:
    """Write a version below `folder/<Task>`.

    Raises:
        UsageError: it is there already, with other content.
    """
    files = {**exports, **release.from_journal()}
    return write_new(folder / release.report.task, files)
