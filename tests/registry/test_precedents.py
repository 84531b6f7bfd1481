"""A run with limits of other data, or in the place of another model, is told so before it begins."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from packages import package
from typer.testing import CliRunner

from ganops import config
from ganops.cli import app
from ganops.core.files import write_json
from ganops.data.about import About
from ganops.evaluation.gate import decide
from ganops.registry import precedents, registration, tracking
from ganops.registry.card import model_card
from ganops.registry.champions import ChampionMovedError
from ganops.registry.precedents import DATA, DATA_LICENCE, DRAWS, EMBEDDED, GATE, concerns

ROOT = Path(__file__).parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture(autouse=True)
def unpacked(monkeypatch):
    def build(made, name, folder):
        folder.mkdir()
        (folder / "MLmodel").write_text("{}")

    monkeypatch.setattr(registration, "build", build)
    monkeypatch.setattr(registration, "prove", lambda made, folder: 100.0)


@pytest.fixture
def said(root, monkeypatch):
    """What is told of a run on one of three sources, with sections of params.yaml replaced."""
    for name in ("emoji", "photos"):
        (root / "data" / name).mkdir(parents=True)
    (root / "data" / "fashion-mnist-10k").symlink_to(ROOT / "data" / "fashion-mnist-10k")
    monkeypatch.chdir(root)

    def said(source, called="auto", **register):
        data = {**PARAMS["data"], "source": source, "name": called}
        sections = {"data": data, "register": {**PARAMS["register"], **register}}
        (root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **sections}, sort_keys=False))
        return concerns(config.load(), Path())

    return said


def register(root, folder, data, gate, name="ganops-generator", **changes):
    made = replace(package(folder, 4.0), **{"data_name": data, "data_hash": f"hash of {data}", **changes})
    return registration.register(made, name=name, decision=decide(gate, made.metrics), root=root)


def test_the_embedded_run_is_the_one_in_params_yaml(said):
    assert EMBEDDED.gate == PARAMS["register"]["gate"]
    assert About.of_source(ROOT / "data" / PARAMS["data"]["source"]).name == EMBEDDED.data
    assert said("fashion-mnist-10k") == said("fashion-mnist-10k", called="clothes") == []


def test_a_changed_source_is_told_whose_limits_and_whose_name_it_has(said):
    gate, name = said("emoji")
    assert gate == (
        "register.gate: fd_domain at_most 5, coverage at_least 0.5: limits of the embedded run, on Fashion-MNIST "
        "(10,000 test images), that were never used with emoji: leave them out of a first run, and set them by its "
        "metrics/evaluation.json"
    )
    assert name.endswith("is the name of the embedded run: name the model of emoji")
    assert said("emoji", name="emoji", gate={}) == []
    assert [line[:23] for line in said("emoji", name="emoji", gate={"fd_domain": {"at_most": 30}})] == []


def test_limits_of_the_second_set_are_told_on_the_third(said, root, tmp_path):
    limits = {"fd_domain": {"at_most": 30}, "coverage": {"at_least": 0.5}}
    register(root, tmp_path / "a", "emoji", limits, name="pictures")
    tracking.connect(root).set_model_version_tag("pictures", "1", DRAWS, "1x32x32, 10 classes")
    own = {"name": "pictures", "gate": limits}
    assert said("emoji", **own) == [], "one is a limit of the embedded run as well, and was used here"
    lines = said("photos", **own)
    limits = (
        "register.gate: fd_domain at_most 30, coverage at_least 0.5: limits of version 1, on emoji, that were never"
    )
    assert lines[0].startswith(f"{limits} used with photos")
    assert "the champion of pictures, version 1, was trained on emoji, this run on photos" in lines[1]
    assert "fd_domain" not in str(said("photos", name="pictures", gate={"fd_domain": {"at_most": 12}}))


def test_a_champion_that_draws_other_samples_is_told(said, root, tmp_path):
    register(root, tmp_path / "a", "emoji", {})
    shape = "draws 3x8x8, 3 classes, this run 32x32: the gate does not compare the two; name a model of"
    assert shape in said("emoji", gate={})[0]
    client = tracking.connect(root)
    client.set_model_version_tag("ganops-generator", "1", DRAWS, "1x32x32, 10 classes")
    assert said("emoji", gate={}) == []
    (line,) = said("photos", gate={})
    assert "version 1, was trained on emoji, this run on photos would replace it" in line

    prepared(root, classes=10, sha256="hash of emoji")
    assert said("emoji", gate={}) == said("emoji", called="Noto emoji", gate={}) == []
    prepared(root, classes=10, sha256="another")
    assert "was trained on another state of emoji" in said("emoji", gate={})[0]
    prepared(root, classes=3, sha256="hash of emoji")
    assert "draws 1x32x32, 10 classes, this run 1x32x32, 3 classes" in said("emoji", gate={})[0]
    assert said("fashion-mnist-10k", gate={})[0].count("draws") == 0, "what is prepared is of another source"


def prepared(root, classes, sha256):
    data = config.parse({"data": PARAMS["data"]}).data.model_dump(mode="json")
    parameters = {key: data[key] for key in ("resolution", "fit", "labels", "mirror", "test")}
    write_json(
        root / "data/prepared/manifest.json",
        {
            "source": {"name": "emoji", "kind": "folder"}, "sample": {"shape": [1, 32, 32]},
            "classes": [str(i) for i in range(classes)], "sha256": sha256, "parameters": parameters,
        },
    )  # fmt: skip


def test_a_version_remembers_its_data_its_samples_and_its_limits(root, tmp_path):
    register(root, tmp_path / "a", "emoji", {"fd_domain": {"at_most": 30, "at_least": None}})
    tags = tracking.connect(root).get_model_version("ganops-generator", "1").tags
    assert (tags[DATA], tags[DATA_LICENCE], tags[DRAWS]) == ("emoji", "CC BY 4.0", "3x8x8, 3 classes")
    assert tags[precedents.DATA_HASH] == "hash of emoji"
    assert json.loads(tags[GATE]) == {"fd_domain": {"at_most": 30}}


def test_a_registry_that_is_not_there_or_away_is_no_error(said, root, monkeypatch):
    said("emoji")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["check", "--quick"])
    assert result.exit_code == 0
    assert "the registry cannot be asked for the champion of ganops-generator: no MLflow server" in result.stdout
    assert "params.yaml and data/emoji are fine" in result.stdout
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (root / "mlflow" / "mlflow.db").unlink()
    assert CliRunner().invoke(app, ["check", "--quick"]).exit_code == 0
    assert not (root / "mlflow" / "mlflow.db").exists(), "to ask makes no store"


def test_the_champion_with_another_licence_takes_its_own_place(root, tmp_path):
    """The card of a version is one of its files: whoever states the licence wants it where people load the champion."""
    first = register(root, tmp_path / "a", "emoji", {}, data_licence=None)
    again = register(root, tmp_path / "a", "emoji", {}, data_licence="CC BY 4.0")
    assert [(each["version"], each["reused"], each["champion"]) for each in (first, again)] == [
        (1, False, 1), (2, False, 2),
    ]  # fmt: skip
    client = tracking.connect(root)
    assert [client.get_model_version("ganops-generator", v).tags[DATA_LICENCE] for v in "12"] == [
        "not stated", "CC BY 4.0",
    ]  # fmt: skip
    other = replace(package(tmp_path / "b", 4.0, seed=1), data_licence=None)
    versions = [client.get_model_version("ganops-generator", v) for v in "12"]
    assert [registration.is_same(other, version) for version in versions] == [False, False]
    with pytest.raises(ChampionMovedError):
        registration.register(other, name="ganops-generator", decision=decide({}, other.metrics), root=root)


def test_the_champion_of_which_the_data_get_another_name_takes_its_own_place(root, tmp_path):
    """The card, one of its files, has the name, as it has the licence."""
    register(root, tmp_path / "a", "emoji", {})
    outcomes = []
    for name in ("Noto emojis", "Noto emoji", "Noto emoji"):
        data = {"data": {"source": "emoji", "name": name}}
        outcomes.append(register(root, tmp_path / "a", name, {}, data_hash="hash of emoji", params=data))
    assert [(each["version"], each["reused"], each["champion"]) for each in outcomes] == [
        (2, False, 2), (3, False, 3), (3, True, 3),
    ]  # fmt: skip
    model = tracking.connect(root)
    assert [model.get_model_version("ganops-generator", v).tags[DATA] for v in "123"] == [
        "emoji", "Noto emojis", "Noto emoji",
    ]  # fmt: skip


def test_a_source_that_was_renamed_makes_no_new_version(root, tmp_path):
    register(root, tmp_path / "a", "emoji", {})
    assert register(root, tmp_path / "a", "pictures", {}, data_hash="hash of emoji")["reused"]


def card(folder, **changes):
    return model_card("pictures", replace(package(folder), **changes))


def test_the_card_names_the_data_and_never_another_ones_licence(tmp_path):
    stated = card(tmp_path, data_name="Noto emoji", data_licence="Apache 2.0")
    assert "trained as a GAN on `Noto emoji`" in stated
    assert "The training images, `Noto emoji`: Apache 2.0." in stated
    unstated = card(tmp_path, data_name="emoji", data_licence=None)
    assert "The licence of the training images, `emoji`, is not stated." in unstated
    assert "`data.licence` in params.yaml states it" in unstated
    assert "trained as a GAN on `photos`" in card(tmp_path)  # of the parameters, where nothing else is known
