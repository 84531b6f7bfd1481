"""`ganops ...`: what a person asks of the project beside `dvc repro`."""

from ganops.cli import cluster, encoding, experiment, init, playground, registry, serving, study, toy
from ganops.cli.app import app
from ganops.core.terminal import give_up

__all__ = [
    "app", "cluster", "encoding", "experiment", "init", "main", "playground", "registry", "serving", "study", "toy",
]  # fmt: skip


def main() -> None:
    """Runs a command; what its user can mend is told without a traceback, and nothing with a secret."""
    try:
        app()
    except Exception as error:
        give_up(error)
