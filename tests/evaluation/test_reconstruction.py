"""Figures of an autoencoder: the bound against likelihoods that are known, the error by hand, and bad surroundings."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import nn

from ganops import config
from ganops.core.errors import UserError
from ganops.core.files import read_json, write_json
from ganops.evaluation import pictures, reconstruction, verdict
from ganops.experiment.run import Run
from ganops.generator import DESCRIPTION, Description, Generator
from ganops.generator.encoder import WEIGHTS, Encoder, parameters
from ganops.kinds import Spec
from ganops.metrics import catalogue
from ganops.registry.tracking import numbers


class Linear(nn.Module):
    """z -> b + W z as pictures [N, 1, side, side]."""

    def __init__(self, W, b):
        super().__init__()
        self.W, self.b, self.side = nn.Parameter(W), nn.Parameter(b), math.isqrt(len(b))

    def forward(self, z, y=None):
        return (self.b + z @ self.W.T).reshape(-1, 1, self.side, self.side)


class Posterior(nn.Module):
    """x -> moments of the exact posterior of that decoder, whose W has orthogonal columns, and an error of the mean."""

    def __init__(self, decoder, variance, off=0.0):
        super().__init__()
        W, self.b, self.off = decoder.W.detach(), decoder.b.detach(), off
        self.precision = nn.Parameter((W.T @ W).diagonal() + variance)
        self.W, self.variance = W, variance

    def forward(self, x, y=None):
        mean = (x.flatten(1) - self.b) @ self.W / self.precision + self.off
        return torch.cat([mean, (self.variance / self.precision).log().expand_as(mean)], 1)


def described(side, code):
    return Description("linear", {}, code, 0, (), (1, side, side), 0, "f", code=code, moments=2)


def principal(side, code, variance, seed=0):
    """Probabilistic PCA (Tipping & Bishop 1999): decoder, and the covariance of its samples."""
    draw = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(side**2, code, generator=draw, dtype=torch.float64)).Q
    W = basis * torch.linspace(0.3, 0.8, code, dtype=torch.float64)
    b = 0.1 * torch.randn(side**2, generator=draw, dtype=torch.float64)
    return Linear(W, b), W @ W.T + variance * torch.eye(side**2, dtype=torch.float64)


def grey(decoder, variance, count, seed=1):
    """Samples of a decoder in grey levels, none of which lies at the end."""
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(count, decoder.W.shape[1], generator=draw, dtype=torch.float64)
    x = decoder(z).detach()
    x = x + variance**0.5 * torch.randn(x.shape, generator=draw, dtype=torch.float64)
    return ((x + 1) * 127.5).round().clamp(1, 254).numpy().astype(np.uint8)


def density(images, decoder, covariance):
    """-log of the exact density of the samples, for one grey level, at their middles: nats [N]."""
    x = torch.from_numpy(images).double().flatten(1) / 127.5 - 1
    normal = torch.distributions.MultivariateNormal(decoder.b.detach(), covariance)
    return (-normal.log_prob(x)).numpy() + x.shape[1] * math.log(127.5)


@pytest.mark.parametrize("side", [2, 4])
def test_the_bound_is_tight_for_the_exact_posterior_and_holds_for_another(side):
    """The bound of another posterior is larger by its divergence from the exact one, which has a closed form."""
    variance, count = 0.01, 4000
    decoder, covariance = principal(side, 3, variance)
    images = grey(decoder, variance, count)
    exact = density(images, decoder, covariance)

    def gap(off):
        encoder = Encoder(Posterior(decoder, variance, off), decoder, described(side, 3), variance)
        found = reconstruction.nats(encoder, images, None, seed=0) - exact
        return found.mean(), found.std() / count**0.5

    mean, error = gap(0.0)
    noise = side**2 * (2 / 255) ** 2 / 24 * float(torch.linalg.inv(covariance).trace()) / side**2
    assert error < 0.05
    assert abs(mean - noise) < 4 * error  # noise: second order in a level, what the uniform noise costs
    off = 0.2
    posterior = variance / Posterior(decoder, variance).precision.detach()
    divergence = float((off**2 / posterior).sum() / 2)
    mean, error = gap(off)
    assert mean == pytest.approx(divergence + noise, abs=4 * error)
    assert divergence > 20 * error


@pytest.mark.parametrize("levels", [0.4, 1.0, 20.0])
def test_it_bounds_the_chance_of_a_grey_level(levels):
    """A picture of one pixel: P(x) is a difference of normal distribution functions."""
    variance = (levels / 127.5 / 2) ** 2
    W, b = torch.full((1, 1), math.sqrt(3 * variance), dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    decoder = Linear(W, b)
    images = grey(decoder, variance, 4000)
    encoder = Encoder(Posterior(decoder, variance), decoder, described(1, 1), variance)
    middles = images.reshape(-1) - 127.5  # the deviation of a sample is `levels`
    chance = ndtr((middles + 0.5) / levels) - ndtr((middles - 0.5) / levels)
    found = reconstruction.nats(encoder, images, None, seed=0) + np.log(chance)
    error = found.std() / len(found) ** 0.5
    assert found.mean() > -4 * error
    if levels == 0.4:
        assert found.mean() > 4 * error  # the noise of a level costs where the deviation is smaller than one
    if levels == 20.0:
        assert abs(found.mean()) < 4 * error + 1e-3
    bits = reconstruction.bound(encoder, images, None, seed=0)
    assert bits["bits_per_dimension"] == pytest.approx(bits["nats"] / math.log(2))
    assert bits["interval"][0] < bits["bits_per_dimension"] < bits["interval"][1]


def test_the_seed_draws_it_and_pieces_do_not_matter():
    decoder, _ = principal(2, 3, 0.01)
    images = grey(decoder, 0.01, 120)
    encoder = Encoder(Posterior(decoder, 0.01), decoder, described(2, 3), 0.01)
    first = reconstruction.nats(encoder, images, None, seed=0)
    assert np.array_equal(first, reconstruction.nats(encoder, images, None, seed=0))
    assert np.array_equal(first[:100], reconstruction.nats(encoder, images[:100], None, seed=0))
    assert not np.array_equal(first, reconstruction.nats(encoder, images, None, seed=1))


@pytest.mark.parametrize("fits", [30, 7, 1])
def test_what_the_memory_does_not_hold_at_once_has_the_same_bound(fits):
    """The rows of a piece are halved, and their random numbers are those of the piece."""
    decoder, _ = principal(2, 3, 0.01)
    images, asked = grey(decoder, 0.01, 120), []
    encoder = Encoder(Posterior(decoder, 0.01), decoder, described(2, 3), 0.01)
    whole = reconstruction.nats(encoder, images, None, seed=0)

    def full(module, given):
        asked.append(len(given[0]))
        if len(given[0]) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ...")

    encoder.network.register_forward_pre_hook(full)
    assert np.allclose(reconstruction.nats(encoder, images, None, seed=0), whole, rtol=1e-12, atol=0)
    assert max(asked) == reconstruction.PIECE
    assert sum(count for count in asked if count <= fits) == len(images)
    fits = 0
    with pytest.raises(UserError, match=r"memory of the GPU does not hold what is computed of one sample"):
        reconstruction.nats(encoder, images, None, seed=0)


class Arrays:
    """Samples in memory, as prepared."""

    spec, class_names, hash = Spec("image", (1, 16, 16), 2), ("bags", "coats"), "a"

    def samples(self, split):
        return np.random.default_rng(0).integers(0, 256, (30, 1, 16, 16), np.uint8)

    def labels(self, split):
        return np.arange(30) % 2

    def measured(self, split):
        return self.samples(split), self.labels(split)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name of an objective -> folder of a generator that it has hardly taught."""
    found = {}
    for name in ("non_saturating", "autoencoder", "vae", "two_stage_vae"):
        params = {"loss.name": name, "train.batch": 10, "train.kimg": 0.04, "train.tick_kimg": 0.02}
        params |= {"model.options": {"width": 4}, "model.latent": 8, "train.validation_samples": 100}
        run = Run(config.parse({}).override(params), Arrays(), None, torch.device("cpu"))
        list(run.play())
        found[name] = tmp_path_factory.mktemp(name) / "generator"
        run.best_generator().save(found[name])
        if encoder := run.best_encoder():
            encoder.save(found[name])
    return found


