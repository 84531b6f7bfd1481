"""Lineage of a version: version -> run -> commit, job, DVC's hashes, parameters; and back from a `dvc.lock`."""

from pathlib import Path
from typing import Any

from rich.console import Group

from ganops import config
from ganops.core import layout
from ganops.core.errors import RegistryError
from ganops.core.git import lock_hashes
from ganops.core.terminal import Table, plain
from ganops.registry import tracking
from ganops.registry.model import Model
from ganops.registry.model_version import metrics_of
from ganops.registry.precedents import DATA
from ganops.registry.tags import (
    CHANGES,
    DECISION,
    FROM_GENERATOR,
    FROM_RUN,
    FROM_SEARCH,
    FROM_TRIAL,
    IDENTITY,
    REASONS,
    TRACED,
)
from ganops.registry.tracking import FINGERPRINT, HASHES, mlflow


@tracking.refusals()
def lineage(model: Model, which: str) -> dict[str, Any]:
    """Return the lineage of a version, as far as it is known.

    Args:
        model: The registered model.
        which: A version, as `Model.resolve` takes it.

    Returns:
        name, version, aliases, registered (UTC milliseconds), decision, reasons, identity, data (the name of the set),
        metrics, run, fingerprint, commit, changes (files differed from the commit), patch (the artefact of the run with
        the differences, or None), job, experiment (of DVC), search {search, trial, run (of MLflow, or None)} or {}
        where the parameters are not of a search, ancestor (the generator with whose weights the training began, or
        None), hashes {path: hash}, params (what was trained).

    Raises:
        RegistryError: There is no such version, or its run was deleted.
    """
    version, client = model.resolve(which), model.client
    try:
        run = client.get_run(version.run_id)
    except mlflow.MlflowException as error:
        raise RegistryError(f"the run {version.run_id} of version {version.version} is gone: {error}") from error
    # the run is that of the training: another evaluation of it is another version. Older versions have no tags of their
    # own
    traced = {key: value for key, value in version.tags.items() if key.startswith(TRACED)}
    tags = {**({} if traced else run.data.tags), **traced}
    searched = {"search": FROM_SEARCH, "trial": FROM_TRIAL, "run": FROM_RUN}
    return {
        "name": version.name,
        "version": int(version.version),
        "aliases": sorted(version.aliases),
        "registered": version.creation_timestamp,
        "decision": version.tags.get(DECISION),
        "reasons": version.tags.get(REASONS),
        "identity": version.tags.get(IDENTITY),
        "data": version.tags.get(DATA),
        "metrics": metrics_of(version),
        "run": version.run_id,
        "fingerprint": run.data.tags.get(FINGERPRINT),
        "commit": tags.get("mlflow.source.git.commit"),
        "changes": tags.get("ganops.git_dirty") == "true",
        "patch": tags.get(CHANGES),
        "job": tags.get("ganops.job"),
        "experiment": tags.get("ganops.dvc_experiment"),
        "search": {key: tags.get(tag) for key, tag in searched.items()} if FROM_SEARCH in tags else {},
        "ancestor": tags.get(FROM_GENERATOR),
        "hashes": {key.removeprefix(HASHES): value for key, value in sorted(tags.items()) if key.startswith(HASHES)},
        "params": dict(sorted(_params(client, version, run).items())),
    }


def _params(client: mlflow.MlflowClient, version: Any, run: Any) -> dict[str, str]:
    """Return the parameters of the version's own model; older versions have them in their run."""
    outputs = run.outputs.model_outputs if run.outputs else []
    own = next((output.model_id for output in outputs if output.model_id in version.source), None)
    return dict((client.get_logged_model(own).params if own else None) or run.data.params)


def of_lock(model: Model, lock: Path) -> list[int]:
    """The versions whose generator is the one in a `dvc.lock`.

    Raises:
        RegistryError: The file has no generator, or no version has it.
    """
    generator = lock_hashes(lock).get(str(layout.GENERATOR))
    if generator is None:
        problem = f"{lock}: expected the dvc.lock of a pipeline that has trained, found no {layout.GENERATOR}"
        raise RegistryError(problem)
    tag = f"tags.`{HASHES}{layout.GENERATOR}` = '{generator}'"
    found, client = model.versions(tag), model.client
    if not found and (experiment := client.get_experiment_by_name(model.name)):
        # those that were registered before versions had tags of their own
        runs = {run.info.run_id for run in client.search_runs([experiment.experiment_id], tag)}
        found = [each for each in model.versions() if each.run_id in runs]
    versions = sorted(int(version.version) for version in found)
    if not versions:
        raise RegistryError(f"no version of {model.name} has the generator {generator} of {lock}")
    return versions


def show(found: dict[str, Any], every: bool = False) -> Group:
    """`lineage` for a person: what it was made of in a table, or every hash and parameter behind it."""
    hashes, params = found["hashes"], found["params"]
    commit = found["commit"] and found["commit"] + (" and changes" if found["changes"] else "")
    search = found["search"] and "trial {trial} of the search {search}, run {run}".format(**found["search"])
    data = filter(None, (found["data"], hashes.get(str(layout.PREPARED))))
    facts = {
        "aliases": ", ".join(found["aliases"]), "decision": found["reasons"], "run": found["run"], "commit": commit,
        "patch": found["patch"], "data": ", ".join(data), "features": hashes.get(str(layout.FEATURES)),
        "generator": hashes.get(str(layout.GENERATOR)), "parameters": search,
        "ancestor": found["ancestor"], "job": found["job"],
        "experiment": found["experiment"], "fingerprint": found["fingerprint"],
        "" if search else "parameters": "" if every else _unusual(params),
    }  # fmt: skip
    rows = [(key, str(value)) for key, value in facts.items() if value]
    known = Table(show_header=False, title=f"{found['name']} v{found['version']}", rows=rows)
    if not every:
        return Group(known, plain("--all: every hash of DVC's and every parameter"))
    return Group(known, Table("DVC", "hash", rows=hashes.items()), Table("parameter", "value", rows=params.items()))


def _unusual(params: dict[str, str]) -> str:
    """The parameters of a training that are not those of an empty `params.yaml`, by name and value."""
    usual = {"data.name": params.get("data.name"), **tracking.flatten(config.Experiment().content())}
    return ", ".join(
        f"{key} {value}" for key, value in params.items()
        if value not in (usual.get(key), "null", "{}") and not key.startswith("tune.")
    )  # fmt: skip
