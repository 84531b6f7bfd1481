"""`ganops ...`: what a person asks of the project beside `dvc repro`."""

from ganops.cli import cluster, encoding, experiment, init, playground, registry, report, sampling, serving, study, toy
from ganops.cli.app import GROUPS, app
from ganops.core.terminal import give_up

__all__ = [
    "app", "cluster", "encoding", "experiment", "init", "main", "playground", "registry", "report", "sampling",
    "serving", "study", "toy",
]  # fmt: skip

app.registered_commands.sort(key=lambda command: GROUPS.index(str(command.rich_help_panel)))


def main() -> None:
    """Runs a command; what its user can mend is told without a traceback, and nothing with a secret."""
    try:
        app()
    except Exception as error:
        give_up(error)
