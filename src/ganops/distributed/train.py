"""A training by its launcher: Ray runs it on its workers, or the stage's own process does; the loop is the same."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ganops.config import Experiment
from ganops.core.files import recover
from ganops.core.retry import retry_timeout
from ganops.core.signals import heeded
from ganops.core.terminal import say
from ganops.distributed import finished, node_copy, runtime
from ganops.distributed.cadence import Cadence
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.opening import CHECKPOINT, FORMER, furthest_first, open_run, say_what_continues, stopped_at
from ganops.distributed.storage import Storage
from ganops.experiment import identity, machine
from ganops.experiment.checkpoint import JOURNAL
from ganops.experiment.log import LOG
from ganops.experiment.run import Progress, Run
from ganops.experiment.start import place_of

Listener = Callable[[Progress], None]


@contextmanager
def fit(
    experiment: Experiment, prepared: Path, features: Path, listen: Listener, start: tuple[Path, str] | None = None,
    begin: Callable[[Run], None] = lambda run: None, leave: bool = False,
) -> Iterator[Run]:  # fmt: skip
    """Trains to the end, from the last checkpoint if there is one, and yields the finished run.

    The checkpoints are kept until the block has succeeded, so that what it writes cannot be lost.

    Args:
        experiment: The parameters.
        prepared: Folder of the prepared data.
        features: Folder of the extractor and its reference statistics.
        listen: Hears each tick.
        start: Folder and name of the generator that `train.start` means, where it is no folder of this machine.
        begin: Takes the training before its first step; of its state nothing is made yet.
        leave: The checkpoints outlive the block, since what it wrote is not safe yet: `finished.forget` removes them,
            or the end of another training does.

    Raises:
        ConfigError: The networks are not those of that generator.
        TrainingError: The cluster is too small, a node does not see the storage, the game diverged, or another process
            is at this very training.
        Stopped: A signal asked for it: the state after the step that was under way is kept.
    """
    start = start or place_of(experiment)
    storage = Storage.of(experiment.compute)
    fitted = _fit_here if experiment.compute.launcher == "local" else _fit_on_cluster
    with ExitStack() as held:
        run = fitted(experiment, prepared, features, storage, listen, start, begin, held)
        yield run
        finished.keep(run, storage)
        if not leave:
            storage.remove(finished.training(run.fingerprint), retry_timeout())


def _fit_on_cluster(
    experiment: Experiment, prepared: Path, features: Path, storage: Storage, listen: Listener,
    start: tuple[Path, str] | None, begin: Callable[[Run], None], held: ExitStack,
) -> Run:  # fmt: skip
    from ganops.distributed.on_ray import fit_on_ray  # Ray Train takes seconds to import

    compute = experiment.compute
    runtime.check_room(compute)
    with ThreadPoolExecutor(1) as pool:
        # beside Ray's start: the first optimiser has torch import its compiler, and both take seconds
        opening = pool.submit(_open, experiment, prepared, features, torch.device("cpu"), start)
        with runtime.cluster():
            run = opening.result()
            group, name = run.batches.group, finished.training(run.fingerprint)
            plan = runtime.plan(compute, experiment.train.batch, group, judged=True, operations=run.operations)
            if plan.gpus:
                runtime.check_gpus()
            storage.check()
            _enter(run, storage, held)
            begin(run)
            grows = bool(plan.counts)
            copies = node_copy.send(prepared, grows=grows), node_copy.send(features, grows=grows)
            ancestor = (node_copy.send(start[0], grows=grows), start[1]) if start else None
            log = storage, f"{name}/{LOG}"
            shorter = None if any(_checkpoints(storage, name)) else finished.found(run, storage)
            fit_on_ray(
                run, *copies, storage.address, name, plan, listen, log=log, shorter=shorter, ancestor=ancestor,
                heeds=True,
            )  # fmt: skip
            return run


def _fit_here(
    experiment: Experiment, prepared: Path, features: Path, storage: Storage, listen: Listener,
    start: tuple[Path, str] | None, begin: Callable[[Run], None], held: ExitStack,
) -> Run:  # fmt: skip
    run = _open(experiment, prepared, features, machine.choose_device(experiment.compute.device), start)
    _enter(run, storage, held)
    begin(run)
    folder = storage.folder(finished.training(run.fingerprint))
    checkpoint, former = folder / CHECKPOINT, folder / FORMER
    recover(folder)
    rays = [each for each in sorted(folder.glob(f"{CHECKPOINT}_*"), reverse=True) if (each / JOURNAL).is_file()]
    if kept := furthest_first([each for each in (checkpoint, former) if each.is_dir()], rays):
        run.resume(kept)
    elif shorter := finished.found(run, storage):
        with storage.opened(shorter) as end:
            finished.begin(run, end)
    say_what_continues(run.continues)
    cadence = Cadence(experiment.compute.checkpoint_minutes)
    with heeded() as request:
        for progress in run.play(stop=lambda step: request.signal is not None):
            if not progress.partial:
                listen(progress)
            if cadence.is_due(progress):
                with cadence.saving():
                    run.save(checkpoint, former=former)
        request.expect_none(stopped_at(run))
    return run


def _open(
    experiment: Experiment, prepared: Path, features: Path, device: torch.device, start: tuple[Path, str] | None
) -> Run:
    """The training of this process, which reads its folders where they are."""
    ancestor = (NodeCopy(str(start[0])), start[1]) if start else None
    return open_run(experiment, NodeCopy(str(prepared)), NodeCopy(str(features)), device, start=ancestor)


def _enter(run: Run, storage: Storage, held: ExitStack) -> None:
    """Keeps others away from a training until `held` ends; tells of its end or of another that it leaves."""
    name = finished.training(run.fingerprint)
    held.enter_context(storage.held(name, "training"))
    if finished.NOTE in storage.names(name):
        say("train", f"has ended before: {storage.below(name)} has its end. Without that folder it is trained again")
    if line := past(run, storage):
        say("train", line)


def past(run: Run, storage: Storage) -> str:
    """Return a line on an unfinished training of the same parameters that a run does not continue; empty: none.

    The storage names a training's folder by its fingerprint, in which the code counts.
    """
    try:
        names = [name for name in storage.names("") if name.startswith(finished.TRAINING)]
        for name in [] if _journal(storage, finished.training(run.fingerprint)) else names:
            journal = None if finished.NOTE in storage.names(name) else _journal(storage, name)
            if journal and _without_code(journal["meaning"]) == _without_code(run.meaning):
                why = identity.difference(run.meaning, journal)
                return f"begins anew beside the unfinished training {storage.below(name)}: {why}"
    except (OSError, ValueError, KeyError):
        pass  # a line for a person is not worth a failure: whoever needs the storage says what is wrong with it
    return ""


def _checkpoints(storage: Storage, name: str) -> Iterator[str]:
    """Names of the checkpoints in a folder of the storage that have a journal, the latest first; it may be damaged."""
    # beside them Ray keeps a list of them, checkpoint_manager_snapshot.json
    named = [each for each in storage.names(name) if each.startswith("checkpoint") and not each.endswith(".json")]
    return (each for each in reversed(named) if JOURNAL in storage.names(f"{name}/{each}"))


def _journal(storage: Storage, name: str) -> dict[str, Any] | None:
    """Return the journal of the latest checkpoint in a folder of the storage; None: there is none."""
    for checkpoint in _checkpoints(storage, name):
        journal: dict[str, Any] = json.loads(storage.read(f"{name}/{checkpoint}/{JOURNAL}"))
        return journal
    return None


def _without_code(meaning: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meaning.items() if key not in ("code", *identity.CODE)}
