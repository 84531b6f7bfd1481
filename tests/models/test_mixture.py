"""The mixture of Gaussians behind an autoencoder."""

import math

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.utils._python_dispatch import TorchDispatchMode

from ganops.models.mixture import Mixture

MEANS = torch.tensor([[-4.0, 0.0], [3.0, 3.0], [2.0, -4.0]], dtype=torch.float64)
ROOTS = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.4, 0.0], [-0.3, 0.8]], [[0.7, 0.0], [0.0, 0.2]]]).double()
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def codes(number=4000, weights=WEIGHTS, seed=0):
    """Samples of a known mixture, and their components."""
    source = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(weights, number, replacement=True, generator=source)
    noise = torch.randn(number, 2, dtype=torch.float64, generator=source)
    return MEANS[chosen] + (ROOTS[chosen] @ noise[:, :, None])[:, :, 0], chosen


def latents(number, dimensions, seed=1):
    return torch.randn(number, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def components(mixture, z, y=None):
    """The component of each latent: what is left of its code where the rest of z is 0."""
    z = torch.cat([z[:, :2], torch.zeros_like(z[:, 2:])], 1)
    return torch.cdist(mixture(z, y), mixture.means).argmin(1)


def fitted(number=3, samples=None, y=None, classes=0):
    samples = codes()[0] if samples is None else samples
    mixture = Mixture(samples.shape[1], classes, number).double()
    mixture.fit(samples, y, seed=0)
    return mixture


def test_samples_have_the_weights_means_and_covariances_of_the_codes():
    mixture, z = fitted(), latents(200_000, 4)
    drawn, of = mixture(z), components(fitted(), z)
    order = torch.cdist(MEANS, mixture.means).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    for component, known in zip(order, range(3), strict=True):
        own = drawn[of == component]
        assert len(own) / len(z) == pytest.approx(WEIGHTS[known].item(), abs=0.02)
        assert torch.allclose(own.mean(0), MEANS[known], atol=0.06)
        assert torch.allclose(own.T.cov(), ROOTS[known] @ ROOTS[known].T, atol=0.06)


def test_the_fit_is_as_likely_as_that_of_scikit_learn():
    samples, new = codes()[0], codes(seed=5)[0]
    mixture = fitted()
    shares = torch.bincount(components(mixture, latents(200_000, 4)), minlength=3) / 200_000
    normals = torch.distributions.MultivariateNormal(mixture.means, scale_tril=mixture.roots)
    own = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(probs=shares), normals)
    reference = GaussianMixture(3, random_state=0, n_init=5).fit(samples.numpy())
    assert own.log_prob(new).mean().item() == pytest.approx(reference.score(new.numpy()), abs=0.01)


def test_one_gaussian_has_the_moments_of_the_codes():
    samples = codes()[0]
    mixture = fitted(1)
    assert mixture.latent == 2
    assert torch.allclose(mixture.means[0], samples.mean(0))
    assert torch.allclose(mixture.roots[0] @ mixture.roots[0].T, samples.T.cov(correction=0), atol=1e-4)


class Largest(TorchDispatchMode):
    """Remembers the numbers of the largest tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **kwargs or {})
        if isinstance(found, torch.Tensor):
            self.numbers = max(self.numbers, found.untyped_storage().nbytes() // found.element_size())
        return found


@pytest.mark.parametrize("code", [1, 7, 40])
def test_one_gaussian_is_not_copied_for_each_code(code):
    """A copy for each would be larger than all else by the numbers of a code."""
    mixture = fitted(1, latents(300, code)).float()
    z = latents(60, code).float()
    copies = mixture.roots.expand(60, -1, -1).contiguous()
    with Largest() as largest:
        drawn = mixture(z)
    assert largest.numbers <= max(60 * code, code**2)
    assert torch.equal(drawn, mixture.means + (copies @ z[:, :, None])[:, :, 0]), "to the bits of one product for each"


@pytest.mark.parametrize("number", [1, 3])
def test_each_class_has_a_distribution_of_its_own(number):
    samples, of = codes()
    mixture = fitted(number, samples, of, classes=3)
    y = torch.arange(30_000) % 3
    drawn = mixture(latents(len(y), mixture.latent), y)
    for known in range(3):
        assert torch.allclose(drawn[y == known].mean(0), MEANS[known], atol=0.06)


def test_a_class_without_samples_is_drawn_from_all():
    samples, of = codes()
    mixture = fitted(3, samples, of, classes=4)
    z = latents(30_000, 4)
    drawn = mixture(z, torch.full((len(z),), 3))
    assert torch.allclose(drawn.mean(0), samples.mean(0), atol=0.1)
    alone = fitted(1, samples, of, classes=4)(z[:, :2], torch.full((len(z),), 3))
    assert torch.allclose(alone.T.cov(), samples.T.cov(), atol=0.5)


@pytest.mark.parametrize("scale", [0.01, 0.5, 3.0])
def test_the_scale_of_z_changes_no_component(scale):
    mixture, z = fitted(), latents(5_000, 4)
    assert torch.equal(components(mixture, z), components(mixture, scale * z))


@pytest.mark.parametrize("classes", [0, 3])
def test_truncated_to_nothing_it_gives_the_mean_of_a_component_that_the_class_has(classes):
    samples, of = codes()
    mixture = fitted(3, samples, of if classes else None, classes)
    y = torch.arange(3) if classes else None
    found = mixture(torch.zeros(3, 4, dtype=torch.float64), y)
    assert found.isfinite().all()
    if classes:
        assert torch.allclose(found, MEANS, atol=0.1)
    else:
        assert (torch.cdist(found, mixture.means).amin(1) == 0).all()


def test_the_same_codes_give_the_same_mixture_whatever_else_is_drawn():
    torch.manual_seed(0)
    one = fitted()
    torch.manual_seed(1)
    other = fitted()
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("number", [1, 10])
@pytest.mark.parametrize("samples", [1, 5])
def test_few_and_equal_codes_are_fitted_without_a_nan(number, samples):
    mixture = fitted(number, torch.ones(samples, 3, dtype=torch.float64))
    assert torch.allclose(mixture(latents(20, mixture.latent)), torch.ones(20, 3).double(), atol=1e-4)


def test_the_angle_is_uniform():
    """The ratio of two normal numbers is Cauchy distributed, with median 0 and quartiles at -1 and 1."""
    mixture = Mixture(1, 0, 4).double()
    mixture.edges.copy_(torch.tan(math.pi * (torch.tensor([[0.25, 0.5, 0.75]]) - 0.5)))
    mixture.means.copy_(torch.arange(4.0)[:, None])
    counts = torch.bincount(components(mixture, latents(100_000, 3)), minlength=4)
    assert torch.allclose(counts / 100_000, torch.full((4,), 0.25), atol=0.01)
