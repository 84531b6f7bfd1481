"""`ganops ...`: what a person asks of the project beside `dvc repro`."""

import sys

from ganops.cli import cluster, experiment, playground, registry, serving, study
from ganops.cli.app import app
from ganops.errors import UserError
from ganops.terminal import console, give_up

__all__ = ["app", "cluster", "experiment", "main", "playground", "registry", "serving", "study"]


def main() -> None:
    """Runs a command; what its user can mend is told without a traceback, and nothing with a secret."""
    try:
        app()
    except UserError as error:
        console.print(str(error), markup=False, style="red")
        sys.exit(1)
    except Exception as error:
        give_up(error)
