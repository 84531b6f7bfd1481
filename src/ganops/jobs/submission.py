"""The pipeline as a job on a Ray cluster: checked, sent, followed, and brought home as if it had run here."""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from rich.table import Column

from ganops.config import COMPUTE, Compute, Experiment
from ganops.core import layout
from ganops.core.errors import ClusterError, UserError
from ganops.core.files import atomic
from ganops.core.git import CHANGES, COMMIT, DIRTY, JOB, packed, revision
from ganops.core.project import linked
from ganops.core.redaction import carries_secret, is_secret, reason, redacted
from ganops.core.storage import scheme
from ganops.core.terminal import Table, say
from ganops.distributed import runtime
from ganops.experiment import identity
from ganops.jobs import dvc
from ganops.jobs.upload import File, listed, module, staged

PACKAGE = layout.PACKAGE.as_posix()
"""Folder of the code in a project."""
MAX_TREE_BYTES = 512 * 2**20
"""Bytes of a tree that Ray accepts."""
SERVER = "MLFLOW_TRACKING_URI"
HANDED_ON = (SERVER, COMPUTE, "GANOPS_DEBUG", "GANOPS_RETRY_TIMEOUT", "GANOPS_PATIENCE")
"""Variables that the job gets from here, beside those that are asked for; everyone on the cluster can read them."""
STOP_WAIT, STOP_SECONDS = "RAY_JOB_STOP_WAIT_TIME_S", 60
"""Ray's variable for the seconds between SIGTERM and SIGKILL to a job (by itself 3), in which a training is saved."""


