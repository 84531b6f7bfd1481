"""The command that draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganops.cli.app import LOOK, app
from ganops.core import layout
from ganops.core.errors import UserError
from ganops.core.files import atomic
from ganops.core.terminal import say, working

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ganops.generator import Generator
    from ganops.kinds import Spec
    from ganops.registry.model_version import Registered

JOINED = {".wav": "cannot be heard", ".txt": "are no texts", ".webp": "do not move"}
"""Suffixes of files that hold several samples, and why samples of other kinds are in none."""
MOST = 4096
"""Samples that are drawn at once, at most."""


@app.command(rich_help_panel=LOOK)
def sample(
    out: Annotated[
        Path,
        typer.Argument(
            help="Picture to write, .png or .jpg; .wav, .txt, of films .webp, .mp4, .gif; with --walk one of these."
        ),
    ] = Path("samples.png"),
    seed: Annotated[int, typer.Option(min=-(2**63), max=2**63 - 1 - MOST, help="The first seed.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, max=MOST, help="How many: 64; of a walk's stops 8.")] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", "-l", help="Name or number of one class for all; without it the classes take turns."),
    ] = None,
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
    if walk and out.suffix.lower() not in (".wav", ".txt"):
        walks.expect(out)
    with working("sample", "draws"), sampler(model) as source:
        _expect(out, source.spec, walk=walk)
        labels = None if label is None else np.full(len(seeds), numbered(label, source.classes, source.class_names))
        if walk:
            _walk(out, source, seeds, labels, truncation, frames, fps)
        elif separate:
            save_separate(separate, seeds, source.shown(source.sample(seeds, labels, truncation)), source.spec)
        else:
            _write(out, source.sample(seeds, labels, truncation), source, columns=min(len(seeds), source.classes or 8))
    say("sample", str(separate if separate and not walk else out))


def _walk(
    out: Path, source: "Generator | Registered", seeds: "NDArray[np.int64]", labels: "NDArray[np.int64] | None",
    truncation: float, frames: int | None, fps: int | None,
) -> None:  # fmt: skip
    """Write a walk through the latents of seeds: samples one after the other, or a film of them."""
    import numpy as np

    from ganops.generator import walks

    joined, video = out.suffix.lower() in (".wav", ".txt"), source.spec.kind == "video"
    pieces = walks.through(source, seeds, labels, truncation, frames or (4 if joined or video else 24))
    if joined:
        _write(out, np.concatenate([*pieces]), source)
    else:
        walks.save(
            out, map(walks.frames if video else source.spec.look, pieces), fps or source.spec.facts.get("fps", 25)
        )


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


def numbered(label: str, classes: int, names: Sequence[str], *others: str) -> int:
    """Return the number of a class that is called by its name or number; a name goes before a number.

    Raises:
        UserError: There is no such class; `others` are words that would have been taken as well.
    """
    if not classes:
        raise UserError(f"--label: no classes here, got {label}")
    if label in names:
        return names.index(label)
    if label.isdecimal() and int(label) < classes:
        return int(label)
    known = [*others, f"0 to {classes - 1}"]
    known += [f"or one of {', '.join(names)}"] if list(names) != [str(n) for n in range(classes)] else []
    raise UserError(f"--label: expected {', '.join(known)}; got {label}")
