"""DVC by its own command, and what `dvc.yaml` says of the stages."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ganops.core import git
from ganops.core.errors import ClusterError
from ganops.core.redaction import carries_secret, is_secret

HOME = "ganops-home"
"""Folder of what DVC does not cache, as a job adds it to DVC to send it home."""
MARK = "ganops-home:"
"""Begins the line of a job's log that tells the hash of that folder, and the stages that are done."""
SECRETS = (
    "it belongs into the environment, or into .dvc/config.local (`dvc remote modify --local`), which stays here; on "
    "the cluster, into its own environment (docs/security.md)"
)
"""The place of secrets of a remote."""
CONFIG = Path(".dvc/config")
"""DVC's settings of a project, which git keeps."""
REMOTE = "GANOPS_REMOTE"
"""Variable with the address of the DVC remote, where the uploaded tree does not name it."""


def call(root: Path, *arguments: str, capture: bool = True) -> "subprocess.CompletedProcess[str]":
    """Runs `dvc ...` in `root`; what it says is captured, or goes where this process's words go."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, text=True, check=False, capture_output=capture)


def must(root: Path, *arguments: str, capture: bool = True) -> None:
    """Runs `dvc ...`.

    Raises:
        ClusterError: It failed; with what it said, where that was captured.
    """
    # told to be quiet, DVC keeps its errors to itself
    done = call(root, *(each for each in arguments if not (capture and each == "--quiet")), capture=capture)
    if done.returncode:
        why = complaint(done) or f"exit code {done.returncode}" if capture else "see the lines above"
        raise ClusterError(f"`dvc {' '.join(arguments)}` failed: {why}")


def complaint(done: "subprocess.CompletedProcess[str]") -> str:
    """The errors of a captured call in a line; empty where there were none. It must not have been quiet."""
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return "; ".join(errors)


class Setting(NamedTuple):
    """A setting of DVC's, such as `core.remote`."""

    file: Path
    """The file in which it stands."""
    key: str
    value: str


def settings(root: Path) -> list[Setting]:
    """Return all settings of DVC's in a project, by one call; of two of one key the later one counts."""
    lines = call(root, "config", "--list", "--show-origin").stdout.splitlines()
    pairs = (line.partition("\t")[::2] for line in lines)
    return [Setting(Path(file), *pair.partition("=")[::2]) for file, pair in pairs]


def remote_address(root: Path, known: Sequence[Setting] | None = None) -> str:
    """The address of the default remote, a folder's as an absolute path.

    Args:
        root: The project's folder.
        known: `settings`, where they have been asked for.

    Raises:
        ClusterError: There is none, its address holds a password, or .dvc/config, which travels, holds a secret.
    """
    known = settings(root) if known is None else known
    values = {each.key: each.value for each in known}
    name = values.get("core.remote", "")
    if not name:
        raise ClusterError(
            "there is no DVC remote, and without one nothing comes home: `dvc remote add --default home ADDRESS`, with "
            "an ADDRESS that the cluster reaches, too: s3://..., ssh://..., or a shared folder"
        )
    address = values.get(f"remote.{name}.url", "")
    if carries_secret(address):
        raise ClusterError(f"the address of the DVC remote {name} holds a password: {SECRETS}")
    for file, key, value in known:
        unsafe = (is_secret(key) and value not in ("true", "false")) or carries_secret(value)  # ask_password=true
        if file == CONFIG and unsafe:
            raise ClusterError(f"{key} in .dvc/config, which git keeps and a job gets, holds a secret: {SECRETS}")
    if "://" in address:
        return address
    return str((root / ".dvc" / address).resolve())


def stages(root: Path, *, acting: bool) -> list[str]:
    """The stages, in the order of dvc.yaml; without those that act on the outside, unless they should.

    Such a stage has outputs that DVC does not cache. What it does to an MLflow store in a job's own folder would be
    lost with it: so without a server it is left to whoever brings the run home.
    """
    return [name for name, stage in git.stages(root).items() if acting or not any(_uncached(stage))]


def uncached(root: Path) -> Iterator[Path]:
    """dvc.lock, and the outputs of the pipeline that DVC leaves to git: relative to the project's folder."""
    yield Path("dvc.lock")
    for stage in git.stages(root).values():
        yield from _uncached(stage)


def _uncached(stage: dict[str, Any]) -> Iterator[Path]:
    return (Path(path) for path, options in git.written(stage).items() if options.get("cache") is False)
