"""Moves of a champion, as people read them, and the last list of them, which holds until the embedded store changes."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from rich.table import Column

from ganops.core.files import atomic, read_json
from ganops.core.terminal import Table, console
from ganops.metrics.protocol import SELECTED
from ganops.registry.relocation import DATABASE

CONDITIONAL = ("gate", "rollback")
"""Moves that were decided with one champion in view, and hold for no other."""
LISTED = Path(".ganops/history.json")
"""File of the last list, relative to the project's folder."""


@dataclass(frozen=True)
class Move:
    """One move of the alias."""

    at: str
    """UTC, ISO 8601."""
    kind: str
    """gate, promote or rollback; found: the alias was moved by other means."""
    to: int | None
    """Version that became the champion; None: nobody, since the alias or its version was taken away."""
    over: int | None
    """The champion before; None: there was none."""
    by: str
    why: str

    @property
    def conditional(self) -> bool:
        """True where it was decided with one champion in view, and holds for no other."""
        return self.kind in CONDITIONAL


MOVE = TypeAdapter(Move)


@dataclass(frozen=True)
class Listed:
    """A list of moves, and the state of the store that held it."""

    name: str
    store: list[int]
    moves: list[Move]


LIST = TypeAdapter(Listed)


def listed(root: Path, name: str, ask: Callable[[], list[Move]]) -> list[Move]:
    """Return all moves of a model: those of the last list, where nothing has written to the embedded store since.

    To import MLflow and to open its store takes longer than two seconds. What a server holds is always asked for.

    Args:
        root: The project's folder.
        name: Name of the registered model.
        ask: Asks the store.
    """
    state = _state(root)
    with suppress(OSError, ValueError):  # no list, or none that this version wrote
        last = LIST.validate_python(read_json(root / LISTED))
        if state and (last.name, last.store) == (name, state):
            return last.moves
    moves = ask()
    if state and state == _state(root):
        with suppress(OSError), atomic(root / LISTED) as draft:  # it only spares time
            draft.write_bytes(LIST.dump_json(Listed(name, state, moves)))
    return moves


def relist(root: Path, name: str, ask: Callable[[], list[Move]]) -> None:
    """List the moves for whoever asks next, after something was written to the embedded store; it cannot fail."""
    if _state(root):
        with suppress(Exception):  # what was written stands, and a list that is missing costs two seconds
            listed(root, name, ask)


def _state(root: Path) -> list[int]:
    """Return bytes and times of the embedded store and of what SQLite lays beside it; none: another store is asked."""
    if {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & {key for key, value in os.environ.items() if value}:
        return []
    found = []
    for ending in ("", "-journal", "-wal"):
        with suppress(FileNotFoundError):  # one that is there for a writer may be gone at any moment
            stat = Path(f"{root / DATABASE}{ending}").stat()
            found += [stat.st_size, stat.st_mtime_ns]
    return found


def table(name: str, moves: list[Move]) -> Table:
    """`history` for a person."""
    when = Column("when (UTC)", no_wrap=True)
    length = len("2026-11-30 10:00:00" if console.width >= 80 else "2026-11-30")
    found = Table(when, "champion", "before", "by", "how", "why", title=name, caption=SELECTED)
    for move in moves:
        now, before = ("" if version is None else f"v{version}" for version in (move.to, move.over))
        found.add_row(move.at[:length].replace("T", " "), now, before, move.by, move.kind, move.why)
    return found
