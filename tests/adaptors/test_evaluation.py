"""The number of workers changes no feature."""

import numpy as np
import pytest

from ganops.adaptors.evaluation import observe
from ganops.config import Compute
from ganops.generator import Description, Generator, generator_network

pytestmark = pytest.mark.ray


def test_two_ray_workers_see_what_this_process_sees(featured, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    description = Description("dcgan", {"width": 4}, 8, 10, tuple("0123456789"), 1, 16, 0.0, "f")
    Generator(generator_network(description), description).save(tmp_path / "generator")
    places = [Compute(launcher="local"), Compute(launcher="ray", workers=2)]
    features = featured.folder / "artifacts/features"
    here, there = (observe(place, tmp_path / "generator", features, 1100) for place in places)
    assert here.features.shape[0] == 1100
    assert np.allclose(here.features, there.features, rtol=0, atol=1e-5 * np.abs(here.features).max())
    assert np.allclose(here.probabilities, there.probabilities, rtol=0, atol=1e-5)
    assert here.first_seed == there.first_seed
