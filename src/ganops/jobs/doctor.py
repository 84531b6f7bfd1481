"""Diagnosis on one screen: obstacles that keep a run from starting or from coming home, and their cures."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.table import Column
from rich.text import Text

from ganops import config
from ganops.config import Experiment
from ganops.core import layout
from ganops.core.errors import RegistryError, UserError
from ganops.core.git import commit
from ganops.core.redaction import redacted
from ganops.core.terminal import Table
from ganops.data.sources import watched
from ganops.jobs import dvc
from ganops.registry.relocation import DATABASE

State = Literal["good", "note", "bad"]
MARKS = {"good": Text("✔", "green"), "note": Text("•", "yellow"), "bad": Text("✘", "red")}
MIN_FREE_BYTES = 2 * 2**30
"""Free bytes below which a disk is too full for a run."""
TOKEN = "~/.ray/auth_token"
"""The file in which Ray keeps a cluster's token."""
CONSULT = (sys.executable, "-P", "-m", "ganops.registry.consult")
"""The command, before the folder, that asks the registry; it imports nothing that lies in the working directory."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Rights of everybody but a file's owner."""


@dataclass(frozen=True)
class Finding:
    """The finding of one check."""

    what: str
    state: State
    text: str
    """Text of what is there, or of what is wrong and how to mend it."""


Found = tuple[State, str]


def examine(root: Path, address: str | None = None) -> Iterator[Finding]:
    """Looks at everything; a look that fails is a finding and does not end the others.

    MLflow and torch take seconds to import, and DVC's command to start: each has a process of its own.

    Args:
        root: The project's folder.
        address: Of a cluster's dashboard; None: RAY_ADDRESS, and without it this machine alone.
    """
    address, experiment = address or os.environ.get("RAY_ADDRESS"), partial(config.load, root / "params.yaml")
    consult = [*CONSULT, str(root)]
    with subprocess.Popen(consult, stdout=subprocess.PIPE, text=True) as process, ThreadPoolExecutor(1) as thread:
        registry = _Registry(process)
        settings = thread.submit(dvc.settings, root)
        remote = thread.submit(lambda: _remote(root, settings.result(), needed=bool(address)))
        looks: dict[str, Callable[[], Found]] = {
            "versions": _versions,
            "devices": _devices,
            "collectives": _collectives,
            "parameters": lambda: _parameters(experiment(), registry, address),
            "source": lambda: ("good", str(watched(root / layout.DATA, experiment().data.source))),
            "git": lambda: _git(root),
            "disk": lambda: _disk(root),
            "DVC remote": remote.result,
            "MLflow": lambda: _mlflow(root, registry, shared=bool(address)),
            "token": lambda: _token(needed=bool(address)),
            "storage": lambda: _storage(experiment(), root, address),
            **({"cluster": lambda: _cluster(experiment(), address)} if address else {}),
            "telemetry": lambda: _telemetry(settings.result()),
        }
        try:
            for what, look in looks.items():
                try:
                    state, text = look()
                except UserError as error:
                    state, text = "bad", str(error)
                yield Finding(what, state, redacted(text))
        finally:
            process.kill()  # who stops listening is told nothing by what still looks


def table(findings: list[Finding]) -> Table:
    """`findings` for a person."""
    columns = ("", Column(no_wrap=True), Column(overflow="fold"))
    rows = [(MARKS[each.state], each.what, each.text) for each in findings]
    look: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0), "collapse_padding": True, "pad_edge": False}
    return Table(*columns, rows=rows, show_header=False, **look)


def _versions() -> Found:
    names = ("ganops", "torch", "ray", "mlflow", "dvc")
    return "good", ", ".join([*(f"{name} {version(name)}" for name in names), f"Python {sys.version.split()[0]}"])


def _devices() -> Found:
    import torch  # takes seconds

    from ganops.experiment import machine

    device = machine.choose_device("auto")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = "no GPU"
    if device.type == "cuda":
        gpus = f"{torch.cuda.device_count()} GPUs ({machine.hardware(device)})"
    elif torch.backends.mps.is_available():
        only = "only where compute.device: mps asks for it: ganops was never tried on a Mac"
        gpus = machine.apple_trouble() or f"{machine.hardware(torch.device('mps'))} ({only})"
    return "good", f"{cores} cores, {gpus}; {machine.hardware(torch.device('cpu'))}"


def _collectives() -> Found:
    import torch
    from torch import distributed

    there = {"gloo": distributed.is_gloo_available(), "NCCL": distributed.is_nccl_available()}
    named = ", ".join(name for name, is_there in there.items() if is_there)
    if not there["gloo"] or (torch.cuda.is_available() and not there["NCCL"]):
        return "bad", f"torch was built with {named or 'neither'}: several workers need gloo, and on GPUs NCCL"
    return "good", named


def _parameters(experiment: Experiment, registry: "_Registry", address: str | None) -> Found:
    from ganops.experiment import checks, machine

    checks.check(experiment)
    text = f"params.yaml: {experiment.model.architecture}"
    if not address or experiment.compute.launcher == "local":  # else a device of the cluster does it
        device = machine.choose_device(experiment.compute.device)
        text += f", {machine.precision(experiment, device)} on {device}"
    lines = registry.said("concerns")
    return ("note" if lines else "good"), "\n".join([text, *lines])


