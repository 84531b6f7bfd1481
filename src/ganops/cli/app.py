"""The application to which each file of this room adds its commands."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ganops.core.terminal import console

app = typer.Typer(no_args_is_help=True, add_completion=False, help="GANs as a reproducible, distributed pipeline.")
"""`ganops ...`: what a person asks of the project beside `dvc repro`."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")]
AllowedHost = Annotated[
    list[str] | None, typer.Option(help="A name that it is called by, such as a proxy's; may be given again.")
]
AllowedOrigin = Annotated[
    list[str] | None,
    typer.Option(help="A page of another origin that may ask, such as https://shop.example.com; may be given again."),
]


def show(content: Any, seen: Callable[[], Any], as_json: bool) -> None:
    """Print content as JSON, or what a person sees of it."""
    if as_json:
        print(json.dumps(content, indent=2))
    else:
        console.print(seen())
