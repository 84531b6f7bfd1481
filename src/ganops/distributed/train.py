"""Ray Train runs the training on its workers, or the stage's own process does; the loop is the same."""

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from pyarrow import fs
from ray.util.queue import Queue

from ganops import config
from ganops.config import Experiment
from ganops.core import collective
from ganops.core.errors import TrainingError
from ganops.core.files import persist
from ganops.core.retry import insist, retry_timeout
from ganops.core.terminal import say
from ganops.data import Prepared
from ganops.distributed import failures, node_copy, runtime
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.runtime import Plan
from ganops.distributed.storage import Storage, away
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment import identity, machine
from ganops.experiment.run import JOURNAL, Progress, Run
from ganops.generator import Generator
from ganops.metrics.reference import Reference

Listener = Callable[[Progress], None]
MAX_RESTARTS = 3
"""Most times that a validator apart is started again."""
FORMER = "checkpoint-former"
"""The checkpoint before the last one of a training in this process; Ray keeps two by itself."""
LIST = "checkpoint_manager_snapshot.json"
"""Ray's list of the checkpoints, beside them."""
PLACEMENT_SECONDS = 60.0
"""Seconds that are waited, once, for the judge's core on a cluster that others use as well."""


@contextmanager
def fit(
    experiment: Experiment, prepared: Path, features: Path, listen: Listener,
    begin: Callable[[Run], None] = lambda run: None,
) -> Iterator[Run]:  # fmt: skip
    """Trains to the end, from the last checkpoint if there is one, and yields the finished run.

    The checkpoints are kept until the block has succeeded, so that what it writes cannot be lost.

    Args:
        experiment: The parameters.
        prepared: Folder of the prepared data.
        features: Folder of the extractor and its reference statistics.
        listen: Hears each tick.
        begin: Takes the training before its first step; of its state nothing is made yet.

    Raises:
        TrainingError: The cluster is too small, a node does not see the storage, or the game diverged.
    """
    here = NodeCopy(str(prepared)), NodeCopy(str(features))
    storage = Storage.of(experiment.compute)
    if experiment.compute.launcher == "local":
        run = _open(experiment, *here, torch.device("cpu"))
        name = _name(run)
        _tell_of_the_past(run, storage)
        begin(run)
        run = _fit_here(experiment, *here, storage.folder(name), listen)
    else:
        runtime.check_room(experiment.compute)
        with ThreadPoolExecutor(1) as pool:
            # beside Ray's start: the first optimiser has torch import its compiler, and both take seconds
            opening = pool.submit(_open, experiment, *here, torch.device("cpu"))
            with runtime.cluster():
                run = opening.result()
                name = _name(run)
                group = run.batches.group
                plan = runtime.plan(
                    experiment.compute, experiment.train.batch, group, judged=True, operations=run.operations
                )
                storage.check()
                _tell_of_the_past(run, storage)
                begin(run)
                grows = bool(plan.counts)
                copies = node_copy.send(prepared, grows=grows), node_copy.send(features, grows=grows)
                _fit_on_ray(run, *copies, storage.address, name, plan, listen)
    yield run
    storage.remove(name, retry_timeout())


def _name(run: Run) -> str:
    """The folder of a training in the storage."""
    return f"train-{run.fingerprint}"


def _open(
    experiment: Experiment,
    prepared: NodeCopy,
    features: NodeCopy,
    device: torch.device,
    *,
    apart: bool = False,
    edits: str | None = None,
    **place: int,
) -> Run:
    judge = JudgeApart(features, device) if apart else ValidationJudge(Reference.open(features.open(), str(device)))
    return Run(experiment, Prepared.open(prepared.open()), judge, device, edits=edits, **place)


def _say_what_continues(line: str) -> None:
    if line:
        say("train", f"continues a checkpoint of {line}")


def _tell_of_the_past(run: Run, storage: Storage) -> None:
    if line := past(run, storage):
        say("train", line)


def past(run: Run, storage: Storage) -> str:
    """Return a line on an unfinished training of the same parameters that a run does not continue; empty: none.

    The storage names a training's folder by its fingerprint, in which the code counts.
    """
    try:
        names = [name for name in storage.names("") if name.startswith("train-")]
        for name in [] if _name(run) in names else names:
            journal = _journal(storage, name)
            if journal and _without_code(journal["meaning"]) == _without_code(run.meaning):
                why = identity.difference(run.meaning, journal)
                return f"begins anew beside the unfinished training {storage.below(name)}: {why}"
    except (OSError, ValueError, KeyError):
        pass  # a line for a person is not worth a failure: whoever needs the storage says what is wrong with it
    return ""


