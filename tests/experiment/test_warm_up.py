"""Trainings of texts by likelihood: alone, and before a game."""

from functools import cache

import numpy as np
import pytest
import torch
from phrases import Phrases, experiment, strip
from safetensors.torch import load_file

from ganops import config
from ganops.core.errors import ConfigError
from ganops.core.files import read_json
from ganops.experiment import checks, publication
from ganops.experiment.run import NOT_IMPROVED, Run
from ganops.generator import Generator
from ganops.generator.artefact import WARM_UP
from ganops.training.loop import train


class Judge:
    """Distances by a function of kimg."""

    name, hash = "fd_fake_validation", "judge"

    def __init__(self, distance):
        self.of = distance

    def distance(self, generator, seeds):
        return self.of(generator.description.kimg)

    def submit(self, generator, seeds):
        future = torch.futures.Future()
        future.set_result(self.distance(generator, seeds))
        return Waits(future.value())


class Waits:
    """A judgement that is known only when it is waited for."""

    def __init__(self, value):
        self.value = value

    def done(self):
        return False

    def result(self):
        return self.value


BORDER, STEPS = 6, 14
"""Steps of the warm-up, and in all: each shows two batches of ten."""


def run(distance=lambda kimg: abs(kimg - 0.2), **params):
    return Run(experiment(**params), Phrases(), Judge(distance) if distance else None, torch.device("cpu"))


def test_the_warm_up_is_a_part_of_the_training_and_its_end_is_judged():
    training = run(**{"train.tick_kimg": 0.08, "train.checkpoint_kimg": 0.16})
    ticks = list(training.play())
    assert [(p.step, p.steps, p.row["kimg"], p.checkpoint) for p in ticks] == [
        (4, STEPS, 0.08, False),
        (BORDER, STEPS, 0.12, True),
        (8, STEPS, 0.16, True),
        (12, STEPS, 0.24, False),
        (STEPS, STEPS, 0.28, True),
    ]
    assert (
        ["nll" in p.row for p in ticks] == ["loss_g" not in p.row for p in ticks] == [True, True, False, False, False]
    )
    assert [row["kimg"] for row in training.history if "fd_fake_validation" in row] == [0.12, 0.16, 0.28]


def test_d_rests_in_the_warm_up_and_learns_in_the_game():
    training = run()
    D = {name: tensor.clone() for name, tensor in training.state.D.state_dict().items()}
    list(training.play(until=BORDER))
    assert all(torch.equal(tensor, D[name]) for name, tensor in training.state.D.state_dict().items())
    assert not training.state.adam_D.state
    list(training.play())
    assert not any(
        torch.equal(tensor, D[name]) for name, tensor in training.state.D.state_dict().items() if tensor.dim() > 1
    )


def test_turns_of_a_warm_up_are_batches_of_their_own():
    """Each turn is a step of Adam: two for each step of the loop, as D has in the game."""
    training, asked = run(None), []
    phase = training.before[0]
    batches = lambda turn: asked.append(turn) or training.batches(turn)  # noqa: E731
    list(train(training.state, batches, phase.objective, phase.recipe, seed=0))
    assert asked == list(range(2 * BORDER))
    assert {int(state["step"]) for state in training.state.adam_G.state.values()} == {2 * BORDER}


def test_likelihood_learns_what_there_is_to_learn():
    """The labels tell the lengths; the first word is one of four: log 4 nats, and the rest follows."""
    params = {
        "loss.name": "likelihood",
        "train.kimg": 15,
        "train.tick_kimg": 3,
        "train.checkpoint_kimg": 15,
        "train.batch": 60,
    }
    rate = {"start": 0.03, "end": 1e-3}
    training = run(
        None, **params, **{"train.learning_rate.generator": rate, "model.options": {"width": 16, "embedding": 8}}
    )
    assert training.recipe.d_steps == 1
    list(training.play())
    assert training.history[-1]["nll"] == pytest.approx(np.log(4), abs=0.1)
    assert training.selection.warm_up is None
    known = set(map(tuple, Phrases().samples("train").tolist()))
    drawn = training.best_generator().sample(np.arange(200)).tolist()
    assert np.mean([tuple(text) in known for text in drawn]) > 0.9


@cache
def whole():
    training = run()
    list(training.play())
    return training


def outcome(training):
    """All that must not depend on an interruption."""
    curve = [{k: v for k, v in row.items() if k != "images_per_second"} for row in training.history]
    rows = [{k: v for k, v in row.items() if k != "images_per_second"}
            for row in (training.selection.best.row, training.selection.warm_up.row)]  # fmt: skip
    tensors = [training.selection.best.weights, training.selection.warm_up.weights, training.state.tensors()]
    return curve, rows, [{name: tensor.numpy().tobytes() for name, tensor in each.items()} for each in tensors]


@pytest.mark.parametrize("step", [2, BORDER - 2, BORDER, BORDER + 2, STEPS - 2])
def test_a_training_that_is_killed_ends_in_the_bits_of_one_that_is_not(step, tmp_path):
    first, second = run(), run()
    for progress in first.play():
        if progress.step == step:
            break
    assert first.selection.pending, "the judgement of this step is under way"
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert outcome(second) == outcome(whole())
    assert strip(second) == strip(whole())


