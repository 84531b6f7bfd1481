"""The end of a finished training, kept in the storage: a longer one goes on from there where nothing is stretched."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganops.config import Compute, Course
from ganops.core.errors import TrainingError, UserError
from ganops.core.retry import retry_timeout
from ganops.core.terminal import say
from ganops.distributed.storage import Storage
from ganops.experiment import identity
from ganops.experiment.run import Run

PREFIX, RUN, NOTE = "finished-", "run", "finished.json"
TRAINING = "train-"
"""Begins the name of the folder of a training's checkpoints."""
OURS = re.compile(f"({TRAINING}|{PREFIX})[0-9a-f]{{16}}")
"""Names of folders in the storage that are trainings, or the ends of such; others are somebody's."""


def training(fingerprint: str) -> str:
    """Return the folder of a training in the storage."""
    return f"{TRAINING}{fingerprint}"


def forget(compute: Compute, fingerprint: str) -> None:
    """Remove the checkpoints of a finished training, whose generator is safe; where they cannot be, they stay."""
    with suppress(OSError, UserError):
        _forget(Storage.of(compute), training(fingerprint))


def _forget(storage: Storage, name: str) -> None:
    if NOTE in storage.names(name):
        with storage.held(name, "training"):
            storage.remove(name)


def keep(run: Run, storage: Storage) -> None:
    """Keeps the end of a run, or where a longer one would begin anew its length alone, in place of any other's.

    What the storage refuses is said: the training has succeeded.
    """
    try:
        _keep(run, storage, _name(run))
    except (OSError, TrainingError) as error:
        say("train", f"its end is not kept for a longer training: {error}")


def _keep(run: Run, storage: Storage, name: str) -> None:
    own, why = training(run.fingerprint), hindrances(run)
    note = json.dumps({"kimg": run.experiment.train.kimg, "hindrances": why})
    storage.write(f"{own}/{NOTE}", note.encode(), retry_timeout())
    for other in storage.names("", retry_timeout()):
        if OURS.fullmatch(other) and other not in (own, name):
            with suppress(OSError, UserError):  # of one that another process holds it is that one's to remove
                if other.startswith(TRAINING):
                    _forget(storage, other)
                else:  # also what a kill left of one
                    storage.drop(other, retry_timeout())
    with storage.keep(name, retry_timeout()) as folder:
        (folder / NOTE).write_text(note)
        if not why:
            run.log = run.log.gathered()
            run.save(folder / RUN)


def found(run: Run, storage: Storage) -> str | None:
    """Return the place in the storage of a shorter training's end with which this one begins, and say so; None: none.

    Says what keeps it from that, and what that costs, where a shorter one has finished.
    """
    name = _name(run)
    if name not in storage.kept("", retry_timeout()):
        return None
    try:
        note = json.loads(storage.read(f"{name}/{NOTE}", retry_timeout()))
        kimg, why = float(note["kimg"]), note["hindrances"]
    except (FileNotFoundError, ValueError, LookupError, TypeError) as error:
        say("train", f"begins anew: the end of a shorter training, {storage.below(name)}, is damaged ({error})")
        return None
    wanted = run.experiment.train.kimg
    if kimg >= wanted:
        return None
    if why:
        say(
            "train",
            f"begins anew, although its first {kimg:g} kimg were trained before: {', '.join(why)} would be others. It "
            f"costs {wanted:g} kimg and not {wanted - kimg:g}; with constants in their place it would go on",
        )
        return None
    say("train", f"goes on from the end of the finished training of {kimg:g} kimg: all its schedules are constant")
    return name


def begin(run: Run, folder: Path) -> None:
    """Loads the end of a shorter training, whose log becomes part of this one's; a damaged one is noted and left."""
    run.resume([folder / RUN], takeover=True)
    run.log = run.log.gathered()


def hindrances(run: Run) -> list[str]:
    """Return the parameters for which a longer training is another one from the first step on."""
    experiment = run.experiment
    train, loss = experiment.train, experiment.loss
    schedules = {
        "train.learning_rate.generator": train.learning_rate.generator,
        "train.learning_rate.discriminator": train.learning_rate.discriminator,
        "train.beta2": train.beta2, "train.ema_kimg": train.ema_kimg, "train.augment.strength": train.augment.strength,
        "loss.r1": loss.r1, "loss.r2": loss.r2, "loss.penalty_weight": loss.penalty_weight,
    }  # fmt: skip
    named = [name for name, value in schedules.items() if isinstance(value, Course) and value.start != value.end]
    if run.family:
        named.append(f"the parts of loss.name: {loss.name}")
    if run.recipe.steps % run.recipe.tick_steps:
        named.append("the last row, which was no whole tick,")
    elif run.recipe.steps % (run.every * run.recipe.tick_steps):
        named.append("the last validation, which was between two,")
    return named


def _name(run: Run) -> str:
    """The folder of a training's end, whatever its length."""
    meaning: dict[str, Any] = {key: value for key, value in run.meaning.items() if key != "train.kimg"}
    return PREFIX + identity.fingerprint(meaning)
