"""The command that writes a project: the folder in which `dvc repro` leads from data to a registered generator."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from ganops.cli.app import app
from ganops.cli.experiment import write_schema
from ganops.core import git, layout, project
from ganops.core.errors import UserError
from ganops.core.files import atomic_folder
from ganops.core.terminal import say
from ganops.data import toys

OWN = Path(__file__).parent / "examples"
"""Folder of the examples' parameters, of their READMEs and of data that no seed makes."""
EXAMPLES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "sound": ("sounds.zip", toys.sounds),
    "text": ("glosses", partial(shutil.copytree, OWN / "glosses")),
    "video": ("films.zip", partial(toys.films, sprites=OWN / "garments" / "garments.png")),
    "wave": ("sounds.zip", toys.sounds),
}
"""Example -> its data, below data/, and what writes them; examples/NAME.yaml are its parameters, NAME.md its README."""
IGNORED = f"""
# the ganops that runs here: `ganops check` makes the link
/{layout.PACKAGE}
"""
"""Lines of a project's .gitignore beside those of a checkout."""
DRAFT = "draft"
"""Name within an empty folder for what is not whole yet."""


@app.command()
def init(
    example: Annotated[str, typer.Option(help=f"The data and parameters to begin with: {', '.join(EXAMPLES)}.")],
    folder: Annotated[Path, typer.Argument(help="The project's folder: a new one, or an empty one.")] = Path(),
) -> None:
    """Write a project of its own for an example: all that `dvc repro` needs beside the installed ganops."""
    if example not in EXAMPLES:
        *others, last = EXAMPLES
        raise UserError(f"--example: expected {', '.join(others)} or {last}, got {example}")
    _expect_room(folder)
    if folder.exists():  # nobody may pull the folder from under the shell that stands in it
        with atomic_folder(folder / DRAFT) as draft:
            _write(draft, example, folder)
        for entry in (folder / DRAFT).iterdir():
            os.replace(entry, folder / entry.name)
        (folder / DRAFT).rmdir()
    else:
        with atomic_folder(folder) as draft:
            _write(draft, example, folder)
    data = folder / layout.DATA / EXAMPLES[example][0]
    size = sum(path.stat().st_size for path in (data, *data.rglob("*")) if path.is_file())
    megabytes = max(1, size >> 20)
    say("init", f"{folder}: README.md, params.yaml, dvc.yaml, pipeline/, data/{data.name} ({megabytes} MB)")
    there = "" if folder == Path() else f"cd {quote(str(folder))} && "
    say("init", f"next: {there}ganops check && dvc repro")


def _expect_room(folder: Path) -> None:
    """Refuses a place where something is already, but for a repository of git without files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected a new or an empty folder, got a file")
    there = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    others = [name for name in there if name != ".git" and not name.startswith(f".{DRAFT}.draft-")]
    if others:
        named = ", ".join(others[:3]) + (" and more" if others[3:] else "")
        raise UserError(f"{folder}: expected a new or an empty folder, got one with {named}; name another one")


def _write(draft: Path, example: str, folder: Path) -> None:
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
    shutil.copyfile(OWN / f"{example}.yaml", draft / "params.yaml")
    shutil.copyfile(OWN / f"{example}.md", draft / "README.md")
    write_schema(draft)
    data, make = EXAMPLES[example]
    (draft / layout.DATA).mkdir()
    make(draft / layout.DATA / data)
    project.link(draft)
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    if git.git(place, "rev-parse", "--show-toplevel") is None and git.git(draft, "init", "--quiet") is None:
        raise UserError("git: expected it to be installed and to make a repository: results say from which state of "
                        "a project they came. Install it, and give the same command again")  # fmt: skip
