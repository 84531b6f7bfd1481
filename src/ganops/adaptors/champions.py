"""Who the champion is, who it was, and why: the alias that consumers follow, moved with a record of each move.

MLflow moves an alias without asking what it pointed to. So each move is a tag of the registered model with a key of its
own, which nothing overwrites, and a decision holds only while the champion is the one that it was made against.
"""

import getpass
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from ganops.adaptors import tracking
from ganops.adaptors.tracking import mlflow
from ganops.errors import RegistryError
from ganops.lineage import JOB

CHAMPION = "champion"
FORMER = "ganops.former_champion"
HISTORY = "ganops.history."
LONGEST = 3000
"""Characters of a reason that are kept."""
ANY = "any"
"""Promote whoever is the champion now."""


class ChampionMovedError(RegistryError):
    """There is another champion than the one that a decision was made against."""


@dataclass(frozen=True)
class Move:
    """One move of the alias."""

    at: str
    """UTC, ISO 8601."""
    kind: str
    """gate, promote or rollback; found: the alias stood there, and no record told why."""
    to: int
    over: int | None
    """The champion before; None: there was none."""
    by: str
    why: str


@tracking.refusals()
def current(client: mlflow.MlflowClient, name: str) -> str | None:
    """The champion's version, if there is one.

    Raises:
        RegistryError: There is no such model.
    """
    version = _model(client, name).aliases.get(CHAMPION)
    return None if version is None else str(version)


@tracking.refusals()
def promote(
    client: mlflow.MlflowClient, name: str, version: str, *, kind: str = "promote", why: str = "", over: Any = ANY
) -> str | None:
    """Makes a version the champion and records it; the former one is returned, if there was another.

    Args:
        client: The store.
        name: Of the registered model.
        version: The new champion. Where it is that already, only a record that is missing is made.
        kind: gate or promote.
        why: The reason, for the record.
        over: The champion that the decision was made against, as a number; None: there was none.

    Raises:
        RegistryError: There is no such version.
        ChampionMovedError: The champion is another one than `over`.
    """
    _expect(client, name, version)
    former = current(client, name)
    if former == version:
        _finish(client, name, version, kind, why)
        return None
    if over != ANY and former != (None if over is None else str(over)):
        raise ChampionMovedError(
            f"the champion of {name} is now version {former}, the decision was made against {over}"
        )
    if former is not None:
        client.set_model_version_tag(name, version, FORMER, former)
    _move(client, name, version, former, kind, why)
    return former


@tracking.refusals()
def rollback(client: mlflow.MlflowClient, name: str, *, why: str = "") -> str:
    """Makes the version champion that was it before the present one, and returns it.

    Raises:
        RegistryError: There is no champion, none before it, or its version was deleted.
    """
    champion = current(client, name)
    if champion is None:
        raise RegistryError(f"{name} has no champion to roll back from")
    former: str | None = client.get_model_version(name, champion).tags.get(FORMER)
    if former is None:
        raise RegistryError(f"{name} version {champion} is the first champion: there is none before it")
    _expect(client, name, former)
    _move(client, name, former, champion, "rollback", why)
    return former


@tracking.refusals()
def history(client: mlflow.MlflowClient, name: str) -> list[Move]:
    """Every move of the alias, the first one first.

    Raises:
        RegistryError: There is no such model.
    """
    tags = _model(client, name).tags
    return [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(HISTORY)]


def _move(client: mlflow.MlflowClient, name: str, version: str, former: str | None, kind: str, why: str) -> None:
    client.set_registered_model_alias(name, CHAMPION, version)
    _write(client, name, version, former, kind, why)


def _finish(client: mlflow.MlflowClient, name: str, version: str, kind: str, why: str) -> None:
    """Writes the record of a move that was interrupted between the alias and its record."""
    moves = history(client, name)
    if not moves or moves[-1].to != int(version):
        former = client.get_model_version(name, version).tags.get(FORMER)
        _write(client, name, version, former, kind, why)


def _write(client: mlflow.MlflowClient, name: str, version: str, former: str | None, kind: str, why: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    job = os.environ.get(JOB)
    by = os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    move = Move(
        now, kind, int(version), None if former is None else int(former), f"{by} ({job})" if job else by, why[:LONGEST]
    )
    # by time, and two at the same time do not overwrite each other
    client.set_registered_model_tag(name, f"{HISTORY}{time.time_ns()}.{secrets.token_hex(4)}", json.dumps(asdict(move)))


def _model(client: mlflow.MlflowClient, name: str) -> Any:
    try:
        return client.get_registered_model(name)
    except mlflow.MlflowException as error:
        if not tracking.is_absent(client, name, error):
            raise
        raise RegistryError(f"the registry has no model {name}") from error


def _expect(client: mlflow.MlflowClient, name: str, version: str) -> None:
    try:
        client.get_model_version(name, version)
    except mlflow.MlflowException as error:
        if not tracking.is_absent(client, name, error):
            raise
        raise RegistryError(f"the registry has no version {version} of {name}") from error


def table(name: str, moves: list[Move]) -> Table:
    """`history` for a person."""
    found = Table("when (UTC)", "champion", "before", "by", "how", "why", title=name)
    for move in moves:
        before = "" if move.over is None else f"v{move.over}"
        found.add_row(move.at[:19].replace("T", " "), f"v{move.to}", before, move.by, move.kind, move.why)
    return found