def look(folder):
    return reconstruction.look(folder, Generator.load(folder), Arrays(), seed=0)


def test_each_family_says_what_it_can(folders):
    said = {name: look(folder)[0] for name, folder in folders.items()}
    assert {name: list(figures) for name, figures in said.items()} == {
        "non_saturating": [], "autoencoder": ["reconstruction"], "vae": ["reconstruction", "bound"],
        "two_stage_vae": ["reconstruction", "bound"],
    }  # fmt: skip
    assert "by the first stage alone" in said["two_stage_vae"]["bound"]["what"]
    assert "first stage" not in said["vae"]["bound"]["what"]
    assert "given its class" in said["vae"]["bound"]["what"]
    for figures in said.values():
        json.dumps(figures)
        assert all(figure["samples"] == 30 and figure["split"] == "test" for figure in figures.values())


def test_the_error_is_that_of_the_pictures_which_are_shown(folders):
    said, again = look(folders["vae"])
    images = Arrays().samples("test")
    by_hand = math.sqrt(((images.astype(float) - again.astype(float)) ** 2).mean())
    figure = said["reconstruction"]
    assert figure["error"] == pytest.approx(by_hand, rel=1e-12)
    assert figure["interval"][0] < figure["error"] < figure["interval"][1]
    svg = pictures.reconstructions(Arrays(), again).decode()
    assert svg.count("<image") == 10
    of_bags = math.sqrt(((images[::2].astype(float) - again[::2]) ** 2).mean())
    assert f"bags: error {of_bags:.1f} of 255 (15 samples)" in svg