def _journal(storage: Storage, name: str) -> dict[str, Any] | None:
    """Return the journal of the latest checkpoint in a folder of the storage; None: there is none."""
    # beside them Ray keeps a list of them, checkpoint_manager_snapshot.json
    checkpoints = [each for each in storage.names(name) if each.startswith("checkpoint") and not each.endswith(".json")]
    for checkpoint in reversed(checkpoints):
        if JOURNAL in storage.names(f"{name}/{checkpoint}"):
            journal: dict[str, Any] = json.loads(storage.read(f"{name}/{checkpoint}/{JOURNAL}"))
            return journal
    return None


def _without_code(meaning: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meaning.items() if key not in ("code", *identity.CODE)}


def _fit_here(experiment: Experiment, prepared: NodeCopy, features: NodeCopy, folder: Path, listen: Listener) -> Run:
    run = _open(experiment, prepared, features, machine.choose_device(experiment.compute.device))
    checkpoint, former = folder / "checkpoint", folder / FORMER
    run.resume([each for each in (checkpoint, former) if each.is_dir()])
    _say_what_continues(run.continues)
    for progress in run.play():
        listen(progress)
        if progress.checkpoint:
            run.save(checkpoint, former=former)
    return run


def stretch(
    run: Run, prepared: NodeCopy, features: NodeCopy, storage: Storage, *, folder: str, name: str, start: str | None,
    until: int, plan: Plan,
) -> tuple[str, ...]:  # fmt: skip
    """Trains a part of a run on Ray's workers, and loads what they came to into `run`.

    Args:
        run: A run of one worker, which does not train itself.
        prepared: Data, as workers open them.
        features: Extractor and reference, likewise.
        storage: Seen by all workers.
        folder: Of the storage, for checkpoints that are needed no more afterwards.
        name: Of the part, in that folder.
        start: The checkpoint in the storage with which it begins, perhaps of a run with other parameters.
        until: The step at which it ends.
        plan: Of the workers.

    Returns:
        The alarms of the last tick.

    Raises:
        TrainingError: As `fit`.
    """
    heard: list[Progress] = []
    storage.remove(f"{folder}/{name}")  # of an attempt that was killed; its judgements are where `start` is
    address = storage.below(folder)
    _fit_on_ray(
        run, prepared, features, address, name, plan, heard.append, until=until,
        start=(storage, start) if start else None,
    )  # fmt: skip
    storage.remove(f"{folder}/{name}", retry_timeout())
    return heard[-1].alarms if heard else ()


def _fit_on_ray(
    run: Run, prepared: NodeCopy, features: NodeCopy, storage: str, name: str, plan: Plan, listen: Listener, *,
    until: int | None = None, start: tuple[Storage, str] | None = None,
) -> None:  # fmt: skip
    """Trains on Ray's workers and loads the last checkpoint into `run`."""
    work = {
        "params": run.experiment.content(),
        "prepared": prepared,
        "features": features,
        "cores": plan.cpus,
        "apart": plan.apart,
        "retry_timeout": retry_timeout(),
        "until": until,
        "start": start,
        "edits": run.meaning["edits"],
    }
    with _listening(listen) as board:

        def trainer() -> Any:
            _mend_list(Storage(storage), name)
            return ray.train.torch.TorchTrainer(
                _work,
                train_loop_config={**work, "board": board},
                scaling_config=ray.train.ScalingConfig(
                    num_workers=plan.bounds(), use_gpu=plan.gpus > 0, resources_per_worker=plan.resources()
                ),
                # the name is the fingerprint: Ray continues a run of the same name from its last checkpoint
                run_config=ray.train.RunConfig(
                    name=name,
                    storage_path=storage,
                    checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
                    failure_config=failures.POLICY,
                    callbacks=[failures.EndAtOwnError()],
                ),
            )

        result = failures.fit(trainer, storage)
    if result.checkpoint is None:
        raise TrainingError("the training ended without a checkpoint")
    with _opened(result.checkpoint, retry_timeout(), lambda text: say("train", f"the checkpoint: {text}")) as folder:
        run.load(folder)


