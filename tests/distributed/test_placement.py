"""Work goes to where the GPUs are; with GPUs that compute nothing it does so in tests/gpu."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from ganops.config import Compute
from ganops.core.errors import ConfigError, TrainingError
from ganops.distributed import runtime
from ganops.distributed.placement import placed


def work(path: Path, *, device: str, word: str, out: Path) -> str:
    """Write a word and the names in a folder, and return the device."""
    out.mkdir()
    (out / "found").write_text(" ".join([word, *sorted(each.name for each in path.iterdir())]))
    return device


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """The device of work for which `compute` says so much."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()

    def act(**compute):
        given = {"out": tmp_path / "made", "word": "of"}
        device = placed(Compute(**compute), "features", work, tmp_path / "here", **given)
        assert (tmp_path / "made" / "found").read_text() == "of file"
        return device

    return act


@pytest.fixture
def nodes(monkeypatch):
    """Pretends a cluster of nodes with such resources."""

    def pretend(*resources):
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")
        monkeypatch.setattr(runtime, "cluster", lambda: nullcontext(False))
        monkeypatch.setattr(runtime, "nodes", lambda: [{"Resources": each} for each in resources])

    return pretend


def test_without_a_cluster_and_without_a_gpu_it_is_done_here(ask):
    assert ask() == "cpu"


@pytest.mark.parametrize("launcher", ["local", "ray"])
def test_cuda_is_refused_where_there_is_none(ask, launcher):
    with pytest.raises(ConfigError, match="torch sees no GPU here"):
        ask(device="cuda", launcher=launcher)


def test_a_cluster_without_gpus_leaves_it_to_the_driver(ask, nodes):
    nodes({"CPU": 4}, {"CPU": 4})
    assert ask() == "cpu"


def test_cuda_is_refused_where_no_node_of_the_cluster_has_one(ask, nodes):
    nodes({"CPU": 4})
    with pytest.raises(TrainingError, match="no node of the cluster has a GPU"):
        ask(device="cuda")


@pytest.mark.parametrize("compute", [{"device": "cpu"}, {"launcher": "local"}])
def test_the_cluster_is_not_asked_where_it_may_not_do_it(ask, nodes, monkeypatch, compute):
    nodes({"CPU": 4, "GPU": 4})
    monkeypatch.setattr(runtime, "cluster", pytest.fail)
    assert ask(**compute) == "cpu"


@pytest.mark.parametrize(
    ("resources", "cores"),
    [([{"CPU": 4}, {"CPU": 16, "GPU": 4}], 4), ([{"CPU": 64}, {"CPU": 16, "GPU": 4}, {"CPU": 2, "GPU": 1}], 2),
     ([{"CPU": 3, "GPU": 8}], 0)],
)  # fmt: skip
def test_a_task_with_a_gpu_takes_no_more_cores_than_any_node_has_for_it(nodes, resources, cores):
    nodes(*resources)
    assert runtime.of_a_gpu("auto") == {"num_gpus": 1, "num_cpus": cores}
    assert runtime.of_a_gpu("cpu") == {}
