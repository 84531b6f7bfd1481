"""Networks, game and recipe of a configuration: look-ups in the rooms' tables, which refuse a name that they lack."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from ganops import config
from ganops.config import Experiment
from ganops.core import cores, devices
from ganops.core.errors import ConfigError
from ganops.core.randomness import generator
from ganops.data.augment import NAMES, PRESETS, STRENGTHS, Augmentation, names_of
from ganops.experiment import machine
from ganops.kinds import Spec
from ganops.losses import ALONE, LESSONS, LOSSES, PENALTIES, Family, square_norms
from ganops.models import ARCHITECTURES, coded, lstm
from ganops.models.layers import channels_last
from ganops.training.lesson import Lesson
from ganops.training.loop import Phase, Recipe
from ganops.training.objective import group
from ganops.training.schedule import Schedule, constant, cosine, linear
from ganops.training.step import Game


def known(path: str, name: str, table: Any) -> None:
    """Refuse a name that a table lacks.

    Raises:
        ConfigError: With the path of the parameter and the names that there are.
    """
    if name not in table:
        raise ConfigError(f"params.{path}: unknown {name!r}; known: {', '.join(table)}")


def operations(G: nn.Module, D: nn.Module, latent: int, classes: int) -> int:
    """Multiplications of one sample's way through G and D, as `cores.operations` counts them."""
    number, like = group(D), next(G.parameters())
    z = torch.zeros(number, latent, dtype=like.dtype, device=like.device)
    y = torch.zeros(number, dtype=torch.long, device=like.device) if classes else None
    return cores.operations((G, D), lambda: D(G(z, y), y), number)


def shown(experiment: Experiment, spec: Spec) -> Spec:
    """Return the samples as the networks know them: without labels where these serve the extractor only."""
    return spec if experiment.model.conditional else replace(spec, classes=0)


def family(experiment: Experiment) -> Family | None:
    """The family of autoencoders that is trained; None: a game is, or G alone."""
    make = LESSONS.get(experiment.loss.name)
    if make is None:
        return None
    made = make(**experiment.loss.options)
    return made.of_texts() if experiment.data.kind == "text" else made


def halves(
    kind: Family | None, players: tuple[nn.Module, nn.Module], latent: int, classes: int
) -> tuple[nn.Module, nn.Module]:
    """The players of a game as they are, or as decoder and encoder where a family of autoencoders is trained.

    Raises:
        ValueError: D cannot become an encoder.
    """
    G, D = players
    if kind is None:
        return G, D
    code, learnt = coded.code_of(G, latent), {} if kind.fitted else kind.prior
    return coded.with_prior(G, code, classes, learnt), coded.encoder(D, code, classes, kind.moments, kind.prior)


def networks(experiment: Experiment, spec: Spec) -> tuple[nn.Module, nn.Module]:
    """G and D, or decoder and encoder, with initial weights that follow from the seed alone.

    Raises:
        ConfigError: Latents have a number for each word of a larger vocabulary than that of the samples.
    """
    _expect_vocabulary(experiment, spec)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator(experiment.seed, "weights").get_state())
        players = ARCHITECTURES[experiment.model.architecture](
            shape=spec.inputs,
            classes=spec.classes,
            latent=experiment.model.latent,
            **experiment.model.options,
        )
        players = halves(family(experiment), players, experiment.model.latent, spec.classes)
    dtype = torch.float64 if experiment.train.precision == "fp64" else torch.float32
    G, D = (channels_last(player.to(dtype)) for player in players)
    return G, D


def _expect_vocabulary(experiment: Experiment, spec: Spec) -> None:
    """Refuses a latent for another vocabulary than that of the samples, which was not known when it was checked.

    Raises:
        ConfigError: With the parameters that fit.
    """
    model = experiment.model
    if model.architecture != "lstm" or spec.kind != "text" or model.options.get("softness") is None:
        return
    length, words = spec.inputs
    expected = lstm.numbers_of(length, words, model.options["softness"], model.options.get("code", 0))
    if model.latent != expected:
        raise ConfigError(
            f"params.model.latent: with model.options.softness it has a number for each word of the vocabulary at each "
            f"place, and the vocabulary has {words} words: set data.words: {words} and model.latent: {expected}, got "
            f"{model.latent}"
        )


def game(experiment: Experiment, device: torch.device) -> Game:
    """The objective of a game, and the precision it is played in.

    Raises:
        ConfigError: The augmentation is impossible, see `augmentation`.
    """
    loss = LOSSES[experiment.loss.name](**experiment.loss.options)
    loss.memory.update({name: devices.held(value, device) for name, value in loss.memory.items()})
    penalty, clip = PENALTIES.get(experiment.loss.penalty), experiment.loss.clip
    augment, consistency = augmentation(experiment, device), experiment.train.augment.consistency
    return Game(loss, square_norms, _autocast(experiment, device), penalty, clip, augment, consistency)


