"""The commands that make toy data of which the truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from ganops.cli.app import BEGIN, app
from ganops.core.errors import UserError
from ganops.core.files import atomic_folder
from ganops.core.terminal import say, working

toy = typer.Typer(no_args_is_help=True, help="Toy data, of which the truth is known.")
app.add_typer(toy, name="toy", rich_help_panel=BEGIN)

SIZES = {"words": 100, "length": 12, "hidden": 16}
"""Sizes of an oracle where nothing is said of them; `embedding` is as `hidden`."""


@toy.command()
def oracle(
    folder: Annotated[Path, typer.Argument(help="A new folder, or that of an oracle, which is replaced.")],
    words: Annotated[int | None, typer.Option(min=2, max=2**16, help="In the vocabulary; 100.")] = None,
    length: Annotated[int | None, typer.Option(min=1, max=1024, help="Words of each text; 12.")] = None,
    hidden: Annotated[int | None, typer.Option(min=1, max=1024, help="Units of the LSTM; 16.")] = None,
    embedding: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Dimensions of a word; as many as units.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Another language, and other texts.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=10**6, help="Number of texts.")] = 10_000,
    arrays: Annotated[
        Path | None, typer.Option(help="Folder of the arrays of SeqGAN's oracle, in the place of random weights.")
    ] = None,
) -> None:
    """Write texts of a random LSTM, whose probabilities are known: a source of data.kind text; docs/sources.md."""
    asked = {"words": words, "length": length, "hidden": hidden, "embedding": embedding}
    given = {name: value for name, value in asked.items() if value is not None}
    if arrays and given:
        raise UserError(f"--{min(given)}: expected no sizes beside --arrays: they are those of the published oracle")
    from ganops.data.sources import lines

    if folder.exists() and not (folder.is_dir() and ((folder / lines.ORACLE).is_file() or not any(folder.iterdir()))):
        raise UserError(f"{folder}: expected a new folder, an empty one or that of an oracle; name another one")
    from ganops.core.oracle import OracleNetwork  # torch takes seconds to import

    sizes = {"embedding": given.get("hidden", SIZES["hidden"]), **SIZES, **given}
    try:
        model = OracleNetwork.from_seqgan(arrays) if arrays else OracleNetwork.drawn(**sizes, seed=seed)
    except ValueError as error:
        raise UserError(f"--arrays: {error}") from error
    say("oracle", f"draws {count:,} texts, and estimates the entropy of the language")
    with working("oracle", "draws"), atomic_folder(folder) as draft:
        floor, uniform = model.floor(), model.uniform()
        texts = (" ".join(map(lines.word, text)) for text in model.sample(count, seed).tolist())
        (draft / lines.ORACLE_TEXTS).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        model.save(draft, seed=seed, count=count, floor=floor._asdict(), uniform=uniform._asdict())
    told = f"{folder}: {count:,} texts of {model.length} words, of a vocabulary of {model.words:,}"
    say("oracle", f"{told}; entropy {floor.word:.3f} nats a word, uniform words {uniform.word:.2f}")
    data = f"{{kind: text, source: {folder.resolve()}, length: {model.length}, words: {max(4, model.words)}}}"
    say("oracle", f"next, in params.yaml: data: {data}")
    say("oracle", f"features: {{extractor: oracle, weights: {folder.resolve()}}}; model: {{architecture: lstm, "
                  f"latent: {2 * model.length}}}")  # fmt: skip