@dataclass(frozen=True)
class Tree:
    """The files that are sent: those that git does not ignore, and those of a ganops that is installed."""

    digest: str
    """SHA-256 of their names and contents, but for what a job brings home."""
    size: int
    commit: str
    dirty: bool
    edits: str = ""
    """Edits of the code that decides the weights: see `identity.Code`."""
    patch: bytes = b""
    """Patch from the commit to these files; empty: there are no differences, or too large ones."""
    files: tuple[File, ...] = ()
    """Files that are sent, and no others."""

    @classmethod
    def of(cls, root: Path) -> "Tree":
        """The tree in `root`.

        Raises:
            ClusterError: It is no git repository, or larger than Ray accepts.
        """
        names, known = listed(root), revision(root)
        if names is None or known is None:
            raise ClusterError(f"{root.resolve()}: expected a git repository with a commit: it tells what a job needs")
        names = sorted({*names, *linked(root)}, key=Path)  # nodes have the packages, but not ganops itself
        sizes = {name: (root / name).stat().st_size for name in names}
        size = sum(sizes.values())
        if size > MAX_TREE_BYTES:
            largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
            named = ", ".join(f"{name} ({sizes[name] / 2**20:.0f} MB)" for name in largest)
            raise ClusterError(
                f"the tree has {size / 2**20:.0f} MB, Ray accepts {MAX_TREE_BYTES / 2**20:.0f} MB: put data "
                f"under DVC (`dvc add`), which sends them through its remote. The largest files: {named}"
            )
        files = tuple(File.of(root, name) for name in names)
        left_out = set(dvc.uncached(root))
        digest = hashlib.sha256()
        for file in files:
            if not any(Path(file.name).is_relative_to(each) for each in left_out):
                digest.update(f"{file.name}\0{file.sha256}\n".encode())
        package = root.resolve() / PACKAGE
        edits = identity.state(package).edits if package.is_dir() else ""
        return cls(digest.hexdigest(), size, known.commit, known.changed, edits, known.patch, files)

    def __str__(self) -> str:
        """Number and size of the files, the largest of them, and their commit."""
        largest = max(self.files, key=lambda file: file.size, default=File("none", 0, ""))
        return (
            f"{len(self.files)} files, {self.size / 2**20:.1f} MB, of commit {self.commit[:8]}"
            f"{' and changes' if self.dirty else ''}; the largest: {largest.name} ({largest.size / 2**20:.1f} MB)"
        )


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster as its dashboard sees it.

    Raises:
        ClusterError: Of any method: it refuses the token, or does not answer as Ray's dashboard does.
    """

    address: str
    client: JobSubmissionClient

    @classmethod
    def connect(cls, address: str | None) -> "Cluster":
        """Connects to the dashboard at `address`, such as http://head:8265, or to what RAY_ADDRESS names.

        Raises:
            ClusterError: There is no address, nobody answers, or the token is not accepted.
        """
        address = (address or os.environ.get("RAY_ADDRESS", "")).rstrip("/")
        if not address.startswith(("http://", "https://")):
            raise ClusterError(
                "expected the address of the cluster's dashboard in --address or RAY_ADDRESS, such as "
                f"http://head:8265; got {address or 'none'}"
            )
        if carries_secret(address):
            raise ClusterError(
                f"the address of the cluster's dashboard, {address}, holds a name or a password, which Ray does not "
                "send: leave it out. Ray asks for a token (RAY_AUTH_TOKEN_PATH)"
            )
        try:
            urllib.request.urlopen(f"{address}/api/gcs_healthz", timeout=10).close()
        except urllib.error.HTTPError:
            pass  # somebody is there
        except (OSError, ValueError, HTTPException) as error:
            raise ClusterError(f"nobody answers at {address} ({error}): is the cluster up, and reachable?") from None
        with _refusals(address):
            client = JobSubmissionClient(address)
            client.list_jobs()
        return cls(address, client)

    def nodes(self) -> list[dict[str, float]]:
        """The resources of each node that is alive."""
        with _refusals(self.address):
            answer = self.client._do_request("GET", "/nodes?view=summary").json()  # the token goes with it
        raylets = [node["raylet"] for node in answer["data"]["summary"]]
        return [raylet["resourcesTotal"] for raylet in raylets if raylet.get("state") == "ALIVE"]

    def version(self) -> str:
        """Version of Ray there."""
        with _refusals(self.address):
            return str(self.client._do_request("GET", "/api/version").json()["ray_version"])

    def job(self, name: str) -> JobDetails:
        """Return Ray's details of a job.

        Raises:
            ClusterError: There is none of that name.
        """
        try:
            with _refusals(self.address, passing=RuntimeError):
                return self.client.get_job_info(name)
        except RuntimeError:
            known = ", ".join(each.submission_id for each in self.jobs()[:5]) or "none"
            raise ClusterError(f"{self.address} knows no job {name}; the latest: {known}") from None

    def jobs(self) -> list[JobDetails]:
        """Return the jobs that this project submitted, the latest first."""
        with _refusals(self.address):
            jobs = self.client.list_jobs()
        ours = [each for each in jobs if each.submission_id and DIGEST in (each.metadata or {})]
        return sorted(ours, key=lambda each: -(each.start_time or 0))


DIGEST = "ganops.digest"


@contextlib.contextmanager
def _refusals(address: str, passing: type[Exception] = UserError) -> Iterator[None]:
    """Says what to do where the cluster lets nobody in, and what came where its answer is none of Ray's."""
    try:
        yield
    except (UserError, passing):
        raise
    except AuthenticationError as error:
        why = reason(error).partition(" Ensure")[0]
        raise ClusterError(
            f"{address} refuses the token ({why}): set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with "
            "the cluster's token (or put it into ~/.ray/auth_token)"
        ) from None
    except Exception as error:  # a server's answer may be anything: a page, another status, half of it
        raise ClusterError(f"{address} does not answer as Ray's dashboard does: {reason(error)}") from error


