"""Trainings of waves: killed and continued they end in the same bits, and a seed is one clip in any batch."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ganops import config
from ganops.experiment import checks
from ganops.experiment.run import Run
from ganops.kinds import Spec

SPEC = Spec("wave", (1, 128), 3, {"rate": 8000, "samples": 128})
STEPS = 14
"""Each shows two batches of ten."""


class Tones:
    spec, hash, class_names = SPEC, "tones", ("a", "b", "c")

    def samples(self, split):
        time, i = np.arange(128), np.arange(40)[:, None]
        return np.rint(30000 * np.sin(time * (1 + i % 3) / 7 + i)).astype(np.int16)[:, None]

    def labels(self, split):
        return np.arange(40) % 3


def run(architecture="wavegan", loss="wasserstein", **params):
    width = {"wavegan": 4, "mlp": 16}[architecture]
    experiment = config.parse({}).override(
        {
            "data.kind": "wave", "data.samples": 128, "model.architecture": architecture, "model.latent": 4,
            "model.options": {"width": width}, "loss.name": loss, "train.batch": 10, "train.d_steps": 2,
            "train.kimg": STEPS * 20 / 1000, "train.tick_kimg": 0.08, "train.checkpoint_kimg": 0.16,
            "train.augment.transforms": {"time": 1, "gain": 0.5}, "train.augment.strength": 0.7, **params,
        }
    )  # fmt: skip
    checks.check(experiment)
    return Run(experiment, Tones(), None, torch.device("cpu"))


PENALISED = {"loss.penalty": "wgan_gp", "loss.r1": 0, "loss.interval": 1}


@pytest.mark.parametrize(
    ("architecture", "loss", "params"),
    [
        ("wavegan", "wasserstein", PENALISED),
        ("wavegan", "relativistic", {"loss.r1": 1, "loss.r2": 1}),
        ("wavegan", "non_saturating", {"train.augment.strength": "adaptive"}),
        ("mlp", "relativistic", {"loss.r1": 1}),
    ],
)
@pytest.mark.parametrize("killed", [1, 7])
def test_a_killed_training_ends_in_the_same_bits(architecture, loss, params, killed, tmp_path):
    def weights(training):
        training.state.save(tmp_path / "state.safetensors")
        return load_file(tmp_path / "state.safetensors")

    whole = run(architecture, loss, **params)
    list(whole.play())
    first = run(architecture, loss, **params)
    list(first.play(killed))
    first.save(tmp_path / "checkpoint")
    other = run(architecture, loss, **params)
    other.load(tmp_path / "checkpoint")
    list(other.play())
    expected, got = weights(whole), weights(other)
    assert expected.keys() == got.keys()
    assert all(torch.equal(tensor, got[name]) for name, tensor in expected.items())


@pytest.mark.parametrize("architecture", ["wavegan", "mlp"])
def test_a_seed_is_one_clip_in_any_batch(architecture):
    training = run(architecture, "relativistic", **{"loss.r1": 1})
    list(training.play(2))
    generator = training.generator(0)
    together = generator.sample(np.arange(23))
    assert (together.dtype, together.shape) == (np.int16, (23, 1, 128))
    for batch in (1, 2, 3, 5, 16):
        assert np.array_equal(generator.sample(np.arange(23), batch=batch), together)
