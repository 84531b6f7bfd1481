"""The command that opens a page on the champion."""

from pathlib import Path
from typing import Annotated

import typer

from ganops.cli.app import SERVE, AllowedHost, app, params
from ganops.cli.registry import Name
from ganops.core import layout
from ganops.core.terminal import say, working


@app.command(rich_help_panel=SERVE)
def playground(
    name: Name = None,
    host: Annotated[str, typer.Option(help="0.0.0.0: whoever reaches this machine may draw and vote.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 7860,
    allowed_host: AllowedHost = None,
) -> None:
    """Open a web page on the champion: draw, walk between two samples, compare blind and vote; docs/playground.md."""
    import sys
    from contextlib import ExitStack

    def tell(address: str) -> None:
        waiting.close()
        say("playground", f"{shown.name} at {address}   Ctrl-C ends it; votes are kept in {layout.VOTES}")
        sys.stdout.flush()

    with ExitStack() as waiting:
        waiting.enter_context(working("playground", "starts"))
        from ganops.serving import gallery  # mlflow and gradio take seconds to import
        from ganops.serving import playground as page

        root = Path()
        shown = gallery.Exhibition(root, name or params().register_.name, root / layout.VOTES)
        page.run(shown, host=host, port=port, tell=tell, allowed=allowed_host or ())