def check(experiment: Experiment, cluster: Cluster) -> list[str]:
    """Return the results of what can be checked of the cluster before anything is sent, in words.

    Raises:
        ClusterError: Ray has another version there, or too little for the workers that are asked for.
        TrainingError: Too little for a trial of the search.
    """
    version, nodes = cluster.version(), cluster.nodes()
    if version != ray.__version__:
        raise ClusterError(f"the cluster runs Ray {version}, this is Ray {ray.__version__}: they must be equal")
    cpus, gpus = (int(sum(node.get(kind, 0) for node in nodes)) for kind in ("CPU", "GPU"))
    compute = experiment.compute
    check_workers(compute, cpus, gpus)
    if experiment.tune.trials and experiment.tune.space:
        runtime.places(compute.trial, compute.device, nodes)
    return [f"{cluster.address}: Ray {version}, {len(nodes)} nodes, {cpus} cores, {gpus} GPUs"]


def check_workers(compute: Compute, cpus: int, gpus: int) -> None:
    """Refuses what can never be placed, with the numbers.

    Raises:
        ClusterError: There is no GPU where one was asked for, or there are fewer cores or GPUs than workers.
    """
    if compute.device == "cuda" and not gpus:
        raise ClusterError("compute.device: cuda was asked for, and no node that is up has a GPU")
    workers = compute.workers
    fewest = 1 if workers == "auto" else workers if isinstance(workers, int) else workers[0]
    kind, there = ("GPUs", gpus) if gpus and compute.device != "cpu" else ("cores", cpus)
    if fewest > there:
        raise ClusterError(f"compute.workers: {fewest} workers need as many {kind}, the nodes that are up have {there}")


def submit(
    root: Path, cluster: Cluster, tree: Tree, *, compute: Mapping[str, Any], variables: Mapping[str, str], remote: str
) -> str:
    """Sends the tree and starts the job; returns the name of the job.

    Args:
        root: The project's folder.
        cluster: Where it shall run.
        tree: What is sent.
        compute: Keys of `compute` that are other there.
        variables: Of the job's environment. Everyone on the cluster can read them.
        remote: Address of the DVC remote.

    Raises:
        ClusterError: A job with the same files is under way: both would write the same checkpoints. Or a variable is a
            secret.
    """
    for each in cluster.jobs():
        if (each.metadata or {})[DIGEST] == tree.digest and not each.status.is_terminal():
            there = each.submission_id
            raise ClusterError(f"these very files run already: `ganops logs {there}` follows it, `ganops stop {there}`")
    name = f"ganops-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    environment = {**environment_of(tree, compute=compute, variables=variables, remote=remote), JOB: name}
    with _sending(cluster), staged(root, tree.files, PACKAGE) as (archive, folder):
        cluster.client.submit_job(
            submission_id=name,
            entrypoint="python -m ganops.jobs.remote",
            # the module comes before whatever the nodes have installed
            runtime_env={"working_dir": str(archive), "py_modules": [str(folder)], "env_vars": environment},
            metadata={DIGEST: tree.digest, COMMIT: tree.commit, DIRTY: json.dumps(tree.dirty)},
        )
    return name


def environment_of(
    tree: Tree, *, compute: Mapping[str, Any], variables: Mapping[str, str], remote: str
) -> dict[str, str]:
    """The variables that a job gets beside its own name, as `submit` sends them: everyone on the cluster can read them.

    Raises:
        ClusterError: One of them is a secret, or an address that holds one.
    """
    own = {key: os.environ[key] for key in HANDED_ON if os.environ.get(key)}
    if scheme(own.get(SERVER, "")) in (None, "file", "sqlite"):
        own.pop(SERVER, None)  # a store of this machine, in which `finish` registers
    handed_on = {**own, **variables, dvc.REMOTE: remote}
    if compute:
        handed_on[COMPUTE] = json.dumps({**json.loads(handed_on.get(COMPUTE, "{}")), **compute})
    for key, value in handed_on.items():
        if is_secret(key) or carries_secret(value):
            raise ClusterError(
                f"{key} holds a password or a key, and everyone on the cluster can read a job's variables. Leave it "
                "out (of the address, too: MLflow takes MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, DVC the "
                "variables of its remote), and set it in the cluster's own environment: docs/security.md says how"
            )
    return {
        **handed_on,
        STOP_WAIT: str(STOP_SECONDS),
        COMMIT: tree.commit,
        DIRTY: json.dumps(tree.dirty),
        identity.EDITS: tree.edits,
        CHANGES: packed(tree.patch),
    }


