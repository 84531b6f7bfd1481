import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from packages import LATENT, package
from registering import GATE, NAME, champion_of, measured, register

from ganops.core.errors import RegistryError
from ganops.core.latents import latents, normal_table
from ganops.generator.onnx import Renderer, graph_inputs
from ganops.registry import packing as packaging
from ganops.registry import registration, tracking
from ganops.registry.champions import ChampionMovedError, history, promote, rollback
from ganops.registry.model import Model
from ganops.registry.model_version import CONFIG, Registered


def versions(root):
    return tracking.connect(root).search_model_versions(f"name = '{NAME}'")


def aliases(root):
    return {alias: int(v) for alias, v in tracking.connect(root).get_registered_model(NAME).aliases.items()}


def files_of(root):
    """The folder of the champion's files."""
    client = tracking.connect(root)
    version = client.get_model_version_by_alias(NAME, "champion").version
    return Path(client.get_model_version_download_uri(NAME, version).removeprefix("file://"))


# One generator goes the whole way: exported, packed, proved, registered, loaded.


@pytest.fixture(scope="module")
def registered(empty_store, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        base = tmp_path_factory.mktemp("registered")
        root = shutil.copytree(empty_store, base / "project")
        trained = package(base / "artifacts")
        yield root, trained, register(trained, root)


@pytest.fixture(scope="module")
def model(registered):
    return mlflow.pyfunc.load_model(str(files_of(registered[0])))


def test_result_says_what_happened(registered):
    assert registered[2] == {
        "name": NAME, "version": 1, "identity": registered[1].identity(), "reused": False, "passed": True,
        "reasons": [], "improvement": None, "standing": "", "taken_back": False,
        "checks": [{"metric": "fd_domain", "value": 9.0, "bound": {"at_most": 10}, "passed": True}],
        "champion": 1, "former_champion": None, "uri": "models:/faces@champion",
    }  # fmt: skip
    json.dumps(registered[2], allow_nan=False)


def test_stranger_loads_the_champion_by_its_alias(registered, model, tmp_path):
    program = """
import hashlib, sys
sys.modules["ganops"] = None
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/faces@champion")
images = model.predict(np.arange(16), params={"truncation": 0.8})
print(images.dtype, images.shape, hashlib.sha256(images.tobytes()).hexdigest())
"""
    root, trained, _ = registered
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking.store_uri(root)}
    command = [sys.executable, "-I", "-B", "-c", program]
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    images = model.predict(np.arange(16), params={"truncation": 0.8})
    assert told.split("\n")[-2] == f"uint8 (16, 8, 8, 3) {hashlib.sha256(images.tobytes()).hexdigest()}"
    eager = Renderer(trained.generator, trained.spec).render(graph_inputs(np.arange(16), 0.8, latent=LATENT, classes=3))
    assert np.abs(images.astype(int) - eager).max() <= 1
    assert images.std() > 10


def test_one_seed_is_one_picture_in_any_batch(model):
    seeds = np.array([5, -1, 0, 2**62, 5, *range(100, 240)])  # more than one chunk
    images = model.predict(seeds)
    alone = np.concatenate([model.predict(seeds[i : i + 1]) for i in range(len(seeds))])
    assert images.tobytes() == alone.tobytes()
    assert model.predict(seeds[::-1].copy()).tobytes() == images[::-1].tobytes()
    assert images[0].tobytes() == images[4].tobytes() != images[1].tobytes()


def test_registered_version_draws_from_seeds_and_from_latents(registered, model):
    drawer = Registered(files_of(registered[0]))
    seeds = np.array([3, 4, 5])
    assert (drawer.shape, drawer.latent, drawer.classes) == ((8, 8, 3), LATENT, 3)
    images = drawer.sample(seeds, np.array([2, 2, 2]), 0.5)
    expected = model.predict(seeds, params={"labels": [2], "truncation": 0.5}).transpose(0, 3, 1, 2)
    assert images.tobytes() == np.ascontiguousarray(expected).tobytes()
    z = latents(seeds, LATENT, normal_table()) * np.float32(0.5)
    assert drawer.render(z, np.array([2, 2, 2])).tobytes() == images.tobytes()


