"""Apple's GPU, which has no float64: on a stand-in, all that may run there makes none, and says what a CPU says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from languages import FACTS, chain
from metal import MPS, NAME, Metal, mac

from ganops import GAN, config
from ganops.core import devices
from ganops.core.errors import ConfigError
from ganops.core.oracle import OracleNetwork
from ganops.evaluation import reconstruction
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment import build, machine
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.generator.artefact import nll
from ganops.generator.encoder import Encoder
from ganops.metrics import classifiers
from ganops.metrics.classifiers import Side
from ganops.metrics.extractors import Domain, Language, Oracle, Pixels
from ganops.metrics.measure import Generated

sys.path.append(str(Path(__file__).parent / "golden"))
import games
from figures import Held

CPU = torch.device("cpu")
RISING = {"loss.options": {"anneal": 0.5}}
GAMES = {
    "dcgan": {},
    "began": {},
    "r3gan": {},
    "stylegan2": {"train.augment.strength": "adaptive"},
    "wgan_gp": {},
    "dragan": {},
    "mlp": {},
    "infogan": {},
    "sngan": {},
    "diffaugment, consistent": {},
    "two_stage_vae": {},
    "autoencoder, mixture": {},
    "vae": RISING,
    "lstm": {},
    "likelihood": {},
    "wavegan": {},
    "mocogan": {},
}
"""Name of a golden game -> what differs from it: each architecture, penalty and kind of sample."""
STEPS = 2


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def samples_of(name):
    others = {"text": games.Texts, "video": games.Films, "wave": games.Waves}
    made = others.get(games.GAMES[name].get("data.kind"))
    return made() if made else games.Shapes(3 if name in games.COLOUR else 1)


def run(name, device, judge=None, **changes):
    return Run(games.experiment(name, **changes), samples_of(name), judge, device)


def rows(run):
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in run.history]


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: x.double(),
        lambda x: x.to(torch.float64),
        lambda x: x.to("cpu", torch.float64),
        lambda x: x + torch.tensor(1.0, dtype=torch.float64),
        lambda x: torch.zeros(3, dtype=torch.float64, device="mps"),
        lambda x: torch.tensor(0.5, dtype=torch.float64, device=x.device),
        lambda x: torch.fft.fft(torch.zeros(4, dtype=torch.float64)).to(x.device),
        lambda x: x + torch.ones(3),
        lambda x: torch.ones(3).to("mps", non_blocking=True),
        lambda x: x.numpy(),
    ],
)
def test_the_stand_in_refuses_what_apples_gpu_lacks(refused):
    with mac():
        x = torch.zeros(3, device="mps")
        assert isinstance(x, Metal)
        with pytest.raises((TypeError, RuntimeError)):
            refused(x)


@pytest.mark.filterwarnings("ignore:at..frobenius_norm is deprecated")  # so the stand-in comes by a spectral norm
@pytest.mark.parametrize("game", GAMES)
def test_a_training_makes_no_float64_there_and_plays_the_same_game(game):
    """Inside, the stand-in is the CPU: what differs are sums in float32 and the order of memory."""
    here = run(game, CPU, **GAMES[game])
    list(here.play(STEPS))
    with mac():
        there = run(game, MPS, **GAMES[game])
        list(there.play(STEPS))
        tensors = there.state.tensors()
        assert all(isinstance(each, Metal) for each in tensors.values())
        assert all(each.is_contiguous() for each in tensors.values())
    assert {each.dtype for each in tensors.values()} <= {torch.float32, torch.int64}
    assert rows(there) == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in rows(here)]


@pytest.mark.parametrize(("game", "changes"), [("began", {}), ("vae", RISING)])
def test_a_training_goes_on_from_a_checkpoint_of_the_other_device(game, changes, tmp_path):
    """Also from one between two ticks, in which terms lie; a balance of float64 becomes one of float32, and back."""
    whole = run(game, CPU, **changes)
    list(whole.play(4))
    for name, first, second in (("there", CPU, MPS), ("back", MPS, CPU)):
        with mac():
            begun = run(game, first, **changes)
            list(begun.play(stop=lambda step: step == 2))
            begun.save(tmp_path / name)
            resumed = run(game, second, **changes)
            resumed.load(tmp_path / name)
            list(resumed.play(4))
        assert rows(resumed) == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in rows(whole)]


def test_a_validation_and_its_drawing_are_those_of_the_cpu():
    found = []
    for device in (CPU, MPS):
        with mac():
            pixels, samples = Pixels({"channels": 1}, str(device)), games.Shapes()
            held = Generated(pixels.features(samples.samples("validation"))[0])
            found.append(run("bgc, adaptive", device, ValidationJudge(Held({"validation": held}, pixels))))
            list(found[-1].play(STEPS))
    here, there = found
    assert here.selection.best.row["fd_pixels_validation"] == pytest.approx(
        there.selection.best.row["fd_pixels_validation"], rel=1e-3
    )


@pytest.mark.parametrize("game", ["dcgan", "lstm", "wavegan", "mocogan"])
def test_a_generator_draws_there_what_it_draws_here(game, tmp_path):
    made = run(game, CPU)
    list(made.play(1))
    made.generator(0).save(tmp_path)
    here = Generator.load(tmp_path)
    with mac():
        there = Generator.load(tmp_path, "mps")
        drawn = there.sample(np.arange(9))
        if game == "lstm":
            labels = np.arange(9) % 3
            assert nll(there, drawn, labels) == pytest.approx(nll(here, drawn, labels), rel=1e-5)
    off = np.abs(drawn.astype(float) - here.sample(np.arange(9)))
    assert off.max() <= (0 if game == "lstm" else 1)


def test_an_autoencoder_is_judged_there_as_here():
    made, samples = run("vae", CPU), games.Shapes()
    list(made.play(STEPS))
    images, labels, found = samples.samples("validation"), samples.labels("validation"), []
    with mac():
        for device in (CPU, MPS):
            generator = Generator(devices.moved(made.generator(0).network, device), made.generator(0).description)
            encoder = Encoder(devices.moved(made.state.D, device).eval(), generator.network, generator.description, 0.1)
            found.append([reconstruction.nats(encoder, images, labels, seed=0), encoder.encode(images, labels)])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-5)


def test_the_bound_of_texts_is_computed_there_as_here():
    texts = {"loss.name": "vae", "model.options": {"width": 4, "embedding": 4, "code": 4}, "model.latent": 10}
    made, samples, found = run("likelihood", CPU, **texts), games.Texts(), []
    list(made.play(STEPS))
    with mac():
        for device in (CPU, MPS):
            generator = Generator(devices.moved(made.generator(0).network, device), made.generator(0).description)
            encoder = Encoder(devices.moved(made.state.D, device).eval(), generator.network, generator.description, 0)
            parts = samples.samples("validation"), samples.labels("validation")
            found.append(reconstruction.nats_of_texts(encoder, *parts, seed=0))
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4)


@pytest.mark.parametrize("labels", [True, False])
def test_the_domain_extractor_learns_there(labels, tmp_path):
    shapes = games.Shapes()
    images, y = shapes.samples("train"), shapes.labels("train") if labels else None
    with mac():
        made = Domain.make(images, y, images, y, seed=0, device="mps", kimg=0.2, minimum_accuracy=0)
        features, probabilities = made.features(images)
        made.save(tmp_path)
    here, theirs = Domain.load(tmp_path).features(images)
    np.testing.assert_allclose(features, here, rtol=1e-3, atol=1e-4)
    assert (probabilities is None) == (theirs is None) == (not labels)


def test_the_extractors_of_texts_learn_and_judge_there(tmp_path, monkeypatch):
    monkeypatch.setattr("ganops.metrics.extractors.language.ROUNDS", 1)
    (tmp_path / "oracle").mkdir()
    OracleNetwork.drawn(words=7, length=5, hidden=4, embedding=3, seed=0).save(tmp_path / "oracle")
    words = {"words": [f"w{i}" for i in range(7)], "by": "words"}
    texts = np.random.default_rng(0).integers(0, 7, (40, 5)).astype(np.uint16)
    with mac():
        made = {
            Language: Language.make(chain(60, 0), None, chain(60, 1), None, seed=0, device="mps", facts=FACTS),
            Oracle: Oracle.make(texts, None, texts, None, seed=0, device="mps", facts=words,
                                weights=str(tmp_path / "oracle")),
        }  # fmt: skip
        found = {kind: (each.features(some)[0], each.nll(some)) for kind, each in made.items()
                 for some in [texts if kind is Oracle else chain(60, 1)]}  # fmt: skip
        for kind, each in made.items():
            each.save(tmp_path / kind.name)
    for kind, (features, nats) in found.items():
        here, some = kind.load(tmp_path / kind.name), texts if kind is Oracle else chain(60, 1)
        np.testing.assert_allclose(features, here.features(some)[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(nats, here.nll(some), rtol=1e-5)


def test_the_two_sample_test_learns_there(monkeypatch):
    monkeypatch.setattr(classifiers, "KIMG", 1)
    noise = np.random.default_rng(0).integers(0, 256, (2, 120, 1, 16, 16), np.uint8)
    sides = [Side(each[:60], each[60:]) for each in (noise[0], noise[1] // 2)]
    with mac():
        there = classifiers.two_sample_test(*sides, seed=0, device="mps")
    assert there.value == pytest.approx(classifiers.two_sample_test(*sides, seed=0).value, abs=0.02)


SMALL = {"train.batch": 8, "model.options": {"width": 4}, "model.latent": 8}


def test_the_estimator_learns_there_where_it_is_asked_to():
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 16), np.uint8)
    with mac():
        gan = GAN(kimg=0.05, device="mps", verbose=False, params=SMALL).fit(images)
        drawn = gan.predict(3)
        assert gan._run.hardware["hardware"] == NAME
        assert gan._run.hardware["precision"] == "fp32"
    here = GAN(kimg=0.05, device="cpu", verbose=False, params=SMALL | {"train.precision": "fp32"}).fit(images)
    assert np.abs(drawn.astype(float) - here.predict(3)).max() <= 2


def test_it_is_taken_only_where_it_is_asked_for():
    with mac():
        assert machine.choose_device("mps").type == "mps"
        assert machine.choose_device("auto").type == "cpu"
        assert machine.precision(config.parse({}), MPS) == "fp32"


def test_its_memory_decides_how_many_samples_are_computed_at_once():
    with mac():
        assert devices.batch(MPS, 250, 2**24) == 128
        assert devices.batch(MPS, 250, 2**10) == devices.MOST_SAMPLES


@pytest.mark.parametrize(
    ("built", "words"),
    [(False, "torch .* was built without it"), (True, "torch sees none here; auto or cpu would run")],
)
def test_where_there_is_none_it_is_told_in_words(built, words, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)
    with pytest.raises(ConfigError, match=f"params.compute.device: mps: Apple's GPU was asked for, but {words}"):
        machine.choose_device("mps")


def test_one_that_runs_no_kernel_is_told_in_words(monkeypatch):
    """PyTorch without Metal says so at the first tensor."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=r"Apple's GPU cannot be used. Metal says: ."):
        machine.choose_device("mps")


def test_bf16_is_autocast_there_where_it_is_asked_for():
    experiment = config.parse({}).override({"train.precision": "bf16"})
    with mac(), build.game(experiment, MPS).autocast():
        assert torch.get_autocast_dtype("mps") == torch.bfloat16
