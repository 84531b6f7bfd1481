"""A training that begins with the weights of another generator."""

import numpy as np
import pytest
import torch
from test_run import Arrays, Looks, run

from ganops.core.errors import ConfigError, UserError
from ganops.experiment.publication import publish
from ganops.experiment.start import Start
from ganops.generator import Generator
from ganops.generator.artefact import DISCRIMINATOR
from ganops.kinds import Spec
from ganops.models import ARCHITECTURES
from ganops.training.state import first_layers

NAMES = ("generator", "metrics", "history", "validation", "pictures")


@pytest.fixture(scope="module")
def ancestor(tmp_path_factory):
    """The folder of a generator of two classes, and its training."""
    folder, training = tmp_path_factory.mktemp("ancestor"), run(judge=Looks([]))
    list(training.play())
    publish(training, **{name: folder / name for name in NAMES})
    return folder / "generator", training


def of_classes(count):
    class Classes(Arrays):
        spec = Spec("image", (1, 16, 16), count)
        class_names = tuple(map(str, range(count)))

        def labels(self, split):
            return np.arange(30) % count if count else None

    return Classes(f"{count} classes")


def test_both_players_and_the_average_begin_with_its_weights(ancestor):
    folder, before = ancestor
    training = run(**{"train.start": str(folder)})
    for player, weights in (
        ("G", before.selection.best.weights),
        ("average", before.selection.best.weights),
        ("D", before.state.D.state_dict()),
    ):
        for name, tensor in getattr(training.state, player).state_dict().items():
            assert torch.equal(tensor, weights[name]), f"{player}.{name}"
    seeds = np.arange(9)
    assert np.array_equal(training.generator(0).sample(seeds), Generator.load(folder).sample(seeds))


def test_the_ancestor_is_part_of_the_meaning_and_of_the_description(ancestor, tmp_path):
    folder, before = ancestor
    training, other = run(**{"train.start": str(folder)}), run()
    assert training.fingerprint != other.fingerprint
    assert "train.start" not in other.meaning, "trainings of before there was any are what they were"
    moved = tmp_path / "moved"
    generator = before.best_generator()
    with torch.no_grad():
        next(generator.network.parameters()).add_(1)
    generator.save(moved)
    assert Start.open(moved, "a").ancestor["weights"] != Start.open(folder, "a").ancestor["weights"]
    list(training.play())
    training.best_generator().save(tmp_path / "generator")
    said = Generator.load(tmp_path / "generator").description.ancestor
    assert said == training.start.ancestor
    assert (said["name"], said["fingerprint"]) == (str(folder), before.fingerprint)
    assert Generator.load(folder).description.ancestor == {}


def test_a_start_is_left_behind_once_there_is_a_checkpoint(ancestor, tmp_path):
    whole, first, second = (run(judge=Looks([]), **{"train.start": str(ancestor[0])}) for _ in range(3))
    list(whole.play())
    list(first.play(stop=lambda step: step == 3))
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    list(second.play())
    a, b = whole.state.tensors(), second.state.tensors()
    assert all(torch.equal(a[name], b[name]) for name in a)


def notes(training):
    return [note for progress in training.play(until=1) for note in progress.notes]


def test_other_classes_begin_as_the_mean_of_all_and_that_is_said(ancestor):
    folder, before = ancestor
    training = run(samples=of_classes(3), **{"train.start": str(folder)})
    own, were = training.state.G.state_dict(), before.selection.best.weights
    tables = [name for name in own if own[name].shape != were[name].shape]
    assert tables
    for name in tables:
        assert torch.equal(own[name], were[name].mean(0).expand(3, -1))
    words = f"train.start: 3 classes where {folder} has 2: what differs between classes begins as their mean"
    assert notes(training) == [words]
    assert notes(run(**{"train.start": str(folder)})) == []


def test_classes_that_are_called_otherwise_are_told(ancestor):
    folder, before = ancestor
    assert before.class_names == ("0", "1")
    renamed = of_classes(2)
    renamed.class_names = ("shoe", "1")
    notes = run(samples=renamed, **{"train.start": str(folder)})._notes_of_start
    assert any("the classes are shoe, 1; each begins as that of its number in" in note for note in notes)
    assert not run(samples=of_classes(2), **{"train.start": str(folder)})._notes_of_start


def test_without_a_discriminator_it_begins_anew_and_that_is_said(ancestor, tmp_path):
    folder = tmp_path / "alone"
    Generator.load(ancestor[0]).save(folder)
    training, fresh = run(**{"train.start": str(folder)}), run()
    assert notes(training) == [f"train.start: {folder} keeps no D, which begins anew"]
    training = run(**{"train.start": str(folder)})
    for name, tensor in fresh.state.D.state_dict().items():
        assert torch.equal(training.state.D.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.options": {"width": 6}}, r"has other networks\. G: .*: expected \(.*\), got \(.*\); and \d+ more"),
        ({"model.latent": 4}, "has model.latent: 8, here it is 4"),
        ({"model.architecture": "mlp", "model.options": {}}, "has model.architecture: dcgan, here it is mlp"),
        ({"model.conditional": False}, "was trained with labels, and here there are no labels"),
        ({"loss.name": "vae"}, "autoencoders begin anew"),
        ({"train.freeze_D": 99}, "params.train.freeze_D: expected fewer than the 4 layers of D, got 99"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(ancestor, changes, words):
    with pytest.raises(ConfigError, match=words):
        run(**{"train.start": str(ancestor[0]), **changes})


def test_what_is_no_generator_is_refused(ancestor, tmp_path):
    with pytest.raises(ConfigError, match=r"params\.train\.start: expected the folder .* got 'models:/faces@champion'"):
        run(**{"train.start": "models:/faces@champion"})
    with pytest.raises(UserError, match="holds no generator"):
        run(**{"train.start": str(tmp_path)})
    Generator.load(ancestor[0]).save(tmp_path / "damaged")
    (tmp_path / "damaged" / DISCRIMINATOR).write_bytes(b"x")
    with pytest.raises(ConfigError, match=f"{DISCRIMINATOR} is damaged"):
        run(**{"train.start": str(tmp_path / "damaged")})


def test_a_frozen_layer_with_spectral_norm_has_no_bias_of_the_next():
    _, D = ARCHITECTURES["sngan"](shape=(1, 16, 16), classes=0, latent=4, width=8)
    first = ["blocks.0.first.bias", "blocks.0.first.parametrizations.weight.original"]
    assert first_layers(D, 1) == first
    assert first_layers(D, 2) == first + [name.replace("first", "second") for name in first]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_frozen_layers_of_d_stay_and_all_others_learn(count, tmp_path):
    training = run(**{"train.freeze_D": count})
    before = {name: p.detach().clone() for name, p in training.state.D.named_parameters()}
    list(training.play(until=3))
    frozen = first_layers(training.state.D, count)
    assert len(frozen) == [0, 2, 5][count], "filters and bias; filters, and the normalisation behind them"
    for name, parameter in training.state.D.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in frozen), name
    training.save(tmp_path / "checkpoint")
    again = run(**{"train.freeze_D": count})
    again.load(tmp_path / "checkpoint")
    assert again.state.step == 3
