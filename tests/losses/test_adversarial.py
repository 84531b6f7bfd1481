"""The objectives, against values that others published and against their definitions."""

import math

import pytest
import torch

from ganops.losses import LOSSES

# torchgan's reference scores (tests/torchgan/test_losses.py) and what it says of them
REAL = torch.tensor([1.3, 2.9, 8.4, 6.3], dtype=torch.float64)
FAKE = torch.tensor([4.8, 1.2, -3.5, 5.9], dtype=torch.float64)


def values(name, real=REAL, fake=FAKE, **options):
    loss = LOSSES[name](**options)
    return loss.discriminator(real, fake).mean().item(), loss.generator(lambda: real, fake).mean().item()


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("wasserstein", -2.625, -2.1),
        ("least_squares", 19.76125, 7.3425),
        ("minimax", 3.1251488, None),
        ("non_saturating", 3.1251488, 0.9509911),
    ],
)
def test_published_values(name, discriminator, generator):
    d, g = values(name)
    assert d == pytest.approx(discriminator, abs=5e-6)
    assert generator is None or g == pytest.approx(generator, abs=5e-6)


def test_values_at_scores_of_one():
    """Those that mimicry states for D = 1 everywhere; its G of the minimax game is the non-saturating one."""
    one = torch.ones(5, dtype=torch.float64)
    assert values("non_saturating", one, one) == pytest.approx((1.6265, 0.3133), abs=5e-5)
    assert values("hinge", one, one) == pytest.approx((2, -1))
    assert values("wasserstein", one, one) == pytest.approx((0, -1))


def test_minimax_is_one_value_that_the_players_pull_in_opposite_directions():
    d, g = values("minimax")
    of_real = torch.nn.functional.softplus(-REAL).mean().item()
    assert g == pytest.approx(-(d - of_real))


def test_relativistic_games_see_differences_only():
    for name in ("relativistic", "relativistic_average"):
        assert values(name) == pytest.approx(values(name, REAL + 7, FAKE + 7))
        assert values(name)[0] != pytest.approx(values(name, REAL + 7, FAKE)[0])


@pytest.mark.parametrize("name", ["relativistic", "relativistic_average"])
def test_the_players_of_relativistic_games_mirror_each_other(name):
    loss = LOSSES[name]()
    assert torch.equal(loss.discriminator(REAL, FAKE), loss.generator(lambda: FAKE, REAL))


def test_relativistic_average_by_hand():
    d, _ = values("relativistic_average")
    mean_real, mean_fake = REAL.mean().item(), FAKE.mean().item()
    real = [math.log1p(math.exp(-(score - mean_fake))) for score in REAL.tolist()]
    fake = [math.log1p(math.exp(score - mean_real)) for score in FAKE.tolist()]
    assert d == pytest.approx(sum(real) / 4 + sum(fake) / 4)


def test_began_keeps_its_balance():
    """Where G's error is below γ times the real one, k grows, and D attends more to G; k stays in [0, 1]."""
    loss = LOSSES["began"](gamma=0.5, rate=0.1)
    real, fake = torch.tensor([2.0]), torch.tensor([0.4])
    assert loss.discriminator(real, fake).item() == 2.0
    loss.observe(real.mean(), fake.mean())
    assert loss.memory["balance"].item() == pytest.approx(0.1 * (0.5 * 2 - 0.4))
    assert loss.discriminator(real, fake).item() == pytest.approx(2 - 0.06 * 0.4)
    loss.observe(torch.tensor(0.0), torch.tensor(100.0))
    assert loss.memory["balance"].item() == 0
    loss.observe(torch.tensor(1000.0), torch.tensor(0.0))
    assert loss.memory["balance"].item() == 1
    assert LOSSES["began"]().memory["balance"] == 0, "a new game remembers nothing"


@pytest.mark.parametrize("name", LOSSES)
def test_the_players_want_the_opposite(name):
    """D's loss falls when real samples score better than generated ones; G's falls when generated ones score better."""
    loss, sign = LOSSES[name](), -1 if name == "began" else 1  # its scores are errors: a real sample's should be small
    low, high = torch.full((4,), -1.0 * sign), torch.full((4,), 1.0 * sign)
    if name == "began":
        loss.memory["balance"].fill_(0.5)
        low, high = low + 2, high + 2
    assert loss.discriminator(high, low).mean() < loss.discriminator(low, high).mean()
    assert loss.generator(lambda: high, high).mean() < loss.generator(lambda: high, low).mean()


@pytest.mark.parametrize("name", LOSSES)
def test_one_loss_for_each_sample(name):
    loss = LOSSES[name]()
    assert loss.discriminator(REAL, FAKE).shape == loss.generator(lambda: REAL, FAKE).shape == (4,)


THRESHOLDS = {"minimax": 0, "non_saturating": 0, "hinge": 0, "least_squares": 0.5}
"""The score at which D holds a sample for neither, in the games whose scores have a level."""


@pytest.mark.parametrize("name", ["relativistic", "relativistic_average", *THRESHOLDS])
def test_a_real_sample_is_taken_for_real_where_exchanging_it_for_the_other_would_cost_d(name):
    """The other scores the threshold, or anything where only differences count."""
    loss = LOSSES[name]()
    real = torch.linspace(-3, 3, 24, dtype=torch.float64)
    for other in [THRESHOLDS[name]] if name in THRESHOLDS else [-2, 0, 1.3]:
        fake = torch.full_like(real, other)
        costs = torch.stack(
            [loss.discriminator(f, r) - loss.discriminator(r, f) for r, f in zip(real, fake, strict=True)]
        )
        assert torch.equal(loss.real_logit(real, fake).sign(), costs.sign())


def test_no_score_says_what_is_real_where_no_level_does():
    assert {name for name, make in LOSSES.items() if make().real_logit is None} == {"wasserstein", "began"}


@pytest.mark.parametrize("name", LOSSES)
def test_a_game_of_differences_does_not_see_what_all_scores_have_in_common(name):
    loss = LOSSES[name]()
    loss.memory.get("balance", torch.zeros(())).fill_(0.5)
    same = torch.allclose(loss.discriminator(REAL, FAKE), loss.discriminator(REAL + 7, FAKE + 7))
    assert same == loss.only_differences
    if same and loss.real_logit:
        assert torch.allclose(loss.real_logit(REAL, FAKE), loss.real_logit(REAL + 7, FAKE + 7))
