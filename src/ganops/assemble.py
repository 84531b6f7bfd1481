"""The waist: from the configuration to devices, networks, game and recipe. Look-ups in plain tables, nothing else."""

import inspect
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from pydantic import TypeAdapter, ValidationError, validate_call
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ganops import config, cores, identity, layout
from ganops.config import Compute, Experiment
from ganops.data import SampleSpec
from ganops.data.augment import NAMES, PRESETS, STRENGTHS, Augmentation
from ganops.errors import ConfigError, FeatureError
from ganops.files import hash_json
from ganops.identity import DECISIVE as DECISIVE  # its name of old
from ganops.losses import LOSSES, PENALTIES, square_norms
from ganops.metrics import sight
from ganops.metrics.extractors import EXTRACTORS
from ganops.metrics.frechet import MANY, infinity_smallest
from ganops.models import ARCHITECTURES
from ganops.randomness import generator
from ganops.search import population, space
from ganops.training.loop import Recipe
from ganops.training.schedule import Schedule, constant, cosine, linear
from ganops.training.step import Game

LIMITED = ("alarms", "precision", "recall", "density", "coverage")
"""What `tune.limits` can ask for."""
SIGNS = ("authenticity", "ct", "near_copies", "copied_share", "memorisation_verdict")
"""Figures of memorisation that a gate may limit."""
LISTED = 1024
"""The most workers that a message lists, and that share what has no number of samples."""
PARAMETERS = 2 * 10**9
"""The most numbers in the weights of both players: 8 GB as float32."""
TENSORS = 2_000
"""The most tensors in which they lie: beyond it, networks are deeper than any that was published."""
JUDGING = ("train.tick_kimg", "train.checkpoint_kimg", "train.validation_samples")
"""What a search cannot try."""


def load(path: Path = Path("params.yaml")) -> Experiment:
    """The experiment of a parameter file, its names looked up and its combinations checked.

    Raises:
        ConfigError: With the full path of each impossible key, and what was expected.
    """
    experiment = config.load(path)
    check(experiment)
    return experiment


def check(experiment: Experiment) -> None:
    """Refuses names that no table knows, options that no signature takes, and values that contradict each other."""
    _known("features.extractor", experiment.features.extractor, EXTRACTORS)
    _check_game(experiment)
    metrics = known_metrics(experiment)
    for metric in experiment.register_.gate:
        _known(f"register.gate.{metric}", metric, metrics)
        _check_limit(experiment, metric)
    _known("register.improve", experiment.register_.improve, ("auto", "none", *compared_metrics(experiment)))
    _check_search(experiment)


def _check_game(experiment: Experiment) -> None:
    """Refuses what no table knows and what contradicts itself in model, loss and train."""
    _known("model.architecture", experiment.model.architecture, ARCHITECTURES)
    _known("loss.name", experiment.loss.name, LOSSES)
    _known("loss.penalty", experiment.loss.penalty, ("none", *PENALTIES))
    _fits("loss.options", experiment.loss.name, LOSSES[experiment.loss.name], experiment.loss.options)
    model = experiment.model
    together = _together(
        model.architecture, model.latent, json.dumps(model.options, default=str), experiment.data.resolution
    )
    augmentation(experiment, torch.device("cpu"))
    workers, batch = experiment.compute.workers, experiment.train.batch
    if isinstance(workers, tuple):
        if not counts(workers, batch, together):
            possible = ", ".join(map(str, counts((1, min(batch, LISTED)), batch, together)))
            raise ConfigError(
                f"params.compute.workers: no number from {workers[0]} to {workers[1]} shares {batch} samples equally "
                f"(params.train.batch); possible are {possible}"
            )
    elif workers != "auto":
        check_slices(batch, workers, together)
    check_slices(batch, experiment.compute.trial.workers, together)


@cache
def _together(architecture: str, latent: int, options: str, resolution: int) -> int:
    """The samples that D compares with one another: known once the networks were built, here without their memory.

    Raises:
        ConfigError: They cannot be built, or are too large.
    """
    players = ARCHITECTURES[architecture]
    given, known = json.loads(options), inspect.signature(players).parameters
    try:
        for name, value in given.items():
            if name in known:
                TypeAdapter(known[name].annotation, config={"strict": True}).validate_python(value)
        with _bounded(architecture), torch.device("meta"), _Undrawn():
            _, D = players(channels=1, resolution=resolution, classes=0, latent=latent, **given)
    except ValidationError as error:
        raise ConfigError(f"params.model.options.{name}: {error.errors()[0]['msg']}, got {value!r}") from None
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        taken = ", ".join(name for name in known if name not in ("channels", "resolution", "classes", "latent"))
        message = str(error).split("\n")[0].replace("players() got ", "")
        raise ConfigError(f"params.model.options: {message}; {architecture} takes {taken}") from None
    return group(D)


