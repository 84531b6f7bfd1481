"""A published comparison of models as data: its spaces, its budget at any scale, and our ranking beside its own.

A study is a file `study.yaml` (see experiments/). What is trained where is for `studies/runner.py`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ganops import config
from ganops.config import Count, Experiment, NotNegative, Positive, Section
from ganops.core.errors import ConfigError, problems
from ganops.core.files import atomic, read_yaml, write_json
from ganops.reports import plots
from ganops.reports.page import brackets, fill, present, svg_uri

FILE = "study.yaml"
FOLDER = Path("experiments")
"""Folder in which a study is looked for by its name."""
RESAMPLES = 5000
"""Number of resamples of the seeds behind the interval of an agreement."""


class Published(Section):
    """The published figures of a model."""

    mean: float
    """Mean over its seeds; lower is better."""
    deviation: NotNegative
    """Standard deviation between its seeds."""


class Contender(Section):
    """A model of the study."""

    title: str
    published: Published | str
    """The published figures, or the reason in words why there are none, such as `not in the study`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Dotted paths and values that make this model of the base."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Spaces like those of `tune.space`, beside those of all models."""
    without: tuple[str, ...] = ()
    """Paths of spaces of all models that mean nothing for this one."""
    authors: dict[str, Any]
    """The configuration of the model's authors, which is tried first."""


class Least(Section):
    """Bounds that no scale goes below."""

    kimg: Positive
    configurations: Count
    seeds: Annotated[int, Field(ge=2)]
    samples: Annotated[int, Field(ge=100)]


class Study(Section):
    """A comparison at its full scale."""

    title: str
    reference: str
    metric: str
    """Name of the published figure."""
    values_from: str
    """Place where the published values were read."""
    configurations: Count
    """Tried of each model: that of its authors, the others drawn from its space."""
    seeds: Annotated[int, Field(ge=2)]
    """Number of seeds under which the best configuration is trained again."""
    least: Least
    base: dict[str, Any]
    """Sections of params.yaml that all models share."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Spaces like those of `tune.space`, for all models."""
    models: Annotated[dict[str, Contender], Field(min_length=1)]
    deviations: tuple[str, ...] = ()
    """Deviations from the published study, in words."""

    @model_validator(mode="after")
    def _authors_speak_of_the_space(self) -> Self:
        for name, model in self.models.items():
            if different := set(model.authors) ^ set(self.space_of(name)):
                raise ValueError(f"models.{name}.authors: expected the keys of its space, {sorted(different)} differ")
        return self

    def space_of(self, name: str) -> dict[str, Any]:
        """Return the space of a model: that of all models and its own, without what means nothing for it."""
        model = self.models[name]
        return {path: each for path, each in {**self.space, **model.space}.items() if path not in model.without}


def load(folder_or_name: str) -> Study:
    """Reads and checks the study of a folder, or of a name in `experiments`.

    Raises:
        ConfigError: It is missing, malformed or impossible.
    """
    places = [Path(folder_or_name), FOLDER / folder_or_name]
    path = next((place / FILE for place in places if (place / FILE).is_file()), None)
    if path is None:
        known = ", ".join(sorted(each.parent.name for each in FOLDER.glob(f"*/{FILE}"))) or "none"
        raise ConfigError(f"expected a folder with {FILE} or a study's name ({known}), got {folder_or_name}")
    try:
        return Study.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}:\n" + "\n".join(f"{each.path}: {each.words}" for each in problems(error))) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None


@dataclass(frozen=True)
class Plan:
    """A study at a scale."""

    study: Study
    scale: float
    configurations: int
    """Number of configurations of each model, that of its authors among them."""
    seeds: tuple[int, ...]
    """Seeds of the second phase: others than the one of the search."""
    experiments: dict[str, Experiment]
    """Experiments by the names of the models, each with its space."""

    @property
    def trainings(self) -> int:
        """Number of all trainings."""
        return len(self.experiments) * (self.configurations + len(self.seeds))

    @property
    def kimg(self) -> float:
        """Length of a training, in thousands of samples."""
        return next(iter(self.experiments.values())).train.kimg

    def summary(self) -> str:
        """One line for a person."""
        experiment = next(iter(self.experiments.values()))
        return (
            f"{self.study.title} at scale {self.scale:g}: {len(self.experiments)} models, each with "
            f"{self.configurations} configurations and {len(self.seeds)} seeds of the best: {self.trainings} trainings "
            f"of {self.kimg:g} kimg, {experiment.evaluate.samples:,} samples each in the end"
        )


