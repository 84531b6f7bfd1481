"""The stage `train` on the nodes of a cluster, and what it should make."""

import json
import re
import shutil
import time
from contextlib import suppress

from projects import FORGET, TINY
from safetensors import safe_open

WEIGHTS = "artifacts/generator/generator.safetensors"
DRIVER = "^python pipeline/train.py"
WORKER = "^ray::RayTrainWorker"
HISTORY = "reports/train/history.csv"
ON_TWO_CORES = """
import ray, runpy
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
runpy.run_path("pipeline/train.py", run_name="__main__")
"""
"""The stage with two workers of one host, whatever this machine has."""


def ticks(log: str) -> list[float]:
    """The kimg of the lines that the stage printed while it trained."""
    return [float(kimg) for kimg in re.findall(r"^train +kimg ([\d.]+)/", log, re.MULTILINE)]


def newest_step(storage) -> int:
    """The number of steps that the newest checkpoint below a folder holds."""
    found = []
    for path in storage.glob("train-*/checkpoint*/state.safetensors"):
        with safe_open(path, "pt") as file:
            found.append(int(file.metadata()["step"]))
    return max(found)


class Training:
    """The stage `train` on the head, whose disk has the project; the worker's has not."""

    def __init__(self, cluster, project, script="pipeline/train.py", objects=None, kimg=None, **compute) -> None:
        self.cluster, self.head, self.script, self.objects = cluster, cluster.head, script, objects
        self.train = {"kimg": kimg} if kimg else {}
        self.storage, self.folder = cluster.shared / "runs", "/tmp/project"
        shutil.rmtree(self.storage, ignore_errors=True)
        storage = objects.address if objects else str(self.storage)
        self.project, self.compute = project, {"storage": storage, **compute}
        self.start = time.monotonic()
        self.back()

    def back(self) -> None:
        """The project on the head's empty disk, and the stage started."""
        self.bring(self.project, self.compute)
        self.begin()

    def begin(self) -> None:
        self.shell(f"(python {self.script} > log 2>&1 < /dev/null; echo $? > code) > /dev/null 2>&1 &")

    def again(self) -> None:
        """The same command, once the one before has died."""
        while not self.ended():
            time.sleep(0.1)
        self.shell("rm code")
        self.begin()

    def hosts(self):
        """The nodes where workers train now."""
        return [node for node in self.cluster.nodes if node.pids(WORKER)]

    def wait_started(self, seconds: float = 300) -> None:
        """Until all workers are there."""
        while len(self.hosts()) < 2:
            assert not self.ended(), self.log()
            assert time.monotonic() - self.start < seconds, self.log()
            time.sleep(0.1)

    def bring(self, project, compute) -> None:
        """Copies the project by way of the shared folder, where nothing of it stays."""
        way = self.cluster.shared / "way"
        shutil.copytree(project.folder, way, ignore=shutil.ignore_patterns(".*", "src", "tiny"))
        type(project)(way).params(compute=compute, train=self.train)
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

    def wait_checkpoint(self, seconds: float = 300) -> None:
        """Until the storage holds a whole one."""
        while not any(re.search("/checkpoint[^/]*/state.safetensors$", name) for name in self.unfinished()):
            assert not self.ended(), self.log()
            assert time.monotonic() - self.start < seconds, self.log()
            time.sleep(0.05)

    def files(self) -> list[str]:
        """All files in the storage."""
        return (
            self.objects.files() if self.objects else [str(path) for path in self.storage.rglob("*") if path.is_file()]
        )

    def unfinished(self) -> list[str]:
        """Files of unfinished trainings: checkpoints and logs. The end of the last finished one lies beside them."""
        return [name for name in self.files() if "/train-" in name]

    def forget(self) -> None:
        """Removes the checkpoints of the training that ended, as the stage after it does."""
        self.shell(f"python -c '{FORGET}'")

    def saved(self) -> list[int]:
        """After how many ticks the checkpoints in the storage were made, a folder."""
        found = []
        for journal in self.storage.glob("train-*/checkpoint*/run.json"):
            with suppress(OSError, ValueError):  # being written, or removed
                kimg = json.loads(journal.read_text())["history"][-1]["kimg"]
                found.append(round(kimg / TINY["train"]["tick_kimg"]))
        return found

    def result(self):
        """The weights' bytes and the curve."""
        self.shell(f"cp {WEIGHTS} {HISTORY} {self.cluster.shared}")
        weights, history = (self.cluster.shared / path.rsplit("/", 1)[1] for path in (WEIGHTS, HISTORY))
        return weights.read_bytes(), history.read_text()
