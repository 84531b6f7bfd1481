"""DVC by its own command, and what `dvc.yaml` says of the stages."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def remote_address(root: Path) -> str:
    """The address of the default remote, a folder's as an absolute path.

    Raises:
        ClusterError: There is none, its address holds a password, or .dvc/config, which travels, holds a secret.
    """
    name = call(root, "config", "core.remote").stdout.strip()
    if not name:
        raise ClusterError(
            "there is no DVC remote, and without one nothing comes home: `dvc remote add --default home ADDRESS`, with "
            "an ADDRESS that the cluster reaches, too: s3://..., ssh://..., or a shared folder"
        )
    address = call(root, "config", f"remote.{name}.url").stdout.strip()
    if carries_secret(address):
        raise ClusterError(f"the address of the DVC remote {name} holds a password: {SECRETS}")
    for line in call(root, "config", "--project", "--list").stdout.splitlines():
        key, _, value = line.partition("=")
        if (is_secret(key) and value not in ("true", "false")) or carries_secret(value):  # ask_password=true
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
