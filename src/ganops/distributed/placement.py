"""Work of a stage where the GPUs are: in this process, or as one task on a node of the cluster that has one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ganops.config import Compute
from ganops.core.files import atomic_folder
from ganops.core.node_folder import scratched
from ganops.core.terminal import say
from ganops.experiment import machine

if TYPE_CHECKING:
    from ganops.distributed.node_copy import NodeCopy

T = TypeVar("T")

Given = dict[str, Any]
"""Arguments by name."""
Files = dict[str, NDArray[np.uint8]]
"""Name -> bytes of the files of a folder."""
MAX_RESTARTS = 3
"""Most times that work is begun again after its process or its node died."""


def placed(
    compute: Compute, stage: str, work: Callable[..., T], *paths: Path, out: Path | None = None, **given: Any
) -> T:
    """Return `work(*paths, device=..., **given)`, run on the device that `compute.device` means.

    That is a device of this machine, unless it has no GPU and Ray's cluster has some: then one of them does it, for
    whoever submits a job has its driver on a head without GPUs.

    Args:
        compute: What was asked for.
        stage: Name of the stage, for people.
        work: A function of a module of this package.
        paths: Folders and files that it reads; another node gets copies.
        out: The folder that it makes, whole or not at all, as its argument `out`; None: it makes none.
        given: Its other arguments.

    Raises:
        ConfigError: The GPU of this machine cannot be used, or cuda was asked for and there is none.
        TrainingError: The same of a cluster.
    """
    if _may_be_away(compute):
        from ganops.distributed import runtime  # Ray takes a second to import, which others need not wait

        with runtime.cluster():
            if resources := runtime.of_a_gpu(compute.device):
                say(stage, "no GPU on this machine: one of the cluster does it")
                return _on_cluster(resources, work, paths, out, given)
            compute = compute.model_copy(update={"device": "cpu"})
    made = {} if out is None else {"out": out}
    return work(*paths, device=str(machine.choose_device(compute.device)), **given, **made)


def _may_be_away(compute: Compute) -> bool:
    """Return True where Ray's cluster may have the GPU that this machine lacks."""
    asked = compute.launcher == "ray" and compute.device != "cpu" and "RAY_ADDRESS" in os.environ
    return asked and machine.gpu_trouble() is None


def _on_cluster(
    resources: dict[str, float], work: Callable[..., T], paths: tuple[Path, ...], out: Path | None, given: Given
) -> T:
    import ray
    from ray.exceptions import RayTaskError

    from ganops.distributed import node_copy

    # held here until the work is done: if it is begun again, it opens them again
    copies = [(node_copy.send(path), path.name if path.is_file() else "") for path in paths]
    task = ray.remote(**resources, max_retries=MAX_RESTARTS)(_there)
    try:
        result, files = ray.get(task.remote(work, copies, out is not None, given))
    except RayTaskError as error:
        raise error.cause from error
    if out is not None:
        with atomic_folder(out) as draft:
            for name, content in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)
    found: T = result
    return found


def _there(work: Callable[..., T], copies: list[tuple["NodeCopy", str]], makes: bool, given: Given) -> tuple[T, Files]:
    """The result of the work, and the files of the folder that it made."""
    device = str(machine.choose_device("cuda"))
    with scratched("work") as scratch:
        out = scratch / "out"
        made = {"out": out} if makes else {}
        result = work(*(copy.open() / name for copy, name in copies), device=device, **given, **made)
        written = (path for path in out.rglob("*") if path.is_file())
        return result, {path.relative_to(out).as_posix(): np.fromfile(path, np.uint8) for path in written}
