"""The model registry: one version for one generator, proved to load, with the decision of the gate."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganops.core.errors import RegistryError
from ganops.core.files import hash_folder, hash_json
from ganops.core.git import lock_hashes
from ganops.data.about import UNSTATED
from ganops.evaluation import verdict
from ganops.evaluation.gate import Decision
from ganops.registry import champions, live, notes, pages, precedents, tracking
from ganops.registry.card import cost, excerpt, model_card, shape
from ganops.registry.champions import CHAMPION
from ganops.registry.model import Model
from ganops.registry.model_version import FILES, METRIC
from ganops.registry.package import Package
from ganops.registry.packing import build, prove
from ganops.registry.searches import MAX_TAG_CHARS
from ganops.registry.tags import CHANGES, DECISION, FROM_GENERATOR, IDENTITY, REASONS, TRACED, WEIGHTS
from ganops.registry.tracking import FINGERPRINT, mlflow, settled

__all__ = ["Package", "find", "register", "summary"]

CHALLENGER = "challenger"
MAX_DESCRIPTION_CHARS = 5000
"""Characters of a version's description that a database keeps."""


@tracking.refusals()
def register(package: Package, *, name: str, decision: Decision, root: Path) -> dict[str, Any]:
    """Registers a generator once, as the challenger, and makes it the champion where the decision says so.

    The order is such that an interruption at any point leaves the champion as it was, and that the same call finishes
    what is missing: the run is found by its fingerprint and the version by its identity, and aliases move last.

    Args:
        package: The generator and all that is known of it.
        name: Name of the registered model.
        decision: What the gate says; a failed one is an outcome, not an error.
        root: Folder of the project, for the embedded store and the commit of git.

    Returns:
        The content of `metrics/registration.json`: name, version, identity, reused (an earlier call had registered
        it), passed, reasons, checks, improvement, standing (why it is the champion already), taken_back (a person
        rolled it back: it is not promoted again), champion (the version that has the alias now, or None),
        former_champion and uri.

    A server that is away, before or amid it, is waited for (`GANOPS_RETRY_TIMEOUT`).

    Raises:
        champions.ChampionMovedError: There is another champion than the decision was made against; nothing is promoted.
        RegistryError: The store cannot be used or does not allow it, or the packed model does not work: no version was
            registered. Or the server was away for too long: the same call finishes later.
    """
    if "protocol" not in package.evaluation:
        raise RegistryError("the evaluation has no protocol: metrics mean nothing without how they were measured")
    return tracking.insist_on_server(lambda: _register(package, name, decision, root), root)


def _register(package: Package, name: str, decision: Decision, root: Path) -> dict[str, Any]:
    client = tracking.connect(root)
    model = Model(client, name)
    run = _record(model, package, root)
    tags = notes.origin(client, client.get_run(run).info.experiment_id, package.origin)
    version = find(model, package.identity())
    reused = version is not None
    if version is None:
        version = _create(model, package, run)
    found = notes.trace(client, run, tags, root)
    _note(model, version, package, decision, found)
    _tell(model, version, package, run, decision, found, root)
    _trace(model, version, _origins(package, root) | tags)
    former = None
    # what a person took back is theirs to bring back, however good its figures are
    taken_back = champions.taken_back(model, version, _of_generator(model, package))
    if decision.passed and not taken_back:
        over = _restated(model, package) or decision.over
        former = champions.promote(model, version, kind="gate", why=decision.words, over=over)
    champion = champions.current(model)
    return {
        "name": name,
        "version": int(version),
        "identity": package.identity(),
        "reused": reused,
        **decision.content(),
        "taken_back": taken_back,
        "champion": champion and int(champion),
        "former_champion": former and int(former),
        "uri": f"models:/{name}@{CHAMPION}",
    }


def find(model: Model, identity: str) -> str | None:
    """The version that is this generator with this evaluation, if there is one: of several, the first."""
    found = model.versions(f"tags.`{IDENTITY}` = '{identity}'")
    ready = sorted(int(version.version) for version in found if version.status == "READY")
    return str(ready[0]) if ready else None


def _of_generator(model: Model, package: Package) -> list[str]:
    """Return all versions of a generator, however it was evaluated and described: of its training and its weights.

    Versions of before their weights were noted are those of their training.
    """
    trained, weights = model.versions(f"tags.`{FINGERPRINT}` = '{package.fingerprint}'"), package.weights_hash
    return [str(version.version) for version in trained if version.tags.get(WEIGHTS, weights) == weights]