_DRAWN = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_)


class _Undrawn(TorchFunctionMode):
    """Fills nothing at random: on the meta device PyTorch imports its compiler for that, which takes seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The tensor as it is in the place of one that is filled."""
        named = kwargs or {}
        return (args[0] if args else named["tensor"]) if func in _DRAWN else func(*args, **named)


@contextmanager
def _bounded(architecture: str) -> Iterator[None]:
    """Refuses networks of more than `PARAMETERS` numbers in `TENSORS` tensors as soon as they pass either bound.

    Raises:
        ConfigError: They do.
    """
    known: dict[int, nn.Parameter] = {}
    numbers = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal numbers
        if parameter is None or id(parameter) in known:  # a bias that is left out; a weight that changes its place
            return
        if not parameter.numel():
            raise ConfigError(f"params.model: {architecture} with these options has a layer without a single weight")
        known[id(parameter)] = parameter
        numbers, tensors = numbers + parameter.numel(), len(known)
        if numbers > PARAMETERS or tensors > TENSORS:
            raise ConfigError(
                f"params.model: {architecture} with these options has at least {numbers:,} parameters in {tensors:,} "
                f"tensors ({numbers * 4 / 2**30:,.0f} GiB, and its training takes about five times as much); expected "
                f"at most {PARAMETERS:,} in {TENSORS:,}. Smaller options, such as width, or a smaller data.resolution"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_search(experiment: Experiment) -> None:
    """Refuses a space in which a trial is impossible; all combinations of its choices and bounds are tried, or many."""
    tune = experiment.tune
    for name in tune.limits:
        _known(f"tune.limits.{name}", name, LIMITED)
    for path in tune.space:
        if path in JUDGING:
            raise ConfigError(f"params.tune.space.{path}: is how trials are judged, so it must be the same for all")
    if tune.scheduler == "pbt":
        population.check(tune)
    if tune.search == "grid":
        next(space.grid(tune.space))
    for values in space.corners(tune.space):
        try:
            _check_game(experiment.override(values))
        except ConfigError as error:
            tried = ", ".join(f"{path} {value}" for path, value in values.items())
            raise ConfigError(f"params.tune.space: with {tried}: {error}") from None


def check_slices(batch: int, workers: int, together: int) -> None:
    """Refuses a number of workers whose slices would change the experiment: D compares `together` samples."""
    if batch % workers:
        raise ConfigError(f"params.train.batch: {batch} samples cannot be shared equally by {workers} workers")
    if workers > 1 and batch // workers % together:
        raise ConfigError(
            f"params.train.batch: each of {workers} workers would have {batch // workers} samples, and D compares them "
            f"in groups of {together} (params.model.options.group): expected a multiple of {workers * together}"
        )


def counts(bounds: tuple[int, int], batch: int, group: int) -> tuple[int, ...]:
    """The numbers of workers between the bounds, both included, that do not change the experiment."""
    most = min(bounds[1], batch or max(bounds[0], LISTED))  # more workers than samples share none; a range may be huge
    return tuple(n for n in range(bounds[0], most + 1) if n == 1 or batch % (n * group) == 0)


def group(D: nn.Module) -> int:
    """Samples of a batch that D compares with one another, and that therefore stay on one worker."""
    return int(getattr(D, "group", 1))


def check_sight(experiment: Experiment, blind: Mapping[str, Sequence[str]]) -> None:
    """Refuses to let a metric decide that gives harmed images of this data set what real ones get.

    Args:
        experiment: the parameters.
        blind: metric -> the rungs that it does not tell, as `Reference.blind`.

    Raises:
        ConfigError: A limit of the gate or of the search, or the improvement on the champion, is by such a metric.
    """
    if not blind:
        return
    entry = experiment.register_
    asked = {f"register.gate.{metric}": metric for metric in entry.gate}
    asked |= {f"tune.limits.{metric}": metric for metric in experiment.tune.limits}
    asked["register.improve"] = _frechet(blind) if entry.improve == "auto" else entry.improve
    for path, metric in asked.items():
        if metric in blind:
            able = ", ".join(name for name in known_metrics(experiment) if name not in (*blind, *SIGNS))
            raise ConfigError(
                f"params.{path}: {metric} is {sight.in_words(blind[metric])}, so it can decide nothing "
                f"({layout.FEATURES}/card.json has the figures). Take a metric that is not, such as {able}; or another "
                "features.extractor"
            )


def _frechet(blind: Mapping[str, Sequence[str]]) -> str:
    """The Fréchet distance, where it is among the blind metrics."""
    return next((name for name in blind if name == "fid" or name.startswith("fd_")), "auto")


def known_metrics(experiment: Experiment) -> tuple[str, ...]:
    """Names that the evaluation of this experiment can have, and that a gate may limit."""
    labelled = experiment.model.conditional and experiment.data.labels != "none"
    classifiers = ("c2st_auc", *(("cas", "cas_real", "cas_gap") if labelled else ()))
    return (*_measured(experiment), *SIGNS, *classifiers)


def compared_metrics(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures in which two generators of this experiment can be compared (`metrics.measure.compare`)."""
    dimensions = getattr(EXTRACTORS[experiment.features.extractor], "dimensions", None)
    without = "_infinity" if dimensions is not None and dimensions > MANY else None
    return tuple(name for name in _measured(experiment) if without is None or not name.endswith(without))


def _measured(experiment: Experiment) -> tuple[str, ...]:
    """Names that `metrics.measure` can give, but for those of memorisation."""
    extractor = experiment.features.extractor
    published = ("fid", "fid_infinity", "kid") if extractor == "inception" else ()
    classes = (f"is_{extractor}", "class_kl") if EXTRACTORS[extractor].classifier else ()
    distances = (f"fd_{extractor}", f"fd_{extractor}_infinity", f"kd_{extractor}")
    return (*published, *distances, *classes, "precision", "recall", "density", "coverage")


def _check_limit(experiment: Experiment, metric: str) -> None:
    """Refuses a limit for a figure that the evaluation will leave out."""
    dimensions = getattr(EXTRACTORS[experiment.features.extractor], "dimensions", None)
    if not metric.endswith("_infinity") or dimensions is None:
        return
    try:
        infinity_smallest(experiment.evaluate.samples, dimensions)
    except FeatureError as error:
        raise ConfigError(f"params.register.gate.{metric}: {error}. Raise evaluate.samples.") from None


def _fits(path: str, name: str, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuses options that a function does not take, or not as such values."""
    try:
        validate_call(config={"strict": True})(make)(**options)
    except ValidationError as error:
        known = ", ".join(inspect.signature(make).parameters) or "none"
        problem = error.errors()[0]
        where = ".".join([path, *map(str, problem["loc"])])
        raise ConfigError(f"params.{where}: {problem['msg']}; {name} takes {known}") from None


def _known(path: str, name: str, table: Any) -> None:
    if name not in table:
        raise ConfigError(f"params.{path}: unknown {name!r}; known: {', '.join(table)}")


def choose_device(name: str) -> torch.device:
    """The device that `compute.device` means here.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "params.compute.device: cuda was asked for, but torch sees no GPU here; auto or cpu would run"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def threads(compute: Compute, operations: float, most: int) -> int:
    """The threads of a training in each worker: those asked for, or as many as its network keeps busy.

    They follow from the network alone, never from what else the machine does: their number decides the last bits.

    Args:
        compute: What was asked for.
        operations: Those of one sample (see `operations`), times the samples of a worker; infinite where a GPU does
            them, and the cores have nothing else to do.
        most: The cores there are for one worker.
    """
    return cores.threads_for(operations, most) if compute.threads == "auto" else compute.threads


def operations(G: nn.Module, D: nn.Module, latent: int, classes: int) -> int:
    """Multiplications of one sample's way through G and D, as `cores.operations` counts them."""
    number, like = group(D), next(G.parameters())
    z = torch.zeros(number, latent, dtype=like.dtype, device=like.device)
    y = torch.zeros(number, dtype=torch.long, device=like.device) if classes else None
    return cores.operations((G, D), lambda: D(G(z, y), y))


def streams(experiment: Experiment, size: int, device: torch.device) -> bool:
    """Whether `size` bytes of samples stay on the disk; auto: if they would take more than half of the free memory."""
    if experiment.compute.data != "auto":
        return experiment.compute.data == "stream"
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return size > free / 2


def hardware(device: torch.device) -> str:
    """What a speed was measured on: the GPU's name, or the processor's and its cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def precision(experiment: Experiment, device: torch.device) -> str:
    """The precision that `train.precision` means on this device: bf16, fp32 or fp64."""
    if experiment.train.precision != "auto":
        return experiment.train.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"


def shown(experiment: Experiment, spec: SampleSpec) -> SampleSpec:
    """What the networks learn about the data: nothing of its labels where these serve the extractor only."""
    return spec if experiment.model.conditional else replace(spec, classes=0)


def networks(experiment: Experiment, spec: SampleSpec) -> tuple[nn.Module, nn.Module]:
    """G and D with initial weights that follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator(experiment.seed, "weights").get_state())
        players = ARCHITECTURES[experiment.model.architecture](
            channels=spec.channels,
            resolution=spec.resolution,
            classes=spec.classes,
            latent=experiment.model.latent,
            **experiment.model.options,
        )
    dtype = torch.float64 if experiment.train.precision == "fp64" else torch.float32
    G, D = (player.to(dtype).to(memory_format=torch.channels_last) for player in players)
    return G, D


def game(experiment: Experiment, device: torch.device) -> Game:
    """The objective, and the precision it is played in."""
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    if precision(experiment, device) == "bf16":

        def autocast() -> AbstractContextManager[None]:
            return torch.autocast(device.type, torch.bfloat16)

    loss = LOSSES[experiment.loss.name](**experiment.loss.options)
    loss.memory.update({name: value.to(device) for name, value in loss.memory.items()})
    penalty, clip = PENALTIES.get(experiment.loss.penalty), experiment.loss.clip
    augment, consistency = augmentation(experiment, device), experiment.train.augment.consistency
    return Game(loss, square_norms, autocast, penalty, clip, augment, consistency)


def augmentation(experiment: Experiment, device: torch.device) -> Augmentation | None:
    """What D is shown instead of the samples; None: they themselves.

    Raises:
        ConfigError: A preset or a transform is not known, or the strength cannot adapt in this game.
    """
    augment = experiment.train.augment
    if isinstance(augment.transforms, str):
        _known("train.augment.transforms", augment.transforms, PRESETS)
        transforms = PRESETS[augment.transforms]
    else:
        transforms = augment.transforms
        for name in transforms:
            _known(f"train.augment.transforms.{name}", name, NAMES)
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
    """How the players learn, in steps and samples."""
    train, loss, augmented = experiment.train, experiment.loss, strength(experiment)
    samples = train.batch * train.d_steps
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
        d_steps=train.d_steps,
        strength=None if augmented == "adaptive" else _schedule(augmented),
    )


