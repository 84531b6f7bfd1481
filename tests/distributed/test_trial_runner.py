"""One process of a search."""

import pytest
import torch

from ganops.config import load
from ganops.core import cores
from ganops.distributed.node_copy import Parcel
from ganops.distributed.runtime import Plan
from ganops.distributed.storage import Storage
from ganops.distributed.trial_runner import Contestant, Order
from ganops.distributed.trial_store import Ledger


@pytest.mark.parametrize(("cpus", "asked", "threads"), [(2, "auto", 1), (1, "auto", 1), (2, 2, 2)])
def test_a_trial_computes_with_the_threads_of_the_rule_whatever_torch_would_take(
    featured, tmp_path, cpus, asked, threads
):
    changes = {"compute.threads": asked, "compute.storage": str(tmp_path), "tune.kimg": 1}
    experiment = load(featured.folder / "params.yaml").override(changes)
    contestant = Contestant.__new__(Contestant)
    contestant.base, contestant.plan, contestant.edits = experiment, Plan(1, cpus, 0), None
    contestant.prepared = Parcel(str(featured.folder / "data/prepared"))
    contestant.features = Parcel(str(featured.folder / "artifacts/features"))
    contestant.ledger = Ledger(Storage.of(experiment.compute), "tune")
    contestant.order = Order(1, {}, 0, experiment.tune.rungs, 1)
    with cores.threads(2):
        results = contestant._results()
        assert next(results)["rows"]
        assert torch.get_num_threads() == threads
        results.close()
        assert torch.get_num_threads() == 2