def is_same(package: Package, version: Any) -> bool:
    """Return True where a version is this generator, perhaps of another licence or name: then neither is better."""
    licence = version.tags.get(precedents.DATA_LICENCE)
    licences = {package.data_licence, None if licence == UNSTATED else licence}
    names = {package.stated_name, version.tags.get(precedents.DATA), None}
    same = {package.identity_under(name, licence) for name in names for licence in licences}
    return version.tags.get(IDENTITY) in same


def _restated(model: Model, package: Package) -> int | None:
    """The champion, where it is this generator of another licence or name: it needs no better one to take its place."""
    champion = champions.current(model)
    if champion is None or not is_same(package, model.version(champion)):
        return None
    return int(champion)


def _record(model: Model, package: Package, root: Path) -> str:
    """The run of the training, with everything that is known of it."""
    client = model.client
    run = tracking.ensure_run(
        client,
        tracking.ensure_experiment(client, model.name, root),
        package.fingerprint,
        name=live.run_name(package.description["architecture"], package.fingerprint),
        tags=tracking.code_tags(root) | tracking.made_by(),
        params=live.of_training(package.params),
        history=package.history,
        metrics=package.metrics,
        artifacts={
            "pictures": package.pictures,
            "films" if package.spec.kind == "video" else "sounds": package.played,
            "report": [path for path in (package.report, package.changes) if path],
            "lineage": [package.lock] if package.lock else [],
        },
        pictures=package.strip,
    )
    if package.data_hash:
        source = str(package.params.get("data", {}).get("source", ""))
        tracking.log_data(client, run, name=package.data_name or source, digest=package.data_hash, source=source)
    if package.lock:
        # of the training alone: another evaluation of it is another version of the same run
        tracking.set_lineage(client, run, package.lock, "evaluate")
    return run


def _tell(
    model: Model, version: str, package: Package, run: str, decision: Decision, found: str, root: Path
) -> None:  # fmt: skip
    """Complete the text on the page of the run, which `live` began."""
    link = f"[version {version}]({pages.version(root, model.name, version)})"
    earlier = tracking.of_earlier(model.client, run, package.metrics)
    facts = {
        "Decision": f"{decision.words} {link} of `{model.name}`",
        "Figures": verdict.summary(dict(package.evaluation), package.spec.unit),
        "Of an earlier evaluation": ", ".join(f"`{figure}`" for figure in earlier),
        "Time": cost(package.training),
        "Data": notes.data(package.spec, package.data_name or "", package.data_hash or "") if package.data_hash else "",
        "Parameters": found,
        "Code": notes.code(tracking.code_tags(root)),
    }
    notes.write(model.client, run, facts, package.commands)


def _origins(package: Package, root: Path) -> dict[str, str]:
    """Tags that tell which files and which code a version comes from."""
    hashes = package.hashes
    if hashes is None:
        hashes = lock_hashes(package.lock, "register") if package.lock else {}
    tags = {**tracking.code_tags(root), **tracking.hash_tags(hashes)}
    if package.changes:
        tags[CHANGES] = f"report/{package.changes.name}"
    if ancestor := package.description.get("ancestor"):
        tags[FROM_GENERATOR] = "{name}, training {fingerprint}".format(**ancestor)
    return tags


def _trace(model: Model, version: str, tags: Mapping[str, str]) -> None:
    """Notes where a version comes from as its latest registration knows it: all of that, and nothing older."""
    known = model.version(version).tags
    for key in (key for key in known if key.startswith(TRACED) and key not in tags):
        settled(model.client.delete_model_version_tag, model.name, version, key)
    _tag(model, version, known, tags)