def _schedule(value: float | config.Course, scale: float = 1) -> Schedule:
    if not isinstance(value, config.Course):
        return constant(scale * value)
    shape = {"cosine": cosine, "linear": linear}[value.shape]
    return shape(scale * value.start, scale * value.end)


def meaning(experiment: Experiment, *, data: str, extractor: str, edits: str | None = None) -> dict[str, Any]:
    """All that a training's result depends on, as flat dotted keys; where it runs is not part of it.

    The code is in it as the version of its mathematics, and as the hash of edits that no commit holds.

    Args:
        experiment: The parameters.
        data: Hash of the prepared data.
        extractor: Hash of the extractor whose distance chooses the best weights.
        edits: What a process that sees git found of the code (see `identity.code`).
    """
    of_code = {"mathematics": identity.MATHEMATICS, "edits": identity.code(edits).edits}
    return {**flatten(decisive(experiment)), "data": data, "extractor": extractor, **of_code}


def decisive(experiment: Experiment) -> dict[str, Any]:
    """The sections that decide the weights: what a generator is said to have been trained with."""
    content = experiment.content()
    return {key: content[key] for key in ("seed", "model", "loss", "train")}


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def fingerprint(meaning: dict[str, Any]) -> str:
    """A short name of a training: equal for equal meanings."""
    return hash_json(meaning)[:16]
