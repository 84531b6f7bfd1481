"""Commands about the experiment in this folder: is it sound, what does it draw, how good is it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ganops.cli.app import BEGIN, LOOK, app, looking, params
from ganops.core import layout, project
from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.core.terminal import console, say, working

if TYPE_CHECKING:
    from ganops.config import Experiment
    from ganops.experiment.run import Progress
    from ganops.generator import Generator
    from ganops.kinds import Spec
    from ganops.registry.model_version import Registered

JOINED = {".wav": "cannot be heard", ".txt": "are no texts", ".webp": "do not move"}
"""Suffixes of files that hold several samples, and why samples of other kinds are in none."""


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
def sample(
    out: Annotated[
        Path,
        typer.Argument(
            help="Picture to write, .png or .jpg; .wav, .txt, of films .webp, .mp4, .gif; with --walk one of these."
        ),
    ] = Path("samples.png"),
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, max=4096, help="How many: 64; of a walk's stops 8.")] = None,
    label: Annotated[int | None, typer.Option(help="One class for all; without it the classes take turns.")] = None,
    truncation: Annotated[float, typer.Option(min=0, max=1, help="Below 1: more typical. Of texts: temperature")] = 1.0,
    model: Annotated[
        str, typer.Option(help="Folder of a generator; or a version: 3, champion, models:/NAME@ALIAS.")
    ] = str(layout.GENERATOR),
    separate: Annotated[Path | None, typer.Option(help="A file for each seed into this folder; no grid.")] = None,
    walk: Annotated[bool, typer.Option("--walk", help="From the latent of one seed to the next, and back.")] = False,
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Samples of a leg of the walk: 24; of sounds, texts, films 4."),
    ] = None,
    fps: Annotated[
        int | None, typer.Option(min=1, max=50, help="Pictures a second of the walk: 25; of films as they have.")
    ] = None,
    latents: Annotated[Path | None, typer.Option(help="What `ganops encode` wrote, in the place of seeds.")] = None,
) -> None:
    """Draw: a grid, a file for each seed, a walk through the latents, or the samples of latents that were found."""
    if latents:
        if walk or seed or count or label is not None or truncation != 1:
            raise UserError("--latents: expected no --seed, --count, --label, --truncation or --walk beside it")
        with working("sample", "draws"):
            _draw(latents, model, out, separate)
        return
    with working("sample", "draws"):
        import numpy as np

        from ganops.generator import walks
        from ganops.generator.artefact import save_separate
        from ganops.registry.model_version import sampler  # torch and mlflow take seconds to import

    seeds = seed + np.arange(count or (8 if walk else 64))
    joined = out.suffix.lower() in (".wav", ".txt")
    if walk and not joined:
        walks.expect(out)
    with working("sample", "draws"), sampler(model) as source:
        classes = source.classes
        _expect(out, source.spec, walk=walk)
        if label is not None and not 0 <= label < classes:
            raise UserError(
                f"--label: expected 0 to {classes - 1}, got {label}" if classes else "--label: no classes here"
            )
        labels = None if label is None else np.full(len(seeds), label)
        if walk:
            few = joined or source.spec.kind == "video"
            pieces = walks.through(source, seeds, labels, truncation, frames or (4 if few else 24))
            if joined:
                _write(out, np.concatenate([*pieces]), source)
            else:
                seen = walks.frames if source.spec.kind == "video" else source.spec.look
                walks.save(out, map(seen, pieces), fps or source.spec.facts.get("fps", 25))
        elif separate:
            save_separate(separate, seeds, source.shown(source.sample(seeds, labels, truncation)), source.spec)
        else:
            _write(out, source.sample(seeds, labels, truncation), source, columns=min(len(seeds), classes or 8))
    say("sample", str(separate if separate and not walk else out))


def _expect(out: Path, spec: "Spec", *, walk: bool = False) -> None:
    """Refuse a name that says a format in which there are no such samples, before anything is drawn."""
    from ganops.core.pictures import FORMATS
    from ganops.generator import walks

    suffix, own = out.suffix.lower(), f".{spec.joined_format}"
    names = [] if walk else [".png", ".jpg"]
    names += walks.SUFFIXES if walk or spec.kind == "video" else []
    names += [own] if own in JOINED and own not in names else []
    known = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    if suffix in JOINED and suffix not in names:
        raise UserError(f"{out}: expected a name that ends in {known}: {spec.unit}s {JOINED[suffix]}")
    if not walk and suffix not in (*names, *FORMATS):
        raise UserError(f"{out}: expected a name that ends in {known}, got {out.suffix or 'none'}")


def _write(out: Path, stored: Any, source: "Generator | Registered", columns: int = 8) -> None:
    """Write samples into one file, as its name says: the grid of their stills, or all of them as they are played."""
    from ganops.core.pictures import save_grid
    from ganops.generator import walks

    spec = source.spec
    if spec.kind == "video" and out.suffix.lower() in (".gif", ".mp4"):
        walks.save_films(out, source.shown(stored), spec.facts["fps"])
    elif out.suffix.lower() not in JOINED:
        save_grid(out, spec.look(stored), None if spec.strips else columns)
    elif joined := source.spec.joined(source.shown(stored)):
        with atomic(out) as draft:
            draft.write_bytes(joined[2])


def _draw(latents: Path, model: str, out: Path, separate: Path | None) -> None:
    """Draw latents of a file by the model that they are of."""
    import numpy as np

    from ganops.generator.artefact import save_separate
    from ganops.generator.inversion import Inversion
    from ganops.registry.model_version import trained

    found, generator = Inversion.load(latents), trained(model).generator
    if found.fingerprint != generator.description.fingerprint:
        say("sample", f"{latents} was made by another training than {model}: its {generator.spec.noun}s will be others")
    if separate is None:
        _expect(out, generator.spec)
    drawn = found.draw(generator)
    if separate:
        save_separate(separate, np.arange(len(drawn)), generator.shown(drawn), generator.spec)
    else:
        _write(out, drawn, generator, columns=min(len(drawn), 8))
    say("sample", str(separate or out))


@app.command(rich_help_panel=LOOK)
def compare(
    one: Annotated[str, typer.Argument(help="Folder of a generator; or a version: 3, champion, models:/NAME@ALIAS.")],
    other: Annotated[str, typer.Argument(help="Another one.")] = str(layout.GENERATOR),
    samples: Annotated[int, typer.Option(min=40, help="Of each, from the same seeds.")] = 10000,
    split: Annotated[str, typer.Option(help="validation to choose, test to report.")] = "validation",
    seed: Annotated[int, typer.Option(help="Draws the halves behind the intervals.")] = 0,
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
    weights: Annotated[Path | None, typer.Option(help="Inception weights; without it, from torch's hub cache.")] = None,
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