def announced(tree: Tree, environment: Mapping[str, str]) -> Iterator[str]:
    """All that `submit` sends, a line each: names of files with their bytes, those of the module, and variables."""
    sizes = {file.name: file.size for file in tree.files}
    for title, names in (("working directory", list(sizes)), ("module", module(tree.files, PACKAGE))):
        yield f"{title}: {len(names)} files, {sum(sizes[name] for name in names):,} bytes"
        yield from (f"{sizes[name]:>13,}  {_printable(name)}" for name in names)
    yield "variables, which everyone on the cluster can read:"
    yield from (f"  {key}={_printable(value)}" for key, value in environment.items())
    yield f"  {JOB}: the name that the job gets"


def _printable(text: str) -> str:
    """A text that moves no cursor and changes no colour."""
    return text if text.isprintable() else repr(text)


@contextlib.contextmanager
def _sending(cluster: Cluster) -> Iterator[None]:
    """Ray tells of every file of a package; what it says of a server's refusal is put in words."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    with _refusals(cluster.address):
        yield


def ask_nodes(root: Path, cluster: Cluster, address: str) -> None:
    """Makes sure that every node of the cluster reads and writes in a storage, by a job that does nothing else.

    Raises:
        ClusterError: A node does not, or the job did not run.
    """
    with _sending(cluster), staged(root, Tree.of(root).files, PACKAGE) as (_, folder):
        name = cluster.client.submit_job(
            entrypoint=shlex.join(["python", "-m", "ganops.distributed.storage", address]),
            runtime_env={"py_modules": [str(folder)]},
        )
        if _ended(cluster, name) != JobStatus.SUCCEEDED:
            said = cluster.client.get_job_logs(name).strip().splitlines()
            lines = [line for line in said if line.startswith("compute.storage") or "name a folder" in line]
            raise ClusterError("; ".join(lines or said[-3:]) or f"the job {name} that asks the nodes did not run")


def follow(cluster: Cluster, name: str) -> int:
    """Prints the log of a job until it ends; returns its exit code.

    Raises:
        ClusterError: There is no such job, or the cluster does not answer.
    """

    async def show() -> None:
        async for lines in cluster.client.tail_job_logs(name):
            for line in lines.splitlines(keepends=True):
                if not line.startswith(dvc.MARK):
                    print(redacted(line), end="", flush=True)

    with _refusals(cluster.address):
        asyncio.run(show())
    while not (found := cluster.job(name)).status.is_terminal():
        time.sleep(1)  # the log ended, or the connection did
    if found.status == JobStatus.SUCCEEDED:
        return 0
    if found.driver_exit_code is None and found.status == JobStatus.FAILED:  # then no log tells why
        reasons = [line.strip() for line in (found.message or "").splitlines() if line.strip()]
        say("job", f"it was never started, or lost: {reasons[-1] if reasons else 'Ray does not say why'}")
    return found.driver_exit_code or 1


def fetch(root: Path, cluster: Cluster, name: str, *, force: bool = False) -> list[str]:
    """Brings home what a job has finished: its outputs, dvc.lock, and the files that DVC does not cache.

    Returns:
        The stages that the job had done.

    Raises:
        ClusterError: The job has kept nothing, the tree here is no longer the one that was sent, or the DVC remote
            lacks something. What was here is as it was then.
    """
    found = cluster.job(name)
    with _refusals(cluster.address):
        marks = re.findall(rf"^{dvc.MARK} (\w+\.dir) (.+)$", cluster.client.get_job_logs(name), re.MULTILINE)
    if not marks:
        status = found.status.value.lower()
        raise ClusterError(f"{name} ({status}) has finished no stage yet: there is nothing to fetch")
    if not force and Tree.of(root).digest != (found.metadata or {}).get(DIGEST):
        raise ClusterError(
            f"the files here are no longer those that {name} ran with: its results would not belong to them. Go back "
            f"to commit {(found.metadata or {}).get(COMMIT)}, or take them all the same with --force"
        )
    lock, (digest, names) = root / "dvc.lock", marks[-1]
    done: list[str] = names.split()
    cached = dvc.stages(root, acting=False)
    with _unpacked(root, digest) as folder, _undone_on_failure(lock):
        shutil.copyfile(folder / lock.name, lock)
        dvc.must(root, "pull", "--quiet", *(stage for stage in done if stage in cached))
        for path in dvc.uncached(root):  # whatever else a job may have put there stays there
            for file in (each for each in [folder / path, *(folder / path).rglob("*")] if each.is_file()):
                with atomic(root / file.relative_to(folder)) as draft:
                    shutil.copyfile(file, draft)
    return done


def finish(root: Path, cluster: Cluster, name: str) -> None:
    """Runs the stages that a successful job left to this machine, since it had no MLflow server to act on.

    Raises:
        ClusterError: A stage failed.
    """
    there = cluster.job(name)
    if there.status != JobStatus.SUCCEEDED or SERVER in (there.runtime_env or {}).get("env_vars", {}):
        return
    done_there = dvc.stages(root, acting=False)
    for stage in (each for each in dvc.stages(root, acting=True) if each not in done_there):
        # nothing but this stage: whatever else does not fit here must not start a training
        if dvc.call(root, "repro", "--single-item", stage, capture=False).returncode:
            raise ClusterError(f"all else is home, but {stage} failed here: `dvc repro {stage}` tries again")


def _ended(cluster: Cluster, name: str) -> JobStatus:
    """The status with which a job ends, for which this waits."""
    while not (status := cluster.client.get_job_status(name)).is_terminal():
        time.sleep(0.5)
    return status


def stop(cluster: Cluster, name: str) -> str:
    """Stops a job and waits until it has ended; returns its status in words.

    Raises:
        ClusterError: There is no such job, or the cluster does not answer.
    """
    cluster.job(name)
    with _refusals(cluster.address):
        cluster.client.stop_job(name)
        return str(_ended(cluster, name).value).lower()


def rows(cluster: Cluster) -> list[dict[str, Any]]:
    """Return a summary of each job for people, the latest first."""
    return [
        {
            "id": each.submission_id,
            "status": each.status.value.lower(),
            "started": each.start_time and datetime.fromtimestamp(each.start_time / 1000).isoformat(" ", "minutes"),
            "minutes": each.start_time and round(((each.end_time or time.time() * 1000) - each.start_time) / 60000, 1),
            "commit": (each.metadata or {}).get(COMMIT, "")[:8],
            "changes": (each.metadata or {}).get(DIRTY) == "true",
        }
        for each in cluster.jobs()
    ]


def table(rows: list[dict[str, Any]]) -> Table:
    """`rows` for a person."""
    shown = [row | {"commit": f"{row['commit']}{' and changes' if row['changes'] else ''}"} for row in rows]
    names = ("id", "status", "started", "minutes", "commit")
    cells = [[str(row[name] or "") for name in names] for row in shown]
    return Table(Column("job", no_wrap=True), *names[1:], rows=cells)


@contextlib.contextmanager
def _undone_on_failure(path: Path) -> Iterator[None]:
    """The file as it was before the block, where the block fails."""
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        raise


@contextlib.contextmanager
def _unpacked(root: Path, digest: str) -> Iterator[Path]:
    """The folder with that hash, from the DVC remote, for the block."""
    folder, pointer = root / dvc.HOME, root / f"{dvc.HOME}.dvc"
    try:
        pointer.write_text(yaml.safe_dump({"outs": [{"md5": digest, "hash": "md5", "path": dvc.HOME}]}))
        dvc.must(root, "pull", "--quiet", "--force", pointer.name)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        pointer.unlink(missing_ok=True)


def push(root: Path) -> None:
    """Sends to the DVC remote what the job may need: data under DVC, and outputs of stages that need not run again."""
    dvc.must(root, "push", "--quiet", "--run-cache")
