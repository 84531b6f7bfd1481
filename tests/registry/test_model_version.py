"""The code of a registered version runs only where its files are those that were registered."""

import importlib.util
import marshal
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from packages import package
from registering import GATE, NAME, measured
from typer.testing import CliRunner

from ganops.cli import app
from ganops.core import layout
from ganops.core.errors import RegistryError
from ganops.core.labels import in_turn
from ganops.data.image_decoder import ImageDecoder
from ganops.data.pictures import read
from ganops.evaluation.gate import decide
from ganops.generator import Description, Generator, generator_network
from ganops.generator.encoder import Encoder, decoder, encoder_network
from ganops.generator.inversion import Inversion
from ganops.registry import registration, served_model, tracking
from ganops.registry.model import Model
from ganops.registry.model_version import Registered, sampler, trained
from ganops.registry.verify import verify as audit
from ganops.registry.versus_champion import challenge
from ganops.serving.gallery import Exhibition
from ganops.serving.replica import Replica, Target

CHANGED = "version 1 of faces cannot be loaded: its files are no longer those that were registered: do not use it"


@pytest.fixture(scope="module")
def registered(empty_store, tmp_path_factory):
    """A project with one version, the champion."""
    base = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(registration, "prove", lambda package, folder: 100.0)  # test_registry does
        root = shutil.copytree(empty_store, base / "project")
        made = package(base / "made")
        registration.register(made, name=NAME, decision=decide(GATE, made.metrics), root=root)
    (root / "params.yaml").write_text(f"register: {{name: {NAME}}}")
    return root


