"""The identity of the code: which of its states give the same training, so that one continues what another began."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganops.config import Experiment
from ganops.core import git
from ganops.core.files import hash_json

MATHEMATICS = 5
"""Version of the mathematics: of all that decides the weights of a training and which of them are the best.

Raised by whoever changes a number that a training comes to; `tests/golden` holds what each version comes to, and `make
golden` asks for it. A checkpoint is continued by any code of the same version.
"""

DECISIVE = (
    "core/arrays.py", "core/collective.py", "core/cores.py", "core/devices.py", "core/labels.py", "core/latents.py",
    "core/oracle.py", "core/randomness.py", "data/augment.py", "data/batches.py", "data/order.py", "data/prepared.py",
    "data/shards.py", "data/transforms.py", "evaluation/validation.py", "experiment",
    "generator/artefact.py", "generator/encoder.py", "kinds", "losses", "metrics/extractors/corruptions.py",
    "metrics/extractors", "metrics/frechet.py", "metrics/inception_score.py", "metrics/intervals.py",
    "metrics/movement.py", "metrics/neighbours.py", "metrics/protocol.py", "metrics/reference.py", "models", "training",
)  # fmt: skip
"""Files and folders of this package whose code is the mathematics; `tune` and `train` depend on them in dvc.yaml."""

EDITS = "GANOPS_EDITS"
"""Variable by which a job, whose tree has no git, knows the edits of the tree it came from."""


@dataclass(frozen=True)
class Code:
    """A state of the decisive files."""

    commit: str | None
    """Commit of the repository that holds the files, or of the one that a job came from; None: an installed release."""
    edits: str
    """Empty where they are as that commit, or the release, has them; else SHA-256 of their names and contents."""
    edited: tuple[str, ...] = ()
    """The files that are not, as git names them."""


@cache
def code(told: str | None = None) -> Code:
    """Return the state of the files of this process, as it was when it first asked; `told` as in `state`."""
    return state(Path(__file__).parents[1], told)


def state(root: Path, told: str | None = None) -> Code:
    """Return the state of the decisive files below `root`, the package's folder.

    Args:
        root: Folder of the package.
        told: The edits that a process found which sees git; None: those that the variable `GANOPS_EDITS` names. They
            count where these files have no git, if they are the same files.
    """
    if git.git(root, "ls-files", DECISIVE[0]):
        changes = git.git(root, "status", "--porcelain", "--untracked-files=all", "--", *DECISIVE)
        edited = tuple(line.split(maxsplit=1)[1] for line in (changes or "").splitlines() if line.endswith(".py"))
        return Code(git.git(root, "rev-parse", "HEAD"), content(root) if edited or changes is None else "", edited)
    commit = os.environ.get(git.COMMIT)
    if git.git(root, "rev-parse", "--git-dir") is None and any((up / ".git").exists() for up in root.parents):
        return Code(commit, content(root))  # git is missing here, or refuses: no commit speaks for these files
    told = os.environ.get(EDITS, "") if told is None else told
    return Code(commit, told if told == content(root) else "")


def content(root: Path) -> str:
    """Return the SHA-256 of the names and contents of the decisive files below `root`, in hexadecimal."""
    digest = hashlib.sha256()
    for place in DECISIVE:
        for path in sorted((root / place).rglob("*.py")) or [root / place]:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def named(commit: str | None) -> str:
    """Return a commit in words for people."""
    return f"commit {commit[:7]}" if commit else "an installed release"


def continues(commit: str | None) -> str:
    """Return the line for a person whose code, of another commit, continues what `commit` began; empty for the same."""
    if commit == code().commit:
        return ""
    return f"{named(commit)}; the mathematics is the same, version {MATHEMATICS}"


CODE = ("mathematics", "edits")
"""Keys of a training's meaning that are the code's."""


def difference(meaning: Mapping[str, Any], journal: Mapping[str, Any]) -> str:
    """Return why the code of a `meaning` does not continue a checkpoint, and what to do; empty: nothing hinders it.

    Args:
        meaning: That of the training here.
        journal: That of the checkpoint, with its `meaning`, and its `commit` and `edited` files where it has them.
    """
    past = journal["meaning"]
    if "mathematics" not in past:
        return (
            "it was written before checkpoints named the version of the mathematics, so it cannot be told whether this "
            "code would continue it exactly: continue it with the commit that wrote it"
        )
    wrote = named(journal.get("commit"))
    if past["mathematics"] != meaning["mathematics"]:
        return (
            f"it was written by {wrote} with version {past['mathematics']} of the mathematics, and here it is version "
            f"{meaning['mathematics']}: continue it with that commit"
        )
    if past["edits"] == meaning["edits"]:
        return ""
    if not past["edits"]:
        here = ", ".join(code().edited) or "files of ganops"
        return f"{here} here has edits that no commit holds: commit or undo them to continue it"
    there = ", ".join(journal.get("edited", ())) or "files of ganops"
    return f"it was written by {wrote} with edits in {there} that no commit held: bring these back to continue it"


def meaning(
    experiment: Experiment, *, data: str, extractor: str, edits: str | None = None, start: str = ""
) -> dict[str, Any]:
    """Return the inputs on which a training's result depends, as flat dotted keys; where it runs is not part of it.

    The code is in it as the version of its mathematics, and as the hash of edits that no commit holds.

    Args:
        experiment: The parameters.
        data: Hash of the prepared data.
        extractor: Hash of the extractor whose distance chooses the best weights.
        edits: What a process that sees git found of the code (see `code`).
        start: Hash of the weights with which it begins; empty: they follow from the seed.
    """
    begins = {"start": start} if start else {}
    of_code = {"mathematics": MATHEMATICS, "edits": code(edits).edits}
    return {**flatten(decisive(experiment)), "data": data, "extractor": extractor, **begins, **of_code}


def decisive(experiment: Experiment) -> dict[str, Any]:
    """The sections that decide the weights: what a generator is said to have been trained with.

    What a training does without is not in it, so that trainings of before there was such a thing are what they were.
    """
    content = experiment.content()
    for section, key, nothing in (("loss", "warm_up", None), ("train", "start", None), ("train", "freeze_D", 0)):
        if content[section][key] == nothing:
            del content[section][key]
    return {key: content[key] for key in ("seed", "model", "loss", "train")}


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def fingerprint(meaning: dict[str, Any]) -> str:
    """A short name of a training: equal for equal meanings."""
    return hash_json(meaning)[:16]
