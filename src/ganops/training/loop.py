"""The loop repeats the step and yields what happened. It knows no listener: whoever runs it is a `for` loop."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam

from ganops.collective import rank, workers
from ganops.errors import TrainingError
from ganops.randomness import generator
from ganops.training import average
from ganops.training.schedule import Schedule
from ganops.training.state import State
from ganops.training.step import Game, Player, Terms, play


@dataclass(frozen=True)
class Recipe:
    """How the players learn. Schedules are functions of the progress in [0, 1]."""

    steps: int
    """Length of the training, and of its schedules."""
    tick_steps: int
    """Steps between two ticks."""
    batch: int
    """Samples of a step over all workers."""
    latent: int
    learning_rate_G: Schedule
    learning_rate_D: Schedule
    beta1: float
    beta2: Schedule
    r1: Schedule
    r2: Schedule
    interval: int
    """Penalties act every so many steps, with that many times the weight."""
    half_life: float
    """Of the average of G, in samples."""


@dataclass(frozen=True)
class Tick:
    """What the loop reports: the state is live and moves on when the loop does."""

    step: int
    kimg: float
    """Thousands of real samples shown to D."""
    metrics: dict[str, float]
    """Means over the steps and workers since the last tick, and the speed."""
    state: State


Batch = tuple[Tensor, Tensor | None]


def train(
    state: State, batches: Callable[[int], Batch], game: Game, recipe: Recipe, *, seed: int, until: int | None = None
) -> Iterator[Tick]:
    """Plays on from `state.step` and yields a tick every `tick_steps` and at the end.

    Args:
        state: Moves on in place.
        batches: step -> this worker's slice of its batch.
        game: The objective.
        recipe: How the players learn.
        seed: Latents of step t follow from (seed, t).
        until: Stop before this step although the schedules go on; None: `recipe.steps`.

    Raises:
        TrainingError: A loss is not finite, on all workers together.
    """
    G = Player(state.G, _shared(state.G), state.adam_G)
    D = Player(state.D, _shared(state.D), state.adam_D)
    end = min(until or recipe.steps, recipe.steps)
    terms: list[Terms] = []
    started = time.perf_counter()
    while state.step < end:
        progress = state.step / recipe.steps
        _set(state.adam_G, recipe.learning_rate_G(progress), recipe.beta1, recipe.beta2(progress))
        _set(state.adam_D, recipe.learning_rate_D(progress), recipe.beta1, recipe.beta2(progress))
        lazy = recipe.interval if state.step % recipe.interval == 0 else 0
        x, y = batches(state.step)
        z = _latents(seed, state.step, recipe, x)
        terms.append(play(G, D, game, x, y, z, r1=lazy * recipe.r1(progress), r2=lazy * recipe.r2(progress)))
        state.step += 1
        average.update(
            state.average,
            state.G,
            batch=recipe.batch,
            seen=state.step * recipe.batch,
            half_life=recipe.half_life,
        )
        if state.step % recipe.tick_steps == 0 or state.step == end:
            metrics = _means(terms, state.step)
            seconds = time.perf_counter() - started
            metrics["images_per_second"] = len(terms) * recipe.batch / seconds
            yield Tick(state.step, state.step * recipe.batch / 1000, metrics, state)
            terms, started = [], time.perf_counter()


def _shared(network: nn.Module) -> nn.Module:
    if not workers() > 1:
        return network
    # buffers are statistics of the global batch and equal on all workers already
    return DistributedDataParallel(network, forward_sync_buffers=False, gradient_as_bucket_view=True)


def _set(adam: Adam, learning_rate: float, beta1: float, beta2: float) -> None:
    for group in adam.param_groups:
        group["lr"], group["betas"] = learning_rate, (beta1, beta2)


def _latents(seed: int, step: int, recipe: Recipe, x: Tensor) -> Tensor:
    """This worker's slice of the latents that the whole batch of a step plays with."""
    source = generator(seed, "latents", step, device=x.device)
    z = torch.randn(recipe.batch, recipe.latent, generator=source, device=x.device, dtype=x.dtype)
    return z[rank() * len(x) : (rank() + 1) * len(x)]


def _means(terms: list[Terms], step: int) -> dict[str, float]:
    """Each term's mean over the steps that had it and over the workers; all workers get the same."""
    names = sorted({name for step_terms in terms for name in step_terms})
    means = [torch.stack([t[name] for t in terms if name in t]).mean() for name in names]
    values = torch.stack(means).double()
    if workers() > 1:
        dist.all_reduce(values)
        values /= workers()
    metrics = dict(zip(names, values.tolist(), strict=True))
    broken = [name for name, value in metrics.items() if value != value or abs(value) == float("inf")]
    if broken:
        raise TrainingError(
            f"{', '.join(broken)} stopped being finite before step {step}: the game diverged. The last checkpoint is "
            "kept. Try smaller learning rates, a gradient penalty (loss.r1), or train.precision: fp32."
        )
    return metrics
