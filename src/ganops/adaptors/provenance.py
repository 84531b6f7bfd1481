"""Where a version comes from: version -> run -> commit, job, DVC's hashes, parameters; and back from a `dvc.lock`."""

from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from ganops import layout
from ganops.adaptors import tracking
from ganops.adaptors.registered import resolve
from ganops.adaptors.registry import DECISION, IDENTITY, REASONS
from ganops.adaptors.tracking import FINGERPRINT, mlflow
from ganops.errors import RegistryError
from ganops.lineage import lock_hashes

HASHES = "dvc."
"""How the tags of a run begin that hold DVC's hashes."""


@tracking.refusals()
def lineage(client: mlflow.MlflowClient, name: str, which: str) -> dict[str, Any]:
    """All that is known of how a version came about.

    Args:
        client: The store.
        name: Of the registered model.
        which: As `registered.resolve` takes it.

    Returns:
        name, version, aliases, registered (UTC milliseconds), decision, reasons, identity, metrics, run, fingerprint,
        commit, changes (files differed from the commit), job, experiment (of DVC), hashes {path: hash}, params.

    Raises:
        RegistryError: There is no such version, or its run was deleted.
    """
    version = resolve(client, name, which)
    try:
        run = client.get_run(version.run_id)
    except mlflow.MlflowException as error:
        raise RegistryError(f"the run {version.run_id} of version {version.version} is gone: {error}") from error
    tags = run.data.tags
    return {
        "name": version.name,
        "version": int(version.version),
        "aliases": sorted(version.aliases),
        "registered": version.creation_timestamp,
        "decision": version.tags.get(DECISION),
        "reasons": version.tags.get(REASONS),
        "identity": version.tags.get(IDENTITY),
        "metrics": {
            key.removeprefix("metric."): float(value)
            for key, value in version.tags.items()
            if key.startswith("metric.")
        },
        "run": version.run_id,
        "fingerprint": tags.get(FINGERPRINT),
        "commit": tags.get("mlflow.source.git.commit"),
        "changes": tags.get("ganops.git_dirty") == "true",
        "job": tags.get("ganops.job"),
        "experiment": tags.get("ganops.dvc_experiment"),
        "hashes": {key.removeprefix(HASHES): value for key, value in sorted(tags.items()) if key.startswith(HASHES)},
        "params": dict(sorted(run.data.params.items())),
    }


def of_lock(client: mlflow.MlflowClient, name: str, lock: Path) -> list[int]:
    """The versions whose generator is the one in a `dvc.lock`.

    Raises:
        RegistryError: The file has no generator, or no version has it.
    """
    generator = lock_hashes(lock).get(str(layout.GENERATOR))
    if generator is None:
        raise RegistryError(
            f"{lock}: expected the dvc.lock of a pipeline that has trained, found no {layout.GENERATOR}"
        )
    experiment = client.get_experiment_by_name(name)
    tag = f"tags.`{HASHES}{layout.GENERATOR}` = '{generator}'"
    runs = {run.info.run_id for run in client.search_runs([experiment.experiment_id], tag)} if experiment else set()
    found = client.search_model_versions(f"name = '{name}'") if runs else []
    versions = sorted(int(version.version) for version in found if version.run_id in runs)
    if not versions:
        raise RegistryError(f"no version of {name} has the generator {generator} of {lock}")
    return versions


def show(found: dict[str, Any]) -> Group:
    """`lineage` for a person."""
    known = Table(show_header=False, title=f"{found['name']} v{found['version']}")
    commit = found["commit"] and found["commit"] + (" and changes" if found["changes"] else "")
    facts = {
        "aliases": ", ".join(found["aliases"]), "decision": found["reasons"], "run": found["run"], "commit": commit,
        "job": found["job"], "experiment": found["experiment"], "fingerprint": found["fingerprint"],
    }  # fmt: skip
    for key, value in facts.items():
        if value:
            known.add_row(key, str(value))
    return Group(known, _columns("DVC", "hash", found["hashes"]), _columns("parameter", "value", found["params"]))


def _columns(key: str, value: str, rows: dict[str, str]) -> Table:
    found = Table(key, value)
    for name, content in rows.items():
        found.add_row(name, str(content))
    return found