def _tag(model: Model, version: str, known: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Sets the tags of a version that are not as `known` has them."""
    for key, value in tags.items():
        if known.get(key) != value:
            settled(model.client.set_model_version_tag, model.name, version, key, value)


def _create(model: Model, package: Package, run: str) -> str:
    """A new version, whose files are the very ones that were proved; or that of another call that was quicker."""
    tags = {
        FINGERPRINT: package.fingerprint,
        IDENTITY: package.identity(),
        WEIGHTS: package.weights_hash,
        **_of_data(package),
        "ganops.protocol": hash_json(package.evaluation["protocol"]),
        **{f"{METRIC}{metric}": str(value) for metric, value in package.metrics.items()},
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build(package, model.name, folder)
        tags["ganops.images_per_second"] = f"{prove(package, folder):.0f}"
        tags[FILES] = hash_folder(folder)
        logged = _log_model(model.client, folder, run, tags, tracking.flatten(package.params))
    tracking.log_model_metrics(model.client, run, logged.model_id, package.metrics)
    version = _new_version(model, logged, run, tags)
    # two calls at once make two versions: both see the first, and the later one takes its own away
    first = find(model, package.identity())
    if first != version and first is not None:
        model.client.delete_model_version(model.name, version)
        model.client.delete_logged_model(logged.model_id)
        return first
    # by this tag the interface of MLflow shows what the logged model was registered as
    registered = json.dumps([{"name": model.name, "version": int(version)}])
    model.client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": registered})
    return version


def _of_data(package: Package) -> dict[str, str]:
    """Tags that say what a version was trained on, and which samples it draws."""
    known = {precedents.DATA: package.data_name, precedents.DATA_HASH: package.data_hash}
    return {
        **{key: value for key, value in known.items() if value},
        precedents.DATA_LICENCE: package.data_licence or UNSTATED,
        precedents.DRAWS: package.spec.summary(),
    }


def _new_version(model: Model, logged: Any, run: str, tags: dict[str, str]) -> str:
    try:
        model.client.create_registered_model(model.name)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # not `models:/<id>` as the source: that is looked up in the process's global store, which need not be this client's
    origin = {"source": logged.artifact_location, "run_id": run, "model_id": logged.model_id}
    made = settled(model.client.create_model_version, model.name, tags=tags, **origin)
    return str(made.version)


def _log_model(
    client: mlflow.MlflowClient, folder: Path, run: str, tags: dict[str, str], params: dict[str, str]
) -> Any:
    """A model folder as a logged model of the run; `log_model` would build the folder again, unproved."""
    experiment = client.get_run(run).info.experiment_id
    model = client.create_logged_model(experiment, name="generator", source_run_id=run, tags=tags, params=params)
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, mlflow.entities.LoggedModelStatus.READY)
    client.log_outputs(run, [mlflow.entities.LoggedModelOutput(model.model_id, step=0)])
    return model


def _note(model: Model, version: str, package: Package, decision: Decision, found: str) -> None:
    """Write the description of a version: what it is, and why it was or was not made the champion."""
    description = package.description
    labels = f"{description['classes']} classes" if description["classes"] else "unconditional"
    figures = verdict.summary(dict(package.evaluation), package.spec.unit)
    text = f"{description['architecture']}, {shape(package.spec)}, {labels}. {figures}. {decision.words}"
    text += f"\n\nParameters: {found}." if found else ""
    text += f"\n\n{excerpt(model_card(model.name, package, version), MAX_DESCRIPTION_CHARS - len(text) - 2)}"
    settled(model.client.update_model_version, model.name, version, description=text)
    gate: dict[str, dict[str, float]] = {}
    for check in decision.checks:
        gate.setdefault(check.metric, {}).update(check.bound)
    tags = {
        **_of_data(package),
        precedents.GATE: json.dumps(gate),
        REASONS: decision.words[:MAX_TAG_CHARS],
        DECISION: "passed" if decision.passed else "rejected",
    }
    _tag(model, version, model.version(version).tags, tags)
    settled(model.client.set_registered_model_alias, model.name, CHALLENGER, version)


def summary(registration: Mapping[str, Any]) -> str:
    """Return the result of `register` in one line for a person."""
    version = f"{registration['name']} v{registration['version']}" + (" (known)" if registration["reused"] else "")
    champion = f"v{registration['champion']}" if registration["champion"] else "nobody"
    if registration["passed"] and registration["taken_back"]:
        again = f"`ganops promote {registration['version']}` brings it back"
        return f"{version}: passed the gate, but was rolled back: {again}; the champion is still {champion}"
    if registration["passed"]:
        return f"{version}: passed the gate, champion   {registration['uri']}"
    return f"{version}: rejected, {'; '.join(registration['reasons'])}; the champion is still {champion}"
