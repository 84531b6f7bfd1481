"""Projects small enough to run whole: the embedded data set's first images at 16 pixels."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
IMAGES = 1500

TINY = {
    "data": {"source": "tiny", "resolution": 16, "fit": "crop", "validation": 0.15, "test": 0.15},
    "features": {"minimum_accuracy": 0.3},
    "model": {"latent": 16, "options": {"width": 8}},
    "loss": {"r1": 0.1, "interval": 4},
    "train": {
        "kimg": 3,
        "batch": 50,
        "tick_kimg": 0.5,
        "checkpoint_kimg": 1,
        "validation_samples": 200,
        "learning_rate": {"generator": 1e-3, "discriminator": 1e-3},
    },
    "compute": {"checkpoint_minutes": 0},
    "tune": {"trials": 2, "kimg": 0.6, "space": {"train.learning_rate.generator": {"log_uniform": [4e-4, 2e-3]}}},
    "evaluate": {"samples": 300},
    "register": {"name": "tiny", "gate": {"fd_domain": {"at_most": 1e6}}},
}


def idx(array: np.ndarray) -> bytes:
    """The idx format: magic with type and number of dimensions, sizes, bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


FORGET = """
from ganops.core import layout
from ganops.distributed import finished
from ganops.experiment import checks
from ganops.generator import Generator

finished.forget(checks.load().compute, Generator.load(layout.GENERATOR).description.fingerprint)
"""
"""The beginning of the stage `evaluate`, as far as it is about checkpoints."""


class Project:
    """A folder with the pipeline in it."""

    def __init__(self, folder: Path, variables: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.variables = variables or {}

    def params(self, **sections) -> None:
        """Replaces keys of sections of params.yaml."""
        path = self.folder / "params.yaml"
        content = yaml.safe_load(path.read_text())
        for section, values in sections.items():
            content[section] = {**content.get(section, {}), **values}
        path.write_text(yaml.safe_dump(content))

    def run(self, *command: str, fails: bool = False) -> str:
        """Runs a command of the environment in the project; returns what it printed."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text

    def forget_training(self) -> None:
        """Removes the checkpoints of the training that ended, as the stage after it does once DVC has its outputs."""
        self.run("python", "-c", FORGET)

    def start(self, *command: str) -> subprocess.Popen:
        """Starts a command as the leader of its own group of processes."""
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stdout=subprocess.DEVNULL, start_new_session=True
        )

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_"))}
        return {**clean, "PATH": path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", **self.variables}


def tiny(folder: Path) -> Path:
    """The first images of the embedded data set and their labels, as a source in a folder that this makes."""
    embedded = ROOT / "data" / "fashion-mnist-10k"
    images = np.frombuffer(gzip.decompress((embedded / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((embedded / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    folder.mkdir(parents=True)
    (folder / "some-images-idx3-ubyte").write_bytes(idx(images.reshape(-1, 28, 28)[:IMAGES]))
    (folder / "some-labels-idx1-ubyte").write_bytes(idx(labels[:IMAGES]))
    return folder


def new_project(folder: Path) -> Project:
    """The tracked parts of this repository that a run needs, with tiny data and parameters."""
    for name in ("pipeline", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    tiny(folder / "data" / "tiny")
    (folder / "params.yaml").write_text(yaml.safe_dump({"seed": 1, **TINY}))
    project = Project(folder)
    project.run("git", "init", "-q")
    project.run("git", "add", "-A")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "start")
    return project
