"""The application to which each file of this room adds its commands."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="GANs as a reproducible, distributed pipeline.")