def test_a_version_of_before_kinds_draws_the_same_bytes(registered, tmp_path):
    """Its own code runs, and its description states channels and resolution."""
    files = shutil.copytree(files_of(registered[0]), tmp_path / "former")
    shutil.copyfile(Path(__file__).parent / "former_model.py", files / "served_model.py")
    (files / "artifacts" / "kind.py").unlink()
    config = json.loads((files / "artifacts" / CONFIG).read_text())
    former = {key: value for key, value in config.items() if key not in ("kind", "shape", "facts")}
    (files / "artifacts" / CONFIG).write_text(json.dumps(former | {"channels": 3, "resolution": 8}))
    now, then = Registered(files_of(registered[0])), Registered(files)
    z, labels = np.random.default_rng(0).standard_normal((4, LATENT), np.float32), np.array([0, 2, 1, 0])
    assert then.spec == now.spec
    assert then.sample(np.arange(70)).tobytes() == now.sample(np.arange(70)).tobytes()
    assert then.render(z, labels).tobytes() == now.render(z, labels).tobytes()
    assert then.model.predict(np.arange(70)).tobytes() == now.model.predict(np.arange(70)).tobytes()


def test_no_seeds_give_no_pictures(model):
    images = model.predict(np.array([], np.int64))
    assert (images.shape, images.dtype) == ((0, 8, 8, 3), np.uint8)


def test_labels(model):
    seeds = np.arange(6)
    default = model.predict(seeds)
    assert np.array_equal(default, model.predict(seeds, params={"labels": [0, 1, 2, 0, 1, 2]}))
    twos = model.predict(seeds, params={"labels": [2]})
    assert np.array_equal(twos, model.predict(seeds, params={"labels": np.full(6, 2)}))
    assert [np.array_equal(a, b) for a, b in zip(default, twos, strict=True)] == [False, False, True] * 2