@pytest.fixture
def home(registered, tmp_path, monkeypatch):
    """A copy of it, seen from its folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = shutil.copytree(registered, tmp_path / "project")
    tracking.connect(root)  # its store follows
    monkeypatch.chdir(root)
    return root


def files_of(root):
    version = Model(tracking.connect(root), NAME).resolve("champion")
    return Path(version.source.removeprefix("file://"))


@pytest.fixture
def changed(home):
    """Where the file lies that the code leaves which somebody put into the store of files."""
    trace = home / "the code ran"
    code = files_of(home) / "served_model.py"
    code.write_text(f"open({str(trace)!r}, 'w').close()\n" + code.read_text())
    return trace


def opened(root, which="champion"):
    with Registered.opened(Model(tracking.connect(root), NAME).resolve(which), root) as found:
        return found.sample(np.arange(2))


def sampled(root):
    with sampler("champion", root) as found:
        return found.sample(np.arange(2))


WAYS = {
    "opened": opened,
    "sample and compare": sampled,
    "playground": lambda root: Exhibition(root, NAME, root / layout.VOTES).exhibit(1),
    "serve": lambda root: Replica(Target(str(root), NAME, "champion", 1.0), "1"),
    "register": lambda root: challenge(
        package(root / "other", seed=1), None, None, name=NAME, root=root, samples=1, split="test", seed=0
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_code_that_was_changed_in_the_store_is_not_run(home, changed, way):
    with pytest.raises(RegistryError, match=CHANGED):
        WAYS[way](home)
    assert not changed.exists()


def test_the_commands_refuse_it_in_a_sentence(home, changed):
    for command in (["sample", "x.png", "--model", "champion"], ["registry", "verify"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1
        assert (
            "its files are no longer those that were registered"
            in f"{result.exception}{' '.join(result.stdout.split())}"
        )
    assert not changed.exists()


def test_bytecode_in_the_store_is_not_run_in_the_place_of_sources(home):
    """Python takes bytecode that says it needs no check, whatever the source beside it."""
    expected = opened(home)
    trace, source = home / "the code ran", next(files_of(home).rglob("latents.py"))
    code = compile(f"open({str(trace)!r}, 'w').close()\n" + source.read_text(), str(source), "exec")
    cache = Path(importlib.util.cache_from_source(str(source)))
    cache.parent.mkdir()
    cache.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code))
    assert np.array_equal(opened(home), expected)
    assert not trace.exists()


def test_what_reading_leaves_in_the_store_changes_no_version(home):
    (files_of(home) / "registered_model_meta").write_text("model_name: faces")
    assert opened(home).shape == (2, 3, 8, 8)


def test_a_version_without_a_hash_is_not_run(home):
    client = tracking.connect(home)
    client.create_model_version(NAME, source=files_of(home).as_uri())
    with pytest.raises(RegistryError, match=r"version 2 of faces cannot be loaded: it was not registered by ganops"):
        opened(home, "2")


def test_an_additional_file_is_a_change(home):
    (files_of(home) / "sitecustomize.py").write_text("")
    with pytest.raises(RegistryError, match=CHANGED):
        opened(home)


@pytest.mark.parametrize("classes", [0, 1, 10])
def test_the_label_of_a_seed_is_that_of_the_registered_model(classes):
    """Its code travels without ganops, so it says for itself how labels follow from seeds."""
    seeds = np.array([-1, 0, 1, 9, 10, 2**53], np.int64)
    assert served_model._labels((), seeds, classes).tolist() == in_turn(seeds, classes).tolist()


@pytest.fixture(scope="module")
def autoencoders(empty_store, tmp_path_factory):
    """A project with two versions of an autoencoder, the first without its encoder, as it was registered of old."""
    base = tmp_path_factory.mktemp("autoencoders")
    description = Description("mlp", {"width": 16}, 6, 3, ("a", "b", "c"), (1, 16, 16), 0.0, "f", code=6, moments=2)
    generator = Generator(generator_network(description), description)
    encoder = Encoder(encoder_network(description), decoder(generator.network), description, 0.1)
    generator.save(base / "generator")
    encoder.save(base / "generator")
    bare = replace(
        package(base / "made"), generator=generator.network, description=asdict(description),
        weights=base / "generator" / "generator.safetensors", params={"data": {"fit": "crop", "background": "white"}},
    )  # fmt: skip
    made = replace(bare, encoder=base / "generator" / "encoder.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(registration, "prove", lambda package, folder: 100.0)
        root = shutil.copytree(empty_store, base / "project")
        for each, rival in ((bare, None), (made, measured(1, 20.0, 9.0))):
            decision = decide(GATE, each.metrics, rival=rival)
            registration.register(each, name=NAME, decision=decision, root=root)
    (root / "params.yaml").write_text(f"register: {{name: {NAME}}}")
    return root, bare, made, encoder


@pytest.fixture
def there(autoencoders, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(autoencoders[0])
    return autoencoders


def test_a_version_carries_its_encoder(there):
    root, bare, made, encoder = there
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 16, 16), np.uint8)
    found = trained(f"models:/{NAME}@champion", root)
    codes = found.encoder.encode(images, np.arange(3))
    np.testing.assert_array_equal(codes, encoder.encode(images, np.arange(3)))
    np.testing.assert_array_equal(found.encoder.decode(codes, np.arange(3)), encoder.decode(codes, np.arange(3)))
    with sampler("champion", root) as source:
        assert np.abs(found.generator.sample(np.arange(9)).astype(int) - source.sample(np.arange(9))).max() <= 1
    assert found.data == {"fit": "crop", "background": "white"}
    assert bare.identity() != made.identity()
    assert {each.state for each in audit(root, NAME, every=True)} == {"ok"}


def test_a_version_from_before_there_were_encoders_still_works(there):
    found = trained("1", there[0])
    assert found.encoder is None
    assert found.generator.sample(np.arange(2)).shape == (2, 1, 16, 16)


def test_encode_takes_the_encoder_of_the_champion(there):
    encoder = there[-1]
    picture = np.random.default_rng(0).integers(0, 256, (1, 40, 16), np.uint8)
    np.save("picture.npy", picture)
    told = CliRunner().invoke(app, ["encode", "picture.npy", "--model", f"models:/{NAME}@champion", "-l", "b"])
    assert "1 pictures by its encoder" in told.output
    found = Inversion.load(Path("latents.npz"))
    _, image = read([Path("picture.npy")], ImageDecoder(16, channels=1, fit="crop"))  # as its registration says
    np.testing.assert_array_equal(found.latents, encoder.encode(image, np.array([1])))
    drawn = CliRunner().invoke(app, ["sample", "x.png", "--latents", "latents.npz", "--model", "champion"])
    assert drawn.exit_code == 0


def test_an_encoder_that_was_changed_is_refused(there):
    version = Model(tracking.connect(there[0]), NAME).resolve("champion")
    path = Path(version.source.removeprefix("file://")) / "artifacts" / "encoder.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(RegistryError, match="its files are no longer those that were registered"):
            trained("champion", there[0])
        assert "bad" in {each.state for each in audit(there[0], NAME)}
    finally:
        path.write_bytes(whole)