def scaled(study: Study, scale: float) -> dict[str, Any]:
    """The parameters that follow from the scale, by their dotted paths; `tune.trials` leaves out that of the authors.

    A training is a whole number of steps whatever number of turns D has in a step.
    """
    full = config.parse(study.base)
    turns = study.space.get("train.d_steps", {}).get("choice", [full.train.d_steps])
    whole = full.train.batch * math.lcm(*turns) / 1000
    kimg = whole * max(1, round(max(study.least.kimg, scale * full.train.kimg) / whole))
    share = kimg / full.train.kimg
    samples = {
        path: min(most, max(study.least.samples, round(scale * most)))
        for path, most in (
            ("train.validation_samples", full.train.validation_samples), ("evaluate.samples", full.evaluate.samples)
        )
    }  # fmt: skip
    lengths = {
        "train.kimg": kimg, "tune.kimg": kimg, "train.tick_kimg": share * full.train.tick_kimg,
        "train.checkpoint_kimg": share * full.train.checkpoint_kimg,
    }  # fmt: skip
    return lengths | samples | {"tune.trials": _count(study.configurations, study.least.configurations, scale) - 1}


def _count(full: int, least: int, scale: float) -> int:
    return max(least, round(scale * full))


def plan(study: Study, scale: float, *, data: str | None = None, models: Sequence[str] | None = None) -> Plan:
    """The trainings of a study at a scale.

    Args:
        study: The study.
        scale: Above 0 up to 1: length, configurations, seeds and samples are this share of the study's.
        data: Another source than the study's own.
        models: Names of some of its models; None: all.

    Raises:
        ConfigError: A scale, a name or a parameter is impossible.
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"scale: expected a number above 0, at most 1, got {scale:g}")
    names = list(study.models) if models is None else list(dict.fromkeys(models))
    if unknown := [name for name in names if name not in study.models] or (not names and ["none"]):
        raise ConfigError(f"models: {', '.join(unknown)} not known; known: {', '.join(study.models)}")
    values = scaled(study, scale) | ({"data.source": data} if data else {})
    base = config.parse(study.base).override(values)
    share = base.train.kimg / config.parse(study.base).train.kimg
    experiments = {
        name: _warmed_up(base.override({**model.parameters, "tune.space": study.space_of(name)}), share)
        for name, model in study.models.items() if name in names
    }  # fmt: skip
    first = base.seed + 1
    seeds = tuple(range(first, first + _count(study.seeds, study.least.seeds, scale)))
    return Plan(study, scale, values["tune.trials"] + 1, seeds, experiments)


def _warmed_up(experiment: Experiment, share: float) -> Experiment:
    """Return an experiment whose warm-up, where it has one, is of the scale that the rest of its training is of."""
    first = experiment.loss.warm_up
    return experiment.override({"loss.warm_up.kimg": share * first.kimg}) if first else experiment


class Point(NamedTuple):
    """A judgement in the course of a training."""

    kimg: float
    seconds: float
    """Seconds of training up to here, without judgements."""
    distance: float
    """Distance to the validation data."""


@dataclass(frozen=True)
class Result:
    """The result of a model."""

    name: str
    title: str
    published: float | None
    """Published mean; None: there is none."""
    published_deviation: float | None
    values: tuple[float, ...] = ()
    """The distance to the test data, for each seed that ended."""
    interval: tuple[float, float] | None = None
    """95 % interval of the mean of endlessly many seeds."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the best configuration."""
    by_authors: bool = False
    """True where that is the configuration of the model's authors."""
    failed_configurations: int = 0
    failed_seeds: int = 0
    seconds: float = 0.0
    reason: str = ""
    """Reason why it has no mean, or a remark for people."""
    unpublished: str = ""
    """Reason why it has no published mean."""
    course: tuple[Point, ...] = ()
    """The distance in the course of a training, as a mean over the seeds."""

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None: there are not two."""
        return float(np.mean(self.values)) if len(self.values) > 1 else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation between seeds (n - 1)."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Agreement:
    """Agreement of two rankings: Kendall's tau, 1 where they are equal, -1 where one is the other reversed."""

    models: int
    tau: float
    p: float
    """Probability of so large a tau, either way, of a ranking and a random one; exact where no two are equal."""
    interval: tuple[float, float]
    """95 % of the tau where the seeds of each model are drawn again; the published values stay."""


