"""The phases of a training."""

from typing import Any

import pytest
import torch
from torch import nn

from ganops.core.errors import DivergenceError
from ganops.training.loop import Phase, Recipe, train
from ganops.training.objective import descend
from ganops.training.schedule import constant, linear
from ganops.training.state import State


class Notes:
    """An objective that notes what it is asked to do, and goes down a slope."""

    remedies = ("patience",)

    def __init__(self, name: str, learns: str = "") -> None:
        self.name, self.part, self.memory = name, learns, {name: torch.zeros(())}
        self.turns: list[Any] = []
        self.rates: list[tuple[float, ...]] = []
        self.fresh: list[bool] = []

    def learns(self, name):
        return name.partition(".")[2].startswith(self.part)

    def play(self, G, D, turns):
        self.turns += turns
        self.rates.append(tuple(each.optimizer.param_groups[0]["lr"] for each in (G, D)))
        self.fresh.append(not G.optimizer.state and not D.optimizer.state)
        loss = sum(p.square().sum() for each in (G, D) for p in each.network.parameters() if p.requires_grad)
        descend(loss + turns[0].z.sum() * 0, G.optimizer, D.optimizer)
        self.memory[self.name] += 1
        return {f"loss of {self.name}": loss.detach() * (torch.nan if self.name == "broken" else 1)}

    def alarms(self, metrics):
        return (self.name,)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)


def parts(first="first", last="last", **changes):
    """Two phases of 6 and 4 steps, with one and two turns of D, and their state."""
    torch.manual_seed(0)
    recipe = {
        "tick_steps": 4, "batch": 10, "latent": 3, "beta1": 0.5, "beta2": constant(0.9), "interval": 2,
        "r1": linear(1, 0), "learning_rate_D": constant(0.01), **changes,
    }  # fmt: skip
    one = Recipe(steps=6, learning_rate_G=linear(0.6, 0.0), **recipe)
    two = Recipe(steps=4, learning_rate_G=linear(0.4, 0.0), **recipe | {"d_steps": 2})
    phases = Phase(Notes(first, "one"), one), Phase(Notes(last, "two"), two)
    memory = {name: value for phase in phases for name, value in phase.objective.memory.items()}
    return State.fresh(Two(), Two(), memory), *phases


def play(state, first, last, until=None):
    asked = []

    def batches(turn):
        asked.append(turn)
        return torch.zeros(10, 2), None

    ticks = train(state, batches, last.objective, last.recipe, seed=0, until=until, before=[first])
    return [(tick.step, tick.kimg, tick.alarms, tick.metrics) for tick in ticks], asked


def test_steps_turns_and_samples_are_counted_through_all_phases():
    state, first, last = parts()
    ticks, asked = play(state, first, last)
    assert asked == list(range(6 + 4 * 2)), "no batch is seen twice or left out"
    assert [turn.number for phase in (first, last) for turn in phase.objective.turns] == asked
    # at multiples of tick_steps, and where a phase ends
    assert [tick[:3] for tick in ticks] == [
        (4, 0.04, ("first",)), (6, 0.06, ("first",)), (8, 0.1, ("last",)), (10, 0.14, ("last",)),
    ]  # fmt: skip
    assert [set(tick[3]) - {"images_per_second"} for tick in ticks] == [
        {"loss of first"}, {"loss of first"}, {"loss of last"}, {"loss of last"},
    ]  # fmt: skip


def test_each_phase_has_schedules_of_its_own_from_0_to_1():
    state, first, last = parts()
    play(state, first, last)
    assert [rate for rate, _ in first.objective.rates] == pytest.approx([0.6 * (1 - i / 6) for i in range(6)])
    assert [rate for rate, _ in last.objective.rates] == pytest.approx([0.4 * (1 - i / 4) for i in range(4)])
    r1 = [turn.weights.r1 for turn in last.objective.turns]
    assert r1 == pytest.approx([2 * (1 - i / 8) if i % 2 == 0 else 0 for i in range(8)])


@pytest.mark.parametrize("until", [*range(1, 11)])
def test_it_stops_before_any_step_and_goes_on_to_the_same_end(until):
    whole, interrupted = parts(), parts()
    _, asked = play(*whole)
    ticks, before = play(*interrupted, until=until)
    assert (interrupted[0].step, ticks[-1][0]) == (until, until)
    _, after = play(*interrupted)
    assert before + after == asked
    tensors = interrupted[0].tensors()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in whole[0].tensors().items())


def test_moments_are_forgotten_at_the_border_and_kept_elsewhere():
    state, first, last = parts()
    play(state, first, last)
    assert first.objective.fresh == [True] + 5 * [False]
    assert last.objective.fresh == [True] + 3 * [False]
    state, first, last = parts()
    play(state, first, last, until=6)
    assert state.adam_G.state, "the checkpoint at the border is that of a training that ends there"


def test_what_a_phase_does_not_teach_rests():
    state, first, last = parts()
    began = {name: tensor.clone() for name, tensor in state.tensors().items()}
    play(state, first, last, until=6)
    border = {name: tensor.clone() for name, tensor in state.tensors().items()}
    play(state, first, last)
    for name in ("G.one.weight", "D.one.bias"):
        assert not torch.equal(began[name], border[name])
        assert torch.equal(border[name], state.tensors()[name])
    for name in ("G.two.weight", "D.two.bias"):
        assert torch.equal(began[name], border[name])
        assert not torch.equal(border[name], state.tensors()[name])


def test_memories_of_both_phases_are_kept():
    state, first, last = parts()
    play(state, first, last)
    assert {name: value.item() for name, value in state.memory.items()} == {"first": 6, "last": 4}


def test_a_training_that_diverges_says_in_which_step_and_what_may_help():
    with pytest.raises(DivergenceError, match=r"loss of broken stopped being finite at step 6: .* patience, or train"):
        play(*parts(last="broken"))
