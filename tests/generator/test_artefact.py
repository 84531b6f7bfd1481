"""A generator that draws no pictures is told from one that draws black ones."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganops.core.errors import DivergenceError, TrainingError, UserError
from ganops.evaluation import verdict
from ganops.generator import DESCRIPTION, Description, Generator, generator_network, walks
from ganops.generator.artefact import nll


def made(value=0.0, classes=0):
    torch.manual_seed(0)
    description = Description(
        "mlp", {"width": 4, "depth": 1, "bounded": False}, 3, classes, (), (1, 16, 16), 1.0, "a training"
    )
    network = generator_network(description)
    if classes:
        next(module for module in network.modules() if isinstance(module, torch.nn.Embedding)).weight[1] += value
    else:
        next(network.parameters()).view(-1)[0] = value
    return Generator(network, description)


NOBODY = SimpleNamespace(extractor=SimpleNamespace(features=pytest.fail))
"""An extractor that must see nothing."""
WAYS = {
    "sample": lambda generator: generator.sample(np.arange(5)),
    "render": lambda generator: generator.render(np.ones((5, 3), np.float32)),
    "walk": lambda generator: walks.between(generator, (0, 1), None, 1.0, 5),
    "evaluate": lambda generator: verdict.look(generator, NOBODY, np.arange(5)),
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_finite_is_no_picture(way, value):
    with pytest.raises(
        DivergenceError, match=r"draws values that are not finite \(NaN or infinity\) in 5 of 5 samples"
    ):
        WAYS[way](made(value))


def test_the_broken_samples_are_counted_and_the_others_stay():
    generator = made(float("nan"), classes=3)
    with pytest.raises(TrainingError, match="in 3 of 9 samples"):
        generator.sample(np.arange(9))
    others = np.array([0, 2, 3, 5])
    assert np.array_equal(generator.sample(others), made(0.0, classes=3).sample(others))


def test_it_is_what_a_user_can_mend(tmp_path):
    made(float("nan")).save(tmp_path / "generator")
    with pytest.raises(UserError, match="Train it again"):
        Generator.load(tmp_path / "generator").sample(np.arange(1))
    assert made().sample(np.empty(0, np.int64)).shape == (0, 1, 16, 16)


def test_a_folder_of_before_kinds_draws_the_same_bytes(tmp_path):
    generator = made(0.3)
    generator.save(tmp_path / "generator")
    former = json.loads((tmp_path / "generator" / DESCRIPTION).read_text())
    for name in ("kind", "shape", "facts"):
        del former[name]
    (tmp_path / "generator" / DESCRIPTION).write_text(json.dumps(former | {"channels": 1, "resolution": 16}))
    again = Generator.load(tmp_path / "generator")
    assert again.description == generator.description
    assert again.sample(np.arange(5)).tobytes() == generator.sample(np.arange(5)).tobytes()


def of_texts(classes=2):
    torch.manual_seed(0)
    facts = {"words": ["", "a", "b", "c"], "by": "words"}
    description = Description(
        "lstm", {"width": 4, "embedding": 3}, 4, classes, (), (2,), 1.0, "a training", kind="text", facts=facts
    )
    network = generator_network(description)
    network.writer.weight *= 4
    return Generator(network, description)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_probabilities_of_all_texts_sum_to_one(temperature):
    generator, texts = of_texts(), np.array([[i, j] for i in range(4) for j in range(4)], np.uint16)
    assert generator.has_likelihood
    by_label = [nll(generator, texts, np.full(16, label), temperature=temperature) for label in (0, 1)]
    for nats in by_label:
        assert (nats.dtype, nats.shape) == (np.float64, (16,))
        assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-6)
    assert not np.allclose(*by_label)
    assert np.allclose(nll(generator, texts, np.zeros(16, np.int64), temperature=temperature, batch=3), by_label[0])


def test_the_likelihood_of_a_text_is_the_share_of_its_draws():
    generator = of_texts()
    drawn = generator.sample(np.arange(20_000), np.ones(20_000, np.int64), 0.5)
    texts, counts = np.unique(drawn, axis=0, return_counts=True)
    texts, counts = texts[texts[:, 0] > 0], counts[texts[:, 0] > 0]  # behind an end, what is drawn is cut off
    shares = np.exp(-nll(generator, texts, np.ones(len(texts), np.int64), temperature=0.5))
    assert np.abs(counts / 20_000 - shares).max() < 4 * 0.5 / np.sqrt(20_000)
    assert shares.max() > 0.05


def test_a_generator_without_a_likelihood_says_so():
    assert not made().has_likelihood
    with pytest.raises(UserError, match="mlp has no likelihood of samples: expected a generator of texts, lstm with"):
        nll(made(), np.zeros((1, 1, 16, 16), np.uint8))
    with pytest.raises(UserError, match="labels: expected one for each text, of 2 classes, got none"):
        nll(of_texts(), np.zeros((1, 2), np.uint16))
