"""Training on nodes that share nothing but the storage: the same weights, whatever dies."""

import shutil
import time

import pytest

pytestmark = pytest.mark.ray

WEIGHTS = "artifacts/generator/generator.safetensors"
HISTORY = "reports/train/history.csv"
ON_TWO_CORES = """
import ray, runpy
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
runpy.run_path("pipeline/train.py", run_name="__main__")
"""
"""The stage with two workers of one host, whatever this machine has."""


def curve(text: str) -> list[list[str]]:
    """The history without its speeds."""
    rows = [line.split(",") for line in text.splitlines()]
    speed = rows[0].index("images_per_second")
    return [[value for column, value in enumerate(row) if column != speed] for row in rows]


@pytest.fixture(scope="module")
def prepared(featured, tmp_path_factory):
    """A project that trains with two workers."""
    project = type(featured)(
        shutil.copytree(featured.folder, tmp_path_factory.mktemp("two") / "project", symlinks=True)
    )
    project.params(tune={"trials": 0}, train={"kimg": 8}, compute={"launcher": "ray", "workers": 2})
    project.run("python", "pipeline/tune.py")
    return project


@pytest.fixture(scope="module")
def whole(prepared):
    """What they make of it on one host."""
    prepared.run("python", "-c", ON_TWO_CORES)
    result = (prepared.folder / WEIGHTS).read_bytes(), curve((prepared.folder / HISTORY).read_text())
    for made in ("artifacts/generator", "reports/train"):
        shutil.rmtree(prepared.folder / made)
    return result


class Training:
    """The stage `train` on the head, whose disk has the project; the worker's has not."""

    def __init__(self, cluster, project, **compute) -> None:
        self.cluster, self.head = cluster, cluster.head
        self.storage = cluster.shared / "runs"
        self.folder = "/tmp/project"
        self.bring(project, {"storage": str(self.storage), **compute})
        self.start = time.monotonic()
        self.shell("(python pipeline/train.py > log 2>&1 < /dev/null; echo $? > code) > /dev/null 2>&1 &")

    def bring(self, project, compute) -> None:
        """Copies what the stage reads by way of the shared folder, where nothing of it stays."""
        way = self.cluster.shared / "way"
        for part in ("pipeline", "data/prepared", "artifacts"):
            shutil.copytree(project.folder / part, way / part)
        shutil.copy(project.folder / "params.yaml", way)
        type(project)(way).params(compute=compute)
        self.head.run("rm", "-rf", self.folder)
        self.head.run("mv", way, self.folder)

    def shell(self, script: str) -> str:
        address = f"RAY_ADDRESS={self.head.address}:6379"
        return self.head.run("env", "-C", self.folder, address, "OMP_NUM_THREADS=1", "bash", "-c", script)

    def log(self) -> str:
        return self.shell("cat log")

    def ended(self) -> bool:
        return self.shell("cat code 2>/dev/null || true").strip() != ""

    def wait(self, seconds: float, fails: bool = False) -> str:
        """Until it ends; what it printed."""
        while not self.ended():
            assert time.monotonic() - self.start < seconds, self.log()
            time.sleep(0.3)
        self.seconds = time.monotonic() - self.start
        assert (self.shell("cat code").strip() != "0") == fails, self.log()
        return self.log()

    def wait_checkpoint(self, seconds: float = 60) -> None:
        """Until the storage holds a whole one."""
        while not list(self.storage.glob("train-*/checkpoint*/state.safetensors")):
            assert not self.ended(), self.log()
            assert time.monotonic() - self.start < seconds, self.log()
            time.sleep(0.05)

    def result(self):
        """The weights' bytes and the curve."""
        self.shell(f"cp {WEIGHTS} {HISTORY} {self.cluster.shared}")
        weights, history = (self.cluster.shared / path.rsplit("/", 1)[1] for path in (WEIGHTS, HISTORY))
        return weights.read_bytes(), curve(history.read_text())


def test_workers_of_two_nodes_train_what_those_of_one_do(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    assert all(len(node.pids("ray::RayTrainWorker")) == 1 for node in cluster.nodes), "one worker on each node"
    training.wait(90)
    assert training.result() == whole
    assert not list(training.storage.glob("train-*")), "a finished run keeps no checkpoints"
    with pytest.raises(OSError, match="No such file"):
        cluster.worker.run("ls", training.folder)
    print("seconds", training.seconds)


def test_storage_that_a_node_does_not_see_is_refused_before_anything_is_trained(cluster, prepared):
    training = Training(cluster, prepared, storage="/tmp/runs")
    log = training.wait(60, fails=True)
    worker = f"node worker ({cluster.worker.address})"
    assert f"compute.storage: {worker} does not see /tmp/runs" in log
    assert "node head" not in log
    assert "name a folder on a mount that all nodes share, or an address such as s3://" in log
    assert "Traceback" not in log
    assert training.shell("ls /tmp/runs") == "", "nothing is left there"
    print("seconds", training.seconds)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(cluster, prepared, whole):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    cluster.worker.kill_process("ray::RayTrainWorker")
    assert not training.ended()
    training.wait(120)
    assert training.result() == whole
    print("seconds", training.seconds)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "kill"])
def test_a_lost_node_that_is_replaced_changes_nothing(cluster, prepared, whole, fault):
    training = Training(cluster, prepared)
    training.wait_checkpoint()
    getattr(cluster.worker, fault)()
    print("noticed", cluster.wait(nodes=1))
    assert not training.ended()
    cluster.worker.start()
    training.wait(150)
    assert training.result() == whole
    print("seconds", training.seconds)
