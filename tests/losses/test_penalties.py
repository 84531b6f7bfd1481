"""Penalties of critics whose gradients are known."""

import pytest
import torch

from ganops.core.randomness import Draws
from ganops.losses import PENALTIES, square_norms
from ganops.losses.penalties import around, between

X = torch.randn(64, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FAKE = torch.randn(64, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 5


def draws(batch=64, part=slice(None)):
    return Draws((0, 0), batch, part, torch.device("cpu"), torch.float64)


def uniform(*shape):
    return draws().uniform(f"{shape}", *shape)


def test_of_a_linear_critic_it_follows_from_the_length_of_its_weight():
    w = torch.full((3, 4), 2.0, dtype=torch.float64)
    expected = {"wgan_gp": (48**0.5 - 1) ** 2, "dragan": (48**0.5 - 1) ** 2, "zero_centred_gp": 48}
    for name, penalty in PENALTIES.items():
        points = penalty.points(X, FAKE, uniform).requires_grad_()
        value = penalty.measure(square_norms(points, (points * w).flatten(1).sum(1)))
        assert value.tolist() == pytest.approx([expected[name]] * 64, abs=1e-6), name


@pytest.mark.parametrize("name", PENALTIES)
def test_it_can_be_learnt_from_even_where_there_is_no_slope(name):
    w = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    points = PENALTIES[name].points(X, FAKE, uniform).requires_grad_()
    PENALTIES[name].measure(square_norms(points, (points * w).flatten(1).sum(1))).mean().backward()
    assert w.grad.isfinite().all()


def test_points_between_lie_on_the_line():
    points = between(X, FAKE, uniform)
    share = (points - X) / (FAKE - X)
    assert torch.allclose(share, share[:, :1, :1].expand_as(share))
    assert 0 <= share.min() < 0.1
    assert 0.9 < share.max() < 1


def test_points_around_lie_within_half_a_deviation_above():
    steps = around(X, FAKE, uniform) - X
    assert steps.min() >= 0
    assert 0.9 * X.std() / 2 < steps.max() <= X.std() / 2


def test_each_worker_sees_its_part_of_the_same_points():
    whole = draws().uniform("a", 3)
    parts = [draws(part=slice(start, start + 16)).uniform("a", 3) for start in range(0, 64, 16)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole, draws().uniform("b", 3))
