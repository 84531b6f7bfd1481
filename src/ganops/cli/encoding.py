"""The command that finds the latents of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ganops.cli.app import LOOK, app, looking
from ganops.cli.sampling import numbered
from ganops.core import layout
from ganops.core.errors import UserError
from ganops.core.terminal import Table, console, say

if TYPE_CHECKING:
    from ganops.data.image_decoder import ImageDecoder
    from ganops.generator import Description
    from ganops.generator.inversion import Inversion
    from ganops.registry.model_version import Trained

ROWS = 20
"""Most pictures whose distances are shown."""


@app.command(rich_help_panel=LOOK)
def encode(
    pictures: Annotated[list[Path], typer.Argument(help="Files, folders, or .npy files of uint8 [N, H, W, C].")],
    out: Annotated[Path, typer.Option(help="Latents to write; `ganops sample --latents` draws them.")] = Path(
        "latents.npz"
    ),
    picture: Annotated[Path | None, typer.Option(help="PNG of the pictures, what is found below each.")] = None,
    model: Annotated[
        str, typer.Option(help="Folder of a generator; or a version: 3, champion, models:/NAME@ALIAS.")
    ] = str(layout.GENERATOR),
    label: Annotated[
        str, typer.Option("--label", "-l", help="Name or number of their class; auto: the best.")
    ] = "auto",
    by: Annotated[
        Literal["auto", "encoder", "optimisation"], typer.Option(help="auto: by its encoder where it has one.")
    ] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Of the optimisation, for each picture.")] = 300,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="The optimisation begins elsewhere.")] = 0,
    features: Annotated[
        Path | None, typer.Option(help="Folder of an extractor, such as artifacts/features: counts beside pixels.")
    ] = None,
) -> None:
    """Find the latents of pictures: by the encoder of an autoencoder, else by optimisation; docs/encoding.md."""
    with looking("encode"):
        import numpy as np

        from ganops.core.pictures import save_grid
        from ganops.data.pictures import read
        from ganops.generator.inversion import invert, sheet
        from ganops.generator.projection import expect_gradient
        from ganops.registry.model_version import trained  # torch and mlflow take seconds to import

        found = trained(model)
    generator = found.generator
    if found.encoder and generator.spec.kind == "text":
        raise UserError("encode reads pictures; in Python `generator.encoder.Encoder` finds the codes of stored texts")
    expect_gradient(generator.spec)
    if generator.spec.kind == "video":
        raise UserError(f"encode: {model} draws films, and files of pictures are none; expected GAN.encode with arrays")
    if by == "encoder" and not found.encoder:
        raise UserError(f"--by: {model} has no encoder; expected optimisation, or the model of an autoencoder")
    names, images = read(pictures, _decoder(generator.description, found))
    named = generator.description.class_names
    one = None if label == "auto" else numbered(label, generator.classes, named, "auto")
    made = invert(
        generator, None if by == "optimisation" else found.encoder, images,
        None if one is None else np.full(len(images), one), steps=steps, seed=seed, names=names,
        features=_features(features, generator.network),
    )  # fmt: skip
    made.save(out)
    if picture:
        look = generator.spec.look
        save_grid(picture, *sheet(look(images), look(made.draw(generator))))
    console.print(_table(made, generator.description))
    mean = f"{made.distances.mean():.1f} of 255 grey levels on average"
    where = " ".join(map(str, filter(None, [out, picture])))
    say("encode", f"{len(images)} pictures by {made.by}: distance {mean}   {where}")


def _decoder(description: "Description", found: "Trained") -> "ImageDecoder":
    """Return how a picture becomes a sample: as the version's record has it, else the prepared set, or params.yaml."""
    from ganops import config
    from ganops.data.image_decoder import ImageDecoder
    from ganops.data.prepared import Prepared

    data: Any = found.data
    if not data and (layout.PREPARED / "manifest.json").is_file():
        data = Prepared.open(layout.PREPARED).manifest["parameters"]
    elif not data:
        data = (config.load() if Path("params.yaml").is_file() else config.parse({})).data.model_dump()
    way = {key: data[key] for key in ("background", "fit", "resize") if key in data}
    channels, side, _ = description.shape
    return ImageDecoder(side, "auto" if channels == 3 else 1, **way)


def _features(folder: Path | None, network: Any) -> Any:
    """Return the function from samples in [-1, 1] to the features of the extractor in a folder."""
    if folder is None:
        return None
    from ganops.metrics.reference import Reference

    extractor = Reference.open(folder, str(next(network.parameters()).device)).extractor
    return lambda x: extractor.outputs((x + 1) * 127.5)[0].float()


def _table(made: "Inversion", description: "Description") -> Table:
    """Return the distances of the first pictures."""
    table = Table("picture", *(["label"] if made.labels is not None else []), "distance")
    names = description.class_names or [str(label) for label in range(description.classes)]
    for i, distance in enumerate(made.distances[:ROWS]):
        own = [] if made.labels is None else [names[made.labels[i]]]
        table.add_row(made.names[i], *own, f"{distance:.1f}")
    if len(made.distances) > ROWS:
        table.add_row(f"and {len(made.distances) - ROWS} more")
    return table
