"""A training as each process of it opens it, and lines about one that goes on or is stopped."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ganops.config import Experiment
from ganops.core.terminal import say
from ganops.data import Prepared
from ganops.distributed.judge_apart import judge_of
from ganops.distributed.node_copy import NodeCopy
from ganops.experiment.checkpoint import journal_of
from ganops.experiment.run import Run
from ganops.experiment.start import Start

Ancestor = tuple[NodeCopy, str]
"""Folder and name of the generator with whose weights a training begins."""
CHECKPOINT, FORMER = "checkpoint", "checkpoint-former"
"""Names of the last checkpoint of a training in one process, and of the one before; Ray's have their times as names."""


def open_run(
    experiment: Experiment,
    prepared: NodeCopy,
    features: NodeCopy,
    device: torch.device,
    *,
    apart: bool = False,
    edits: str | None = None,
    start: Ancestor | None = None,
    **place: Any,
) -> Run:
    """Open the data and the judge of a training, as a process of it sees them, and return the run at its beginning.

    Args:
        experiment: The parameters.
        prepared: Data.
        features: Extractor and reference.
        device: Device of the process.
        apart: The judge is an actor of Ray's.
        edits: Hash of the code's edits, where another process has looked.
        start: The generator with whose weights the training begins.
        place: Rank, workers and cores, as `Run` takes them.
    """
    judge = judge_of(features, device, apart=apart)
    begin = Start.open(start[0].open(), start[1]) if start else None
    data = Prepared.open(prepared.open(), experiment.compute.cache)
    return Run(experiment, data, judge, device, edits=edits, start=begin, **place)


def furthest_first(*launchers: Sequence[Path]) -> list[Path]:
    """Return the checkpoints of a training by several launchers, first those of the one that came further.

    Args:
        launchers: The checkpoints of each, the newest first: so they stay.
    """
    return [each for own in sorted(launchers, key=_steps, reverse=True) for each in own]


def _steps(checkpoints: Sequence[Path]) -> int:
    """The steps that a launcher's checkpoints came to; -1: there are none, or none that can be read."""
    steps = -1
    for folder in checkpoints:
        with suppress(OSError, ValueError, AttributeError):  # damage is told by whoever loads it
            steps = max(steps, int(journal_of(folder).get("step", 0)))
    return steps


def say_what_continues(line: str) -> None:
    """Tell of the commit whose checkpoint is continued; empty: it is that of this code."""
    if line:
        say("train", f"continues a checkpoint of {line}")


def stopped_at(run: Run) -> str:
    """Return the line of a training that a signal has stopped."""
    return f"stopped, and saved after step {run.state.step:,}; the same command goes on from there"