def _mend_list(storage: Storage, name: str) -> None:
    """Removes Ray's list of the checkpoints where it is damaged, and Ray would not start: the workers look themselves.

    Ray writes it in place, so that a kill or a full disk may leave a part of it.
    """
    names = storage.names(name, retry_timeout())
    if LIST not in names:
        return
    try:
        content = json.loads(storage.read(f"{name}/{LIST}", retry_timeout()))
        lost = [each["checkpoint_dir_name"] for each in content["checkpoint_results"]]
        lost = [each for each in lost if each not in names]
        reason = f"it names {', '.join(lost)}, which is not there" if lost else ""
    except (ValueError, TypeError, LookupError) as error:
        reason = f"{type(error).__name__}: {error}"
    if reason:
        storage.remove(f"{name}/{LIST}", retry_timeout())
        say("train", f"Ray's list of the checkpoints in {storage.below(name)} was damaged ({reason}); it is made anew")


@contextmanager
def _opened(checkpoint: Any, seconds: float, tell: Callable[[str], None]) -> Iterator[Path]:
    """A checkpoint as a folder, for the block. Storage that is away is waited for.

    A copy of its own for each process: of Ray's common one, others believe that it is whole when its fetching failed.
    """
    if isinstance(checkpoint.filesystem, fs.LocalFileSystem):
        yield Path(checkpoint.path)
        return
    with tempfile.TemporaryDirectory(prefix="ganops-resume-") as folder:
        insist(lambda: checkpoint.to_directory(folder), away=away, seconds=seconds, tell=tell)
        yield Path(folder)


@failures.own()
def _work(config_of_loop: dict[str, Any]) -> None:
    """Plays a training as one of its workers."""
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    experiment = config.parse(config_of_loop["params"])
    prepared, features = config_of_loop["prepared"], config_of_loop["features"]
    # the judge's actor belongs to the worker that asks it: it is placed after the workers are, and ends with them
    apart = config_of_loop["apart"] and rank == 0
    device, edits = ray.train.torch.get_device(), config_of_loop["edits"]
    place = {"rank": rank, "workers": workers, "cores": config_of_loop["cores"]}
    run = _open(experiment, prepared, features, device, apart=apart, edits=edits, **place)
    seconds, board = config_of_loop["retry_timeout"], config_of_loop["board"] if rank == 0 else None
    if _resume(run, seconds):
        if board is not None and not config_of_loop["start"]:
            board.put({"continues": run.continues})
    elif config_of_loop["start"]:
        store, name = config_of_loop["start"]
        with store.opened(name, seconds) as folder:
            run.load(folder / "run", takeover=True)
    for progress in run.play(config_of_loop["until"]):
        if board is not None:
            board.put(asdict(progress))
        # all workers are told the same, at the same tick: from then on each tick is saved, until the node is taken
        if progress.checkpoint or ray.train.get_preemption_info():
            _report(run, progress, board, seconds)


def _resume(run: Run, seconds: float) -> bool:
    """Continues from the newest checkpoint of Ray's run that is whole; False: there is none.

    Raises:
        DistError: The workers do not see the same ones; that passes, as the loss of one does.
    """
    with ExitStack() as stack:
        # of the storage there is nothing to tell yet: that would be an alarm beside a tick
        folders = (stack.enter_context(_opened(each, seconds, lambda text: None)) for each in _checkpoints(seconds))
        found = run.resume(folders)
    step = torch.tensor(float(run.state.step), dtype=torch.float64, device=run.device)
    if collective.mean_over_workers(step) != step:
        raise dist.DistError("the workers see other checkpoints, or other damage of them, in compute.storage")
    return found is not None


def _checkpoints(seconds: float) -> list[Any]:
    """Return the checkpoints of Ray's run, the newest first, up to the one that Ray names, or all without its list."""
    named, store = ray.train.get_checkpoint(), ray.train.get_context().get_storage()
    files, root = store.storage_filesystem, store.experiment_fs_path

    def act() -> list[str]:
        found = files.get_file_info(fs.FileSelector(root, allow_not_found=True))
        return sorted(each.path for each in found if each.type == fs.FileType.Directory)

    paths = [path for path in insist(act, away=away, seconds=seconds, tell=lambda text: None)
             if Path(path).name.startswith("checkpoint_")]  # fmt: skip
    last = Path(named.path).name if named else None
    return [ray.train.Checkpoint(path, files) for path in reversed(paths) if last is None or Path(path).name <= last]


