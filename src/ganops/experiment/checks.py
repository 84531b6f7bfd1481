"""Checks of an experiment: names, options, combinations, space and gate at no cost; later, blind metrics."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, reduce
from math import inf
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import TypeAdapter, ValidationError, validate_call
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from ganops import config
from ganops.config import Experiment
from ganops.core import layout
from ganops.core.collective import shares
from ganops.core.errors import ConfigError, FeatureError, problems
from ganops.core.project import expect_link
from ganops.experiment import build
from ganops.generator.artefact import has_likelihood
from ganops.kinds import KINDS
from ganops.losses import ALONE, LESSONS, LOSSES, OBJECTIVES, OF_GAMES, PENALTIES, Family
from ganops.metrics import catalogue, sight
from ganops.metrics.extractors import EXTRACTORS, of_kind
from ganops.metrics.frechet import MANY_DIMENSIONS, infinity_smallest
from ganops.models import ARCHITECTURES
from ganops.search import population, space
from ganops.training.objective import group

LIMITED = ("alarms", *(metric.name for metric in catalogue.METRICS if metric.limited))
"""Names that `tune.limits` can ask for."""
PARAMETERS = 2 * 10**9
"""The most numbers in the weights of both players: 8 GB as float32."""
TENSORS = 2_000
"""The most tensors in which they lie: beyond it, networks are deeper than any that was published."""
JUDGING = ("train.tick_kimg", "train.checkpoint_kimg", "train.validation_samples")
"""Parameters that a search cannot try: they decide how trials are judged."""


def load(path: Path = Path("params.yaml")) -> Experiment:
    """The experiment of a parameter file, its names looked up and its combinations checked.

    Raises:
        ConfigError: With the full path of each impossible key, and what was expected.
        UserError: The project beside the file watches another ganops than this one.
    """
    expect_link(path.parent)
    experiment = config.load(path)
    check(experiment)
    return experiment


def check(experiment: Experiment) -> None:
    """Refuses names that no table knows, options that no signature takes, and values that contradict each other.

    Raises:
        ConfigError: With the full path of the impossible key, and what was expected.
    """
    extractor, kind = experiment.features.extractor, experiment.data.kind
    build.known("features.extractor", extractor, EXTRACTORS)
    if kind not in EXTRACTORS[extractor].kinds:
        expected = " or ".join(of_kind(kind))
        raise ConfigError(f"params.features.extractor: expected {expected} where data.kind is {kind}, got {extractor}")
    _check_game(experiment)
    metrics = known_metrics(experiment)
    for metric, bound in experiment.register_.gate.items():
        build.known(f"register.gate.{metric}", metric, metrics)
        _check_limit(experiment, metric)
        _check_reach(f"register.gate.{metric}", metric, bound)
    build.known("register.improve", experiment.register_.improve, ("auto", "none", *compared_metrics(experiment)))
    _check_pairs(experiment)
    _check_search(experiment)


def _check_game(experiment: Experiment) -> None:
    """Refuses what no table knows and what contradicts itself in model, loss and train."""
    build.known("model.architecture", experiment.model.architecture, ARCHITECTURES)
    build.known("loss.name", experiment.loss.name, OBJECTIVES)
    build.known("loss.penalty", experiment.loss.penalty, ("none", *PENALTIES))
    _check_warm_up(experiment)
    _fits("loss.options", experiment.loss.name, OBJECTIVES[experiment.loss.name], experiment.loss.options)
    together = _together(_Networks.of(experiment))
    if experiment.loss.name in LOSSES:
        build.augmentation(experiment, torch.device("cpu"))
    workers = experiment.compute.workers
    fewest = workers[0] if isinstance(workers, tuple) else 1 if workers == "auto" else workers
    for path, number in (("workers", fewest), ("trial.workers", experiment.compute.trial.workers)):
        try:
            shares(experiment.train.batch, number, together)
        except ConfigError as error:
            raise ConfigError(f"params.compute.{path}: {error}") from None


def _check_warm_up(experiment: Experiment) -> None:
    """Refuses a warm-up that no table knows, or that leaves nothing of the training to the game."""
    if (first := experiment.loss.warm_up) is None:
        return
    build.known("loss.warm_up.name", first.name, ALONE)
    if build.warm_up_steps(experiment) >= build.recipe(experiment).steps:
        raise ConfigError(
            f"params.loss.warm_up.kimg: expected less than train.kimg, {experiment.train.kimg:g}, which counts both; "
            f"got {first.kimg:g}, which leaves nothing to the game"
        )


class _Networks(NamedTuple):
    """The parameters that networks are built from; options as JSON."""

    architecture: str
    latent: int
    options: str
    kind: str
    shape: tuple[int, ...]
    loss: str
    loss_options: str
    warm_up: str
    """Objective of the phase before the game; empty: there is none."""

    @classmethod
    def of(cls, experiment: Experiment) -> "_Networks":
        """Return those of an experiment."""
        model, loss = experiment.model, experiment.loss
        before = loss.warm_up.name if loss.warm_up and loss.name in LOSSES else ""
        options, of_loss = (json.dumps(each.options, default=str) for each in (model, loss))
        data = experiment.data
        return cls(model.architecture, model.latent, options, data.kind, data.spec.inputs, loss.name, of_loss, before)


@cache
def _together(networks: _Networks) -> int:
    """The samples that D compares with one another: known once the networks were built, here without their memory.

    Raises:
        ConfigError: They cannot be built, or are too large.
    """
    architecture, latent, options, _, shape, loss, of_loss, _ = networks
    players = ARCHITECTURES[architecture]
    given, known = json.loads(options), inspect.signature(players).parameters
    family = LESSONS[loss](**json.loads(of_loss)) if loss in LESSONS else None
    try:
        for name, value in given.items():
            if name in known:
                TypeAdapter(known[name].annotation, config={"strict": True}).validate_python(value)
        with torch.device("meta"), _Undrawn():
            with _bounded("model", architecture):
                pair = players(shape=shape, classes=0, latent=latent, **given)
            if family and not hasattr(pair[1], "features"):
                raise ConfigError(_without_trunk(architecture, loss, given))
            if family:
                family = _decoding(family, pair[0], networks)
            _expect_game_of(pair, networks)
            with _bounded("loss", loss):
                _, D = build.halves(family, pair, latent, 0)
    except ValidationError as error:
        raise ConfigError(f"params.model.options.{name}: {problems(error)[0].words}, got {value!r}") from None
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        taken = ", ".join(name for name in known if name not in ("shape", "classes", "latent"))
        message = str(error).split("\n")[0].replace("players() got ", "")
        raise ConfigError(f"params.model.options: {message}; {architecture} takes {taken}") from None
    return group(D)


def _decoding(family: Family, G: nn.Module, networks: "_Networks") -> Family:
    """Return the family as the samples of G learn it.

    Raises:
        ConfigError: Texts do not, or G has no code, or what is of texts is asked of other samples.
    """
    texts = [name for name, make in LESSONS.items() if make().texts]
    if not getattr(G, "tempered", False):
        if family.texts and family.texts.dropout:
            raise ConfigError("params.loss.options.word_dropout: leaves out words of data.kind: text; expected 0")
        return family
    if family.texts is None:
        raise ConfigError(
            f"params.loss.name: {networks.loss} does not learn texts; expected {', '.join([*texts, *ALONE, *LOSSES])}"
        )
    if not getattr(G, "code", 0):
        raise ConfigError(
            f"params.model.options.code: {networks.loss} decodes a code, and G has none; expected its numbers, such as "
            f"32, which come to model.latent: {networks.latent + 32}"
        )
    return family.of_texts()


def _expect_game_of(pair: tuple[nn.Module, nn.Module], networks: "_Networks") -> None:
    """Refuses players that the samples or the objective are nothing for.

    Raises:
        ConfigError: With what would be.
    """
    (G, D), architecture, loss = pair, networks.architecture, networks.loss
    for path, name in (("name", loss), ("warm_up.name", networks.warm_up)):
        if name in ALONE and not has_likelihood(G):
            raise ConfigError(_without_likelihood(path, name, architecture, json.loads(networks.options)))
    if networks.kind == "text" and not getattr(G, "tempered", False):
        raise ConfigError(
            f"params.model.architecture: {architecture} writes no texts, of which each place has one word; expected "
            "lstm where data.kind is text"
        )
    if loss in LOSSES:
        _expect_errors_or_scores(loss, LOSSES[loss](**json.loads(networks.loss_options)).of_errors, D)


def _expect_errors_or_scores(loss: str, of_errors: bool, D: nn.Module) -> None:
    """Refuses a game of errors whose D gives scores, which are no errors and have no end, and the reverse.

    Raises:
        ConfigError: With what goes with what.
    """
    reconstructs = hasattr(D, "reconstruct")
    if of_errors != reconstructs:
        of_these = " and ".join(name for name, make in LOSSES.items() if make().of_errors)
        raise ConfigError(
            f"params.loss.name: {of_these} goes with an autoencoder D (model.architecture: began, or "
            f"model.options.critic: autoencoder of mlp and infogan), and that D with {of_these} alone; got {loss} with "
            f"a D that {'is an autoencoder' if reconstructs else 'is none'}"
        )


def _without_likelihood(path: str, name: str, architecture: str, options: Mapping[str, Any]) -> str:
    """Words for a G that does not know the probabilities of its samples."""
    if options.get("code"):
        return (
            f"params.model.options.code: {name} (loss.{path}) needs a G that knows the probabilities of its samples, "
            f"and with a code it knows those of texts of that code alone; expected 0, or loss.name: vae"
        )
    return (
        f"params.loss.{path}: {name} needs a G that knows the probabilities of its samples, and that of {architecture} "
        "does not; expected model.architecture: lstm, of data.kind: text"
    )


def _without_trunk(architecture: str, loss: str, options: Mapping[str, Any]) -> str:
    """Words for a D of which no encoder can be made."""
    culprit = f"options.critic: {options['critic']}" if "critic" in options else f"architecture: {architecture}"
    others = ", ".join(name for name in ARCHITECTURES if name != architecture)
    mend = "score" if "critic" in options else others
    return (
        f"params.model.{culprit} makes a D without features, of which {loss} could make its encoder (loss.name); "
        f"expected {mend}"
    )


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
def _bounded(path: str, name: str) -> Iterator[None]:
    """Refuses networks of more than `PARAMETERS` numbers in `TENSORS` tensors as soon as they pass either bound.

    Raises:
        ConfigError: They do.
    """
    known: dict[int, nn.Parameter] = {}
    numbers = 0

    def count(module: nn.Module, of_module: str, parameter: nn.Parameter | None) -> None:
        nonlocal numbers
        if parameter is None or id(parameter) in known:  # a bias that is left out; a weight that changes its place
            return
        if not parameter.numel():
            raise ConfigError(f"params.{path}: {name} with these options has a layer without a single weight")
        known[id(parameter)] = parameter
        numbers, tensors = numbers + parameter.numel(), len(known)
        if numbers > PARAMETERS or tensors > TENSORS:
            raise ConfigError(
                f"params.{path}: {name} with these options has at least {numbers:,} parameters in {tensors:,} "
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
    for name, bound in tune.limits.items():
        build.known(f"tune.limits.{name}", name, LIMITED)
        _check_reach(f"tune.limits.{name}", name, bound)
    _check_paths(tune)
    if tune.scheduler == "pbt":
        population.check(tune)
    if tune.search == "grid":
        next(space.grid(tune.space))
    for values in space.corners(tune.space):
        if tune.trials:  # the space of the default run may stay where nothing is searched
            _check_effects(tune, values, values.get("loss.name", experiment.loss.name))
        try:
            tried = experiment.override(values)
            _check_game(tried)
            _check_length(tried, experiment)
        except ConfigError as error:
            if not values:
                raise
            with_them = ", ".join(f"{path} {value}" for path, value in values.items())
            raise ConfigError(f"params.tune.space: with {with_them}: {error}") from None


def _check_paths(tune: config.Tune) -> None:
    """Refuses what is the same for all trials, and what lies in another parameter, unless it depends on that."""
    for path, _, kind in space.ordered(tune.space):
        if path in JUDGING:
            raise ConfigError(f"params.tune.space.{path}: is how trials are judged, so it must be the same for all")
        if path == "train.start":
            raise ConfigError(f"params.tune.space.{path}: all trials begin alike, as params.train.start says")
        above = [other for other in tune.space if path.startswith(f"{other}.") and other not in (kind.when or {})]
        if above:
            raise ConfigError(
                f"params.tune.space.{path}: lies in {above[0]}, which is searched as a whole; leave one out, or let "
                f"this one depend on it (when: {{{above[0]}: ...}})"
            )


def _check_length(tried: Experiment, experiment: Experiment) -> None:
    """Refuses trials that end within their warm-up: their game would never be judged."""
    tune, steps = tried.tune, build.warm_up_steps(tried)
    length = min(1.0, tune.kimg / experiment.train.kimg) * build.recipe(tried).steps
    if tune.trials and steps and length <= steps:
        raise ConfigError(
            f"params.tune.kimg: {tune.kimg:g} of train.kimg: {experiment.train.kimg:g} ends within the warm-up "
            f"(loss.warm_up.kimg: {tried.loss.warm_up and tried.loss.warm_up.kimg:g}), so that no game would be "
            "judged; expected more, or tune.trials: 0"
        )


def _check_effects(tune: config.Tune, values: Mapping[str, Any], loss: str) -> None:
    """Refuses a trial that tries what means nothing for its objective."""
    for path in values:
        if _has_effect(path, loss):
            continue
        spaces = tune.space.get("loss.name", ())
        names = [
            name for each in ((spaces,) if isinstance(spaces, config.Space) else spaces) for name in each.choice or ()
        ]
        able = [name for name in names if name in OBJECTIVES and _has_effect(path, name)]
        condition = f"give it the condition when: {{loss.name: [{', '.join(able)}]}}" if able else "leave it out"
        raise ConfigError(f"params.tune.space.{path}: means nothing where loss.name is {loss}; {condition}")


def _has_effect(path: str, loss: str) -> bool:
    """Return True where a parameter means something for an objective."""
    if path.startswith("loss.options.") and loss in OBJECTIVES:
        return path.split(".")[2] in inspect.signature(OBJECTIVES[loss]).parameters
    with_game = loss in LOSSES or loss not in OBJECTIVES
    return with_game or not any(path == each or path.startswith(f"{each}.") for each in OF_GAMES)


def idle(experiment: Experiment) -> tuple[str, ...]:
    """Return the paths of parameters that are not as they are by default, and mean nothing for this objective."""
    own, default = ({path: _at(each.content(), path) for path in OF_GAMES} for each in (experiment, config.parse({})))
    return tuple(
        path for path in OF_GAMES if own[path] != default[path] and not _has_effect(path, experiment.loss.name)
    )


def _at(content: Any, path: str) -> Any:
    """The value at a dotted path of nested sections."""
    return reduce(getitem, path.split("."), content)


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
    entry, unit = experiment.register_, KINDS[experiment.data.kind].UNIT
    asked = {f"register.gate.{metric}": metric for metric in entry.gate}
    asked |= {f"tune.limits.{metric}": metric for metric in experiment.tune.limits}
    first = (name for name in catalogue.headline(blind) if (row := catalogue.of(name)) and row.distance)
    asked["register.improve"] = next(first, "") if entry.improve == "auto" else entry.improve
    for path, metric in asked.items():
        if not catalogue.decides(metric, (metric, *entry.gate), blind):
            able = ", ".join(name for name in _able(experiment, path) if name not in blind)
            raise ConfigError(
                f"params.{path}: {metric} is {sight.blindness(blind[metric], unit)}, so it can decide nothing "
                f"({layout.FEATURES}/card.json has the figures). Take a metric that is not, such as {able}; or another "
                "features.extractor"
            )


def _able(experiment: Experiment, path: str) -> list[str]:
    """Return the metrics that a parameter takes, and that decide alone; signs of copies see no crowds of samples."""
    rows = {name: row for name, row in _measured(experiment).items()
            if not (row.ungated or row.beside or row.panel == "memorisation")}  # fmt: skip
    if path == "register.improve":
        return [name for name in compared_metrics(experiment) if name in rows]
    return [name for name, row in rows.items() if row.limited or not path.startswith("tune.")]


def known_metrics(experiment: Experiment) -> tuple[str, ...]:
    """Return the names that the evaluation of this experiment can have, and that a gate may limit."""
    return tuple(name for name, metric in _measured(experiment).items() if not metric.ungated)


def compared_metrics(experiment: Experiment) -> tuple[str, ...]:
    """Return the figures in which two generators of this experiment can be compared (`metrics.measure.compare`)."""
    dimensions = getattr(EXTRACTORS[experiment.features.extractor], "dimensions", None)
    without = "_infinity" if dimensions is not None and dimensions > MANY_DIMENSIONS else None
    compared = (name for name, metric in _measured(experiment).items() if metric.compared)
    return tuple(name for name in compared if without is None or not name.endswith(without))


def _measured(experiment: Experiment) -> dict[str, catalogue.Metric]:
    """The figures that the evaluation of this experiment can have."""
    extractor = experiment.features.extractor
    given = {
        "published": extractor == "inception",
        "classifier": EXTRACTORS[extractor].classifier,
        "labels": experiment.model.conditional and experiment.data.labels != "none",
        "pixels": experiment.data.kind != "text",
        "texts": experiment.data.kind == "text",
        "films": experiment.data.kind == "video",
    }
    return catalogue.names(extractor, [need for need, there in given.items() if there])


def _check_pairs(experiment: Experiment) -> None:
    """Refuses to let a figure decide alone that says nothing without another one: one likely text has the best nats."""
    gate, extractor = experiment.register_.gate, experiment.features.extractor
    for path, metric in {**{f"gate.{name}": name for name in gate}, "improve": experiment.register_.improve}.items():
        row = catalogue.of(metric)
        if row and row.beside and not catalogue.partner(metric, gate):
            beside = row.beside.replace("*", extractor)
            raise ConfigError(
                f"params.register.{path}: {metric} cannot decide alone, since one likely text repeated has the best of "
                f"all. Give register.gate a limit of {beside} as well"
            )


def _check_limit(experiment: Experiment, metric: str) -> None:
    """Refuses a limit for a figure that the evaluation will leave out."""
    row, samples = catalogue.of(metric), experiment.evaluate.samples
    if row and row.panel == "classifiers" and samples // 4 < catalogue.JUDGING:
        raise ConfigError(
            f"params.register.gate.{metric}: a quarter of the generated samples judges, at least {catalogue.JUDGING}; "
            f"expected evaluate.samples: {4 * catalogue.JUDGING} or more, got {samples}"
        )
    dimensions = getattr(EXTRACTORS[experiment.features.extractor], "dimensions", None)
    if not metric.endswith("_infinity") or dimensions is None:
        return
    try:
        infinity_smallest(samples, dimensions)
    except FeatureError as error:
        raise ConfigError(f"params.register.gate.{metric}: {error}. Raise evaluate.samples.") from None


def _check_reach(path: str, metric: str, bound: config.Bound) -> None:
    """Refuses a limit that no figure can keep."""
    row = catalogue.of(metric)
    if row is None or row.range is None:
        return
    worst, best = row.range
    low, high = min(row.range), max(row.range)
    if row.beyond:
        low, high = (low, inf) if best > worst else (-inf, high)
    least, most = (
        (low if bound.at_least is None else bound.at_least),
        (high if bound.at_most is None else bound.at_most),
    )
    if least > high or most < low:
        raise ConfigError(
            f"params.{path}: {metric} goes from {worst:g} (worst) to {best:g} (best), so nothing keeps this limit"
        )


def _fits(path: str, name: str, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuses options that a function does not take, or not as such values.

    A function itself refuses a value by a ValueError that begins with the option's name.
    """
    try:
        validate_call(config={"strict": True})(make)(**options)
    except ValidationError as error:
        known = ", ".join(inspect.signature(make).parameters) or "none"
        problem = problems(error)[0]
        where = ".".join(filter(None, [path, problem.path]))
        raise ConfigError(f"params.{where}: {problem.words}; {name} takes {known}") from None
    except ValueError as error:
        raise ConfigError(f"params.{path}.{error}") from None
