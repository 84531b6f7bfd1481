"""The trials of a search, the best of them, and the hand-over of its parameters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ganops.config import Experiment
from ganops.core.errors import ConfigError, TrainingError
from ganops.core.files import atomic, read_json, read_yaml, write_json, yaml_text

Status = Literal["running", "finished", "stopped", "pruned", "diverged", "failed"]
"""stopped: by ASHA or the clock; pruned: a limit was not kept; failed: by what may be mended, so it is tried again."""
COMPARABLE = ("finished", "stopped")
"""Statuses of the trials whose distance counts."""
TRIALS, HEADER, TIMES = "trials.json", "search.json", "times.json"
"""Files of a search; its times lie apart, so that the same search again is the same to DVC."""
OF_RUN = ("seconds", "hardware", "finished", "commit")
"""Fields of a search that depend on when, where and with which state of the code it ran."""
SPEED = "images_per_second"
"""The value in a row of a history that depends on the clock."""


@dataclass(frozen=True)
class Takeover:
    """A member of a population took over another one's weights and parameters (PBT)."""

    rung: int
    """Number of the judgement after which it happened."""
    source: int
    """Number of the trial whose weights and parameters it took."""
    parameters: dict[str, Any]
    """Parameters that it went on with: the source's, changed."""


@dataclass(frozen=True)
class Trial:
    """One trial and its outcome."""

    number: int
    """Number from 1 on, in the order in which they were drawn."""
    parameters: dict[str, Any]
    """Dotted paths and values; in a population those of its last stretch."""
    status: Status = "running"
    reason: str = ""
    """Reason why it ended before its length."""
    rung: int = 0
    """Times that it was judged, of `Search.rungs`: how far it came."""
    score: float | None = None
    """The last validation distance; None: it ended before the first."""
    kimg: float = 0.0
    """Length of its training so far, in thousands of samples."""
    seconds: float = 0.0
    """Seconds of training and judging, over all its attempts."""
    history: tuple[dict[str, float], ...] = ()
    """A row a tick: kimg, losses, images_per_second; where it was judged also `rung`, `distance` and other figures."""
    takeovers: tuple[Takeover, ...] = ()


@dataclass(frozen=True)
class Search:
    """A search, its rules and its trials."""

    name: str
    """Fingerprint: of all that decides the trials."""
    objective: str
    """Name of the distance that is minimised, such as fd_domain_validation."""
    protocol: dict[str, Any]
    """Protocol of the distance: extractor and its hash, split, samples of both sides, seeds."""
    rules: dict[str, Any]
    """The section `tune` of the parameters."""
    rungs: int
    """Times that a trial is judged."""
    trials: tuple[Trial, ...]
    """Trials by number."""
    seconds: float = 0.0
    """Seconds from the first trial to the last, without the time between interruptions."""
    hardware: str = ""
    finished: str = ""
    """UTC time in ISO 8601 at which the last trial ended; empty: not known."""
    commit: str | None = None
    """Commit of the code that ran it last; None: an installed release, or not known."""
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    """Number of a trial -> PNG: a grid of its last samples, the same latents for all."""


def shown(parameters: Mapping[str, Any], name: str) -> Any:
    """Return the value of a parameter for people, null by its name; None: there is no such parameter."""
    value = parameters.get(name)
    return "null" if value is None and name in parameters else value


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Best first: those that came furthest before others, since earlier distances are not comparable."""
    scored = [t for t in trials if t.status in COMPARABLE and t.score is not None and math.isfinite(t.score)]
    return sorted(scored, key=lambda t: (-t.rung, t.score, t.number))


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the smallest distance among those that came furthest.

    Raises:
        TrainingError: None has a distance that counts.
    """
    order = ranked(trials)
    if not order:
        reasons = "\n".join(f"  trial {t.number}: {t.status}, {t.reason}" for t in trials)
        raise TrainingError(f"no trial of {len(trials)} ended with a distance that counts:\n{reasons}")
    return order[0]


def summary(trial: Trial) -> str:
    """One line for a person."""
    score = "no score" if trial.score is None else f"{trial.score:.1f}"
    ended = f"{trial.status}: {trial.reason}" if trial.reason else trial.status
    return f"trial {trial.number}: {score} after {trial.kimg:g} kimg ({short(trial.parameters)}; {ended})"


def short(parameters: Mapping[str, Any]) -> str:
    """Parameters for a person: the last words of their names, numbers of three digits."""
    values = {path: f"{value:.3g}" if isinstance(value, float) else str(value) for path, value in parameters.items()}
    return ", ".join(f"{path.removeprefix('train.')} {value}" for path, value in values.items())