def phases(experiment: Experiment, device: torch.device) -> list[Phase]:
    """The parts of the training: a game, perhaps after its warm-up; G alone; or the stages of a family of autoencoders.

    A step has as many turns in all of them: so steps, samples and ticks are counted alike.

    Raises:
        ConfigError: The augmentation is impossible, see `augmentation`.
    """
    kind, whole, name = family(experiment), recipe(experiment), experiment.loss.name
    if name in ALONE:
        return [Phase(Lesson(ALONE[name](**experiment.loss.options), _autocast(experiment, device)), whole)]
    if kind is None:
        first = warm_up(experiment, device)
        return [*first, Phase(game(experiment, device), replace(whole, steps=whole.steps - warm_up_steps(experiment)))]
    ends = [round(whole.steps * share) for share in itertools.accumulate(kind.shares)]
    parts = []
    for loss, start, end in zip(kind.stages, [0, *ends], ends, strict=False):
        loss.memory.update({name: devices.held(value, device) for name, value in loss.memory.items()})
        lesson = Lesson(loss, _autocast(experiment, device))
        parts.append(Phase(lesson, replace(whole, steps=end - start)))
    return parts


def warm_up_steps(experiment: Experiment) -> int:
    """Return the steps before the game, among those of the whole training; 0: there are none."""
    first = experiment.loss.warm_up
    if first is None or experiment.loss.name not in LOSSES:
        return 0
    return max(1, round(first.kimg * 1000 / recipe(experiment).samples))


def warm_up_kimg(experiment: Experiment) -> float:
    """Return the thousands of samples before the game, of those of the whole training."""
    return warm_up_steps(experiment) * recipe(experiment).samples / 1000


def warm_up(experiment: Experiment, device: torch.device) -> list[Phase]:
    """Return the phase before the game, if there is one: of its batch, its turns and its betas."""
    first, steps = experiment.loss.warm_up, warm_up_steps(experiment)
    if first is None or not steps:
        return []
    known("loss.warm_up.name", first.name, ALONE)
    lesson = Lesson(ALONE[first.name](), _autocast(experiment, device))
    rate = _schedule(first.learning_rate)
    return [Phase(lesson, replace(recipe(experiment), steps=steps, learning_rate_G=rate, learning_rate_D=rate))]


def _autocast(experiment: Experiment, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    if machine.precision(experiment, device) != "bf16":
        return nullcontext
    return lambda: torch.autocast(device.type, torch.bfloat16)


def augmentation(experiment: Experiment, device: torch.device) -> Augmentation | None:
    """Return the transforms of the samples that D is shown; None: there are none.

    Raises:
        ConfigError: A preset or a transform is not known, or the strength cannot adapt in this game.
    """
    augment = experiment.train.augment
    if isinstance(augment.transforms, str):
        known("train.augment.transforms", augment.transforms, PRESETS)
        transforms = PRESETS[augment.transforms]
    else:
        transforms = augment.transforms
        for name in transforms:
            known(f"train.augment.transforms.{name}", name, NAMES)
    fitting = names_of(experiment.data.kind)
    if any(transforms.values()) and not fitting:
        kind, got = experiment.data.kind, augment.transforms
        raise ConfigError(f"params.train.augment.transforms: {kind}s are not augmented: expected none, got {got}")
    if foreign := [name for name, factor in transforms.items() if factor and name not in fitting]:
        raise ConfigError(
            f"params.train.augment.transforms: {', '.join(foreign)} would make something else of data.kind: "
            f"{experiment.data.kind}; expected none, or names and factors of {', '.join(fitting)}"
        )
    if not any(transforms.values()):
        if augment.consistency:
            raise ConfigError("params.train.augment.consistency: needs transforms, such as {xint: 1, brightness: 1}")
        return None
    adaptive, per_images = strength(experiment) == "adaptive", round(augment.kimg * 1000)
    name = experiment.loss.name
    if adaptive and LOSSES[name](**experiment.loss.options).real_logit is None:
        raise ConfigError(
            "params.train.augment.strength: adaptive follows how often D takes real samples for real, and no score of "
            f"D says so where loss.name is {name}; expected a number such as 0.3, or a course {{start: 0, end: 0.3}}"
        )
    return Augmentation.on(device, transforms, adaptive=adaptive, target=augment.target, per_images=per_images)


def strength(experiment: Experiment) -> Literal["adaptive"] | float | config.Course:
    """The strength of the augmentation that `train.augment.strength` means."""
    augment = experiment.train.augment
    if augment.strength != "auto":
        return augment.strength
    return STRENGTHS.get(augment.transforms, "adaptive") if isinstance(augment.transforms, str) else "adaptive"


def recipe(experiment: Experiment) -> Recipe:
    """Return the recipe of the training, in steps and samples."""
    train, loss, augmented = experiment.train, experiment.loss, strength(experiment)
    d_steps = train.d_steps if loss.name in LOSSES else 1
    samples = train.batch * d_steps
    return Recipe(
        steps=max(1, round(train.kimg * 1000 / samples)),
        tick_steps=max(1, round(train.tick_kimg * 1000 / samples)),
        batch=train.batch,
        latent=experiment.model.latent,
        learning_rate_G=_schedule(train.learning_rate.generator),
        learning_rate_D=_schedule(train.learning_rate.discriminator),
        beta1=train.beta1,
        beta2=_schedule(train.beta2),
        r1=_schedule(loss.r1),
        r2=_schedule(loss.r2),
        penalty=_schedule(loss.penalty_weight),
        interval=loss.interval,
        half_life=_schedule(train.ema_kimg, scale=1000),
        d_steps=d_steps,
        strength=None if augmented == "adaptive" else _schedule(augmented),
    )


def _schedule(value: float | config.Course, scale: float = 1) -> Schedule:
    if not isinstance(value, config.Course):
        return constant(scale * value)
    shape = {"cosine": cosine, "linear": linear}[value.shape]
    return shape(scale * value.start, scale * value.end)