def test_truncation_brings_pictures_together(model):
    spread = [
        model.predict(np.arange(64), params={"truncation": t, "labels": [0]}).std(0).mean() for t in (0.0, 0.5, 1)
    ]
    assert spread[0] == 0 < spread[1] < spread[2]
    assert np.array_equal(model.predict(np.arange(4)), model.predict(np.arange(4), params={"truncation": 1.0}))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labels": [3]}, "from 0 to 2, got 3"),
        ({"labels": [0, 1, -1, 2]}, "from 0 to 2, got -1"),
        ({"labels": [0, 1]}, "one for each of the 4 seeds, got 2"),
        ({"truncation": 1.5}, "from 0 to 1, got 1.5"),
        ({"truncation": -0.1}, "from 0 to 1, got -0.1"),
        ({"truncation": float("nan")}, "from 0 to 1, got nan"),
    ],
)
def test_impossible_parameters_are_refused(model, params, message):
    with pytest.raises(MlflowException, match=message) as caught:
        model.predict(np.arange(4), params=params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_unconditional_model_takes_no_labels(tmp_path):
    packaging.build(package(tmp_path, classes=0, channels=1), NAME, tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    images = model.predict(np.arange(3))
    assert images.shape == (3, 8, 8, 1)
    assert images.std() > 10
    with pytest.raises(MlflowException, match="unconditional") as caught:
        model.predict(np.arange(3), params={"labels": [0]})
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_model_is_data_and_names_nothing_of_this_machine(registered):
    root, _, _ = registered
    folder = files_of(root)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    # what reading leaves where a version was loaded from this very folder: a note of mlflow's, bytecode of Python's
    left = ("registered_model_meta", "__pycache__")
    files = {name: path for name, path in files.items() if not any(trace in name for trace in left)}
    assert set(files) == {
        "MLmodel", "served_model.py", "conda.yaml", "python_env.yaml", "requirements.txt",
        "input_example.json", "serving_input_example.json",
        *(f"artifacts/{name}" for name in ("generator.onnx", "config.json", "latent_table.npy", "latents.py", "kind.py",
                                           "weights.safetensors", "MODEL_CARD.md", "samples.png")),
    }  # fmt: skip
    traces = [
        str(root.parent),
        os.path.dirname(packaging.__file__),
        os.getcwd(),
        os.path.expanduser("~") + "/",
        "/tmp/",
    ]
    for name, path in files.items():
        found = [trace for trace in traces if trace.encode() in path.read_bytes()]
        assert not found, f"{name} names {found}"


def test_requirements_are_few_and_pinned(registered):
    lines = (files_of(registered[0]) / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in lines] == ["mlflow-skinny", "pandas", "numpy", "onnxruntime"]
    assert all(line.count("==") == 1 for line in lines)


def test_card_says_what_a_consumer_must_know(registered):
    card = (files_of(registered[0]) / "artifacts" / "MODEL_CARD.md").read_text()
    for said in (
        'load_model("models:/faces/VERSION")',
        "`VERSION` is the number of this very version; `models:/faces@champion` is the one that is the champion now",
        "`photos`",
        "| fd_domain | 9 | 8.5 to 9.5 | floor 0.25 |",
        "| coverage | 0.5 |  | blind to low rank on these images |",
        "`photos`: CC BY 4.0. Their terms",
        "| extractor | domain |",
        "2 `kind 2`",
        "8x8",
        "the best of those that were held against one split of real samples",
    ):
        assert said in card, said


def test_version_run_and_model_know_of_each_other(registered):
    root, trained, _ = registered
    client = tracking.connect(root)
    (version,) = versions(root)
    run = client.get_run(version.run_id)
    assert run.data.tags["ganops.fingerprint"] == version.tags["ganops.fingerprint"] == trained.fingerprint
    assert version.tags["metric.fd_domain"] == "9.0"
    assert float(version.tags["ganops.images_per_second"]) > 0
    assert run.data.tags["dvc.artifacts/generator"] == "abc.dir"
    assert {file.path for kind in client.list_artifacts(version.run_id) for file in
            client.list_artifacts(version.run_id, kind.path)} == {
        "pictures/grid.png", "report/report.html", "lineage/dvc.lock",
    }  # fmt: skip
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.status, logged.artifact_location) == ("READY", version.source)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": 1}]
    assert version.description.startswith(
        "tiny, 8x8 colour, 3 classes. fd_domain 9 [8.5, 9.5] (floor 0.25)  coverage is blind to low rank "
        "on these images. Passed the gate: fd_domain 9 is at most 10.\n\n"
        "A generator of 8x8 colour images, trained as a GAN on `photos`.\n\n## Use\n\n```python\n"
    )
    assert "\n## Licence\n\nThe training images, `photos`: CC BY 4.0." in version.description
    assert "samples.png" not in version.description
    assert {point.key: point.value for point in logged.metrics} == {"test/fd_domain": 9.0, "test/coverage": 0.5}
    assert [len(client.get_metric_history(run.info.run_id, point.key)) for point in logged.metrics] == [1, 1]
    assert run.data.tags["mlflow.note.content"].startswith(
        "* **Decision**: Passed the gate: fd_domain 9 is at most 10. "
        "[version 1](#/models/faces/versions/1) of `faces`\n* **Figures**: fd_domain 9 [8.5, 9.5] (floor 0.25)"
    )
    assert (version.tags["ganops.decision"], version.tags["ganops.reasons"]) == (
        "passed", "Passed the gate: fd_domain 9 is at most 10.",
    )  # fmt: skip


# A model that does not work is found out before anything is registered.


def test_broken_model_is_not_registered(root, tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "export_onnx", lambda module, path, spec, **_: path.write_bytes(b"this is no graph"))
    with pytest.raises(RegistryError, match="Protobuf parsing failed"):
        register(package(tmp_path), root)
    assert tracking.connect(root).search_registered_models() == []
    assert not (root / "mlflow" / "artifacts" / "models").exists()


def test_model_of_other_weights_is_found_out(registered, tmp_path):
    with pytest.raises(RegistryError, match="grey levels"):
        packaging.prove(package(tmp_path, seed=1), files_of(registered[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import importlib.util\n", "import importlib.util\nimport ganops.core.files\n"), "No module named 'ganops'"),
        (("truncation, labels[part])", "truncation, labels[part]) + len(seeds)"), "seed 0 asked for alone is another"),
    ],
)
def test_model_that_a_stranger_cannot_use_is_found_out(registered, tmp_path, change, message):
    folder = shutil.copytree(files_of(registered[0]), tmp_path / "model")
    code = (folder / "served_model.py").read_text()
    assert change[0] in code
    (folder / "served_model.py").write_text(code.replace(*change))
    with pytest.raises(RegistryError, match=message):
        packaging.prove(registered[1], folder)


# The registry's own laws do not depend on what is in a version: here the packing is skipped.


@pytest.fixture
def quick(monkeypatch):
    def build(package, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    monkeypatch.setattr(registration, "build", build)
    monkeypatch.setattr(registration, "prove", lambda package, folder: 100.0)


@pytest.fixture
def put(root, tmp_path, quick):
    """Registers the generator of a training (seed) with a distance, and says what happened."""

    def put(seed, fd, gate=GATE):
        made, champion = package(tmp_path, fd, seed), champion_of(root)
        known = champion is None or champion.tags["ganops.identity"] == made.identity()
        return register(made, root, gate, None if known else measured(int(champion.version), 10.0, fd))

    return put


def test_registering_twice_makes_one_version(put, root):
    first, second = put(0, 9.0), put(0, 9.0)
    assert second == {**first, "reused": True}
    assert len(versions(root)) == 1
    assert len(tracking.connect(root).search_logged_models(["1"])) == 1


@pytest.mark.parametrize(
    ("gate", "own"), [(GATE, "Passed the gate: fd_domain 7 is at most 10. "), ({}, ""),
                      ({"fd_domain": {"at_most": 5}}, "Did not pass the gate: fd_domain 7 is not at most 5. ")],
)  # fmt: skip
def test_the_champion_registered_again_keeps_the_evidence_for_it(put, root, gate, own):
    put(0, 9.0)
    first = put(1, 7.0)
    evidence = history(Model(tracking.connect(root), NAME))[-1].why
    assert first["improvement"]["reason"] in evidence
    for _ in range(2):
        again = put(1, 7.0, gate)
        version = tracking.connect(root).get_model_version(NAME, "2")
        assert (again["champion"], again["standing"]) == (2, evidence)
        assert version.tags["ganops.reasons"] == f"{own}It is the champion already: {evidence}"
        assert f" {version.tags['ganops.reasons']}\n\n" in version.description
    page = tracking.connect(root).get_run(version.run_id).data.tags["mlflow.note.content"]
    assert version.tags["ganops.reasons"] in page


def test_the_champion_under_another_licence_keeps_the_evidence_as_well(put, root, tmp_path):
    put(0, 9.0)
    put(1, 7.0)
    model = Model(tracking.connect(root), NAME)
    evidence = history(model)[-1].why
    for number, licence in enumerate(("CC0", "CC BY-NC 4.0"), 3):
        outcome = register(replace(package(tmp_path, 7.0, 1), data_licence=licence), root)
        assert (outcome["champion"], outcome["standing"]) == (number, evidence)
        assert (
            history(model)[-1].why
            == f"Passed the gate: fd_domain 7 is at most 10. It is the champion already: {evidence}"
        )


def test_failing_gate_leaves_the_champion(put, root):
    put(0, 9.0)
    outcome = put(1, 12.0)
    assert (outcome["version"], outcome["passed"], outcome["champion"], outcome["former_champion"]) == (
        2,
        False,
        1,
        None,
    )
    assert outcome["checks"] == [{"metric": "fd_domain", "value": 12.0, "bound": {"at_most": 10}, "passed": False}]
    assert aliases(root) == {"champion": 1, "challenger": 2}
    described = tracking.connect(root).get_model_version(NAME, "2").description
    assert (
        "Did not pass the gate: fd_domain 12 is not at most 10; fd_domain 12 against 10 of the champion v1, difference "
        "+2 [+1.5, +2.5] (95 %, over latents and real samples, not over training seeds): worse.\n\n"
    ) in described
    tags = tracking.connect(root).get_model_version(NAME, "2").tags
    assert tags["ganops.decision"] == "rejected"
    assert "is not at most 10" in tags["ganops.reasons"]


def test_a_version_is_loaded_by_its_own_number_and_not_as_the_champion(put, root):
    put(0, 9.0)
    put(1, 12.0)
    assert aliases(root)["champion"] == 1
    for number in "12":
        described = tracking.connect(root).get_model_version(NAME, number).description
        assert f'load_model("models:/faces/{number}")' in described
        assert f"That is version {number}; `models:/faces@champion` is the one that is the champion now" in described


def test_first_generator_that_fails_is_no_champion(put, root):
    assert put(0, 12.0)["champion"] is None
    assert aliases(root) == {"challenger": 1}


def test_better_generator_becomes_champion_and_can_be_rolled_back(put, root):
    put(0, 9.0)
    outcome = put(1, 7.0)
    assert (outcome["champion"], outcome["former_champion"]) == (2, 1)
    assert aliases(root) == {"champion": 2, "challenger": 2}
    client = tracking.connect(root)
    assert rollback(Model(client, NAME)) == "1"
    assert aliases(root)["champion"] == 1
    with pytest.raises(RegistryError, match="version 1 is the first champion"):
        rollback(Model(client, NAME))


def test_what_was_rolled_back_is_not_promoted_by_the_gate_again(put, root):
    put(0, 9.0)
    put(1, 7.0)
    client = tracking.connect(root)
    rollback(Model(client, NAME))
    outcome = put(1, 7.0)
    assert (outcome["passed"], outcome["taken_back"], outcome["champion"]) == (True, True, 1)
    assert "rolled back: `ganops promote 2` brings it back; the champion is still v1" in registration.summary(outcome)
    promote(Model(client, NAME), "2")
    assert put(1, 7.0)["champion"] == 2


@pytest.mark.parametrize("noted", [True, False])
def test_what_was_rolled_back_is_not_promoted_under_another_licence_or_evaluation(put, root, tmp_path, noted):
    """The version is another one, the generator is not."""
    put(0, 9.0)
    put(1, 7.0)
    client = tracking.connect(root)
    if not noted:  # as versions of before are
        client.delete_model_version_tag(NAME, "2", registration.WEIGHTS)
    rollback(Model(client, NAME))
    made = package(tmp_path, 7.0, 1)
    outcomes = [
        register(each, root, rival=measured(1, 9.0, 7.0))
        for each in (
            replace(made, data_licence="CC BY-NC 4.0"),
            replace(made, evaluation=package(tmp_path, 6.0, 1).evaluation),
        )
    ]
    assert [(each["version"], each["passed"], each["taken_back"], each["champion"]) for each in outcomes] == [
        (3, True, True, 1), (4, True, True, 1),
    ]  # fmt: skip
    promote(Model(client, NAME), "3")
    rival = measured(3, 7.0, 6.0)
    assert register(replace(made, evaluation=package(tmp_path, 6.0, 1).evaluation), root, rival=rival)["champion"] == 4


def test_other_weights_of_a_training_that_was_rolled_back_are_another_generator(put, root, tmp_path):
    put(0, 9.0)
    put(1, 7.0)
    rollback(Model(tracking.connect(root), NAME))
    other = replace(package(tmp_path, 6.0, 2), fingerprint=package(tmp_path / "1", 7.0, 1).fingerprint)
    assert register(other, root, rival=measured(1, 9.0, 6.0))["champion"] == 3


def test_what_is_not_there_cannot_be_promoted_or_rolled_back(put, root):
    client = tracking.connect(root)
    with pytest.raises(RegistryError, match="no model faces"):
        rollback(Model(client, NAME))
    put(0, 12.0)
    with pytest.raises(RegistryError, match="has no champion"):
        rollback(Model(client, NAME))
    with pytest.raises(RegistryError, match="no version 7 of faces"):
        promote(Model(client, NAME), "7")
    assert promote(Model(client, NAME), "1") is None
    assert aliases(root)["champion"] == 1


def test_looser_gate_promotes_the_version_that_is_there(put, root):
    put(0, 12.0)
    outcome = put(0, 12.0, gate={"fd_domain": {"at_most": 20}})
    assert (outcome["version"], outcome["reused"], outcome["champion"]) == (1, True, 1)


def test_new_evaluation_is_a_new_version_of_the_same_run(put, root):
    put(0, 9.0)
    assert put(0, 8.0)["version"] == 2
    first, second = versions(root)
    assert first.run_id == second.run_id
    assert tracking.connect(root).get_run(first.run_id).data.metrics["test/fd_domain"] == 8.0


def logged_metrics(root, version):
    """The figures at the logged model of a version."""
    client = tracking.connect(root)
    source = client.get_model_version(NAME, version).source
    (found,) = [each for each in client.search_logged_models(["1"]) if each.artifact_location == source]
    return {point.key: point.value for point in found.metrics}


def test_a_clock_that_is_behind_leaves_no_figures_of_an_earlier_evaluation(put, root, monkeypatch):
    put(0, 9.0)
    now = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now() - 3600)
        put(0, 8.0)
    client = tracking.connect(root)
    run = client.get_run(versions(root)[0].run_id)
    assert run.data.metrics["test/fd_domain"] == 8.0
    assert [logged_metrics(root, version)["test/fd_domain"] for version in "12"] == [9.0, 8.0]
    points = client.get_metric_history(run.info.run_id, "test/fd_domain")
    assert [point.value for point in points] == [9.0, 8.0], "a point for each evaluation, in their order"


def test_a_figure_of_an_earlier_evaluation_is_told_and_belongs_to_its_own_version(put, root, tmp_path):
    """MLflow takes no figure of a run away."""
    put(0, 9.0)
    made = package(tmp_path, 9.0)
    without = {key: value for key, value in made.evaluation.items() if key not in ("coverage", "blind")}
    register(replace(made, evaluation=without), root, rival=measured(1, 9.0, 9.0))
    client = tracking.connect(root)
    run = client.get_run(client.get_model_version(NAME, "2").run_id)
    assert "* **Of an earlier evaluation**: `test/coverage`" in run.data.tags["mlflow.note.content"]
    assert "metric.coverage" not in client.get_model_version(NAME, "2").tags
    assert [logged_metrics(root, version).get("test/coverage") for version in "12"] == [0.5, None]
    put(0, 9.0)
    assert "earlier evaluation" not in client.get_run(run.info.run_id).data.tags["mlflow.note.content"]


def test_a_decision_holds_for_the_champion_that_it_was_made_against(put, root, tmp_path):
    put(0, 9.0)
    with pytest.raises(ChampionMovedError, match="is version 1, the decision was made against nobody"):
        register(package(tmp_path, 8.0, 1), root)
    assert aliases(root) == {"champion": 1, "challenger": 2}
    assert put(1, 8.0)["champion"] == 2
    assert [(move.to, move.over, move.kind) for move in history(Model(tracking.connect(root), NAME))] == [
        (1, None, "gate"), (2, 1, "gate"),
    ]  # fmt: skip


def test_unknown_metric_is_refused_before_anything_is_registered(put, root):
    with pytest.raises(RegistryError, match=r"has no fid; known: coverage, fd_domain"):
        put(0, 9.0, gate={"fid": {"at_most": 5}})
    assert tracking.connect(root).search_registered_models() == []


def test_evaluation_without_protocol_is_refused(root, tmp_path, quick):
    with pytest.raises(RegistryError, match="no protocol"):
        register(replace(package(tmp_path), evaluation={"fd_domain": 1.0}), root, {})
