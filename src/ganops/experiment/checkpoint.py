"""The folder of a checkpoint: a training's state, its weights, and a journal that proves that they are as written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ganops.core.errors import DamageError
from ganops.core.files import hash_file, hash_json, read_json, write_json

STATE = "state.safetensors"
BEST = "best.safetensors"
PENDING = "pending-{}.safetensors"
JOURNAL = "run.json"
PICTURES = "pictures"
"""Folder of all pictures in checkpoints from before there was a log."""

DECISIVE = ("meaning", "history", "best", "pending", "hardware", "hashes")
"""Keys of a journal that decide how a training goes on; the others are words for people."""
ADDED = ("warm_up", "log")
"""The same of trainings that have them: journals of others are hashed as before there were such."""

Journal = dict[str, Any]
"""Content of the JSON file in which a checkpoint describes itself."""


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors by name as a safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)


def seal(folder: Path, journal: Journal) -> None:
    """Writes the journal of a checkpoint whose other files are there, with the hashes of all."""
    journal = journal | {"hashes": hashes(folder)}
    write_json(folder / JOURNAL, journal | {"hash": hash_of(journal)})


def journal_of(folder: Path) -> Journal:
    """Return the journal of a checkpoint, whatever its other files are."""
    journal: Journal = read_json(folder / JOURNAL)
    return journal


def verify(folder: Path, journal: Journal) -> None:
    """Compares a checkpoint with its journal. Those from before there were hashes pass unseen.

    Raises:
        ValueError: A file is not as it was written.
    """
    if "hash" not in journal and "hashes" not in journal:
        return
    if journal.get("hash") != hash_of(journal):
        raise ValueError(f"{JOURNAL} is not as it was written")
    if wrong := {*journal["hashes"].items()} ^ {*hashes(folder).items()}:
        raise ValueError(f"{', '.join(sorted({name for name, _ in wrong}))}: not as written")


@contextmanager
def damage(folder: Path) -> Iterator[None]:
    """Takes what cannot be made out of a checkpoint for damage; what the disk refuses stays the disk's.

    Raises:
        DamageError: Reading failed by the content.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, SafetensorError) as error:
        raise DamageError(f"the checkpoint {folder} is damaged ({error})") from error
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration) as error:
        raise DamageError(f"the checkpoint {folder} is damaged ({type(error).__name__}: {error})") from error


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a checkpoint but its journal, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {name: hash_file(path) for path in files if (name := path.relative_to(folder).as_posix()) != JOURNAL}


def hash_of(journal: Journal) -> str:
    """SHA-256 of what decides in a journal."""
    added = {key: journal[key] for key in ADDED if journal.get(key)}
    return hash_json({key: journal.get(key) or None for key in DECISIVE} | added)
