"""`ganops ...`: what a person asks of the project beside `dvc repro`."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ganops import config, layout
from ganops.data.sources import watched
from ganops.errors import ClusterError, UserError
from ganops.files import atomic
from ganops.terminal import console, say

if TYPE_CHECKING:
    from ganops.adaptors.jobs import Cluster
    from ganops.run import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, help="GANs as a reproducible, distributed pipeline.")


@app.command()
def check(
    quick: Annotated[bool, typer.Option(help="Only what needs no torch: keys, ranges, the source.")] = False,
) -> None:
    """Check params.yaml and the source of the data: seconds now instead of an error after hours."""
    experiment = config.load()
    if not quick:
        from ganops import assemble  # torch takes seconds to import

        assemble.check(experiment)
    source = watched(layout.DATA, experiment.data.source)
    say("check", f"params.yaml and {source} are fine")


@app.command()
def schema() -> None:
    """Write params.schema.json, which editors use to complete and explain params.yaml."""
    with atomic(Path("params.schema.json")) as draft:
        draft.write_text(
            json.dumps(config.Experiment.model_json_schema(by_alias=True), indent=2) + "\n", encoding="utf-8"
        )


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(help="Picture to write.")] = Path("samples.png"),
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=4096, help="How many pictures.")] = 64,
    label: Annotated[int | None, typer.Option(help="One class for all; without it the classes take turns.")] = None,
    truncation: Annotated[float, typer.Option(min=0, max=1, help="Below 1: less variety, more typical.")] = 1.0,
) -> None:
    """Draw a grid from the trained generator in artifacts/generator."""
    import numpy as np

    from ganops.generator import Generator
    from ganops.pictures import save_grid

    generator = Generator.load(layout.GENERATOR)
    classes = generator.description.classes
    if label is not None and not 0 <= label < classes:
        raise UserError(f"--label: expected 0 to {classes - 1}, got {label}" if classes else "--label: no classes here")
    labels = None if label is None else np.full(count, label)
    save_grid(out, generator.sample(seed + np.arange(count), labels, truncation), columns=min(count, classes or 8))
    say("sample", str(out))


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(help="Folder of a generator, as `train` writes it.")],
    other: Annotated[Path, typer.Argument(help="Folder of another one.")] = layout.GENERATOR,
    samples: Annotated[int, typer.Option(min=40, help="Of each, from the same seeds.")] = 10000,
    split: Annotated[str, typer.Option(help="validation to choose, test to report.")] = "validation",
    seed: Annotated[int, typer.Option(help="Draws the halves behind the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Compare two generators: each difference with its 95 % interval, under one protocol and from the same seeds."""
    from ganops import comparison  # torch takes seconds to import

    console.quiet = as_json
    found = comparison.of_folders(one, other, layout.FEATURES, samples=samples, split=split, seed=seed)
    if as_json:
        print(json.dumps(found.content(), indent=2))
    else:
        console.print(found.table())


