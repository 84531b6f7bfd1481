"""The command that opens a report."""

import webbrowser
from typing import Annotated

import typer

from ganops.cli.app import BEGIN, app
from ganops.core import layout
from ganops.core.errors import UserError
from ganops.core.terminal import say

PAGE = "report.html"
"""Name of a report in its folder."""


@app.command(rich_help_panel=BEGIN)
def report(
    name: Annotated[
        str | None, typer.Argument(help="Of its folder in reports/: evaluation, tune, ...; without it, the newest.")
    ] = None,
    opened: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Open the newest report in a browser, or the one of a folder in reports/."""
    reports = layout.EVALUATION_REPORT.parent
    found = {path.parent.relative_to(reports).as_posix(): path for path in reports.rglob(PAGE)}
    if not found:
        raise UserError(f"{reports}/: expected a report, got none: `dvc repro` writes it")
    if name is not None and name not in found:
        raise UserError(f"{name}: expected one of {', '.join(sorted(found))}")
    path = found[name] if name else max(found.values(), key=lambda each: each.stat().st_mtime)
    say("report", str(path))
    if opened and not webbrowser.open(path.resolve().as_uri()):
        say("report", "no browser could be opened here: open the file in one")
