"""Verification of the registry: versions whose files changed, moves that nobody recorded, results it lost."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from ganops.core import layout
from ganops.core.errors import RegistryError
from ganops.core.files import read_json
from ganops.core.redaction import reason
from ganops.core.terminal import Table
from ganops.registry import champions, model_version, tracking
from ganops.registry.champions import CHAMPION
from ganops.registry.model import Model
from ganops.registry.model_version import FILES as FILES  # found here of old
from ganops.registry.model_version import TRACES as TRACES
from ganops.registry.model_version import Registered, download
from ganops.registry.moves import Move
from ganops.registry.tags import IDENTITY
from ganops.registry.tracking import mlflow

AGAIN = "`dvc repro --force --single-item register` registers it again"


@dataclass(frozen=True)
class Finding:
    """The finding of one check."""

    what: str
    state: Literal["ok", "bad"]
    said: str


def verify(root: Path, name: str, *, every: bool = False) -> Iterator[Finding]:
    """Looks at the registry of the project in `root`.

    Args:
        root: Folder of the project.
        name: Of the registered model.
        every: All versions' files, not only the champion's and that of the last registration.

    Raises:
        RegistryError: The store cannot be reached.
    """
    model = Model(tracking.connect(root), name)
    versions = {int(each.version): each for each in model.versions()}
    known = root / layout.REGISTRATION
    registration = read_json(known) if known.is_file() else None
    if registration and registration["name"] != name:
        registration = None
    if registration:
        yield _remembered(registration, versions)
    if not versions:
        yield Finding(name, "bad" if registration else "ok", "the registry has no version of it")
        return
    champion = champions.current(model)
    yield _recorded(champions.history(model), champion)
    wanted = {int(champion)} if champion else set()
    wanted |= {registration["version"]} & set(versions) if registration else set()
    for number in sorted(versions if every else wanted):
        yield _files(versions[number], root, loads=str(number) == champion)


def _remembered(registration: dict[str, Any], versions: dict[int, Any]) -> Finding:
    """Check that the registry has what the last registration says."""
    number = registration["version"]
    what = str(layout.REGISTRATION)
    if number not in versions:
        return Finding(what, "bad", f"the registry has no version {number} any more: {AGAIN}")
    if versions[number].tags.get(IDENTITY) != registration.get("identity"):
        return Finding(what, "bad", f"version {number} of the registry is another generator: {AGAIN}")
    return Finding(what, "ok", f"version {number} is there")


def _recorded(moves: list[Move], champion: str | None) -> Finding:
    """Check that the alias stands where its record says."""
    last = moves[-1].to if moves else None
    if (None if champion is None else int(champion)) == last:
        return Finding(CHAMPION, "ok", f"version {champion}, as recorded" if champion else "nobody yet")
    here = f"version {champion}" if champion else "nobody"
    return Finding(
        CHAMPION, "bad",
        f"it is {here}, the record says {f'version {last}' if last else 'nobody'}: the alias was moved by other means. "
        "`ganops promote VERSION` moves it back, or records that it shall stay",
    )  # fmt: skip


def _files(version: mlflow.entities.model_registry.ModelVersion, root: Path, *, loads: bool) -> Finding:
    what = f"version {version.version}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = download(version, root, Path(scratch))
        except RegistryError as error:
            return Finding(what, "bad", f"{error}. `ganops rollback` leaves it, if it is the champion")
        try:
            model_version.verify(version, folder)
            if loads:
                Registered(folder)
        except RegistryError as error:
            return Finding(what, "bad", str(error))
        except Exception as error:  # mlflow's own, onnxruntime's
            return Finding(what, "bad", f"it does not load here: {reason(error)}")
    return Finding(what, "ok", "its files are those that were registered" + (", and it loads" if loads else ""))


def table(name: str, findings: list[Finding]) -> Table:
    """`verify` for a person."""
    colours = {"ok": "green", "bad": "red"}
    rows = [(Text(each.state, colours[each.state]), each.what, each.said) for each in findings]
    return Table("", "looked at", "found", title=name, rows=rows)
