"""The trials of a search: what they are, which was best, and how the best parameters are handed on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ganops.config import Experiment
from ganops.errors import ConfigError
from ganops.files import atomic, atomic_folder, write_json


@dataclass(frozen=True)
class Trial:
    """One trial and what became of it."""

    number: int
    parameters: dict[str, Any]
    """Dotted paths and values."""
    score: float | None
    """The last validation distance; None: it failed before the first."""
    kimg: float
    """How far it came."""
    status: str
    """finished, stopped (by the scheduler), or failed: and the reason."""


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the smallest distance among those that came furthest: earlier distances are not comparable."""
    scored = [trial for trial in trials if trial.score is not None and math.isfinite(trial.score)]
    furthest = max(trial.kimg for trial in scored)
    return min((t for t in scored if t.kimg == furthest), key=lambda t: (t.score, t.number))


def in_words(trial: Trial) -> str:
    """One line for a person."""
    short = ", ".join(f"{path.removeprefix('train.')} {_short(value)}" for path, value in trial.parameters.items())
    score = "no score" if trial.score is None else f"{trial.score:.1f}"
    return f"trial {trial.number}: {score} after {trial.kimg:g} kimg ({short}; {trial.status})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def publish(trials: Sequence[Trial], *, best_params: Path, report: Path) -> None:
    """Writes the table and the plot of all trials, and the best parameters (none where there was no search)."""
    from ganops.plots import trials_plot

    rows = [asdict(trial) for trial in trials]
    with atomic_folder(report) as draft:
        write_json(draft / "trials.json", rows)
        if any(trial.score is not None for trial in trials):
            (draft / "trials.svg").write_bytes(trials_plot(rows))
    content: dict[str, Any] = {"parameters": {}, "reason": "no search: the parameters of params.yaml"}
    if trials:
        winner = best(trials)
        reason = f"smallest validation distance of {len(trials)} trials: {winner.score:.4g} after {winner.kimg:g} kimg"
        content = {"parameters": winner.parameters, "trial": winner.number, "reason": reason}
    with atomic(best_params) as draft:
        draft.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def handed_on(experiment: Experiment, best_params: Path) -> Experiment:
    """The experiment with the best parameters of the search.

    Raises:
        ConfigError: The file is missing or not one that `publish` wrote.
    """
    try:
        content = yaml.safe_load(best_params.read_text(encoding="utf-8"))
        return experiment.override(content["parameters"])
    except FileNotFoundError:
        raise ConfigError(f"{best_params} is missing: the stage tune writes it") from None
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"{best_params} is not what the stage tune writes ({error}): run it again") from None