@app.command()
def seeds(
    seeds: Annotated[list[int], typer.Argument(min=0, help="Seeds of the training, at least two.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Train and evaluate the experiment under several seeds: the mean and the spread of each figure."""
    from ganops import assemble, trials
    from ganops.adaptors.seeds import table, train_under

    console.quiet = as_json
    experiment = trials.handed_on(assemble.load(), layout.BEST_PARAMS)

    def listen(seed: int, progress: "Progress") -> None:
        if progress.checkpoint:
            say("seeds", f"seed {seed}: kimg {progress.row['kimg']:.0f}/{experiment.train.kimg:g}")

    found = train_under(experiment, seeds, layout.PREPARED, layout.FEATURES, layout.SEEDS, listen)
    if as_json:
        print(json.dumps({name: spread.content() for name, spread in found.items()}, indent=2))
    else:
        console.print(table(found))


@app.command()
def evaluate(
    folder_a: Annotated[Path, typer.Argument(help="Folder of images.")],
    folder_b: Annotated[Path, typer.Argument(help="Folder of the images to compare with.")],
    weights: Annotated[Path | None, typer.Option(help="Inception weights; without it, from torch's hub cache.")] = None,
    compare_with: Annotated[Literal["pytorch-fid"] | None, typer.Option(help="Run this as well.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Reduced precision: quicker, a look only, never FID.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the Fréchet distance of two folders of images as pytorch-fid does, and quicker."""
    import psutil

    from ganops import assemble, folders

    a, b = folders.Folder.open(folder_a), folders.Folder.open(folder_b)
    device, since = str(assemble.choose_device("auto")), psutil.Process().create_time()
    found = folders.distance(a, b, weights=weights, reduced=bf16, device=device, show=not as_json, since=since)
    for line in [] if as_json else folders.in_words(found):
        say("evaluate", line)
    if compare_with:
        found = folders.compared(found, folders.pytorch_fid(a, b, weights=weights, device=device))
        if not as_json:
            say("evaluate", folders.peer_in_words(found))
    if as_json:
        print(json.dumps(found))


Address = Annotated[str | None, typer.Option(help="The cluster's dashboard; without it, RAY_ADDRESS.")]
Job = Annotated[str, typer.Argument(metavar="ID", help="Of the job, as `ganops jobs` lists it.")]


@app.command()
def doctor(
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of the screen.")] = False,
) -> None:
    """Look at all that a run needs, here and on the cluster; the exit code is 1 where something must be mended."""
    from dataclasses import asdict

    from ganops.adaptors import doctor as adaptor

    found = list(adaptor.examine(Path(), address))
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    else:
        console.print(adaptor.table(found))
    sys.exit(any(each.state == "bad" for each in found))


@app.command()
def submit(
    address: Address = None,
    workers: Annotated[int | None, typer.Option(min=1, help="compute.workers, there.")] = None,
    storage: Annotated[str | None, typer.Option(help="compute.storage, there: every node must reach it.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="A variable to hand on; others there can read it.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow the log and bring the run home.")] = True,
) -> None:
    """Run the pipeline as a job on a Ray cluster, and bring its results home as if it had run here."""
    from ganops import assemble
    from ganops.adaptors import dvc, jobs

    root, unknown = Path(), [name for name in env or () if name not in os.environ]
    if unknown:
        raise UserError(f"--env: {', '.join(unknown)}: not set here")
    compute = {key: value for key, value in {"workers": workers, "storage": storage}.items() if value is not None}
    experiment = config.load().override({f"compute.{key}": value for key, value in compute.items()})
    tree, remote, cluster = jobs.Tree.of(root), dvc.remote_address(root), jobs.Cluster.connect(address)
    for line in jobs.check(experiment, cluster):
        say("submit", line)
    assemble.check(experiment)
    say("submit", f"{tree.size / 2**20:.1f} MB of commit {tree.commit[:8]}{' and changes' if tree.dirty else ''}")
    jobs.push(root)
    variables = {name: os.environ[name] for name in env or ()}
    name = jobs.submit(root, cluster, tree, compute=compute, variables=variables, remote=remote)
    say("submit", f"{name}: `ganops logs {name}` follows it, `ganops stop {name}` ends it")
    if wait:
        _see_home(cluster, name)


def _see_home(cluster: "Cluster", name: str) -> None:
    """Follows a job, brings home what it made, and ends with its exit code."""
    from ganops.adaptors import jobs

    try:
        code = jobs.follow(cluster, name)
    except KeyboardInterrupt:
        say(
            "submit",
            f"{name} goes on: `ganops logs {name}`, `ganops stop {name}`, and `ganops fetch {name}` at its end",
        )
        sys.exit(130)
    except ClusterError as error:
        raise ClusterError(
            f"{error}\n{name} may go on without us: `ganops logs {name}`, and `ganops fetch {name}` at its end"
        ) from None
    if code:
        say("submit", f"{name} failed with exit code {code}; what it had finished is brought home")
    _fetch(cluster, name, force=False)
    sys.exit(code)


def _fetch(cluster: "Cluster", name: str, *, force: bool) -> None:
    from ganops.adaptors import jobs

    stages = jobs.fetch(Path(), cluster, name, force=force)
    say("fetch", f"{', '.join(stages)}: as if they had run here")
    jobs.finish(Path(), cluster, name)


@app.command()
def jobs(
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of the table.")] = False,
) -> None:
    """List the jobs that were submitted, the latest first."""
    from ganops.adaptors import jobs as adaptor

    found = adaptor.rows(adaptor.Cluster.connect(address))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        console.print(adaptor.table(found))


@app.command()
def logs(job: Job, address: Address = None) -> None:
    """Print the log of a job, and follow it while the job runs."""
    from ganops.adaptors import jobs as adaptor

    cluster = adaptor.Cluster.connect(address)
    cluster.job(job)
    sys.exit(adaptor.follow(cluster, job))


@app.command()
def stop(job: Job, address: Address = None) -> None:
    """Stop a job; what it has finished is kept, and the next submission continues from its checkpoints."""
    from ganops.adaptors import jobs as adaptor

    cluster = adaptor.Cluster.connect(address)
    say("stop", f"{job}: {adaptor.stop(cluster, job)}; `ganops fetch {job}` brings home what it had finished")


@app.command()
def fetch(
    job: Job,
    address: Address = None,
    force: Annotated[bool, typer.Option(help="Also where the files here have changed since.")] = False,
) -> None:
    """Bring home what a job has finished: outputs, metrics, dvc.lock, the registration."""
    from ganops.adaptors import jobs as adaptor

    _fetch(adaptor.Cluster.connect(address), job, force=force)


def main() -> None:
    """Runs a command; what its user can mend is told without a traceback."""
    try:
        app()
    except UserError as error:
        console.print(str(error), markup=False, style="red")
        sys.exit(1)
