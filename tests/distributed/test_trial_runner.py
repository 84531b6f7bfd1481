"""One process of a search."""

import pytest
import torch

from ganops.config import load
from ganops.core import cores
from ganops.distributed.node_copy import NodeCopy
from ganops.distributed.runtime import Plan
from ganops.distributed.storage import Storage
from ganops.distributed.trial_runner import Assignment, TrialRunner
from ganops.distributed.trial_store import TrialStore
from ganops.experiment import run


@pytest.mark.parametrize(("cpus", "asked", "threads"), [(2, "auto", 1), (1, "auto", 1), (2, 2, 2)])
def test_a_trial_computes_with_the_threads_of_the_rule_whatever_torch_would_take(
    featured, tmp_path, monkeypatch, cpus, asked, threads
):
    seen, whole = set(), run.train

    def train(*args, **kwargs):
        for tick in whole(*args, **kwargs):
            seen.add(torch.get_num_threads())
            yield tick

    monkeypatch.setattr(run, "train", train)
    changes = {"compute.threads": asked, "compute.storage": str(tmp_path), "tune.kimg": 1}
    experiment = load(featured.folder / "params.yaml").override(changes)
    runner = TrialRunner.__new__(TrialRunner)
    runner.base, runner.plan, runner.edits = experiment, Plan(1, cpus, 0), None
    runner.prepared = NodeCopy(str(featured.folder / "data/prepared"))
    runner.features = NodeCopy(str(featured.folder / "artifacts/features"))
    runner.store = TrialStore(Storage.of(experiment.compute), "tune")
    runner.assignment = Assignment(1, {}, 0, experiment.tune.rungs, 1)
    with cores.threads(2):
        results = runner._results()
        assert next(results)["rows"]
        assert torch.get_num_threads() == 2
        results.close()
    assert seen == {threads}
