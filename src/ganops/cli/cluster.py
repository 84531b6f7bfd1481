"""Commands about a cluster: what a run there needs, and jobs that are sent, followed and brought home."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganops.cli.app import BEGIN, CLUSTER, app, looking, params, show
from ganops.core.errors import ClusterError, UserError
from ganops.core.terminal import say

if TYPE_CHECKING:
    from ganops.jobs.submission import Cluster

Address = Annotated[str | None, typer.Option(help="The cluster's dashboard; without it, RAY_ADDRESS.")]
Job = Annotated[str, typer.Argument(metavar="ID", help="Of the job, as `ganops jobs` lists it.")]


@app.command(rich_help_panel=BEGIN)
def doctor(
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of the screen.")] = False,
) -> None:
    """Look at all that a run needs, here and on the cluster; the exit code is 1 where something must be mended."""
    with looking("doctor", as_json):
        from ganops.jobs import doctor as adaptor

        found = list(adaptor.examine(Path(), address))
    show([asdict(each) for each in found], lambda: adaptor.table(found), as_json)
    sys.exit(any(each.state == "bad" for each in found))


@app.command(rich_help_panel=CLUSTER)
def submit(
    address: Address = None,
    workers: Annotated[int | None, typer.Option(min=1, help="compute.workers, there.")] = None,
    storage: Annotated[str | None, typer.Option(help="compute.storage, there: every node must reach it.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="A variable to hand on; others there can read it.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow the log and bring the run home.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List all that would be sent, and send nothing.")] = False,
) -> None:
    """Run the pipeline as a job on a Ray cluster, and bring its results home as if it had run here."""
    root, unknown = Path(), [name for name in env or () if name not in os.environ]
    if unknown:
        raise UserError(f"--env: {', '.join(unknown)}: not set here")
    compute = {key: value for key, value in {"workers": workers, "storage": storage}.items() if value is not None}
    experiment = params().override({f"compute.{key}": value for key, value in compute.items()})
    with looking("submit"):
        from ganops.experiment import checks
        from ganops.jobs import dvc, submission
        from ganops.registry import precedents

        tree, remote = submission.Tree.of(root), dvc.remote_address(root)
    variables = {name: os.environ[name] for name in env or ()}
    environment = submission.environment_of(tree, compute=compute, variables=variables, remote=remote)
    if dry_run:
        say("submit", f"would send {tree}; to {remote}, what `dvc status --cloud` lists")
        print(*submission.announced(tree, environment), sep="\n")
        return
    with looking("submit"):
        cluster = submission.Cluster.connect(address)
        for line in submission.check(experiment, cluster):
            say("submit", line)
        checks.check(experiment)
        for line in precedents.concerns(experiment, root):
            say("submit", line)
    say("submit", str(tree))
    submission.push(root)
    name = submission.submit(root, cluster, tree, compute=compute, variables=variables, remote=remote)
    say("submit", f"{name}: `ganops logs {name}` follows it, `ganops stop {name}` ends it")
    if wait:
        _see_home(cluster, name)


def _see_home(cluster: "Cluster", name: str) -> None:
    """Follows a job, brings home what it made, and ends with its exit code."""
    from ganops.jobs import submission

    try:
        code = submission.follow(cluster, name)
    except KeyboardInterrupt:
        ways = f"`ganops logs {name}`, `ganops stop {name}`, and `ganops fetch {name}` at its end"
        say("submit", f"{name} goes on: {ways}")
        sys.exit(130)
    except ClusterError as error:
        problem = f"{error}\n{name} may go on without us: `ganops logs {name}`, and `ganops fetch {name}` at its end"
        raise ClusterError(problem) from None
    if code:
        say("submit", f"{name} failed with exit code {code}; what it had finished is brought home")
    _fetch(cluster, name, force=False)
    sys.exit(code)


def _fetch(cluster: "Cluster", name: str, *, force: bool) -> None:
    from ganops.jobs import submission

    with looking("fetch"):
        stages = submission.fetch(Path(), cluster, name, force=force)
    say("fetch", f"{', '.join(stages)}: as if they had run here")
    submission.finish(Path(), cluster, name)


@app.command(rich_help_panel=CLUSTER)
def jobs(
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of the table.")] = False,
) -> None:
    """List the jobs that were submitted, the latest first."""
    with looking("jobs", as_json):
        from ganops.jobs import submission as adaptor

        found = adaptor.rows(adaptor.Cluster.connect(address))
    show(found, lambda: adaptor.table(found), as_json)


@app.command(rich_help_panel=CLUSTER)
def logs(job: Job, address: Address = None) -> None:
    """Print the log of a job, and follow it while the job runs."""
    with looking("logs"):
        from ganops.jobs import submission as adaptor

        cluster = adaptor.Cluster.connect(address)
        cluster.job(job)
    sys.exit(adaptor.follow(cluster, job))


@app.command(rich_help_panel=CLUSTER)
def stop(job: Job, address: Address = None) -> None:
    """Stop a job; what it has finished is kept, and the next submission continues from its checkpoints."""
    with looking("stop"):
        from ganops.jobs import submission as adaptor

        state = adaptor.stop(adaptor.Cluster.connect(address), job)
    say("stop", f"{job}: {state}; `ganops fetch {job}` brings home what it had finished")


@app.command(rich_help_panel=CLUSTER)
def fetch(
    job: Job,
    address: Address = None,
    force: Annotated[bool, typer.Option(help="Also where the files here have changed since.")] = False,
) -> None:
    """Bring home what a job has finished: outputs, metrics, dvc.lock, the registration."""
    with looking("fetch"):
        from ganops.jobs import submission as adaptor

        cluster = adaptor.Cluster.connect(address)
    _fetch(cluster, job, force=force)
