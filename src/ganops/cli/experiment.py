"""Commands about the experiment in this folder: is it sound, and how good is what it has learnt."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ganops.cli.app import BEGIN, LOOK, app, looking, params
from ganops.core import layout, project
from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.core.terminal import console, say, working

if TYPE_CHECKING:
    from ganops.config import Experiment
    from ganops.experiment.run import Progress


@app.command(rich_help_panel=BEGIN)
def check(
    quick: Annotated[bool, typer.Option(help="Only what needs no torch: keys, ranges, the source.")] = False,
) -> None:
    """Check params.yaml, the source of the data and earlier runs of this name: seconds now instead of hours later."""
    with looking("check"):
        _check(quick)


def _check(quick: bool) -> None:
    from ganops.data.sources import watched
    from ganops.registry import precedents

    experiment = params()
    if missing := project.missing_sections(Path()):
        there = ", ".join(f"`{name}: {'0' if name == 'seed' else '{}'}`" for name in missing)
        raise UserError(f"params.yaml: dvc.yaml names sections that are not there; for the defaults write {there}")
    if project.link(Path()):
        say("check", f"{layout.PACKAGE} leads to {project.INSTALLED} now: what DVC watches is what runs")
    if names := project.differing(Path()):
        say(
            "check",
            f"{', '.join(names)}: not as this ganops has them in {project.home()}; take those, or your changes over",
        )
    if not quick:
        from ganops.experiment import checks  # torch takes seconds to import

        checks.check(experiment)
        _check_sight(experiment)
        if idle := checks.idle(experiment):
            say("check", f"{', '.join(idle)}: without effect, since loss.name is {experiment.loss.name} and no game")
    source = watched(layout.DATA, experiment.data.source)
    for line in precedents.concerns(experiment, Path()):
        say("check", line)
    say("check", f"params.yaml and {source} are fine")


def _check_sight(experiment: "Experiment") -> None:
    """Warns of a metric that the features, where there are some, know to be blind: they may be of other images."""
    from ganops.experiment import checks
    from ganops.metrics.reference import Reference

    if (layout.FEATURES / "card.json").is_file():
        try:
            checks.check_sight(experiment, Reference.open(layout.FEATURES).blind)
        except UserError as error:
            others = f"other {experiment.data.kind}s"
            say("check", f"unless {layout.FEATURES} is of {others}, the stages will refuse {error}")


@app.command(rich_help_panel=BEGIN)
def schema() -> None:
    """Write params.schema.json, which editors use to complete and explain params.yaml."""
    write_schema(Path())


def write_schema(root: Path) -> None:
    """Write the schema of params.yaml beside it."""
    from ganops import config

    with atomic(root / "params.schema.json") as draft:
        draft.write_text(
            json.dumps(config.Experiment.model_json_schema(by_alias=True), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


@app.command(rich_help_panel=LOOK)
def compare(
    one: Annotated[str, typer.Argument(help="Folder of a generator; or a version: 3, champion, models:/NAME@ALIAS.")],
    other: Annotated[str, typer.Argument(help="Another one.")] = str(layout.GENERATOR),
    samples: Annotated[int, typer.Option(min=40, help="Of each, from the same seeds.")] = 10000,
    split: Annotated[str, typer.Option(help="validation to choose, test to report.")] = "validation",
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Draws the halves behind the intervals.")] = 0,
    truncations: Annotated[
        str | None,
        typer.Option(
            help="Temperatures of texts: 1,0.9,0.8; says who is dominated. Else those of params.yaml; '': none."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Compare two generators: each difference with its 95 % interval, under one protocol and from the same seeds."""
    from contextlib import ExitStack

    console.quiet = as_json
    with ExitStack() as stack:
        with working("compare", "loads both"):
            from ganops.evaluation.comparison import of_samplers
            from ganops.metrics.reference import Reference
            from ganops.registry.model_version import sampler  # torch and mlflow take seconds to import

            reference, asked = Reference.open(layout.FEATURES), _truncations(truncations)
            a, b = (stack.enter_context(sampler(which)) for which in (one, other))
        if truncations is None and b.spec.kind != "text":
            asked = ()
        say("compare", f"draws {samples:,} {b.spec.unit}s of each from the same seeds, then measures random halves")
        found = of_samplers(a, b, reference, samples=samples, split=split, seed=seed, truncations=asked)
    if as_json:
        print(json.dumps(found.content(), indent=2))
        return
    console.print(found.table())
    if found.curves:
        console.print(found.curves.table())


def _truncations(given: str | None) -> tuple[float, ...]:
    """Return the numbers of an option, or those of params.yaml where it was not given and there is such a file."""
    from ganops import config

    if given is None:
        return config.load().evaluate.truncations if Path("params.yaml").is_file() else ()
    try:
        return config.Evaluate(truncations=tuple(float(part) for part in given.split(",") if part)).truncations
    except ValueError:
        raise UserError(f"--truncations: expected numbers above 0 and at most 1, such as 1,0.9; got {given}") from None


@app.command(rich_help_panel=LOOK)
def seeds(
    seeds: Annotated[list[int], typer.Argument(min=0, help="Seeds of the training, at least two.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Train and evaluate the experiment under several seeds: the mean and the spread of each figure."""
    with looking("seeds", as_json):
        from ganops.experiment import checks
        from ganops.search import trials
        from ganops.studies.seeds import table, train_under

        experiment = trials.handed_on(checks.load(), layout.BEST_PARAMS)
    console.quiet = as_json

    def listen(seed: int, progress: "Progress") -> None:
        if progress.checkpoint:
            say("seeds", f"seed {seed}: kimg {progress.row['kimg']:.0f}/{experiment.train.kimg:g}")

    found = train_under(experiment, seeds, layout.PREPARED, layout.FEATURES, layout.SEEDS, listen)
    if as_json:
        print(json.dumps({name: spread.content() for name, spread in found.items()}, indent=2))
    else:
        console.print(table(found))


@app.command(rich_help_panel=LOOK)
def evaluate(
    folder_a: Annotated[Path, typer.Argument(help="Folder of images.")],
    folder_b: Annotated[Path, typer.Argument(help="Folder of the images to compare with.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="Inception weights; without it, of torch's hub cache, into which they are fetched."),
    ] = None,
    compare_with: Annotated[Literal["pytorch-fid"] | None, typer.Option(help="Run this as well.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Reduced precision: quicker, a look only, never FID.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the Fréchet distance of two folders of images as pytorch-fid does, and quicker."""
    with looking("evaluate", as_json):
        import psutil

        from ganops.evaluation import folders
        from ganops.experiment import machine

        a, b = folders.Folder.open(folder_a), folders.Folder.open(folder_b)
        device, since = str(machine.choose_device("auto")), psutil.Process().create_time()
    found = folders.distance(a, b, weights=weights, reduced=bf16, device=device, show=not as_json, since=since)
    for line in [] if as_json else folders.summary(found):
        say("evaluate", line)
    if compare_with:
        found = folders.compared(found, folders.pytorch_fid(a, b, weights=weights, device=device))
        if not as_json:
            say("evaluate", folders.peer_in_words(found))
    if as_json:
        print(json.dumps(found))
