"""The application to which each file of this room adds its commands."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganops.core.terminal import console, working

if TYPE_CHECKING:
    from ganops.config import Experiment

app = typer.Typer(no_args_is_help=True, help="GANs as a reproducible, distributed pipeline.")
"""`ganops ...`: what a person asks of the project beside `dvc repro`."""
GROUPS = BEGIN, LOOK, REGISTRY, SERVE, CLUSTER = "Begin", "Draw and measure", "Registry", "Serve", "On a cluster"
"""Groups of the commands in the help, in their order."""

TEMPLATES = Path(__file__).parent / "examples"
"""Folder of parameters for each kind, of READMEs, and of the examples' data that no seed makes."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")]
AllowedHost = Annotated[
    list[str] | None, typer.Option(help="A name that it is called by, such as a proxy's; may be given again.")
]
AllowedOrigin = Annotated[
    list[str] | None,
    typer.Option(help="A page of another origin that may ask, such as https://shop.example.com; may be given again."),
]


def _version(asked: bool) -> None:
    if asked:
        print(f"ganops {version('ganops')}")
        raise typer.Exit


@app.callback()
def common(
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """GANs as a reproducible, distributed pipeline."""


@contextmanager
def looking(stage: str, as_json: bool = False) -> Iterator[None]:
    """Show on a terminal that a command works, from before its imports on, which take seconds; beside JSON nothing."""
    gc.disable()  # imports make a million objects that stay: to look for garbage among them takes a third of the time
    try:
        with nullcontext() if as_json else working(stage, "looks"):
            yield
    finally:
        gc.freeze()  # nor are they looked through afterwards, and at the end
        gc.enable()


def params() -> "Experiment":
    """Return the parameters of the project in this folder.

    Raises:
        ConfigError: There are none, or they are wrong.
    """
    from ganops import config  # takes longer to import than a page of help to print

    return config.load()


def show(content: Any, seen: Callable[[], Any], as_json: bool) -> None:
    """Print content as JSON, or what a person sees of it."""
    if as_json:
        print(json.dumps(content, indent=2))
    else:
        console.print(seen())