def _git(root: Path) -> Found:
    known = commit(root)
    if known is None:
        return "bad", "no git repository with a commit: DVC needs one, and results could not be traced to their code"
    return "good", f"commit {known[0][:8]}{', and changes that no commit holds' if known[1] else ''}"


def _disk(root: Path) -> Found:
    free = shutil.disk_usage(root).free
    if free < MIN_FREE_BYTES:
        return "bad", f"{free / 2**30:.1f} GB free: a run needs room for data, checkpoints and DVC's cache; make room"
    return "good", f"{free / 2**30:.0f} GB free"


def _remote(root: Path, settings: Sequence[dvc.Setting], *, needed: bool) -> Found:
    try:
        address = dvc.remote_address(root, settings)
    except UserError as error:
        return ("bad", str(error)) if needed else ("note", "no DVC remote: only runs on a cluster need one")
    if why := dvc.complaint(dvc.call(root, "status", "--cloud")):
        return "bad", f"{address} cannot be used: {why}"
    return "good", address


class _Registry:
    """The answers of `registry.consult`, which is at work in a process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    @cached_property
    def text(self) -> str:
        """All that the process printed."""
        return self.process.communicate()[0]

    def said(self, what: str) -> Any:
        """Return an answer.

        Raises:
            RegistryError: There is none, for the reason that it names.
        """
        text = self.text
        if self.process.returncode:  # the system may have ended it, where memory is short
            raise RegistryError(f"the process that asks MLflow ended with {self.process.returncode}")
        found = json.loads(text.splitlines()[-1])[what]
        if "refused" in found:
            raise RegistryError(found["refused"])
        return found["said"]


def _mlflow(root: Path, registry: _Registry, *, shared: bool) -> Found:
    if server := registry.said("store"):
        return "good", server
    there = "; a job leaves the registration to this machine, unless MLFLOW_TRACKING_URI names a server"
    made = "" if (root / DATABASE).is_file() else ", which the first registration makes"
    return "good", f"embedded in the folder mlflow/{made}{there if shared else ''}"


def _token(*, needed: bool) -> Found:
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN)).expanduser()
    state, text = _sent_token(path, needed=needed)
    # whoever reads a token runs what he likes on the cluster; Ray itself makes the file readable for all
    places = dict.fromkeys([path, Path(TOKEN).expanduser()])
    # Windows has other rights, which no mode says
    found = [str(each) for each in places if each.is_file() and os.name != "nt" and each.stat().st_mode & OTHERS]
    if not found:
        return state, text
    cure = f"others can read the cluster's token: chmod 600 {' '.join(found)}"
    return ("bad", cure) if state == "good" else (state, f"{text}; {cure}")


def _sent_token(path: Path, *, needed: bool) -> Found:
    if os.environ.get("RAY_AUTH_MODE") != "token":
        text = "RAY_AUTH_MODE=token is not set: no token is sent, and Ray's clusters ask for one"
        return ("bad" if needed else "note"), text
    if "RAY_AUTH_TOKEN" in os.environ:
        return "good", "in RAY_AUTH_TOKEN"
    if not path.is_file():
        return "bad", f"{path} is missing: put the cluster's token there, or name another file in RAY_AUTH_TOKEN_PATH"
    return "good", str(path)


def _cluster(experiment: Experiment, address: str | None) -> Found:
    from ganops.jobs import submission  # ray takes long to import, and without a cluster it is not asked

    return "good", "; ".join(submission.check(experiment, submission.Cluster.connect(address)))


def _storage(experiment: Experiment, root: Path, address: str | None) -> Found:
    place = experiment.compute.storage
    if not address:
        if "://" in place:
            return "note", f"{place}: asked for when a training starts"
        folder = next(folder for folder in [root / place, *(root / place).resolve().parents] if folder.is_dir())
        writable = os.access(folder, os.W_OK)
        return ("good", place) if writable else ("bad", f"{folder} cannot be written: name another compute.storage")
    from ganops.jobs import submission

    cluster = submission.Cluster.connect(address)
    count = len(cluster.nodes())
    if "://" in place or Path(place).is_absolute():
        submission.ask_nodes(root, cluster, place)
        return "good", f"{place}: {count} nodes read and write there"
    if count == 1:
        return "good", f"{place}, on the cluster's only node"
    return "bad", f"{place} is a folder of one node: name one that the {count} nodes share, or an address such as s3://"


def _telemetry(settings: Sequence[dvc.Setting]) -> Found:
    said = "DVC_NO_ANALYTICS" in os.environ
    quiet = {
        "DVC (core.analytics)": said or dict(each[1:] for each in settings).get("core.analytics") == "false",
        "Ray (RAY_USAGE_STATS_ENABLED=0)": os.environ.get("RAY_USAGE_STATS_ENABLED") == "0",
        "MLflow (MLFLOW_DISABLE_TELEMETRY=true)": os.environ.get("MLFLOW_DISABLE_TELEMETRY") == "true",
    }
    talking = [name for name, is_quiet in quiet.items() if not is_quiet]
    return ("note", f"may report home: {', '.join(talking)}") if talking else ("good", "nothing reports home")
