"""The command that serves the champion."""

from pathlib import Path
from typing import Annotated

import typer

from ganops.cli.app import SERVE, AllowedHost, AllowedOrigin, app, params
from ganops.cli.registry import Name
from ganops.core.terminal import say, working


@app.command(rich_help_panel=SERVE)
def serve(
    name: Name = None,
    alias: Annotated[str, typer.Option(help="What is followed; or a version, which stays.")] = "champion",
    host: Annotated[str, typer.Option(help="0.0.0.0: whoever reaches this machine may draw.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    replicas: Annotated[int, typer.Option(min=1, help="Processes that draw; each needs a core.")] = 1,
    allowed_host: AllowedHost = None,
    allowed_origin: AllowedOrigin = None,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the alias.")] = 1.0,
) -> None:
    """Serve the champion over HTTP, and follow the alias; GANOPS_SERVE_TOKEN asks for a token; docs/serving.md."""
    import os
    import sys

    with working("serve", "starts"):
        from ganops.serving import deployment, replica

    def tell(line: str) -> None:
        say("serve", line)
        sys.stdout.flush()

    target = replica.Target(str(Path().resolve()), name or params().register_.name, alias, poll)
    deployment.run(
        target, host=host, port=port, replicas=replicas, tell=tell, logs="GANOPS_DEBUG" in os.environ,
        allowed=allowed_host or (), origins=allowed_origin or (),
    )  # fmt: skip
    tell("ended")