def ranks(values: Mapping[str, float]) -> dict[str, int]:
    """1 for the smallest; equal values share the better rank."""
    return {name: 1 + sum(other < value for other in values.values()) for name, value in values.items()}


def agreement(results: Sequence[Result], seed: int = 0) -> Agreement | None:
    """Return the agreement of our means with the published ones, over models with both; None without a ranking."""
    from scipy import stats  # takes more than a second

    known = [result for result in results if result.mean is not None and result.published is not None]
    if min(len({result.mean for result in known}), len({result.published for result in known})) < 2:
        return None  # collapsed generators may well be equal, and so may published values
    published = np.array([result.published for result in known])
    found = stats.kendalltau([result.mean for result in known], published)
    source = np.random.default_rng(seed)
    means = np.stack(
        [source.choice(result.values, (RESAMPLES, len(result.values))).mean(1) for result in known], axis=1
    )
    low, high = np.quantile(_taus(means, published), [0.025, 0.975])
    return Agreement(len(known), float(found.statistic), float(found.pvalue), (float(low), float(high)))


def _taus(means: NDArray[np.float64], published: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b of each row [R, n] with published [n], as scipy has it; 0 where a row is all ties."""
    one, other = np.array(list(itertools.combinations(range(len(published)), 2))).T
    ours, theirs = np.sign(means[:, one] - means[:, other]), np.sign(published[one] - published[other])
    untied = np.sqrt((ours != 0).sum(1) * (theirs != 0).sum())
    taus: NDArray[np.float64] = (ours * theirs).sum(1) / np.maximum(untied, 1)
    return taus


@dataclass(frozen=True)
class Outcome:
    """A finished study."""

    plan: Plan
    results: tuple[Result, ...]
    figure: str
    """Name of our distance, such as fd_domain."""
    protocol: Mapping[str, Any]
    """Protocol of the distance."""
    hardware: str
    data: str
    """The prepared data in words."""
    finished: str = ""
    """UTC time in ISO 8601 at which the last search or evaluation ended; empty: not known."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table: ours by rank, then those that failed, in the order of the published ranks."""
        ours = ranks({result.name: result.mean for result in self.results if result.mean is not None})
        models = self.plan.study.models.items()
        theirs = ranks({name: model.published.mean for name, model in models if isinstance(model.published, Published)})
        rows = [
            {
                **asdict(result), "mean": result.mean, "deviation": result.deviation, "rank": ours.get(result.name),
                "published_rank": theirs.get(result.name),
            }
            for result in self.results
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row["rank"] or math.inf, row["published_rank"] or math.inf))

    def agreement(self) -> Agreement | None:
        """Return the agreement with the published ranking."""
        return agreement(self.results)

    def verdict(self) -> str:
        """A sentence on the agreement."""
        found = self.agreement()
        if found is None:
            return "No two models with a published figure have different means: there is no ranking to compare."
        others = [result.title for result in self.results if result.published is None]
        left_out = f" Without a published figure, and so not among them: {', '.join(others)}." if others else ""
        return (
            f"Kendall's tau between the two rankings of {found.models} models is {found.tau:.2f} (1: equal, -1: "
            f"reversed); a random ranking agrees or disagrees as much with probability {found.p:.2f}. If the seeds are "
            f"drawn again, 95 % of the taus lie in [{found.interval[0]:.2f}, {found.interval[1]:.2f}].{left_out}"
        )


def publish(outcome: Outcome, folder: Path) -> None:
    """Writes results.json, table.md and report.html."""
    found = outcome.agreement()
    content = {
        "study": outcome.plan.study.title, "reference": outcome.plan.study.reference, "scale": outcome.plan.scale,
        "configurations": outcome.plan.configurations, "seeds": len(outcome.plan.seeds), "kimg": outcome.plan.kimg,
        "figure": outcome.figure, "agreement": asdict(found) if found else None, "models": outcome.rows(),
        "protocol": dict(outcome.protocol), "hardware": outcome.hardware, "data": outcome.data,
        "finished": outcome.finished,
    }  # fmt: skip
    write_json(folder / "results.json", content)
    for name, text in (("table.md", table(outcome)), ("report.html", page(outcome))):
        with atomic(folder / name) as draft:
            draft.write_text(text, encoding="utf-8")


