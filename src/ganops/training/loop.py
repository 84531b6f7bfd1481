"""The loop repeats the step and yields what happened. It knows no listener: whoever runs it is a `for` loop."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam

from ganops.core.collective import mean_over_workers, rank, shares, sharing, workers
from ganops.core.errors import DivergenceError
from ganops.core.randomness import Draws
from ganops.training import ema
from ganops.training.schedule import ZERO, Schedule
from ganops.training.state import State
from ganops.training.step import Game, Player, Terms, Turn, Weights, group, play


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


Batch = tuple[Tensor, Tensor | None]


def train(
    state: State, batches: Callable[[int], Batch], game: Game, recipe: Recipe, *, seed: int, until: int | None = None
) -> Iterator[Tick]:
    """Plays on from `state.step` and yields a tick every `tick_steps` and at the end.

    Args:
        state: Moves on in place.
        batches: turn -> this worker's slice of its batch; a step has `d_steps` turns.
        game: The objective.
        recipe: How the players learn.
        seed: The random numbers of turn t follow from (seed, t).
        until: Stop before this step although the schedules go on; None: `recipe.steps`.

    Raises:
        DivergenceError: A loss, or a weight of the average, is not finite, on all workers together.
    """
    G = Player(state.G, _shared(state.G), state.adam_G)
    D = Player(state.D, _shared(state.D), state.adam_D)
    end = min(until or recipe.steps, recipe.steps)
    part = shares(recipe.batch, workers(), group(state.D))[rank()]
    terms: list[Terms] = []
    started = time.perf_counter()
    while state.step < end:
        progress = state.step / recipe.steps
        _set(state.adam_G, recipe.learning_rate_G(progress), recipe.beta1, recipe.beta2(progress))
        _set(state.adam_D, recipe.learning_rate_D(progress), recipe.beta1, recipe.beta2(progress))
        if game.augment and recipe.strength:
            game.augment.memory["strength"].fill_(recipe.strength(progress))
        first = state.step * recipe.d_steps
        ticks = (state.step + 1) % recipe.tick_steps == 0 or state.step + 1 == end
        turns = [_turn(t, batches, recipe, seed, part, report=ticks) for t in range(first, first + recipe.d_steps)]
        with sharing(part.stop - part.start, recipe.batch):
            terms.append(play(G, D, game, turns))
            state.step += 1
            metrics = _means(terms, state.step) if ticks else {}
        seen, half_life = state.step * recipe.samples, recipe.half_life(progress)
        ema.update(state.average, state.G, batch=recipe.samples, seen=seen, half_life=half_life)
        if ticks:
            _expect_finite(state)
            metrics["images_per_second"] = len(terms) * recipe.samples / (time.perf_counter() - started)
            yield Tick(state.step, seen / 1000, metrics, alarms(metrics), state)
            terms, started = [], time.perf_counter()


def _turn(turn: int, batches: Callable[[int], Batch], recipe: Recipe, seed: int, part: slice, *, report: bool) -> Turn:
    """Return what D learns from in one turn: all of it follows from (seed, turn)."""
    x, y = batches(turn)
    draws = Draws((seed, turn), recipe.batch, part, x.device, x.dtype)
    lazy = recipe.interval if turn % recipe.interval == 0 else 0
    progress = turn / (recipe.steps * recipe.d_steps)
    weights = Weights(*(lazy * schedule(progress) for schedule in (recipe.r1, recipe.r2, recipe.penalty)))
    return Turn(x, y, draws.normal("latents", recipe.latent), draws, turn, weights, report)


def alarms(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return what the means since the last tick say about the balance of the game."""
    found = []
    if metrics["spread"] < COLLAPSED:
        found.append(f"G has collapsed: its samples differ {metrics['spread']:.1%} as much as real ones do")
    if not 1 - WON < metrics["told_apart"] < WON:  # an autoencoder's scores are errors: lower on real samples
        found.append("D has won: it tells real from generated samples apart nearly always")
    return tuple(found)


COLLAPSED, WON = 0.05, 0.995
"""Share of the real samples' spread, and share of pairs that D tells apart."""


def _shared(network: nn.Module) -> nn.Module:
    if not workers() > 1:
        return network
    # buffers are statistics of the global batch and equal on all workers already
    return DistributedDataParallel(network, forward_sync_buffers=False, gradient_as_bucket_view=True)


def _set(adam: Adam, learning_rate: float, beta1: float, beta2: float) -> None:
    for each in adam.param_groups:
        each["lr"], each["betas"] = learning_rate, (beta1, beta2)


def _means(terms: list[Terms], step: int) -> dict[str, float]:
    """The mean of each term over the steps that had it and over all samples; all workers get the same."""
    names = sorted({name for step_terms in terms for name in step_terms})
    means = [torch.stack([t[name] for t in terms if name in t]).double().mean() for name in names]
    values = mean_over_workers(torch.stack(means))
    metrics = dict(zip(names, values.tolist(), strict=True))
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        first = next((i for i, t in enumerate(terms) if not all(v.isfinite() for v in t.values())), len(terms) - 1)
        culprits = [name for name, value in terms[first].items() if not value.isfinite()] or broken
        raise _diverged(culprits, step - len(terms) + first)
    return metrics


def _expect_finite(state: State) -> None:
    """Refuses an average that is broken although the losses before its last steps were not: the same on all workers."""
    broken = [name for name, value in state.average.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise _diverged([f"{broken[0]} of the average of G"], state.step)


def _diverged(culprits: Sequence[str], step: int) -> DivergenceError:
    return DivergenceError(
        f"{', '.join(culprits)} stopped being finite at step {step}: the game diverged. The last checkpoint is kept. "
        "Try smaller learning rates, a gradient penalty (loss.r1), or train.precision: fp32."
    )
