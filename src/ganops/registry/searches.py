"""A search in MLflow: a run of its own, and each trial as a child run. The driver writes them, at the end."""

from pathlib import Path
from typing import Any

from ganops.core.errors import RegistryError
from ganops.core.redaction import reason
from ganops.core.terminal import progress
from ganops.registry import tracking
from ganops.registry.live import is_recorded_here
from ganops.registry.tags import SEARCH, TRIAL
from ganops.registry.tracking import insist_on_server, mlflow
from ganops.search.trials import Search, Trial, best, why

STATUS, REASON = "ganops.status", "ganops.reason"
STATES = {"diverged": "FAILED", "failed": "FAILED"}
"""MLflow's words for how a run ended; the others are FINISHED, also those that the scheduler ended early."""
MAX_TAG_CHARS = 5000
"""Characters of a tag that MLflow keeps."""


def try_to_record(search: Search, root: Path, *, name: str) -> str:
    """Record a search as `record` does, without waiting; return why it failed, or "". `register` does it later."""
    if not is_recorded_here():
        return ""
    try:
        _record(search, root, name)
    except (RegistryError, mlflow.MlflowException, OSError) as error:
        return reason(error)
    return ""


def record(search: Search, root: Path, *, name: str) -> str:
    """The id of the run of a search, which afterwards has all trials that have ended as child runs.

    Trials that are there already, and ended as they end now, are left alone: so it may be called again, and after one
    more trial it adds that.

    Args:
        search: The search.
        root: The project's folder.
        name: Of MLflow's experiment, which is that of the trainings.

    Raises:
        RegistryError: The store cannot be reached or used.
    """
    return insist_on_server(lambda: _record(search, root, name), root)


def _record(search: Search, root: Path, name: str) -> str:
    client = tracking.connect(root)
    experiment = tracking.ensure_experiment(client, name, root)
    winner = best(search.trials)
    # more trials, or more time, are the same search, whose run keeps its parameters
    rules = {key: value for key, value in search.rules.items() if key not in ("trials", "minutes")}
    parent = tracking.ensure_run(
        client,
        experiment,
        f"search-{search.name}",
        name=f"search-{search.name[:8]}",
        tags={SEARCH: search.name, **tracking.code_tags(root), **tracking.made_by()},
        params={**rules, "objective": search.objective, "protocol": search.protocol},
        history=[],
        metrics={
            search.objective: winner.score or 0.0,
            "search/trials": len(search.trials),
            "search/seconds": search.seconds,
        },
        artifacts={},
    )
    tracking.settled(client.set_tag, parent, REASON, why(search)[:MAX_TAG_CHARS])
    known = _known(client, experiment, parent)
    missing = [
        trial for trial in search.trials if trial.status != "running" and known.get(str(trial.number)) != _end(trial)
    ]
    with progress("tune", len(missing), "trials to MLflow") as advance:
        for trial in missing:
            _record_trial(client, experiment, parent, search, trial)
            advance(1)
    return parent


def _end(trial: Trial) -> dict[str, str]:
    """Tags of the way in which a trial ended: one that was stopped may go on, and one that failed is tried again."""
    return {STATUS: trial.status, REASON: trial.reason[:MAX_TAG_CHARS]}


def _known(client: Any, experiment: str, parent: str) -> dict[str, dict[str, str]]:
    """Numbers of the trials that the run of the search has, and how they ended."""
    found: dict[str, dict[str, str]] = {}
    query, token = f"tags.`mlflow.parentRunId` = '{parent}' and attributes.status != 'RUNNING'", None
    while True:
        page = client.search_runs([experiment], query, page_token=token)
        for tags in (run.data.tags for run in page if TRIAL in run.data.tags):
            found[tags[TRIAL]] = {key: tags.get(key, "") for key in (STATUS, REASON)}
        if not (token := page.token):
            return found


def _record_trial(client: Any, experiment: str, parent: str, search: Search, trial: Trial) -> None:
    run = tracking.ensure_run(
        client,
        experiment,
        f"search-{search.name}-{trial.number}",
        name=f"trial-{trial.number}",
        tags={"mlflow.parentRunId": parent, SEARCH: search.name, TRIAL: str(trial.number)},
        params=trial.parameters,
        history=[{"step": round(row["kimg"] * 1000), **row} for row in trial.history],
        metrics={search.objective: trial.score} if trial.score is not None else {},
        artifacts={},
    )
    for key, value in _end(trial).items():
        tracking.settled(client.set_tag, run, key, value)
    if trial.status in STATES:
        tracking.settled(client.set_terminated, run, STATES[trial.status])
