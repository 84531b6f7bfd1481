"""The embedded MLflow store: whole or absent, and up to date after its project was moved, copied or mounted elsewhere.

MLflow notes absolute addresses of the folders in which files lie, and offers no call that changes them: not of runs,
logged models or versions, whoever opens the store, and by whatever client. So they are changed in the tables of the
database, in one transaction: all of them or none, and after a copy of the database was laid beside it. Only of the
store that is embedded in a project, which nobody but this project writes.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganops.core.errors import RegistryError
from ganops.core.files import atomic, locked, refusal, remove

DATABASE, ARTIFACTS = Path("mlflow/mlflow.db"), Path("mlflow/artifacts")
"""The embedded store, relative to the project's folder."""
BACKUP = Path("mlflow/mlflow.db.before-move")
"""The database as it was before the last change of addresses."""
RUNS = Path("mlruns")
"""Folder of MLflow's experiments that name no place of their own; ganops makes none of them."""
ADDRESSES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"),
)  # fmt: skip
"""Tables and columns in which MLflow 3.17 keeps addresses of files."""
WAIT = 60.0
"""Seconds for which another process may hold the database."""


HOLDERS = ("experiments", "runs", "registered_models")
"""Tables of which one at least has a row in a store that was made whole: MLflow's first experiment comes last."""


def ensure(database: Path, make: Callable[[Path], object]) -> None:
    """Sees to it that the database of the embedded store is there, whole.

    It is made aside, by one process at a time, and has its name when it is whole: a kill or a full disk leaves nothing
    of that name. One that was half made where it lies (by ganops until November 2026) holds nothing, and makes room.

    Args:
        database: Its file.
        make: Makes a store in the file that it is given.

    Raises:
        RegistryError: It cannot be made, or looked at.
    """
    try:
        if _holds(database):
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        (making := database.parent / ".making").touch()
        with locked(making):
            if _holds(database):  # another process may have been quicker
                return
            with atomic(database) as draft:
                make(draft)
                for ending in ("-journal", "-wal", "-shm"):  # of the one that it replaces: SQLite would play it back
                    remove(database.with_name(database.name + ending))
    except RegistryError:
        raise
    except Exception as error:  # MLflow's own, SQLAlchemy's, SQLite's, the disk's
        cure = "" if not isinstance(error, sqlite3.DatabaseError) else "; restore a copy of it, or move it away"
        reason = refusal(error) or f"{error}{cure}"
        raise RegistryError(f"the MLflow store {database} cannot be used: {reason}") from error


def _holds(database: Path) -> bool:
    """True where a store is there and was made whole. A file that is no database is an error of SQLite's."""
    if not database.is_file():
        return False
    with closing(sqlite3.connect(database, timeout=WAIT)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return any(store.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables & {*HOLDERS})


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
    """Return pairs of prefixes of addresses of files: below the former folder, and now."""
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