def publish(training, folder):
    names = {"metrics": "train.json", "history": "history.csv", "validation": "validation.csv", "pictures": "pictures"}
    paths = {name: folder / path for name, path in names.items()}
    publication.publish(training, generator=folder / "generator", **paths)
    return read_json(folder / "train.json")


def test_a_game_that_improves_leaves_the_best_of_its_warm_up_beside_its_own(tmp_path):
    training = whole()
    summary = publish(training, tmp_path)
    assert (summary["best_kimg"], summary["warm_up_kimg"], summary["improved_on_warm_up"]) == (0.2, 0.12, True)
    assert summary["warm_up_fd_fake_validation"] == pytest.approx(0.08)
    assert NOT_IMPROVED not in publication.summary(training)
    own, warm = (
        Generator.load(tmp_path / "generator", weights_file=name) for name in ("generator.safetensors", WARM_UP)
    )
    assert own.description == warm.description
    assert any(
        not torch.equal(tensor, warm.network.state_dict()[name]) for name, tensor in own.network.state_dict().items()
    )
    before = run()
    list(before.play(until=BORDER))
    assert all(
        torch.equal(tensor, warm.network.state_dict()[name]) for name, tensor in before.selection.best.weights.items()
    )


def test_a_game_that_does_not_improve_is_told(tmp_path):
    training = run(lambda kimg: abs(kimg - 0.08))
    ticks = list(training.play())
    assert [NOT_IMPROVED in p.alarms for p in ticks] == [False] * (len(ticks) - 1) + [True]
    summary = publish(training, tmp_path)
    assert (summary["best_kimg"], summary["warm_up_kimg"], summary["improved_on_warm_up"]) == (0.08, 0.08, False)
    assert publication.summary(training).endswith(NOT_IMPROVED)
    own, warm = (load_file(tmp_path / "generator" / name) for name in ("generator.safetensors", WARM_UP))
    assert own.keys() == warm.keys()
    assert all(torch.equal(tensor, warm[name]) for name, tensor in own.items())


def test_without_a_warm_up_nothing_is_said_of_one(tmp_path):
    training = run(**{"loss.warm_up": None, "train.kimg": 0.08})
    ticks = list(training.play())
    assert not any(NOT_IMPROVED in p.alarms for p in ticks)
    assert not any("warm_up" in key for key in publish(training, tmp_path))
    assert not (tmp_path / "generator" / WARM_UP).exists()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"loss.warm_up.kimg": 0.28}, r"loss\.warm_up\.kimg: expected less than train\.kimg, 0\.28"),
        ({"loss.warm_up.name": "vae"}, r"loss\.warm_up\.name: unknown 'vae'; known: likelihood"),
        ({"model.architecture": "dcgan", "model.options": {}}, r"draws squares .*lstm does"),
        ({"model.architecture": "mlp", "model.options": {}}, r"loss\.warm_up\.name: likelihood needs .*lstm"),
        ({"model.architecture": "mlp", "model.options": {}, "loss.name": "likelihood"}, r"loss\.name: .*needs a G"),
        ({"model.latent": 7}, "two numbers a word, 8 for texts of 4, got 7"),
        ({"data.length": 1, "model.latent": 2}, "at least 2 words"),
        ({"tune.trials": 2, "tune.kimg": 0.1}, r"tune\.kimg: 0\.1 .*ends within the warm-up"),
        ({"tune.trials": 2, "tune.kimg": 0.2, "tune.space": {"loss.warm_up.kimg": {"uniform": [0.1, 0.21]}}},
         r"with loss\.warm_up\.kimg 0\.21: .*ends within the warm-up"),
        ({"tune.trials": 2, "tune.kimg": 0.2, "tune.scheduler": "pbt",
          "tune.space": {"loss.warm_up.kimg": {"uniform": [0.1, 0.15]}}}, "cannot change while a training goes on"),
    ],
)  # fmt: skip
def test_the_impossible_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        checks.check(experiment(**params))


def test_lstm_draws_no_images():
    words = r"lstm writes texts, data\.kind: text, of at least 2 words, data\.length; got samples of 1 x 32 x 32"
    with pytest.raises(ConfigError, match=words):
        checks.check(config.parse({"model": {"architecture": "lstm"}}))


def test_a_latent_for_a_larger_vocabulary_than_there_is_is_refused_with_the_parameters_that_fit():
    """The check counts `data.words`, the most that there may be; the samples have the words that they have."""
    params = {"model.options": {"width": 4, "embedding": 4, "softness": 0.5}, "data.words": 50}
    of_most = experiment(**params, **{"model.latent": 4 * 50})
    checks.check(of_most)
    words = r"the vocabulary has 6 words: set data\.words: 6 and model\.latent: 24, got 200"
    with pytest.raises(ConfigError, match=words):
        Run(of_most, Phrases(), None, torch.device("cpu"))
    fitting = experiment(**params | {"data.words": 6}, **{"model.latent": 24})
    checks.check(fitting)
    assert list(Run(fitting, Phrases(), None, torch.device("cpu")).play())


def test_the_possible_is_not_refused():
    for params in ({}, {"loss.name": "likelihood"}, {"tune.trials": 2, "tune.kimg": 0.2}):
        checks.check(experiment(**params))


def test_parameters_of_games_are_idle_without_one():
    assert checks.idle(experiment(**{"loss.name": "likelihood"})) == (
        "loss.r1", "loss.r2", "loss.warm_up", "train.d_steps",
    )  # fmt: skip
