"""A generator that draws no pictures is told from one that draws black ones."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ganops.core.errors import TrainingError, UserError
from ganops.evaluation import verdict
from ganops.generator import DESCRIPTION, Description, Generator, generator_network, walks


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
    with pytest.raises(TrainingError, match=r"draws values that are not finite \(NaN or infinity\) in 5 of 5 samples"):
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
