"""`cmedteb leaderboard serve`: your own board, on this machine only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from cmedteb.cli.console import note
from cmedteb.cli.leaderboard.options import board_options, built
from cmedteb.errors import UsageError

LOOPBACK = "127.0.0.1"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files of one folder, lists none, logs nothing, and is never kept by a browser."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""

    def end_headers(self) -> None:
        """A board is rebuilt under the same address."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Refuse: only pages are served."""
        del path
        self.send_error(404)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[ThreadingHTTPServer]:
    """A server of a folder on the loopback; port 0 is any free one.

    Raises:
        UsageError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(Quiet, directory=str(folder)))
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be had ({error.strerror}). Name another with --port, or --port 0 "
            "for any."
        ) from error
    with server:
        yield server


@click.command("serve")
@board_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes any free one.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def command(
    results: Path,
    tasks_dir: Path | None,
    judgements: str,
    overlays: Path | None,
    port: int,
    no_open: bool,
) -> None:
    """Build the board of your own results and open it here.

    Nobody else can reach it: it listens on this machine only, and nothing is sent anywhere. Ctrl-C
    ends it and leaves no file behind.
    """
    from cmedteb.leaderboard.site import write_site

    with tempfile.TemporaryDirectory(prefix="cmedteb-board-") as scratch:
        site = Path(scratch) / "site"
        found = built(results, tasks_dir=tasks_dir, judgements=judgements, overlays=overlays)
        write_site(found.board, found.comparisons, site)
        with serving(site, port) as server:
            address = f"http://{LOOPBACK}:{server.server_address[1]}/index.html"
            click.echo(address)
            note("Ctrl-C ends it.")
            if not no_open:
                click.launch(address)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                note("")
