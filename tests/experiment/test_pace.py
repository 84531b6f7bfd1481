"""The pace of a training, before it begins."""

import pytest
import torch

from ganops import config
from ganops.experiment import pace

CPU = torch.device("cpu")
SMALL = config.parse(
    {
        "data": {"resolution": 16},
        "model": {"architecture": "infogan", "latent": 4, "options": {"width": 16, "hidden": 64}},
        "loss": {"r1": 0},
        "train": {"kimg": 100, "batch": 50, "tick_kimg": 25},
    }
)


def test_each_phase_counts_by_its_own_pace_and_the_densities_at_ticks(monkeypatch):
    paces = {"Autoencoding": 100.0, "SecondStage": 400.0}

    def timed(run, phase):
        assert run.state.step == 0  # made here, as it is where steps are timed: its imports are no part of a training
        return paces[type(phase.objective.loss).__name__]

    monkeypatch.setattr(pace, "_images_per_second", timed)
    two = SMALL.override({"loss.name": "two_stage_vae", "loss.options": {"second": 0.5}})
    assert pace.seconds(two, CPU) == pytest.approx(500 + 125, rel=0.01)
    fitted = SMALL.override({"loss.name": "autoencoder"})
    seldom, often = (pace.seconds(fitted.override({"train.tick_kimg": tick}), CPU) for tick in (100, 0.5))
    assert 1000 < seldom < often


def test_ten_times_the_training_takes_ten_times_as_long(monkeypatch):
    monkeypatch.setattr(pace, "_images_per_second", lambda run, phase: 200.0 + run.state.step)
    short, long = (pace.seconds(SMALL.override({"train.kimg": kimg}), CPU) for kimg in (10, 100))
    assert long == pytest.approx(10 * short, rel=0.05)
    assert short == pytest.approx(50, rel=0.05)