def test_samples_without_labels_have_a_picture_too():
    samples = SimpleNamespace(measured=lambda split: (Arrays().samples(split), None), class_names=(), spec=Arrays.spec)
    svg = pictures.reconstructions(samples, Arrays().samples("test")).decode()
    assert svg.count("<image") == 20
    assert svg.count("error 0.0 of 255") == 4


def test_an_interval_of_the_error_covers_the_truth():
    """Errors of a known mean: 95 % of the intervals hold it (within three standard errors of 200)."""
    rng, held = np.random.default_rng(0), 0
    for seed in range(200):
        figure = reconstruction._mean(rng.exponential(4.0, 300), seed, of=math.sqrt)
        held += figure.low <= 2.0 <= figure.high
    assert abs(held / 200 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 200)


def test_none_of_it_is_a_metric(folders):
    said = look(folders["vae"])[0]
    assert numbers(said) == {}
    assert verdict.with_intervals(said) == {}
    assert verdict.headline(said) == {}
    assert [name for name in (*said, "error", "bits_per_dimension", "nats") if catalogue.of(name)] == []


def test_a_generator_without_its_encoder_has_figures_all_the_same(folders, tmp_path):
    generator = Generator.load(folders["vae"])
    generator.save(tmp_path / "alone")
    said, again = look(tmp_path / "alone")
    assert said == {"reconstruction": {"left_out": f"there is no {WEIGHTS} beside the generator"}}
    assert again is None


def test_a_damaged_encoder_is_refused_with_its_path(folders, tmp_path):
    Generator.load(folders["vae"]).save(tmp_path / "damaged")
    (tmp_path / "damaged" / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(UserError, match=rf"damaged/{WEIGHTS} is damaged"):
        look(tmp_path / "damaged")


def test_a_generator_of_an_earlier_version_says_nothing(folders, tmp_path):
    Generator.load(folders["non_saturating"]).save(tmp_path / "old")
    content = read_json(tmp_path / "old" / DESCRIPTION)
    for key in ("prior", "code", "moments"):
        del content[key]
    write_json(tmp_path / "old" / DESCRIPTION, content)
    assert look(tmp_path / "old") == ({}, None)
    assert list(parameters(Generator.load(tmp_path / "old").description)) == ["generator", "discriminator"]


def test_parameters_are_those_of_the_networks(folders):
    for name, folder in folders.items():
        generator = Generator.load(folder)
        found = parameters(generator.description)
        assert found["generator"] == sum(each.numel() for each in generator.network.parameters())
        if name == "non_saturating":
            assert list(found) == ["generator", "discriminator"]
        else:
            network = Encoder.load(folder, generator).network
            assert found["encoder"] == sum(each.numel() for each in network.parameters())
    game, vae = (parameters(Generator.load(folders[name]).description) for name in ("non_saturating", "vae"))
    assert game["generator"] == vae["generator"]  # the same decoder: a fair comparison
    wide = replace(Generator.load(folders["vae"]).description, options={"width": 8})
    assert parameters(wide)["generator"] > 2 * vae["generator"]
