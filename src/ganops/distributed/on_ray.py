"""Ray Train runs a training on its workers; the loop is that of a process of one's own."""

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from pyarrow import fs

from ganops import config
from ganops.core import collective
from ganops.core.errors import TrainingError
from ganops.core.files import persist
from ganops.core.node_folder import scratch, scratched
from ganops.core.retry import insist, retry_timeout
from ganops.core.signals import Request, heeded
from ganops.core.storage import away
from ganops.core.terminal import say
from ganops.distributed import failures, finished
from ganops.distributed.board import Desk
from ganops.distributed.cadence import Cadence
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.opening import (
    CHECKPOINT,
    FORMER,
    Ancestor,
    furthest_first,
    open_run,
    say_what_continues,
    stopped_at,
)
from ganops.distributed.runtime import Plan
from ganops.distributed.storage import Storage
from ganops.experiment.log import LOG, Read
from ganops.experiment.run import Progress, Run

Listener = Callable[[Progress], None]
LIST = "checkpoint_manager_snapshot.json"
"""Ray's list of the checkpoints, beside them."""


def stretch(
    run: Run, prepared: NodeCopy, features: NodeCopy, storage: Storage, *, folder: str, name: str,
    start: str | None, until: int, plan: Plan, ancestor: Ancestor | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Trains a part of a run on Ray's workers, and loads what they came to into `run`, but for its film strip.

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
        ancestor: The generator with whose weights the run began.

    Returns:
        The alarms of the last tick.

    Raises:
        TrainingError: As `fit`.
    """
    heard: list[Progress] = []
    storage.remove(f"{folder}/{name}")  # of an attempt that was killed; its judgements are where `start` is
    address = storage.below(folder)
    fit_on_ray(
        run, prepared, features, address, name, plan, heard.append,
        log=(storage, f"{folder}/{name}/{LOG}"), until=until, start=start, ancestor=ancestor,
    )  # fmt: skip
    storage.remove(f"{folder}/{name}", retry_timeout())
    return heard[-1].alarms if heard else ()


def fit_on_ray(
    run: Run, prepared: NodeCopy, features: NodeCopy, storage: str, name: str, plan: Plan, listen: Listener, *,
    log: tuple[Storage, str], until: int | None = None, start: str | None = None, ancestor: Ancestor | None = None,
    shorter: str | None = None, heeds: bool = False,
) -> None:  # fmt: skip
    """Trains on Ray's workers and loads the last checkpoint into `run`; the log is a folder of a storage.

    Stopped where it `heeds` signals, and there was one.
    """
    work = {
        "params": run.experiment.content(),
        "prepared": prepared,
        "features": features,
        "cores": plan.cpus,
        "apart": plan.apart,
        "retry_timeout": retry_timeout(),
        "log": log,
        "until": until,
        "minutes": run.experiment.compute.checkpoint_minutes,
        "start": start,
        "shorter": shorter,
        "ancestor": ancestor,
        "edits": run.meaning["edits"],
    }
    with _listening(listen) as board, heeded(board.ask) if heeds else nullcontext(Request()) as request:

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
        _take(result, run, log)
        request.expect_none(stopped_at(run))


def _take(result: Any, run: Run, log: tuple[Storage, str]) -> None:
    """Loads the last checkpoint of a result into `run`, or that of a process of its own which came further."""
    storage, folder_of_log = log
    if others := _others(storage, folder_of_log.rpartition("/")[0]):
        own = [Path(result.checkpoint.path)] if result.checkpoint else []
        if run.resume(furthest_first(own, others), _read_log(log, retry_timeout())):
            return
    if result.checkpoint is None:
        raise TrainingError("the training ended without a checkpoint")
    with _opened(result.checkpoint, retry_timeout(), lambda text: say("train", f"the checkpoint: {text}")) as folder:
        run.load(folder, log=_read_log(log, retry_timeout()))


def _others(storage: Storage, name: str) -> list[Path]:
    """Checkpoints of the same training in a process of its own, the newest first; it trains in folders alone."""
    if "://" in storage.address:
        return []
    return [each for each in (storage.folder(name) / each for each in (CHECKPOINT, FORMER)) if each.is_dir()]


def _read_log(log: tuple[Storage, str], seconds: float) -> Read:
    """Return what reads the log of a training in a storage."""
    storage, folder = log
    return lambda name: storage.read(f"{folder}/{name}", seconds)


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
    with scratched("resume") as folder:
        insist(lambda: checkpoint.to_directory(folder), away=away, seconds=seconds, tell=tell)
        yield folder


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
    start = config_of_loop["ancestor"]
    run = open_run(experiment, prepared, features, device, apart=apart, edits=edits, start=start, **place)
    seconds, board = config_of_loop["retry_timeout"], config_of_loop["board"] if rank == 0 else None
    log = config_of_loop["log"]
    if _resume(run, log, seconds):
        if board is not None and not config_of_loop["start"]:
            board.put({"continues": run.continues})
    elif config_of_loop["start"]:
        with log[0].opened(config_of_loop["start"], seconds) as folder:
            run.load(folder / "run", takeover=True)
            run.log = run.log.gathered()
    elif config_of_loop["shorter"]:
        with log[0].opened(config_of_loop["shorter"], seconds) as folder:
            finished.begin(run, folder)
    stop, cadence = config_of_loop["board"].stop(run.device, run.state.step), Cadence(config_of_loop["minutes"])
    under_way: set[Path] = set()
    for progress in run.play(config_of_loop["until"], stop):
        if board is not None and not progress.partial:
            board.put(asdict(progress))
        # by the clock of rank 0; all workers are told of a node that is announced to go at the same tick: from then
        # on each is saved, until the node is taken
        due = collective.any_worker(rank == 0 and cadence.is_due(progress, len(under_way)), run.device)
        if due or ray.train.get_preemption_info():
            with cadence.saving():
                _report(run, progress, board, log, seconds, under_way)


def _resume(run: Run, log: tuple[Storage, str], seconds: float) -> bool:
    """Continues from the newest checkpoint of Ray's run that is whole; False: there is none.

    Raises:
        DistError: The workers do not see the same ones; that passes, as the loss of one does.
    """
    with ExitStack() as stack:
        # of the storage there is nothing to tell yet: that would be a note beside a tick
        folders = (stack.enter_context(_opened(each, seconds, lambda text: None)) for each in _checkpoints(seconds))
        found = run.resume(folders, _read_log(log, seconds))
    step = torch.tensor(float(run.state.step), dtype=torch.float64, device=run.device)
    if collective.mean_over_workers(step) != step:
        raise dist.DistError("the workers see other checkpoints, or other damage of them, in compute.storage")
    return found is not None


def _checkpoints(seconds: float) -> list[Any]:
    """Return the checkpoints of Ray's run, the newest first, up to the one that Ray names, or all without its list.

    In a folder there may be those of the same training in a process of its own.
    """
    named, store = ray.train.get_checkpoint(), ray.train.get_context().get_storage()
    files, root = store.storage_filesystem, store.experiment_fs_path

    def act() -> list[str]:
        found = files.get_file_info(fs.FileSelector(root, allow_not_found=True))
        return sorted(each.path for each in found if each.type == fs.FileType.Directory)

    paths = {Path(path).name: path for path in insist(act, away=away, seconds=seconds, tell=lambda text: None)}
    last = Path(named.path).name if named else None
    found = [path for name, path in reversed(paths.items())
             if name.startswith(f"{CHECKPOINT}_") and (last is None or name <= last)]  # fmt: skip
    if others := [Path(paths[name]) for name in (CHECKPOINT, FORMER) if name in paths]:
        found = list(map(str, furthest_first(list(map(Path, found)), others)))
    return [ray.train.Checkpoint(path, files) for path in found]


def _report(
    run: Run, progress: Progress, board: Desk | None, log: tuple[Storage, str], seconds: float, under_way: set[Path]
) -> None:  # fmt: skip
    """Reports a tick that is saved to Ray; its checkpoint stands in `under_way` until it has been uploaded."""
    if board is None:
        ray.train.report({"kimg": progress.row["kimg"]})
        return
    store, kimg = ray.train.get_context().get_storage(), f"{progress.row['kimg']:.4g}"
    folder, new = _drafted(run, kimg)
    under_way.add(folder)

    def tell(text: str) -> None:
        board.put({"notes": (f"the checkpoint of {kimg} kimg: {text}",), "judged": ()})

    @failures.own()
    def upload(checkpoint: Any, name: str) -> Any:
        """Upload beside the training: checkpoints that cannot be written yet queue up, and none is lost.

        Raises:
            TrainingError: The storage refuses it, or has been away for too long.
        """
        try:
            log[0].add(new, log[1], seconds, tell)
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
            under_way.discard(folder)
            _remove(folder, new)

    ray.train.report(
        {"kimg": progress.row["kimg"]},
        checkpoint=ray.train.Checkpoint.from_directory(folder),
        checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
        checkpoint_upload_fn=upload,
        delete_local_checkpoint_after_upload=False,
    )


def _drafted(run: Run, kimg: str) -> tuple[Path, Path]:
    """Return folders of this node with the run's checkpoint, and with what is new in its log.

    Raises:
        TrainingError: They cannot be written.
    """
    folder, new = scratch("checkpoint"), scratch("log")
    try:
        run.save(folder, log=new)
    except BaseException as error:
        _remove(folder, new)
        if isinstance(cause := error.__cause__, OSError):
            raise TrainingError(
                f"the checkpoint of {kimg} kimg could not be written on node {platform.node()}: {cause}. Make room "
                "there, or set TMPDIR to another disk; the same command continues from the last whole checkpoint"
            ) from cause
        raise
    return folder, new


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritten(kimg: str, storage: str, reason: str) -> str:
    return (
        f"the checkpoint of {kimg} kimg could not be written to {storage}: {reason}. Make room or mend it, or name "
        "another folder in compute.storage; the same command continues from the last whole checkpoint."
    )


@contextmanager
def _listening(listen: Listener) -> Iterator[Desk]:
    """Yields a way from rank 0 to the driver; what is put there goes to the listener at once, in its order.

    Ray Train's reports would not do: they arrive in another process, and hold up a loop that makes two of them between
    two looks of Ray.
    """
    board = Desk()

    def hear() -> None:
        last: dict[str, Any] = {}
        for line in iter(board.get, None):
            if "continues" in line:
                say_what_continues(line["continues"])
            else:  # a note between two ticks stands beside the last one
                last |= line
                listen(Progress(**last))

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear)
        try:
            yield board
        finally:
            board.put(None)
        heard.result()