def why(search: Search) -> str:
    """Return the reason why the best trial is the best, in a sentence."""
    first, *others = ranked(search.trials)
    level, count = [first, *(each for each in others if each.rung == first.rung)], len(search.trials)
    among = (
        f"{count} trials" if len(level) == count else f"the {len(level)} of {count} trials that count and came furthest"
    )
    text = (
        f"smallest {search.objective} of {among}: {first.score:.4g} after {first.kimg:g} kimg, "
        f"judgement {first.rung} of {search.rungs}"
    )
    if others and others[0].rung == first.rung:
        text += f"; next is trial {others[0].number} with {others[0].score:.4g}"
    return text


def save(search: Search | None, folder: Path) -> None:
    """Write the files that `read` reads into `folder`; what depends on the clock lies apart. None: there was none."""
    rows = [_lasting(asdict(trial)) for trial in search.trials] if search else []
    write_json(folder / TRIALS, rows)
    write_json(folder / HEADER, _header(search) if search else {})
    write_json(folder / TIMES, _times(search) if search else {})


def hand_on(search: Search | None, best_params: Path) -> None:
    """Write the parameters of the best trial; none where there was no search.

    Raises:
        TrainingError: No trial has a distance that counts.
    """
    content: dict[str, Any] = {"parameters": {}, "reason": "no search: the parameters of params.yaml"}
    if search:
        winner = best(search.trials)
        content = {
            "parameters": winner.parameters, "trial": winner.number, "reason": why(search), "search": search.name,
            "protocol": search.protocol,
        }  # fmt: skip
    with atomic(best_params) as file:
        file.write_text(yaml_text(content), encoding="utf-8")


def _header(search: Search) -> dict[str, Any]:
    """Return a search's fields but its trials and its times."""
    apart = ("trials", "pictures", *OF_RUN)
    return {key: getattr(search, key) for key in Search.__dataclass_fields__ if key not in apart}


def _lasting(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial without what depends on the clock."""
    history = [{key: value for key, value in row.items() if key != SPEED} for row in trial["history"]]
    return {key: value for key, value in trial.items() if key != "seconds"} | {"history": history}


def _times(search: Search) -> dict[str, Any]:
    """Return the values that depend on clock and machine: of the search, and by the numbers of its trials."""
    of_trials = {
        str(trial.number): {"seconds": trial.seconds, SPEED: [row.get(SPEED) for row in trial.history]}
        for trial in search.trials
    }
    return {**{name: getattr(search, name) for name in OF_RUN}, "trials": of_trials}


def read(report: Path) -> Search | None:
    """The search that `save` wrote; None where there was none. Its times are those of the latest run."""
    header = read_json(report / HEADER) if (report / HEADER).is_file() else {}
    if not header:
        return None
    times = read_json(report / TIMES) if (report / TIMES).is_file() else {}
    of_trials = times.pop("trials", {})
    trials = (_timed(content, of_trials.get(str(content["number"]), {})) for content in read_json(report / TRIALS))
    return Search(**header, **times, trials=tuple(trials))


def _timed(content: dict[str, Any], times: Mapping[str, Any]) -> Trial:
    speeds = times.get(SPEED) or [None] * len(content["history"])
    history = [row if v is None else row | {SPEED: v} for row, v in zip(content["history"], speeds, strict=True)]
    return trial_of(content | {"seconds": times.get("seconds", 0.0), "history": history})


def trial_of(content: Mapping[str, Any]) -> Trial:
    """A trial from its plain values, as `asdict` gives them."""
    takeovers = tuple(Takeover(**each) for each in content["takeovers"])
    return Trial(**{**content, "history": tuple(content["history"]), "takeovers": takeovers})


def handed_on(experiment: Experiment, best_params: Path) -> Experiment:
    """The experiment with the best parameters of the search.

    Raises:
        ConfigError: The file is missing or not one that `hand_on` wrote.
    """
    return experiment.override(origin(best_params)["parameters"])


def origin(best_params: Path) -> dict[str, Any]:
    """Return what `hand_on` wrote: `parameters`, `reason`, and after a search `trial`, `search`, `protocol`.

    Raises:
        ConfigError: The file is missing or not one that `hand_on` wrote.
    """
    try:
        content: dict[str, Any] = read_yaml(best_params)
        return content | {"parameters": dict(content["parameters"])}
    except FileNotFoundError:
        raise ConfigError(f"{best_params} is missing: the stage tune writes it") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{best_params} is not what the stage tune writes ({error}): run it again") from None
