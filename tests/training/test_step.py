"""The game, its penalties and its loop."""

from contextlib import nullcontext
from typing import ClassVar

import pytest
import torch
from torch import nn

from ganops.core.errors import DivergenceError, TrainingError
from ganops.core.randomness import Draws
from ganops.data.augment import Augmentation
from ganops.losses import LOSSES, square_norms
from ganops.training import ema
from ganops.training.loop import Recipe, train
from ganops.training.objective import Player, Turn, Weights
from ganops.training.schedule import constant, cosine, linear
from ganops.training.state import State
from ganops.training.step import Game, alarms, discriminator_loss, generator_loss, play


class Linear(nn.Module):
    """A critic whose gradient is known: w."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -4.0]))

    def forward(self, x, y=None):
        return x @ self.w


def game(loss="non_saturating"):
    return Game(LOSSES[loss](), square_norms, nullcontext)


def turn(x, r1=0.0, r2=0.0):
    draws = Draws((0, 0), len(x), slice(None), x.device, x.dtype)
    return Turn(x, None, torch.zeros(len(x), 1), draws, 0, Weights(r1, r2))


def toy(steps=8, **changes):
    torch.manual_seed(0)

    class G(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 2)

        def forward(self, z, y=None):
            return self.body(z)

    class D(G):
        def forward(self, x, y=None):
            return torch.tanh(self.body(torch.nn.functional.pad(x, (0, 1)))).sum(1)

    recipe = Recipe(
        **{
            "steps": steps, "tick_steps": 4, "batch": 16, "latent": 3, "learning_rate_G": cosine(0.01, 0.001),
            "learning_rate_D": constant(0.01), "beta1": 0.5, "beta2": constant(0.9), "r1": constant(0.5),
            "r2": constant(0.5), "interval": 2, "half_life": constant(100), **changes,
        }
    )  # fmt: skip
    return State.fresh(G(), D()), recipe


def batches(step):
    return torch.randn(16, 2, generator=torch.Generator().manual_seed(step)), None


def test_penalty_of_a_linear_critic_is_its_squared_weight():
    x = torch.randn(5, 2, requires_grad=True)
    assert torch.allclose(square_norms(x, Linear()(x)), torch.full((5,), 25.0))


def test_penalty_sums_over_every_axis_of_a_sample():
    x = torch.randn(3, 2, 4, 5, requires_grad=True)
    assert torch.allclose(square_norms(x, (2 * x).flatten(1).sum(1)), torch.full((3,), 4.0 * 40))


def test_discriminator_loss_adds_half_the_weighted_penalties():
    x, fake, D = torch.randn(6, 2), torch.randn(6, 2), Linear()
    without, _ = discriminator_loss(D, game(), turn(x), fake)
    with_both, terms = discriminator_loss(D, game(), turn(x, 0.2, 0.6), fake)
    assert torch.isclose(with_both - without, torch.tensor((0.2 + 0.6) / 2 * 25))
    assert terms["r1"] == terms["r2"] == 25


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_consistency_costs_the_squared_change_of_both_scores_and_leaves_the_decision_on_the_samples(shift):
    class Shift:
        memory: ClassVar = {"strength": torch.zeros(())}

        def __call__(self, x, draws, name):
            return x + shift  # moves the score of w = (3, -4) by -shift

    x, fake, D = torch.randn(6, 2), torch.randn(6, 2), Linear()
    plain, _ = discriminator_loss(D, game(), turn(x), fake)
    played = Game(LOSSES["non_saturating"](), square_norms, nullcontext, augment=Shift(), consistency=10)
    consistent, terms = discriminator_loss(D, played, turn(x), fake)
    assert terms["inconsistency"].item() == pytest.approx(2 * shift**2, abs=1e-5)
    assert (consistent - plain).item() == pytest.approx(10 * 2 * shift**2, abs=1e-4)


class Plain(Augmentation):
    """Changes nothing, and follows what it hears."""

    def __call__(self, x, draws, name):
        return x


@pytest.mark.parametrize(
    ("loss", "heard"),
    [
        ("non_saturating", 1 / 3),  # two of three scores are above 0
        ("hinge", 1 / 3),
        ("least_squares", -1 / 3),  # one is above 1/2
        ("relativistic", 1),  # all are above their partners'
        ("relativistic_average", -1 / 3),  # one is above their mean, 2/3
        ("wasserstein", 0),  # nothing
        ("began", 0),
    ],
)
def test_an_adaptive_augmentation_hears_how_often_d_takes_real_samples_for_real(loss, heard):
    class Shifted(nn.Module):
        def __init__(self, samples=None):
            super().__init__()
            self.w, self.samples = nn.Parameter(torch.zeros(())), samples

        def forward(self, x, y=None):
            return (x[:, 0] if self.samples is None else self.samples) + self.w

    real, fake = torch.tensor([[0.4], [-1.0], [4.0]]), torch.tensor([[0.3], [-1.3], [3.0]])
    networks = Shifted(fake), Shifted()
    G, D = (Player(network, torch.optim.SGD(network.parameters(), 0.0)) for network in networks)
    augment = Plain.on(torch.device("cpu"), {}, adaptive=True)
    play(G, D, Game(LOSSES[loss](), square_norms, nullcontext, augment=augment), [turn(real)])
    assert augment.memory["signs"].item() == pytest.approx(heard)


@pytest.mark.parametrize("loss", ["relativistic", "relativistic_average"])
def test_the_level_of_scores_moves_no_strength_where_only_differences_count(loss):
    def strengths(level):
        state, recipe = toy(steps=16, tick_steps=1)
        score = state.D.forward
        state.D.forward = lambda x, y=None: score(x, y) + level
        augment = Plain.on(torch.device("cpu"), {}, adaptive=True, target=0.1, per_images=1000)
        played = Game(LOSSES[loss](), square_norms, nullcontext, augment=augment)
        return [tick.metrics["strength"] for tick in train(state, batches, played, recipe, seed=0)]

    assert strengths(0) == strengths(5) == strengths(-5)


def test_relativistic_losses_mirror_each_other():
    x, fake, D = torch.randn(6, 2), torch.randn(6, 2), Linear()
    d, _ = discriminator_loss(D, game("relativistic"), turn(x), fake)
    g, _ = generator_loss(D, game("relativistic"), turn(fake), x)
    assert torch.isclose(d, g)


def test_one_pass_less_where_a_loss_does_not_ask_for_real_scores():
    calls = []

    class Counting(Linear):
        def forward(self, x, y=None):
            calls.append(1)
            return super().forward(x)

    x = torch.randn(2, 2)
    generator_loss(Counting(), game(), turn(x), x)
    assert len(calls) == 1
    generator_loss(Counting(), game("relativistic"), turn(x), x)
    assert len(calls) == 3


def test_loop_ticks_and_ends():
    state, recipe = toy(steps=10)
    ticks = [(tick.step, tick.kimg) for tick in train(state, batches, game(), recipe, seed=0)]
    assert ticks == [(4, 0.064), (8, 0.128), (10, 0.16)]


def test_lazy_penalty_is_reported_only_from_the_steps_that_had_it():
    state, recipe = toy(steps=4, interval=4)
    (tick,) = train(state, batches, game(), recipe, seed=0)
    state, every = toy(steps=4, interval=4)
    penalties = [t.metrics.get("r1") for t in train(state, batches, game(), recipe=_ticking(every, 1), seed=0)]
    assert penalties[1:] == [None, None, None]
    assert tick.metrics["r1"] == pytest.approx(penalties[0])


def _ticking(recipe, steps):
    return Recipe(**{**recipe.__dict__, "tick_steps": steps})


def test_interrupted_equals_uninterrupted(tmp_path):
    whole, recipe = toy()
    list(train(whole, batches, game(), recipe, seed=0))
    first, _ = toy()
    list(train(first, batches, game(), recipe, seed=0, until=5))
    first.save(tmp_path / "state.safetensors")
    second, _ = toy()
    second.load(tmp_path / "state.safetensors")
    assert second.step == 5
    list(train(second, batches, game(), recipe, seed=0))
    a, b = whole.tensors(), second.tensors()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_a_saved_state_that_differs_is_noticed(tmp_path):
    """The law above can fail: one more step gives other weights."""
    state, recipe = toy()
    list(train(state, batches, game(), recipe, seed=0, until=5))
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    list(train(state, batches, game(), recipe, seed=0, until=6))
    assert any(not torch.equal(before[name], tensor) for name, tensor in state.tensors().items())


def test_divergence_is_an_error_with_advice():
    state, recipe = toy(learning_rate_D=constant(float("inf")))
    with pytest.raises(TrainingError, match=r"not.*finite|stopped being finite.*learning rates"):
        list(train(state, batches, game(), recipe, seed=0))


def test_an_average_that_breaks_after_the_last_losses_is_a_divergence():
    """The losses of a tick are those before its last step."""
    state, recipe = toy(steps=4, learning_rate_G=lambda at: float("inf") if at >= 0.75 else 0.01, half_life=constant(0))
    with pytest.raises(DivergenceError, match=r"body.weight of the average of G stopped being finite at step 4"):
        list(train(state, batches, game(), recipe, seed=0))


def test_average_of_a_constant_is_the_constant():
    network = nn.Linear(2, 2)
    kept = ema.average_of(network)
    ema.update(ema.pairs(kept, network), batch=10, seen=1000, half_life=20)
    assert torch.equal(kept.weight, network.weight)


def test_average_has_the_half_life_it_says():
    network = nn.Linear(1, 1)
    kept = ema.average_of(network)
    nn.init.zeros_(kept.weight)
    nn.init.ones_(network.weight)
    for _ in range(4):
        ema.update(ema.pairs(kept, network), batch=25, seen=10**6, half_life=100)
    assert kept.weight.item() == pytest.approx(0.5)


def test_cosine_schedule():
    schedule = cosine(1.0, 0.2)
    assert [schedule(p) for p in (0, 0.5, 1, 2)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"spread": 0.9, "told_apart": 0.7}, None),
        ({"spread": 0.01, "told_apart": 0.7}, "G has collapsed: its samples differ 1.0%"),
        ({"spread": 0.9, "told_apart": 0.999}, "D has won"),
        ({"spread": 0.9, "told_apart": 0.001}, "D has won"),
    ],
)
def test_alarms_of_a_game_out_of_balance(metrics, words):
    found = alarms(metrics)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_a_constant_generator_raises_the_alarm():
    state, recipe = toy(learning_rate_G=constant(0))
    state.G.body.weight.data.zero_()
    ticks = list(train(state, batches, game(), recipe, seed=0))
    assert any("G has collapsed" in alarm for alarm in ticks[-1].alarms)


def test_equal_scores_are_no_victory_of_d():
    state, recipe = toy(learning_rate_D=constant(0), learning_rate_G=constant(0))
    for parameter in state.D.parameters():
        parameter.data.zero_()
    (*_, tick) = train(state, batches, game(), recipe, seed=0)
    assert tick.metrics["told_apart"] == 0.5
    assert not any("D has won" in alarm for alarm in tick.alarms)


def test_the_step_that_broke_is_named():
    state, recipe = toy(steps=8)

    def broken(step):
        x, y = batches(step)
        return (x * float("nan") if step == 6 else x), y

    with pytest.raises(TrainingError, match=r"loss_d.* stopped being finite at step 6"):
        list(train(state, broken, game(), recipe, seed=0))


def test_turns_of_d_are_samples_shown():
    state, recipe = toy(steps=4, d_steps=3, tick_steps=2)
    seen = []
    ticks = list(train(state, lambda turn: seen.append(turn) or batches(turn), game(), recipe, seed=0))
    assert seen == list(range(12))
    assert [tick.kimg for tick in ticks] == [0.096, 0.192]
    assert state.adam_D.state[next(state.D.parameters())]["step"] == 12
    assert state.adam_G.state[next(state.G.parameters())]["step"] == 4


@pytest.mark.parametrize("d_steps", [1, 2, 4])
def test_a_penalty_that_acts_in_an_early_turn_is_reported(d_steps):
    state, recipe = toy(steps=4, interval=4, d_steps=d_steps)
    (tick,) = train(state, batches, game(), recipe, seed=0)
    assert tick.metrics["r1"] > 0


def test_clipping_leaves_frozen_layers_alone():
    class D(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 1)

        def forward(self, x, y=None):
            return self.last(torch.tanh(self.first(x)))[:, 0]

    toys, recipe = toy()
    state = State.fresh(toys.G, D(), {}, 1)
    first = state.D.first.weight.detach().clone()
    list(train(state, batches, Game(LOSSES["wasserstein"](), square_norms, nullcontext, clip=0.01), recipe, seed=0))
    assert torch.equal(state.D.first.weight, first)
    assert first.abs().max() > 0.01 >= state.D.last.weight.abs().max()


def test_clipped_weights_stay_within_their_limit():
    state, recipe = toy()
    list(train(state, batches, Game(LOSSES["wasserstein"](), square_norms, nullcontext, clip=0.01), recipe, seed=0))
    assert max(p.abs().max() for p in state.D.parameters()) <= 0.01


def test_the_memory_of_a_game_is_part_of_its_state(tmp_path):
    def began():
        loss = LOSSES["began"](rate=0.1)
        state, recipe = toy()
        return State.fresh(state.G, state.D, loss.memory), Game(loss, square_norms, nullcontext), recipe

    whole, played, recipe = began()
    list(train(whole, batches, played, recipe, seed=0))
    first, played, _ = began()
    list(train(first, batches, played, recipe, seed=0, until=5))
    first.save(tmp_path / "state.safetensors")
    second, played, _ = began()
    second.load(tmp_path / "state.safetensors")
    assert played.loss.memory["balance"] == first.memory["balance"] != 0
    list(train(second, batches, played, recipe, seed=0))
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, second.tensors()[name]), name


def test_linear_schedule():
    assert [linear(1.0, 0.2)(p) for p in (0, 0.5, 1, 2)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
