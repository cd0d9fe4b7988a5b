"""The site: a board as pages that open from a disk, without a server and without a script.

Templates, styles, scripts and texts lie in `leaderboard/site`; this room fills them. It makes no
number and reads no result: it is given a `Board` and the comparisons, and refuses nothing but a
folder that is not its own to replace. The same board gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cmedteb.leaderboard.board import Board, Comparisons
from cmedteb.resources import data_folder


def write_site(board: Board, comparisons: Iterable[Comparisons], folder: Path) -> None:
    """Write all pages, `leaderboard.json`, `leaderboard.csv` and the comparisons.

    Args:
        board: what to show.
        comparisons: one a model; taken one by one, so they need not be in memory together.
        folder: new, empty, or a site that was built before; replaced as a whole.

    Raises:
        UsageError: the folder holds something else.
        DataError: the texts of the two languages do not match.
    """
    from cmedteb.leaderboard.site.export import board_csv, board_json, comparison_js
    from cmedteb.leaderboard.site.pages import Pages
    from cmedteb.leaderboard.site.write import replace_site

    def files() -> Iterable[tuple[str, bytes]]:
        yield from Pages(board, data_folder("leaderboard") / "site").files()
        yield "leaderboard.json", board_json(board)
        yield "leaderboard.csv", board_csv(board)
        for entry in comparisons:
            yield f"compare/{entry.model}.js", comparison_js(entry)

    replace_site(files(), folder)
