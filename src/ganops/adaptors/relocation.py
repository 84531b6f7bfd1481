"""The embedded MLflow store after its project was moved, copied or mounted elsewhere: it follows, with its history.

MLflow notes absolute addresses of the folders in which files lie, and offers no call that changes them: not of runs,
logged models or versions, whoever opens the store, and by whatever client. So they are changed in the tables of the
database, in one transaction: all of them or none, and after a copy of the database was laid beside it. Only of the
store that is embedded in a project, which nobody but this project writes.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganops.errors import RegistryError
from ganops.files import atomic

DATABASE, ARTIFACTS = Path("mlflow/mlflow.db"), Path("mlflow/artifacts")
"""The embedded store, relative to the project's folder."""
BACKUP = Path("mlflow/mlflow.db.before-move")
"""The database as it was before the last change of addresses."""
RUNS = Path("mlruns")
"""Where MLflow places experiments that name no place of their own; ganops makes none of them."""
ADDRESSES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"),
)  # fmt: skip
"""Tables and columns in which MLflow 3.17 keeps addresses of files."""
WAIT = 60.0
"""Seconds for which another process may hold the database."""


def relocate(root: Path) -> list[Path]:
    """Brings the addresses in the embedded store of the project in `root` up to date.

    Addresses below the former project's folder follow; others (another store, a bucket, any other folder) stay.

    Returns:
        The former folders of the project; nothing where it has not moved.

    Raises:
        RegistryError: The database cannot be changed; it is as it was.
    """
    here, database = root.resolve(), root / DATABASE
    try:
        # no implicit transactions: the one below begins and ends by name
        with closing(sqlite3.connect(database, timeout=WAIT, isolation_level=None)) as store:
            return _follow(store, here, root) if _former(store, here) else []
    except (sqlite3.Error, OSError) as error:
        raise RegistryError(
            f"the project was moved, and the addresses in its store {database} cannot be brought up to date: {error}. "
            "It must be possible to write there; or move the project back"
        ) from error


def _follow(store: sqlite3.Connection, here: Path, root: Path) -> list[Path]:
    # one process at a time, while readers go on; whoever fails or dies before the end leaves all as it was
    store.execute("BEGIN IMMEDIATE")
    former = _former(store, here)  # another process may have been quicker
    if former:
        _keep(root)
    for folder in former:
        for old, new in _prefixes(folder, here):
            for table, column in ADDRESSES:
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, old + "/"),
                )
    store.execute("COMMIT")
    return [_path(folder) for folder in former]


def _former(store: sqlite3.Connection, here: Path) -> list[str]:
    """Folders whose embedded store this was, as addresses: experiments still lie there."""
    end = f"/{ARTIFACTS.as_posix()}"
    found = {location for (location,) in store.execute("SELECT artifact_location FROM experiments") if location}
    folders = {each.removesuffix(end) for each in found if each.startswith("file:///") and each.endswith(end)}
    return sorted(folders - {here.as_uri()})


def _prefixes(folder: str, here: Path) -> list[tuple[str, str]]:
    """How addresses of files begin below the former folder, and how they begin now."""
    return [
        *((f"{folder}/{part.as_posix()}", (here / part).as_uri()) for part in (ARTIFACTS, RUNS)),
        (str(_path(folder) / RUNS), str(here / RUNS)),
    ]


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _keep(root: Path) -> None:
    with (
        atomic(root / BACKUP) as draft,
        closing(sqlite3.connect(root / DATABASE, timeout=WAIT)) as store,
        closing(sqlite3.connect(draft)) as copy,
    ):
        store.backup(copy)
