"""The spread of an experiment over seeds of its training."""

import json

import numpy as np
import pytest
from scipy import stats

from ganops.core.errors import UserError
from ganops.studies.seeds import Spread, train_under


def test_mean_deviation_and_interval_are_those_of_scipy():
    values = (3.0, 4.5, 5.0, 3.5)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    spread = Spread(values)
    assert spread.interval == pytest.approx([expected.low, expected.high])
    assert (spread.mean, spread.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))


def test_one_seed_has_no_spread():
    with pytest.raises(UserError, match="at least two different seeds, got 3, 3"):
        train_under(None, [3, 3], None, None, None, print)


def test_each_seed_is_trained_once_and_all_are_judged_alike(project):
    project.params(train={"kimg": 0.2, "tick_kimg": 0.1, "checkpoint_kimg": 0.2}, compute={"launcher": "local"})
    (project.folder / "artifacts/best_params.yaml").write_text("parameters: {}")
    first = project.run("ganops", "seeds", "1", "2")
    assert "seed 1: kimg" in first
    assert "2 trainings" in first
    again = project.run("ganops", "seeds", "2", "1", "--json")
    assert "kimg" not in again
    found = json.loads(again[again.index("{") : again.rindex("}") + 1])
    protocols = []
    for seed in (1, 2):
        kept = json.loads((project.folder / f"artifacts/seeds/seed-{seed}/evaluation.json").read_text())["figures"]
        assert kept["fd_domain"] in found["fd_domain"]["values"]
        protocols.append(kept["protocol"])
    assert protocols[0] == protocols[1]
    assert found["fd_domain"]["deviation"] > 0
