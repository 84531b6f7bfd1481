"""The work of a submitted job on the cluster: `python -m ganops.jobs.remote` runs the pipeline and keeps what it made.

The uploaded tree has no git and nothing that git ignores. What each stage writes goes to the DVC remote as soon as the
stage has ended, so that nothing that was finished is lost, however the job ends. The files that DVC does not cache
(dvc.lock, the registration) travel as a folder of their own, whose hash is printed: `ganops fetch` finds it in the log.
"""

import os
import shutil
import sys
from pathlib import Path

from ganops.core.errors import UserError
from ganops.core.files import read_yaml
from ganops.core.retry import insist, retry_timeout
from ganops.core.terminal import give_up, say
from ganops.jobs import dvc


def main(root: Path = Path()) -> int:
    """Runs the pipeline stage by stage; returns the exit code of the one that failed, or 0.

    Raises:
        UserError: There is no pipeline here, or what a stage has made cannot be sent.
    """
    if not (root / "dvc.yaml").is_file():
        raise UserError("a job runs in the project's folder, and there is no dvc.yaml here")
    # stages run in other folders, too: what they import must not depend on where they are
    paths = [str((root / "src").resolve()), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    dvc.must(root, "config", "--local", "core.no_scm", "true", capture=False)
    if address := os.environ.get(dvc.REMOTE):
        dvc.must(root, "remote", "add", "--local", "--force", "--default", dvc.HOME, address, capture=False)
    lock, before, digest, done = root / "dvc.lock", b"", "", list[str]()
    for stage in dvc.stages(root, acting=bool(os.environ.get("MLFLOW_TRACKING_URI"))):
        if code := dvc.call(root, "repro", "--pull", stage, capture=False).returncode:
            say("job", f"{stage} failed; the stages before it are kept")
            return code
        done.append(stage)
        if (now := lock.read_bytes()) != before:
            before, digest = now, keep(root)
        print(dvc.MARK, digest, *done, flush=True)
    say("job", "done")
    return 0


def keep(root: Path) -> str:
    """Sends all that was made to the remote; returns the hash of what DVC does not cache.

    Raises:
        UserError: The remote does not take it; what it took of earlier stages can be fetched all the same.
    """
    home, pointer = root / dvc.HOME, root / f"{dvc.HOME}.dvc"
    shutil.rmtree(home, ignore_errors=True)
    for path in dvc.uncached(root):
        if (root / path).exists():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (root / path).is_dir() else shutil.copyfile)(root / path, home / path)
    dvc.must(root, "add", "--quiet", dvc.HOME, capture=False)
    insist(  # hours of training are worth some patience; what is there already is not sent again
        lambda: dvc.must(root, "push", "--quiet", "--run-cache", capture=False),
        away=lambda error: isinstance(error, UserError), seconds=retry_timeout(), tell=lambda text: say("job", text),
    )  # fmt: skip
    return str(read_yaml(pointer)["outs"][0]["md5"])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        give_up(error)
