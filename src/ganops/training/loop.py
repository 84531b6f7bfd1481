"""The loop repeats the step and yields what happened. It knows no listener: whoever runs it is a `for` loop."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from ganops.core.collective import begin_alike, mean_over_workers, rank, shares, sharing, workers
from ganops.core.devices import exact
from ganops.core.errors import DivergenceError
from ganops.core.randomness import Ahead, Draws
from ganops.training import ema
from ganops.training.graphs import Recorded
from ganops.training.objective import Objective, Player, Terms, Turn, Weights, group
from ganops.training.schedule import ZERO, Schedule
from ganops.training.state import State
from ganops.training.step import alarms as alarms  # this was its place


@dataclass(frozen=True)
class Recipe:
    """The way the players learn. Schedules are functions of the progress in [0, 1]."""

    steps: int
    """Length of the training, and of its schedules."""
    tick_steps: int
    """Steps between two ticks."""
    batch: int
    """Samples of a turn of D over all workers."""
    latent: int
    learning_rate_G: Schedule
    learning_rate_D: Schedule
    beta1: float
    beta2: Schedule
    r1: Schedule = ZERO
    r2: Schedule = ZERO
    penalty: Schedule = ZERO
    interval: int = 1
    """Penalties act every so many turns of D, with that many times the weight."""
    half_life: Schedule = ZERO
    """Half-life of the average of G, in samples."""
    d_steps: int = 1
    """Turns of D in a step; G has one."""
    strength: Schedule | None = None
    """Strength of the augmentation; None: it adapts itself."""

    @property
    def samples(self) -> int:
        """Real samples that a step shows to D."""
        return self.batch * self.d_steps


@dataclass(frozen=True)
class Tick:
    """A report of the loop: the state is live and moves on when the loop does."""

    step: int
    kimg: float
    """Thousands of real samples shown to D."""
    metrics: dict[str, float]
    """Means over the steps and workers since the last tick, and the speed."""
    alarms: tuple[str, ...]
    """Warnings for a person: a player has collapsed or has won."""
    state: State
    stopped: bool = False
    """True where `stop` ended the training, perhaps between two ticks: then there are no metrics."""


Batch = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Phase:
    """A part of a training: the objective, and the way it is learnt. Most trainings have one."""

    objective: Objective
    recipe: Recipe


def train(
    state: State, batches: Callable[[int], Batch], objective: Objective, recipe: Recipe, *, seed: int,
    until: int | None = None, before: Sequence[Phase] = (), stop: Callable[[int], bool] = lambda step: False,
    graphs: bool = False,
) -> Iterator[Tick]:  # fmt: skip
    """Plays on from `state.step` and yields a tick every `tick_steps`, at the end of a phase, and where it is stopped.

    Args:
        state: Moves on in place.
        batches: turn -> this worker's slice of its batch; a step has `d_steps` turns.
        objective: That of the last phase, or of the only one.
        recipe: The way it is learnt.
        seed: The random numbers of turn t follow from (seed, t); turns are counted through all phases.
        until: Stop before this step although the schedules go on; None: at the end of the last phase.
        before: The phases that come first, such as the first stage of a two-stage VAE.
        stop: Asked after each step, with the number of steps so far: True ends the training there, on all workers.
        graphs: On a GPU steps are recorded as CUDA graphs: the same kernels, launched together.

    Raises:
        DivergenceError: A loss, or a weight of the average, is not finite, on all workers together.
    """
    start = _Start()
    begin_alike(state.tensors().values())
    for phase in (*before, Phase(objective, recipe)):
        after = _Start(*(a + b for a, b in zip(start, _Start.of(phase.recipe), strict=True)))
        end = min(after.step, until or after.step)
        if state.step < end:
            if state.step == start.step > 0:  # moments of another objective say nothing about this one
                state.adam_G.state.clear()
                state.adam_D.state.clear()
            with _steps(phase.objective, state, graphs=graphs) as play:
                if (yield from _phase(state, batches, phase, start, end, seed, stop, play)):
                    return
        start = after


class _Start(NamedTuple):
    """Counts of all that lies before a phase."""

    step: int = 0
    turn: int = 0
    seen: int = 0

    @classmethod
    def of(cls, recipe: Recipe) -> "_Start":
        """Return what a phase adds."""
        return cls(recipe.steps, recipe.steps * recipe.d_steps, recipe.steps * recipe.samples)


@contextmanager
def _steps(objective: Objective, state: State, *, graphs: bool) -> Iterator[Callable[[Sequence[Turn]], Terms]]:
    """Yield the function that takes the steps of a phase; its graphs end with it, whatever ends it."""
    for name, network in (("G", state.G), ("D", state.D)):
        for each, parameter in network.named_parameters():
            parameter.requires_grad_(objective.learns(f"{name}.{each}"))
    G, D = Player(state.G, state.adam_G), Player(state.D, state.adam_D)
    if graphs and next(state.G.parameters()).is_cuda:
        with closing(Recorded(objective, G, D)) as recorded:
            yield recorded.play
    else:
        yield partial(objective.play, G, D)


def _phase(
    state: State, batches: Callable[[int], Batch], phase: Phase, start: _Start, end: int, seed: int,
    stop: Callable[[int], bool], play: Callable[[Sequence[Turn]], Terms],
) -> Generator[Tick, None, bool]:  # fmt: skip
    """Plays a phase on up to step `end`, and returns True where it was stopped."""
    objective, recipe = phase.objective, phase.recipe
    part = shares(recipe.batch, workers(), group(state.D))[rank()]
    ahead = Ahead(2 * recipe.d_steps) if next(state.G.parameters()).is_cuda else None
    turn = _Turns(batches, recipe, seed, start.turn, part, ahead)
    average = ema.pairs(state.average, state.G)
    terms: list[Terms] = state.terms
    started, first_step = time.perf_counter(), state.step
    while state.step < end:
        done = state.step - start.step
        progress = done / recipe.steps
        _set(state.adam_G, recipe.learning_rate_G(progress), recipe.beta1, recipe.beta2(progress))
        _set(state.adam_D, recipe.learning_rate_D(progress), recipe.beta1, recipe.beta2(progress))
        if recipe.strength and "strength" in objective.memory:
            objective.memory["strength"].fill_(recipe.strength(progress))
        first = done * recipe.d_steps
        ticks = (state.step + 1) % recipe.tick_steps == 0 or state.step + 1 == end
        turns = [turn(t, report=ticks) for t in range(first, first + recipe.d_steps)]
        with sharing(part.stop - part.start, recipe.batch):
            terms.append(play(turns))
            state.step += 1
            stopped = stop(state.step)
            metrics = _means(terms, state.step, objective) if ticks or stopped else {}
            if stopped:
                state.share_terms()
        seen, half_life = start.seen + (done + 1) * recipe.samples, recipe.half_life(progress)
        ema.update(average, batch=recipe.samples, seen=seen, half_life=half_life)
        if ticks or stopped:
            _expect_finite(state, objective)
        if ticks:
            speed = (state.step - first_step) * recipe.samples / (time.perf_counter() - started)
            metrics["images_per_second"] = speed
            terms.clear()
            yield Tick(state.step, seen / 1000, metrics, objective.alarms(metrics), state, stopped)
            started, first_step = time.perf_counter(), state.step
        elif stopped:
            yield Tick(state.step, seen / 1000, {}, (), state, stopped)
        if stopped:
            return True
    return False


@dataclass(frozen=True)
class _Turns:
    """Makes what D learns from in the turns of a phase: all of it follows from the seed and the turns so far."""

    batches: Callable[[int], Batch]
    recipe: Recipe
    seed: int
    before: int
    """Turns before the phase."""
    part: slice
    ahead: Ahead | None
    """The thread that draws the numbers of the next step meanwhile; None: there is none, as the CPU is learning."""

    def __call__(self, turn: int, *, report: bool) -> Turn:
        number, recipe = self.before + turn, self.recipe
        x, y = self.batches(number)
        draws = Draws((self.seed, number), recipe.batch, self.part, x.device, x.dtype, self.ahead)
        if self.ahead:
            self.ahead.expect(replace(draws, key=(self.seed, number + recipe.d_steps)))
        lazy = recipe.interval if turn % recipe.interval == 0 else 0
        progress = turn / (recipe.steps * recipe.d_steps)
        weights = Weights(*(lazy * schedule(progress) for schedule in (recipe.r1, recipe.r2, recipe.penalty)))
        return Turn(x, y, draws.normal("latents", recipe.latent), draws, number, weights, report, progress)


def _set(adam: Adam, learning_rate: float, beta1: float, beta2: float) -> None:
    for each in adam.param_groups:
        each["lr"], each["betas"] = learning_rate, (beta1, beta2)


def _means(terms: list[Terms], step: int, objective: Objective) -> dict[str, float]:
    """The mean of each term over the steps that had it and over all samples; all workers get the same."""
    names = sorted({name for step_terms in terms for name in step_terms})
    means = [exact(torch.stack([t[name] for t in terms if name in t])).mean() for name in names]
    values = mean_over_workers(torch.stack(means))
    metrics = dict(zip(names, values.tolist(), strict=True))
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        first = next((i for i, t in enumerate(terms) if not all(v.isfinite() for v in t.values())), len(terms) - 1)
        culprits = [name for name, value in terms[first].items() if not value.isfinite()] or broken
        raise _diverged(culprits, step - len(terms) + first, objective)
    return metrics


def _expect_finite(state: State, objective: Objective) -> None:
    """Refuses an average that is broken although the losses before its last steps were not: the same on all workers."""
    broken = [name for name, value in state.average.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise _diverged([f"{broken[0]} of the average of G"], state.step, objective)


def _diverged(culprits: Sequence[str], step: int, objective: Objective) -> DivergenceError:
    remedies = ", ".join(["smaller learning rates", *objective.remedies])
    return DivergenceError(
        f"{', '.join(culprits)} stopped being finite at step {step}: the training diverged. The last checkpoint is "
        f"kept. Try {remedies}, or train.precision: fp32."
    )
