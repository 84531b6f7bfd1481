"""The pace of a training on this machine: a few of its steps are timed on random samples."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganops.config import Experiment
from ganops.core import cores
from ganops.experiment.run import CODES, Run
from ganops.kinds import Spec
from ganops.training.loop import Phase, train

STEPS = 3
"""Steps of each of three pieces of a training, whose fastest tells its pace: the first warms up, others may wait."""


def seconds(experiment: Experiment, device: torch.device, *, among: int | None = None) -> float:
    """Return the seconds of a training: those of its phases, and of the densities that are fitted to codes at ticks.

    Args:
        experiment: What is trained.
        device: Where.
        among: Cores that it may use; None: all.
    """
    run = Run(experiment, _Noise(experiment.data.spec), None, device, cores=among)
    phases = [*run.before, run.last]
    steps = sum(phase.recipe.steps for phase in phases)
    with cores.threads(run.threads):
        shares = (phase.recipe.steps / steps / _images_per_second(run, phase) for phase in phases)
        training = experiment.train.kimg * 1000 * sum(shares)
        started = time.perf_counter()
        run.generator(0)
        return training + (time.perf_counter() - started) * experiment.train.kimg / experiment.train.tick_kimg


def _images_per_second(run: Run, phase: Phase) -> float:
    recipe, run.state.step = replace(phase.recipe, steps=3 * STEPS, tick_steps=STEPS), 0
    ticks = train(run.state, run.batches, phase.objective, recipe, seed=0)
    return max(tick.metrics["images_per_second"] for tick in ticks)


@dataclass(frozen=True)
class _Noise:
    """Random samples in the place of prepared ones: a training takes as long with them."""

    spec: Spec
    class_names: tuple[str, ...] = ()
    hash: str = "noise"

    def samples(self, split: str) -> NDArray[Any]:
        like, values = self.spec.empty(CODES), len(self.spec.facts.get("words", range(256)))
        return np.random.default_rng(0).integers(0, values, like.shape, like.dtype)

    def labels(self, split: str) -> None:
        """No labels."""
