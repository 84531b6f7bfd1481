"""The command that writes a project: the folder in which `dvc repro` leads from data to a registered generator."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from ganops.cli.app import BEGIN, TEMPLATES, app, looking
from ganops.cli.experiment import write_schema
from ganops.core import git, layout, project
from ganops.core.errors import UserError
from ganops.core.files import atomic_folder
from ganops.core.storage import scheme
from ganops.core.terminal import say, working


def _sounds(path: Path) -> None:
    from ganops.data import toys  # the room takes a while to import, which other commands do without

    toys.sounds(path)


def _films(path: Path, **size: int) -> None:
    from ganops.data import toys

    toys.films(path, sprites=TEMPLATES / "garments" / "garments.png", **size)


EXAMPLES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "sound": ("sounds.zip", _sounds),
    "text": ("glosses", partial(shutil.copytree, TEMPLATES / "glosses")),
    "video": ("films.zip", _films),
    "wave": ("sounds.zip", _sounds),
}
"""Example -> its data, below data/, and what writes them; examples/NAME.yaml are its parameters, NAME.md its README."""
KINDS = sorted(path.stem for path in TEMPLATES.glob("*.yaml"))
"""Kinds of samples: each has parameters to begin with."""
IGNORED = f"""
# the ganops that runs here: `ganops check` makes the link
/{layout.PACKAGE}
"""
"""Lines of a project's .gitignore beside those of a checkout."""
DRAFT = "draft"
"""Name within an empty folder for what is not whole yet."""


@app.command(rich_help_panel=BEGIN)
def init(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[FOLDER_OR_ADDRESS]",
            help="Own samples: a folder, zip, tar, Parquet, s3:// or gs://. With --example: the project's folder.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the project's folder and its model; without it, as the samples' with -gan.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help=f"Of own samples: {', '.join(KINDS)}; without it, as files end.")
    ] = None,
    example: Annotated[
        str | None, typer.Option(help=f"Bring data and parameters of an example: {', '.join(EXAMPLES)}.")
    ] = None,
) -> None:
    """Write a project for own samples, or for an example: all that `dvc repro` needs beside the installed ganops."""
    if example is not None:
        if example not in EXAMPLES:
            *others, last = EXAMPLES
            raise UserError(f"--example: expected {', '.join(others)} or {last}, got {example}")
        if name or kind:
            raise UserError("--example: expected no --name and no --kind beside it: for own samples, leave it out")
        folder = Path(source or "")
        with working("init", "makes the data"):
            _make(folder, partial(_fill_example, example))
        data = folder / layout.DATA / EXAMPLES[example][0]
        size = sum(path.stat().st_size for path in (data, *data.rglob("*")) if path.is_file())
        written = f"README.md, params.yaml, dvc.yaml, pipeline/, data/{data.name} ({max(1, size >> 20)} MB)"
    elif source is None:
        raise UserError("expected a folder or an address of own samples, or --example with one of "
                        f"{', '.join(EXAMPLES)}")  # fmt: skip
    else:
        from ganops.cli import own

        folder = own.folder(source, name)
        _expect_room(folder)
        if not scheme(source) and folder.resolve().is_relative_to(Path(source).resolve()):
            raise UserError(
                f"{folder} would lie among its own samples, in {source}: go to another folder, or name one (--name)"
            )
        with looking("init"):
            plan = own.plan(source, kind, folder.resolve().name)
        for line in plan.lines():
            say("init", line)
        _make(folder, plan.write)
        written = "README.md, params.yaml, dvc.yaml, pipeline/"
    say("init", f"{folder}: {written}")
    there = "" if folder == Path() else f"cd {quote(str(folder))} && "
    say("init", f"next: {there}ganops check && dvc repro")


def _make(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write a project whole or not at all; `fill` writes its parameters, its README and perhaps data."""
    _expect_room(folder)
    if folder.exists():  # nobody may pull the folder from under the shell that stands in it
        with atomic_folder(folder / DRAFT) as draft:
            _write(draft, folder, fill)
        for entry in (folder / DRAFT).iterdir():
            os.replace(entry, folder / entry.name)
        (folder / DRAFT).rmdir()
    else:
        with atomic_folder(folder) as draft:
            _write(draft, folder, fill)


def _fill_example(example: str, draft: Path) -> None:
    """Write parameters, README and data of an example."""
    data, make = EXAMPLES[example]
    shutil.copyfile(TEMPLATES / f"{example}.yaml", draft / "params.yaml")
    shutil.copyfile(TEMPLATES / f"{example}.md", draft / "README.md")
    make(draft / layout.DATA / data)


def _expect_room(folder: Path) -> None:
    """Refuses a place where something is already, but for a repository of git without files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected a new or an empty folder, got a file")
    there = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    others = [name for name in there if name != ".git" and not name.startswith(f".{DRAFT}.draft-")]
    if others:
        named = ", ".join(others[:3]) + (" and more" if others[3:] else "")
        raise UserError(f"{folder}: expected a new or an empty folder, got one with {named}; name another one")


def _write(draft: Path, folder: Path, fill: Callable[[Path], None]) -> None:
    """Write all of a project; `folder` is the place that it gets."""
    for name in project.CARRIED:
        source, copy = project.home() / name, draft / name
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, copy)
    with (draft / ".gitignore").open("a", encoding="utf-8") as file:
        file.write(IGNORED)
    write_schema(draft)
    (draft / layout.DATA).mkdir()
    fill(draft)
    project.link(draft)
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    if git.git(place, "rev-parse", "--show-toplevel") is None and git.git(draft, "init", "--quiet") is None:
        raise UserError("git: expected it to be installed and to make a repository: results say from which state of "
                        "a project they came. Install it, and give the same command again")  # fmt: skip
