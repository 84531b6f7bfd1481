"""The model registry: versions that were proved to load, a gate, and the alias `champion` that consumers follow."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from ganops.adaptors import tracking
from ganops.adaptors.card import shape
from ganops.adaptors.package import Package, build, prove
from ganops.adaptors.tracking import FINGERPRINT, mlflow
from ganops.errors import RegistryError
from ganops.files import hash_json

__all__ = ["Bound", "Package", "check_gate", "in_words", "promote", "register", "rollback"]

CHAMPION, CHALLENGER = "champion", "challenger"
IDENTITY = "ganops.identity"
FORMER = "ganops.former_champion"

Bound = Mapping[str, float | None]
"""`{"at_most": x}`, `{"at_least": x}` or both; None is no limit."""


class Check(TypedDict):
    """One metric held against one limit of the gate."""

    metric: str
    value: float
    bound: dict[str, float]
    passed: bool


@tracking.refusals()
def register(package: Package, *, name: str, gate: Mapping[str, Bound], root: Path) -> dict[str, Any]:
    """Registers a generator once, as the challenger, and makes it the champion where it passes the gate.

    The order is such that an interruption at any point leaves the champion as it was, and that the same call finishes
    what is missing: the run is found by its fingerprint and the version by its identity, and aliases move last.

    Args:
        package: The generator and all that is known of it.
        name: Name of the registered model.
        gate: Limits by metric; a failed one is an outcome, not an error.
        root: Folder of the project, for the embedded store and the commit of git.

    Returns:
        The content of `metrics/registration.json`: name, version, reused (an earlier call had registered it), passed,
        checks, champion (the version that has the alias now, or None), former_champion and uri.

    Raises:
        RegistryError: The gate names an unknown metric, the store cannot be used or does not allow it, or the packed
            model does not work. In each case no version was registered.
    """
    if "protocol" not in package.evaluation:
        raise RegistryError("the evaluation has no protocol: metrics mean nothing without how they were measured")
    checks = check_gate(gate, package.metrics)
    client = tracking.connect(root)
    run = _record(client, package, name, root)
    version = _find(client, name, package.identity())
    reused = version is not None
    if version is None:
        version = _create(client, package, name, run)
    client.update_model_version(name, version, description=_describe(package, checks))
    client.set_registered_model_alias(name, CHALLENGER, version)
    passed = all(check["passed"] for check in checks)
    former = promote(client, name, version) if passed else None
    champion = _champion(client, name)
    return {
        "name": name,
        "version": int(version),
        "reused": reused,
        "passed": passed,
        "checks": checks,
        "champion": champion and int(champion),
        "former_champion": former and int(former),
        "uri": f"models:/{name}@{CHAMPION}",
    }


def check_gate(gate: Mapping[str, Bound], metrics: Mapping[str, float]) -> list[Check]:
    """Holds metrics against their limits, which themselves pass; an empty gate lets everything pass.

    Raises:
        RegistryError: A metric is not in the evaluation, or a limit is neither at_most nor at_least.
    """
    unknown = sorted(set(gate) - set(metrics))
    if unknown:
        raise RegistryError(
            f"register.gate: the evaluation has no {', '.join(unknown)}; known: {', '.join(sorted(metrics)) or 'none'}"
        )
    kinds = {"at_most": lambda value, limit: value <= limit, "at_least": lambda value, limit: value >= limit}
    checks: list[Check] = []
    for metric, bound in gate.items():
        for kind, limit in bound.items():
            if kind not in kinds:
                raise RegistryError(f"register.gate.{metric}: expected at_most or at_least, got {kind}")
            if limit is not None:
                passed = kinds[kind](metrics[metric], limit)
                checks.append({"metric": metric, "value": metrics[metric], "bound": {kind: limit}, "passed": passed})
    return checks


@tracking.refusals()
def promote(client: mlflow.MlflowClient, name: str, version: str) -> str | None:
    """Makes a version the champion; the former one is noted on it and returned, if there was another.

    Raises:
        RegistryError: There is no such version.
    """
    try:
        client.get_model_version(name, version)
    except mlflow.MlflowException as error:
        if not tracking.is_absent(error):
            raise
        raise RegistryError(f"the registry has no version {version} of {name}") from error
    former = _champion(client, name)
    if former == version:
        return None
    if former is not None:
        client.set_model_version_tag(name, version, FORMER, former)
    client.set_registered_model_alias(name, CHAMPION, version)
    return former


@tracking.refusals()
def rollback(client: mlflow.MlflowClient, name: str) -> str:
    """Makes the version champion that was it before the present one, and returns it.

    Raises:
        RegistryError: There is no champion, or none before it.
    """
    champion = _champion(client, name)
    if champion is None:
        raise RegistryError(f"{name} has no champion to roll back from")
    former: str | None = client.get_model_version(name, champion).tags.get(FORMER)
    if former is None:
        raise RegistryError(f"{name} version {champion} is the first champion: there is none before it")
    client.set_registered_model_alias(name, CHAMPION, former)
    return former


def _champion(client: mlflow.MlflowClient, name: str) -> str | None:
    try:
        version = client.get_registered_model(name).aliases.get(CHAMPION)
    except mlflow.MlflowException as error:
        if not tracking.is_absent(error):
            raise
        raise RegistryError(f"the registry has no model {name}") from error
    return None if version is None else str(version)


def _record(client: mlflow.MlflowClient, package: Package, name: str, root: Path) -> str:
    """The run of the training, with everything that is known of it."""
    run = tracking.ensure_run(
        client,
        tracking.ensure_experiment(client, name, root),
        package.fingerprint,
        name=f"{package.description['architecture']}-{package.fingerprint[:8]}",
        tags=tracking.code_tags(root),
        params=package.params,
        history=package.history,
        metrics=package.metrics,
        artifacts={
            "pictures": package.pictures,
            "report": [package.report] if package.report else [],
            "lineage": [package.lock] if package.lock else [],
        },
    )
    if package.lock:
        tracking.set_lineage(client, run, package.lock)
    return run


def _find(client: mlflow.MlflowClient, name: str, identity: str) -> str | None:
    """The version that is this generator with this evaluation, if it was registered before."""
    versions = client.search_model_versions(f"name = '{name}' and tags.`{IDENTITY}` = '{identity}'")
    return next((str(version.version) for version in versions if version.status == "READY"), None)


def _create(client: mlflow.MlflowClient, package: Package, name: str, run: str) -> str:
    """A new version, whose files are the very ones that were proved."""
    tags = {
        FINGERPRINT: package.fingerprint,
        IDENTITY: package.identity(),
        "ganops.protocol": hash_json(package.evaluation["protocol"]),
        **{f"metric.{metric}": str(value) for metric, value in package.metrics.items()},
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build(package, name, folder)
        tags["ganops.images_per_second"] = f"{prove(package, folder):.0f}"
        model = _log_model(client, folder, run, tags)
    try:
        client.create_registered_model(name)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # not `models:/<id>` as the source: that is looked up in the process's global store, which need not be this client's
    version = client.create_model_version(
        name, source=model.artifact_location, run_id=run, tags=tags, model_id=model.model_id
    )
    # by this tag the interface of MLflow shows what the logged model was registered as
    registered = json.dumps([{"name": name, "version": int(version.version)}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": registered})
    return str(version.version)


def _log_model(client: mlflow.MlflowClient, folder: Path, run: str, tags: dict[str, str]) -> Any:
    """A model folder as a logged model of the run; `log_model` would build the folder again, unproved."""
    experiment = client.get_run(run).info.experiment_id
    model = client.create_logged_model(experiment, name="generator", source_run_id=run, tags=tags)
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, mlflow.entities.LoggedModelStatus.READY)
    client.log_outputs(run, [mlflow.entities.LoggedModelOutput(model.model_id, step=0)])
    return model


def _describe(package: Package, checks: list[Check]) -> str:
    """A version in words."""
    description = package.description
    labels = f"{description['classes']} classes" if description["classes"] else "unconditional"
    metrics = ", ".join(f"{metric} {value:.4g}" for metric, value in package.metrics.items())
    failed = [check for check in checks if not check["passed"]]
    limits = ", ".join(f"{check['metric']} {check['value']:.4g} ({_limit(check['bound'])})" for check in failed)
    gate = f"Did not pass the gate: {limits}." if failed else "Passed the gate." if checks else "There is no gate."
    return f"{description['architecture']}, {shape(description)}, {labels}. {metrics}. {gate}"


def in_words(registration: Mapping[str, Any]) -> str:
    """What `register` did, in one line for a person."""
    version = f"{registration['name']} v{registration['version']}" + (" (known)" if registration["reused"] else "")
    if registration["passed"]:
        return f"{version}: passed the gate, champion   {registration['uri']}"
    failed = [c for c in registration["checks"] if not c["passed"]]
    limits = ", ".join(f"{c['metric']} {c['value']:.3g} is not {_limit(c['bound'])}" for c in failed)
    champion = f"v{registration['champion']}" if registration["champion"] else "nobody"
    return f"{version}: challenger, {limits}; the champion is still {champion}"


def _limit(bound: Mapping[str, float]) -> str:
    return " and ".join(f"{kind.replace('_', ' ')} {limit:.4g}" for kind, limit in bound.items())
