"""The texts on the pages of MLflow's runs, in Markdown, and the links between a training and its search."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganops.kinds import Spec
from ganops.registry import pages, tracking
from ganops.registry.tags import FROM_RUN, FROM_SEARCH, FROM_TRIAL, SEARCH, TRIAL
from ganops.registry.tracking import MlflowClient, mlflow, settled

NOTE = "mlflow.note.content"
"""Tag with the text on the page of a run, in Markdown."""
MAX_NOTE_CHARS = 8000
"""Characters of such a text that MLflow keeps."""


def write(client: MlflowClient, run: str, facts: Mapping[str, str], commands: Sequence[str] = ()) -> None:
    """Write the text on the page of a run: facts by their headings, and the commands that make it again."""
    lines = [f"* **{heading}**: {words}" for heading, words in facts.items() if words]
    block = ["", "```", *commands, "```"] if commands else []
    settled(client.set_tag, run, NOTE, "\n".join([*lines, *block])[:MAX_NOTE_CHARS])


def is_written(client: MlflowClient, run: str) -> bool:
    """Return True where the page of a run has a text."""
    return NOTE in client.get_run(run).data.tags


def data(spec: Spec, name: str, digest: str) -> str:
    """Return which samples a training learns from, in words."""
    labels = f", {spec.classes} classes" if spec.classes else ""
    return f"`{name}`, {spec.described}{labels} (SHA-256 `{digest[:8]}`)"


def code(tags: Mapping[str, str]) -> str:
    """Return the commit of a run's code in words, from the tags of `tracking.code_tags`."""
    commit, dirty, job, _ = (tags.get(name, "") for name in tracking.CODE)
    if not commit:
        return ""
    return f"commit `{commit[:8]}`" + (", with changes" if dirty == "true" else "") + (f", job `{job}`" if job else "")


def origin(client: MlflowClient, experiment: str, found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that tell which search found the parameters, and in which run; empty where none did.

    Args:
        client: The store.
        experiment: Id of the experiment.
        found: As `search.trials.origin` has it, or empty.
    """
    if not found:
        return {}
    search, trial = str(found["search"]), str(found["trial"])
    query = f"tags.`{SEARCH}` = '{search}' and tags.`{TRIAL}` = '{trial}'"
    runs = client.search_runs([experiment], query, max_results=1)
    return {FROM_SEARCH: search, FROM_TRIAL: trial} | ({FROM_RUN: runs[0].info.run_id} if runs else {})


def trace(client: MlflowClient, run: str, tags: Mapping[str, str], root: Path) -> str:
    """Note at a run the tags of `origin`, and at the search which trainings began with its parameters.

    Returns:
        The origin in words, with links; empty where no search found the parameters.
    """
    if not tags:
        return ""
    settled(client.log_batch, run, tags=[mlflow.entities.RunTag(key, value) for key, value in tags.items()])
    experiment = client.get_run(run).info.experiment_id
    search, trial = f"search {tags[FROM_SEARCH]}", f"trial {tags[FROM_TRIAL]}"
    if (parent := tracking.first_run(client, experiment, f"search-{tags[FROM_SEARCH]}")) is not None:
        trained = client.search_runs([experiment], f"tags.`{FROM_SEARCH}` = '{tags[FROM_SEARCH]}'")
        links = [_link(each.info.run_name, root, experiment, each.info.run_id) for each in trained]
        write(client, parent.info.run_id, {"Trained with its parameters": ", ".join(links)})
        search = _link(search, root, experiment, parent.info.run_id)
    trial = _link(trial, root, experiment, tags[FROM_RUN]) if FROM_RUN in tags else trial
    return f"{trial} of the {search}"


def _link(words: str, root: Path, experiment: str, run: str) -> str:
    return f"[{words}]({pages.run(root, experiment, run)})"