def _report(run: Run, progress: Progress, board: Queue | None, seconds: float) -> None:
    if board is None:
        ray.train.report({"kimg": progress.row["kimg"]})
        return
    folder = Path(tempfile.mkdtemp(prefix="ganops-checkpoint-"))
    run.save(folder)
    store, kimg = ray.train.get_context().get_storage(), f"{progress.row['kimg']:.4g}"

    def tell(text: str) -> None:
        board.put({"alarms": (f"the checkpoint of {kimg} kimg: {text}",), "judged": (), "notes": ()})

    @failures.own()
    def upload(checkpoint: Any, name: str) -> Any:
        """Upload beside the training: checkpoints that cannot be written yet queue up, and none is lost.

        Raises:
            TrainingError: The storage refuses it, or has been away for too long.
        """
        try:
            kept = insist(
                lambda: store.persist_current_checkpoint(checkpoint, name), away=away, seconds=seconds, tell=tell
            )
            if isinstance(kept.filesystem, fs.LocalFileSystem):
                persist(Path(kept.path))
            return kept
        except OSError as error:
            # Ray would try again what it takes for a passing error, with all of this patience
            reason = str(error).replace("AWS Error", "")
            raise TrainingError(_unwritten(kimg, store.experiment_fs_path, reason)) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    ray.train.report(
        {"kimg": progress.row["kimg"]},
        checkpoint=ray.train.Checkpoint.from_directory(folder),
        checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
        checkpoint_upload_fn=upload,
        delete_local_checkpoint_after_upload=False,
    )


def _unwritten(kimg: str, storage: str, reason: str) -> str:
    return (
        f"the checkpoint of {kimg} kimg could not be written to {storage}: {reason}. Make room or mend it, or name "
        "another folder in compute.storage; the same command continues from the last whole checkpoint."
    )


class JudgeApart(ValidationJudge):
    """Has an actor beside the training do the work, on one core, and on a GPU where the training has them.

    The same code, weights and seeds give the distance of judging in line: the same number, bit for bit.
    """

    def __init__(self, features: NodeCopy, device: torch.device) -> None:
        super().__init__(Reference.open(features.open(), str(device)))
        bench = ray.remote(_Bench).options(
            num_cpus=1, num_gpus=int(device.type == "cuda"), max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
        )
        self.bench = bench.remote(features, device.type)
        self.placed, self.patience = self.bench.__ray_ready__.remote(), PLACEMENT_SECONDS

    def submit(self, generator: Generator, seeds: NDArray[np.int64]) -> Future[float]:
        """The distance as a future, which fails where the actor has died too often or has found no place."""
        placed, _ = ray.wait([self.placed], timeout=self.patience)
        self.patience = 0.0
        if not placed:
            failed: Future[float] = Future()
            failed.set_exception(TrainingError("the cluster has no core or GPU free for it"))
            return failed
        there = replace(generator, network=copy.deepcopy(generator.network).cpu())
        future: Future[float] = self.bench.distance.remote(there, seeds).future()
        return future


class _Bench:
    """The actor in which the validator works apart; holds the extractor between judgements."""

    def __init__(self, features: NodeCopy, device: str) -> None:
        self.judge, self.device = ValidationJudge(Reference.open(features.open(), device)), device

    def distance(self, generator: Generator, seeds: NDArray[np.int64]) -> float:
        here = replace(generator, network=generator.network.to(self.device))
        return self.judge.distance(here, seeds)


@contextmanager
def _listening(listen: Listener) -> Iterator[Queue]:
    """Yields a queue from rank 0 to the driver; what is put there goes to the listener at once, in its order.

    Ray Train's reports would not do: they arrive in another process, and hold up a loop that makes two of them between
    two looks of Ray.
    """
    # here, not where there is room: on a worker's node it would be lost with that node
    board = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": runtime.here()})

    def hear() -> None:
        last: dict[str, Any] = {}
        for line in iter(board.get, None):
            if "continues" in line:
                _say_what_continues(line["continues"])
            else:  # an alarm between two ticks stands beside the last one
                last |= line
                listen(Progress(**last))

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear)
        try:
            yield board
        finally:
            board.put(None)
        heard.result()