COLUMNS = ("rank", "model", "distance", "95 % of the mean", "published", "their rank", "best configuration", "failed",
           "seconds")  # fmt: skip


def table(outcome: Outcome) -> str:
    """The rows as Markdown, and what they say."""
    study = outcome.plan.study
    heads = [*COLUMNS]
    heads[2], heads[4] = outcome.figure, study.metric
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in cells(row)) for row in outcome.rows()]
    body = "\n".join(f"| {line} |" for line in lines)
    deviations = "\n".join(f"- {' '.join(each.split())}" for each in study.deviations)
    return (
        f"# {study.title} at scale {outcome.plan.scale:g}\n\n{study.reference}; published values: "
        f"{study.values_from}.\n\n{body}\n\n{outcome.verdict()}\n\n{outcome.plan.summary()}. {outcome.data}. "
        f"{outcome.hardware}.\n\nWhat differs from the study:\n\n{deviations}\n"
    )


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the table as text, in the order of COLUMNS."""
    mean = "–" if row["mean"] is None else _spread(row["mean"], row["deviation"])
    interval = "–" if row["interval"] is None else "[{:.3g}, {:.3g}]".format(*row["interval"])
    best = ", ".join(f"{_last(path)} {_value(value)}" for path, value in row["parameters"].items())
    best = f"{best} (its authors')" if row["by_authors"] else best
    counts = {"configurations": row["failed_configurations"], "seeds": row["failed_seeds"]}
    failed = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"
    published = row["unpublished"] or "–"
    if row["published"] is not None:
        published = _spread(row["published"], row["published_deviation"])
    return [
        str(row["rank"] or "–"), row["title"], mean, interval, published, str(row["published_rank"] or "–"),
        "; ".join(filter(None, [best, " ".join(row["reason"].split())])), failed, f"{row['seconds']:,.0f}",
    ]  # fmt: skip


def _spread(mean: float, deviation: float) -> str:
    return f"{plots.number(mean)} ± {plots.number(deviation, 2)}"


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _value(value: Any) -> str:
    return plots.number(value) if isinstance(value, float) else str(value)


def page(outcome: Outcome) -> str:
    """The report as one HTML file: no script, nothing to load."""
    study, rows = outcome.plan.study, outcome.rows()
    ranked = [row for row in rows if row["rank"] and row["published_rank"]]
    chart = plots.slopes(
        {row["title"]: row["published"] for row in ranked}, {row["title"]: row["mean"] for row in ranked},
        f"{study.metric}, published", outcome.figure,
    ) if len(ranked) > 1 else b""  # fmt: skip
    courses = _courses(rows, f"{outcome.figure}, validation")
    found = outcome.agreement()
    heads = [*COLUMNS]
    heads[2], heads[4] = outcome.figure, study.metric
    return fill(
        "study.html.j2",
        title=study.title,
        crisp=False,
        hero=None,
        about=present(
            {
                "finished": outcome.finished[:10],
                "reference": study.reference,
                "data": outcome.data,
                "hardware": outcome.hardware,
            }
        ),
        beside={} if found is None else {"95 %": brackets(found.interval), "p of chance": found.p},
        sections=("ranking", *(["cost"] if courses else []), "deviations", "protocol"),
        summary={
            "Kendall's tau with the published ranking": "–" if found is None else f"{found.tau:.2f}",
            "scale": f"{outcome.plan.scale:g}",
            "trainings": f"{outcome.plan.trainings:,}",
            "seconds": f"{sum(row['seconds'] for row in rows):,.0f}",
        },
        verdict=outcome.verdict(),
        study=study,
        plan=outcome.plan.summary(),
        heads=heads,
        rows=[(row["rank"] == 1, cells(row)) for row in rows],
        slopes=svg_uri(chart) if chart else None,
        courses=courses,
        protocol=dict(outcome.protocol),
        figure=outcome.figure,
    )


def _courses(rows: Sequence[Mapping[str, Any]], label: str) -> dict[str, str]:
    """Charts of the distance against kimg and against seconds, by the name of that axis."""
    known = {row["title"]: np.array(row["course"]) for row in rows if row["course"]}
    axes = {"kimg": 0, "seconds of training": 1} if known else {}
    return {
        across: svg_uri(plots.courses({title: each[:, [i, 2]] for title, each in known.items()}, across, label))
        for across, i in axes.items()
    }
