"""What a submitted job does on the cluster: `python -m ganops.job` runs the pipeline and keeps what it made.

The uploaded tree has no git and nothing that git ignores. What each stage writes goes to the DVC remote as soon as the
stage has ended, so that nothing that was finished is lost, however the job ends. The files that DVC does not cache
(dvc.lock, the registration) travel as a folder of their own, whose hash is printed: `ganops fetch` finds it in the log.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ganops.errors import UserError
from ganops.terminal import console, say

HOME = "ganops-home"
"""Folder of what DVC does not cache, as the job adds it to DVC."""
MARK = "ganops-home:"
"""Begins the line that tells its hash."""
REMOTE = "GANOPS_REMOTE"
"""Variable with the address of the DVC remote, where the uploaded tree does not name it."""


def main() -> int:
    """Runs the pipeline stage by stage; returns the exit code of the one that failed, or 0."""
    if not Path("dvc.yaml").is_file():
        raise UserError("a job runs in the project's folder, and there is no dvc.yaml here")
    # stages run in other folders, too: what they import must not depend on where they are
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path("src").resolve()), os.environ.get("PYTHONPATH")]))
    _dvc("config", "--local", "core.no_scm", "true")
    if address := os.environ.get(REMOTE):
        _dvc("remote", "add", "--local", "--force", "--default", HOME, address)
    lock = b""
    for stage in stages(acting=bool(os.environ.get("MLFLOW_TRACKING_URI"))):
        code = _dvc("repro", "--pull", stage, check=False)
        if (now := _read(Path("dvc.lock"))) != lock or code:
            lock = now
            keep()
        if code:
            say("job", f"{stage} failed; the stages before it are kept")
            return code
    say("job", "done")
    return 0


def keep() -> None:
    """Sends all that there is to the remote, and prints the hash of what DVC does not cache."""
    shutil.rmtree(HOME, ignore_errors=True)
    for path in uncached():
        if path.exists():
            target = HOME / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
    if not Path(HOME).is_dir():
        return
    _dvc("add", "--quiet", HOME)
    _dvc("push", "--quiet", "--run-cache", check=False)
    _dvc("push", "--quiet", f"{HOME}.dvc")
    entry = yaml.safe_load(Path(f"{HOME}.dvc").read_text(encoding="utf-8"))["outs"][0]
    print(f"{MARK} {entry['md5']}", flush=True)


def uncached(root: Path = Path()) -> Iterator[Path]:
    """dvc.lock, and the outputs of the pipeline that DVC leaves to git: relative to the project's folder."""
    yield Path("dvc.lock")
    content = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        yield from _uncached_of(stage)


def _uncached_of(stage: dict[str, Any]) -> Iterator[Path]:
    for entry in (entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, ())):
        for path, options in entry.items() if isinstance(entry, dict) else ():
            if (options or {}).get("cache") is False:
                yield Path(os.path.normpath(Path(stage.get("wdir", ".")) / path))


def stages(*, acting: bool, root: Path = Path()) -> list[str]:
    """The stages, in the order of dvc.yaml; without those that act on the outside, unless they should.

    Such a stage has outputs that DVC does not cache. What it does to an MLflow store in the job's own folder would be
    lost with it: so without a server it is left to whoever brings the run home.
    """
    content: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    return [name for name, stage in content["stages"].items() if acting or not any(_uncached_of(stage))]


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _dvc(*arguments: str, check: bool = True) -> int:
    """Runs dvc, whose words go to the log; returns its exit code."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], check=False)
    if check and done.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed with exit code {done.returncode}: see the lines above")
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        console.print(str(error), markup=False, style="red")
        sys.exit(1)
