"""A registered version as the start of a training, and what is said of it afterwards."""

import shutil
from dataclasses import asdict, replace

import pytest
import torch
from packages import package
from registering import GATE, NAME

from ganops import config
from ganops.core.errors import RegistryError
from ganops.evaluation.gate import decide
from ganops.experiment.start import Start
from ganops.generator import Description, Generator, generator_network
from ganops.generator.artefact import WEIGHTS
from ganops.registry import lineage, registration, tracking
from ganops.registry.ancestor import fetched
from ganops.registry.card import model_card
from ganops.registry.model import Model

SAID = {"name": "models:/faces/1", "fingerprint": "f1", "weights": "w1"}


def made_of(folder, seed, **said):
    """The package of a generator that an architecture of this package makes."""
    description = Description("mlp", {"width": 16}, 6, 3, ("a", "b", "c"), (1, 16, 16), 1.0, f"f{seed}", **said)
    torch.manual_seed(seed)
    generator = Generator(generator_network(description), description)
    generator.save(folder / "generator")
    weights = folder / "generator" / WEIGHTS
    changes = {"generator": generator.network, "description": asdict(description), "weights": weights}
    return replace(package(folder / "other", 9.0 + 9 * seed, seed), fingerprint=f"f{seed}", **changes)


@pytest.fixture(scope="module")
def registered(empty_store, tmp_path_factory):
    """A project with two versions, of which the first is the champion, and their packages."""
    base = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(registration, "prove", lambda package, folder: 100.0)
        root = shutil.copytree(empty_store, base / "project")
        first, second = made_of(base / "first", 0), made_of(base / "second", 1, ancestor=SAID)
        for made in (first, second):
            registration.register(made, name=NAME, decision=decide(GATE, made.metrics), root=root)
    (root / "params.yaml").write_text(f"register: {{name: {NAME}}}")
    return root, first, second


def experiment(start):
    return config.parse({}).override({"train.start": start})


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("which", [f"models:/{NAME}@champion", f"models:/{NAME}/1"])
def test_a_version_is_fetched_under_its_exact_name(registered, which):
    root, first, _ = registered
    with fetched(experiment(which), root) as (folder, name):
        assert name == f"models:/{NAME}/1"
        start = Start.open(folder, name)
    expected = first.generator.state_dict()
    found = start.generator.network.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())
    assert start.D is None
    assert start.ancestor["fingerprint"] == first.fingerprint


@pytest.mark.parametrize("which", [None, "a/folder"])
def test_nothing_is_fetched_for_a_folder_or_without_a_start(registered, which):
    with fetched(experiment(which), registered[0]) as found:
        assert found is None


def test_a_version_that_is_not_there_is_refused(registered):
    with pytest.raises(RegistryError), fetched(experiment(f"models:/{NAME}/7"), registered[0]):
        pass


def test_lineage_and_card_name_the_ancestor(registered):
    root, first, second = registered
    model = Model(tracking.connect(root), NAME)
    assert lineage.lineage(model, "1")["ancestor"] is None
    assert lineage.lineage(model, "2")["ancestor"] == "models:/faces/1, training f1"
    sentence = "It began with the weights of `models:/faces/1` (fingerprint of that training: `f1`)."
    assert sentence in model_card(NAME, second)
    assert "It began with" not in model_card(NAME, first)
