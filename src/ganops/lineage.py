"""Where results come from: the commit of git, and DVC's hashes of every file that a stage read or wrote."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml


def git(root: Path, *arguments: str) -> str | None:
    """What git says in `root`, or None where there is no git or no repository."""
    try:
        process = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return process.stdout.strip()


COMMIT, DIRTY, JOB = "GANOPS_COMMIT", "GANOPS_DIRTY", "GANOPS_JOB"
"""Variables by which a job, whose tree has no git, knows the commit it came from, and its own name."""


def commit(root: Path) -> tuple[str, bool] | None:
    """The commit of the tree in `root`, and whether files differ from it; None where neither git nor a job knows."""
    found, changes = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain")
    if found is not None and changes is not None:
        return found, bool(changes)
    if COMMIT in os.environ:
        return os.environ[COMMIT], os.environ.get(DIRTY) == "true"
    return None


def lock_hashes(lock: Path) -> dict[str, str]:
    """The paths of a `dvc.lock`, relative to its folder, and their content's hashes, sorted; {} where there is none.

    A path that no stage hashed is left out.
    """
    # dvc.lock notes paths as the stage sees them; where it stands is in dvc.yaml alone
    folders = {name: stage.get("wdir", ".") for name, stage in _stages(lock.with_name("dvc.yaml")).items()}
    entries = [
        (os.path.normpath(os.path.join(folders.get(name, "."), entry["path"])), entry["md5"])
        for name, stage in _stages(lock).items()
        for kind in ("deps", "outs")
        for entry in stage.get(kind, ())
        if "md5" in entry
    ]
    return dict(sorted(entries))


def _stages(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    stages: dict[str, Any] = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("stages", {})
    return stages
